package layout

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	heading = regexp.MustCompile(`(?m)^## (G\d+) `)
	proof   = regexp.MustCompile("`([a-z0-9/]+) (Test[A-Za-z0-9_]+)`")
	quoted  = regexp.MustCompile(`"([^"]+)"`)
)

// TestGuarantees: docs/guarantees.md names G1 to G10, each with a test, and every test and conformance case that it names
// exists.
func TestGuarantees(t *testing.T) {
	root := filepath.Join("..", "..")
	text, err := os.ReadFile(filepath.Join(root, "docs", "guarantees.md"))
	if err != nil {
		t.Fatal(err)
	}
	cases := sources(t, filepath.Join(root, "applier", "applytest"), "*.go")
	at := heading.FindAllStringSubmatchIndex(string(text), -1)
	if len(at) != 10 {
		t.Errorf("%d promises, the design has 10", len(at))
	}
	for i, m := range at {
		end := len(text)
		if i+1 < len(at) {
			end = at[i+1][0]
		}
		name, section := string(text[m[2]:m[3]]), string(text[m[0]:end])
		proofs := proof.FindAllStringSubmatch(section, -1)
		if len(proofs) == 0 {
			t.Errorf("%s names no test", name)
		}
		for _, p := range proofs {
			if !strings.Contains(sources(t, filepath.Join(root, p[1]), "*_test.go"), "func "+p[2]+"(t ") {
				t.Errorf("%s names %s in %s, which does not exist", name, p[2], p[1])
			}
		}
		for _, c := range quoted.FindAllStringSubmatch(section, -1) {
			if !strings.Contains(cases, `{"`+strings.Join(strings.Fields(c[1]), " ")+`", `) {
				t.Errorf("%s names the conformance case %q, which does not exist", name, c[1])
			}
		}
	}
}

// sources is the text of the files of a folder that match.
func sources(t *testing.T, folder, pattern string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, pattern))
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	return all.String()
}
