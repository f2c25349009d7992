package yamlfile

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"

	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// Kind is what a value is.
type Kind int

// The kinds.
const (
	Absent  Kind = iota // not written
	Null                // a key without a value, or null
	String              // text
	Integer             // a whole number
	Float               // any other number
	Boolean             // true or false
	List                // a list
	Mapping             // a map
)

var kindNames = map[Kind]string{
	Absent: "nothing", Null: "nothing", String: "text", Integer: "a number", Float: "a number",
	Boolean: "true or false", List: "a list", Mapping: "a map",
}

// Value is a node of a file at a path. The zero Value is absent.
type Value struct {
	file  *File
	node  ast.Node
	path  string
	line  int
	depth int
}

// value makes a Value, looking through anchors, aliases and tags.
func (f *File) value(path string, node ast.Node, line, depth int) Value {
	v := Value{file: f, path: path, line: line, depth: depth}
	for range maxAliases {
		switch n := node.(type) {
		case *ast.AnchorNode:
			node = n.Value
		case *ast.TagNode:
			node = n.Value
		case *ast.AliasNode:
			name := tokenText(n.Value)
			target, ok := f.anchors[name]
			if !ok {
				v.Error("write the value itself", "alias *%s has no anchor &%s", name, name)
				return v
			}
			if f.aliases++; f.aliases > maxAliases {
				v.Error("write the values themselves", "aliases unfold more than %d times", maxAliases)
				return v
			}
			node = target
		default:
			v.node = node
			return v
		}
	}
	v.Error("write the value itself", "an alias refers to itself")
	return v
}

// Path is where the value stands in its file.
func (v Value) Path() string { return v.path }

// Line is the line the value, or its key, stands on.
func (v Value) Line() int { return v.line }

// Present says whether the value is written and not null.
func (v Value) Present() bool { return v.Kind() > Null }

// Written says whether the key is written, be it without a value.
func (v Value) Written() bool { return v.Kind() != Absent }

// Kind says what the value is.
func (v Value) Kind() Kind {
	switch v.node.(type) {
	case nil:
		return Absent
	case *ast.NullNode, *ast.CommentGroupNode:
		return Null
	case *ast.IntegerNode:
		return Integer
	case *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return Float
	case *ast.BoolNode:
		return Boolean
	case *ast.SequenceNode:
		return List
	case *ast.MappingNode, *ast.MappingValueNode:
		return Mapping
	default:
		return String
	}
}

// Error records an error at the value.
func (v Value) Error(fix, format string, args ...any) {
	v.file.report(pipelinev1.Severity_SEVERITY_ERROR, v.path, v.line, fmt.Sprintf(format, args...), fix)
}

// Warn records a warning at the value.
func (v Value) Warn(fix, format string, args ...any) {
	v.file.report(pipelinev1.Severity_SEVERITY_WARNING, v.path, v.line, fmt.Sprintf(format, args...), fix)
}

// Deprecated warns of a form of an older or another generation. One such warning a file is enough (spec 12.1).
func (v Value) Deprecated(fix, format string, args ...any) {
	if v.file.deprecated {
		return
	}
	v.file.deprecated = true
	v.Warn(fix+"; slipstream migrate rewrites the file", format, args...)
}

// Key is the last name of the path, for messages.
func (v Value) Key() string {
	if v.path == "" {
		return "the file"
	}
	if quoted := strings.LastIndex(v.path, `."`); quoted >= 0 && strings.HasSuffix(v.path, `"`) {
		return v.path[quoted+1:]
	}
	if i := strings.LastIndexByte(v.path, '.'); i >= 0 {
		return v.path[i+1:]
	}
	return v.path
}

func (v Value) wrong(want, fix string) {
	if !v.Present() {
		v.Error(fix, "%s has no value", v.Key())
		return
	}
	v.Error(fix, "%s must be %s, not %s", v.Key(), want, kindNames[v.Kind()])
}

// Text is the value as text that is not empty.
func (v Value) Text() (string, bool) {
	switch v.Kind() {
	case String:
		s := v.text()
		if strings.TrimSpace(s) == "" {
			v.Error("write a value", "%s is empty", v.Key())
			return "", false
		}
		return s, true
	case Integer, Float, Boolean:
		v.wrong("text", fmt.Sprintf("put it in quotes: %q", v.raw()))
	default:
		v.wrong("text", "write "+v.Key()+": <text>")
	}
	return "", false
}

// Loose is a scalar as text, whatever its type; empty text is allowed. It serves free maps such as query_args.
func (v Value) Loose() (string, bool) {
	switch v.Kind() {
	case String:
		return v.text(), true
	case Integer, Float, Boolean:
		return v.raw(), true
	default:
		v.wrong("text, a number, or true or false", "write "+v.Key()+": <value>")
		return "", false
	}
}

// Choice is the value as one of the words allowed, compared without case.
func (v Value) Choice(allowed ...string) (string, bool) {
	words := "one of " + strings.Join(allowed, ", ")
	if v.Kind() != String {
		v.wrong(words, "write "+v.Key()+": "+allowed[0])
		return "", false
	}
	s := v.text()
	for _, a := range allowed {
		if strings.EqualFold(s, a) {
			return a, true
		}
	}
	v.Error(didYouMean(s, allowed, "allowed"), "%s: %q is unknown", v.Key(), s)
	return "", false
}

// Whole is the value as a whole number in a range.
func (v Value) Whole(low, high int64) (int64, bool) {
	fix := "write " + Bounds(low, high)
	if v.Kind() != Integer {
		v.wrong("a whole number", fix)
		return 0, false
	}
	n, ok := v.integer()
	if !ok || n < low || n > high {
		v.Error(fix, "%s: %s is out of range", v.Key(), v.raw())
		return 0, false
	}
	return n, true
}

// Bool is the value as true or false. Without quotes it may also be one of the words of YAML 1.1, which files of RDI were read by.
func (v Value) Bool() (value, ok bool) {
	if b, is := v.node.(*ast.BoolNode); is {
		return b.Value, true
	}
	if s, is := v.node.(*ast.StringNode); is && s.Token != nil && s.Token.Type == token.StringType {
		switch s.Value {
		case "yes", "Yes", "YES", "on", "On", "ON":
			return true, true
		case "no", "No", "NO", "off", "Off", "OFF":
			return false, true
		}
	}
	v.wrong("true or false", "write "+v.Key()+": true or "+v.Key()+": false, without quotes")
	return false, false
}

// Reference is the text of a value that is one reference, such as ${env:NAME}, as a whole (spec 2.4).
func (v Value) Reference() (string, bool) {
	if v.Kind() != String {
		return "", false
	}
	s := v.text()
	return s, strings.HasPrefix(s, "${") && strings.HasSuffix(s, "}")
}

// Items are the members of a list.
func (v Value) Items() ([]Value, bool) {
	n, is := v.node.(*ast.SequenceNode)
	if !is {
		v.wrong("a list", "begin each member with a hyphen: - …")
		return nil, false
	}
	if !v.shallow() {
		return nil, false
	}
	items := make([]Value, len(n.Values))
	for i, item := range n.Values {
		line := lineOf(item)
		if i < len(n.Entries) && n.Entries[i] != nil && n.Entries[i].Start != nil {
			line = tokenLine(n.Entries[i].Start)
		}
		items[i] = v.file.value(v.path+"["+strconv.Itoa(i)+"]", item, line, v.depth+1)
	}
	return items, true
}

func (v Value) shallow() bool {
	if v.depth < maxDepth {
		return true
	}
	v.Error("write it flatter", "values are nested more than %d levels deep", maxDepth)
	return false
}

func (v Value) text() string {
	switch n := v.node.(type) {
	case *ast.StringNode:
		return n.Value
	case *ast.LiteralNode:
		return n.Value.Value
	default:
		return tokenText(v.node)
	}
}

// raw is a scalar as it was written.
func (v Value) raw() string { return tokenText(v.node) }

func (v Value) integer() (int64, bool) {
	n, is := v.node.(*ast.IntegerNode)
	if !is {
		return 0, false
	}
	switch i := n.Value.(type) {
	case int64:
		return i, true
	case uint64:
		return int64(i), i <= 1<<63-1
	default:
		return 0, false
	}
}

// Bounds says in words what a range allows.
func Bounds(low, high int64) string {
	if high >= 1<<31-1 {
		return fmt.Sprintf("a whole number of at least %d", low)
	}
	return fmt.Sprintf("a whole number from %d to %d", low, high)
}
