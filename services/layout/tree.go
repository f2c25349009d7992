package layout

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
)

// longest is the most lines a file that people read may have. What a program generates is not read by people.
const longest = 500

// measured are the endings of the files that longest holds for; scripts have none.
var measured = []string{"", ".css", ".go", ".html", ".js", ".proto", ".sh", ".sql"}

// nameless are the folder names that say nothing: whatever is put there has a better place.
var nameless = []string{
	"base", "common", "commons", "helper", "helpers", "lib", "libs", "misc", "pkg", "shared", "type", "types", "util", "utils",
}

// treeFaults returns a sentence for each file and folder that breaks a rule. It reads what Go would: folders whose names
// begin with a dot or an underscore, testdata and bin are passed over.
func treeFaults(tree fs.FS) ([]string, error) {
	var faults []string
	packages := map[string]*folder{}
	err := fs.WalkDir(tree, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := entry.Name()
		if entry.IsDir() {
			if name != "." && (strings.HasPrefix(base, ".") && base != ".ci" || strings.HasPrefix(base, "_") ||
				base == "testdata" || base == "node_modules" || name == "bin") {
				return fs.SkipDir
			}
			if slices.Contains(nameless, base) {
				faults = append(faults, fmt.Sprintf("the folder %s has a name that says nothing: name it for what is in it", name))
			}
			return nil
		}
		if !entry.Type().IsRegular() || strings.HasPrefix(base, ".") || !slices.Contains(measured, path.Ext(base)) || base == "LICENSE" {
			return nil
		}
		text, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		generated := false
		if path.Ext(base) == ".go" {
			dir := path.Dir(name)
			if packages[dir] == nil {
				packages[dir] = &folder{}
			}
			if generated, err = packages[dir].add(name, text); err != nil {
				return err
			}
		}
		if path.Ext(base) == ".proto" && !contractComment.Match(text) {
			faults = append(faults, name+" does not say what its package is: a comment \"Package <its name> …\" before the package statement")
		}
		if lines := strings.Count(string(text), "\n"); lines > longest && !generated {
			faults = append(faults, fmt.Sprintf("%s has %d lines: at most %d, one idea a file", name, lines, longest))
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading the tree: %w", err)
	}
	for dir, f := range packages {
		if fault := f.fault(); fault != "" {
			faults = append(faults, fmt.Sprintf("the package in %s %s", dir, fault))
		}
	}
	slices.Sort(faults)
	return faults, nil
}

// contractComment finds the comment on the package of a .proto, which is all that its generated Go has for one.
var contractComment = regexp.MustCompile(`(?m)^// Package [a-z0-9_.]+ .+\n(//.*\n)*package `)

// folder is what the Go files of one folder say of their package.
type folder struct {
	name    string // of the package, without _test
	comment string // the longest package comment
	written bool   // at least one file is not generated
}

// add reads a file up to its imports, and tells whether it is generated.
func (f *folder) add(name string, text []byte) (generated bool, err error) {
	file, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ParseComments|parser.PackageClauseOnly)
	if err != nil {
		return false, err
	}
	if own := strings.TrimSuffix(file.Name.Name, "_test"); f.name == "" || !strings.HasSuffix(name, "_test.go") {
		f.name = own
	}
	if comment := file.Doc.Text(); len(comment) > len(f.comment) {
		f.comment = comment
	}
	generated = ast.IsGenerated(file)
	f.written = f.written || !generated
	return generated, nil
}

// fault returns what is wrong with the package comment, nothing when it is as it should be.
func (f *folder) fault() string {
	words := len(strings.Fields(f.comment))
	switch {
	case !f.written:
		return "" // its .proto says what it is
	case words == 0:
		return "has no comment: say what it is, its words, its promises, its neighbours"
	case f.name != "main" && !strings.HasPrefix(f.comment, "Package "+f.name+" "):
		return fmt.Sprintf("has a comment that does not begin with %q", "Package "+f.name)
	case words < 6:
		return fmt.Sprintf("has a comment of %d words, which cannot say what it is", words)
	}
	return ""
}
