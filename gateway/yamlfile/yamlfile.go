// Package yamlfile reads one YAML file so that nothing in it is overlooked: every value knows its path and line, every
// problem is collected, and a key nobody asked for is a problem too.
//
// A File holds the syntax tree and the problems. A Value is a node at a path ("transform[1].with.expression"); asking it
// for text, a number, a list or a map either gives that or records what is wrong and what to write instead. A Map
// remembers which keys were taken, so that Done can name the rest, with the nearest name that would have been right.
// The packages configfile and jobfile say what the keys mean; here is only how they are read.
package yamlfile

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

const (
	// MaxBytes is the most a file may hold. Real ones hold a few thousand.
	MaxBytes = 128 << 10
	// maxDepth bounds nesting; the deepest legal file nests some ten levels.
	maxDepth = 100
	// maxProblems is how many problems of one file are told; nobody reads more before mending some.
	maxProblems = 500
	// maxAliases bounds how often aliases are followed, so that a small file cannot unfold into a huge one.
	maxAliases = 1000
)

// File is a YAML file and what was found wrong with it.
type File struct {
	name     string
	job      string
	root     ast.Node
	anchors  map[string]ast.Node
	aliases  int
	problems []*pipelinev1.Problem
	errors   int
	reported map[string]bool
	// deprecated says that a warning of an old form was given.
	deprecated bool
}

// Parse reads a file. A file that is no YAML has a problem and a root that is absent.
func Parse(name string, text []byte) *File {
	f := &File{name: name, anchors: make(map[string]ast.Node), reported: make(map[string]bool)}
	text = WithoutMark(text)
	if message, fix := unreadable(text); message != "" {
		f.report(pipelinev1.Severity_SEVERITY_ERROR, "", 1, message, fix)
		return f
	}
	tree, err := parse(text)
	if err != nil {
		line, message := syntax(err)
		f.report(pipelinev1.Severity_SEVERITY_ERROR, "", line, message, syntaxFix(text, line))
		return f
	}
	var bodies []ast.Node
	for _, doc := range tree.Docs {
		if doc.Body == nil {
			continue
		}
		if _, comment := doc.Body.(*ast.CommentGroupNode); comment {
			continue
		}
		bodies = append(bodies, doc.Body)
	}
	if len(bodies) > 1 {
		f.report(pipelinev1.Severity_SEVERITY_ERROR, "", lineOf(bodies[1]), "a second document begins here",
			"write one document a file; remove the line \"---\"")
	}
	if len(bodies) == 1 {
		f.root = bodies[0]
		f.collectAnchors(f.root, 0)
	}
	return f
}

// WithoutMark is the text without the byte order mark that some editors put in front of it.
func WithoutMark(text []byte) []byte { return bytes.TrimPrefix(text, []byte("\ufeff")) }

// Name is the name the file was parsed under.
func (f *File) Name() string { return f.name }

// SetJob says to which job problems found from now on belong.
func (f *File) SetJob(name string) { f.job = name }

// Root is the document. Its path is empty.
func (f *File) Root() Value { return f.value("", f.root, lineOf(f.root), 0) }

// Problems are the problems found so far, in the order they were found.
func (f *File) Problems() []*pipelinev1.Problem { return f.problems }

// Errors counts the problems that are errors. The difference between two calls tells whether what was read in between
// may be used.
func (f *File) Errors() int { return f.errors }

func (f *File) report(severity pipelinev1.Severity, path string, line int, message, fix string) {
	// A value may be looked at twice, for instance through an alias; one problem is enough.
	key := path + "\x00" + message
	if f.reported[key] {
		return
	}
	f.reported[key] = true
	if f.full() {
		if severity == pipelinev1.Severity_SEVERITY_ERROR {
			f.errors++
		}
		return
	}
	if severity == pipelinev1.Severity_SEVERITY_ERROR {
		f.errors++
	}
	f.problems = append(f.problems, &pipelinev1.Problem{
		Severity: severity, File: f.name, Path: path, Line: uint32(max(line, 0)), Message: message, Fix: fix, Job: f.job,
	})
	if len(f.problems) == maxProblems {
		f.errors++
		f.problems = append(f.problems, &pipelinev1.Problem{
			Severity: pipelinev1.Severity_SEVERITY_ERROR, File: f.name, Line: uint32(max(line, 0)), Job: f.job,
			Message: fmt.Sprintf("there are more than %d problems; the others are not told", maxProblems), Fix: "mend these first",
		})
	}
}

// full says that no further problem will be told, so that looking for its line or for the nearest name is in vain.
func (f *File) full() bool { return len(f.problems) > maxProblems }

// unreadable finds what the parser should not be asked to read.
func unreadable(text []byte) (message, fix string) {
	if len(text) > MaxBytes {
		return fmt.Sprintf("the file has %d bytes", len(text)), fmt.Sprintf("a file may have %d bytes; split it", MaxBytes)
	}
	if !utf8.Valid(text) {
		return "the file is not UTF-8 text", "save it as UTF-8"
	}
	if tooDeep(string(text)) {
		return fmt.Sprintf("values are nested more than %d levels deep", maxDepth), "write it flatter"
	}
	return "", ""
}

// tooDeep bounds the nesting that the parser, which recurses, will meet: brackets within the file, and marks that open a
// level without a new line, such as "- - -". Brackets in quotes count too; no file has that many unclosed.
func tooDeep(text string) bool {
	brackets := 0
	for line := range strings.Lines(text) {
		marks := 0
		for word := range strings.FieldsSeq(line) {
			if word == "-" || word == "?" || word[0] == '!' || word[0] == '&' {
				marks++
			} else {
				marks = 0
			}
			brackets = max(0, brackets+strings.Count(word, "[")+strings.Count(word, "{")-
				strings.Count(word, "]")-strings.Count(word, "}"))
			if brackets > maxDepth || marks > maxDepth {
				return true
			}
		}
	}
	return false
}

// parse turns a panic of the parser on malformed text into an error: the text is the user's, and a gateway serves many.
func parse(text []byte) (tree *ast.File, err error) {
	defer func() {
		if r := recover(); r != nil {
			tree, err = nil, fmt.Errorf("the text is not YAML: %v", r)
		}
	}()
	return parser.ParseBytes(text, 0, parser.AllowDuplicateMapKey())
}

func syntax(err error) (line int, message string) {
	var at yaml.Error
	if errors.As(err, &at) {
		if t := at.GetToken(); t != nil && t.Position != nil {
			line = t.Position.Line
		}
		return line, "YAML syntax: " + at.GetMessage()
	}
	return 1, "YAML syntax: " + err.Error()
}

// syntaxFix guesses what makes a line no YAML. The three mistakes named here are nearly all there are.
func syntaxFix(text []byte, line int) string {
	lines := strings.Split(string(text), "\n")
	if line < 1 || line > len(lines) {
		return "indent with spaces, and quote values that hold special characters"
	}
	at := lines[line-1]
	switch {
	case strings.HasPrefix(strings.TrimLeft(at, " "), "\t"):
		return "indent with spaces; YAML allows no tabs"
	case strings.Contains(at, "`") || strings.Contains(at, "@") || strings.Contains(at, "%"):
		return "put the value in quotes: it holds a character that YAML keeps for itself"
	case strings.Count(at, ": ") > 1:
		return "put the value in quotes: it holds a colon followed by a blank"
	default:
		return "check quotes, brackets and indentation here and on the line before"
	}
}

func (f *File) collectAnchors(node ast.Node, depth int) {
	if depth > 2*maxDepth {
		return
	}
	switch n := node.(type) {
	case *ast.AnchorNode:
		if n.Name != nil {
			f.anchors[tokenText(n.Name)] = n.Value
		}
		f.collectAnchors(n.Value, depth+1)
	case *ast.TagNode:
		f.collectAnchors(n.Value, depth+1)
	case *ast.SequenceNode:
		for _, v := range n.Values {
			f.collectAnchors(v, depth+1)
		}
	case *ast.MappingNode:
		for _, v := range n.Values {
			f.collectAnchors(v.Value, depth+1)
		}
	case *ast.MappingValueNode:
		f.collectAnchors(n.Value, depth+1)
	}
}

func tokenText(node ast.Node) string {
	if node == nil {
		return ""
	}
	if t := node.GetToken(); t != nil {
		return t.Value
	}
	return ""
}

// lineOf is the line on which a node begins. The token of a map is its first colon, so it asks the first key.
func lineOf(node ast.Node) int {
	switch n := node.(type) {
	case nil:
		return 1
	case *ast.MappingNode:
		if len(n.Values) > 0 && !n.IsFlowStyle {
			return lineOf(n.Values[0].Key)
		}
	case *ast.MappingValueNode:
		return lineOf(n.Key)
	}
	return tokenLine(node.GetToken())
}

func tokenLine(t *token.Token) int {
	if t == nil || t.Position == nil {
		return 0
	}
	return t.Position.Line
}
