package migrate

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// text is a file as lines, with their ends, and as the tree they make.
type text struct {
	lines []string
	end   string // of a line
	root  *mapping
}

// mapping is a map of the file and where it is written.
type mapping struct {
	entries []entry
	// flow says that it is written in braces; open and close are where.
	flow        bool
	open, close place
}

// place is a position in the lines, from 0; column counts bytes.
type place struct{ line, column int }

// entry is a key of a map.
type entry struct {
	name  string
	at    place
	value ast.Node
	flow  bool // it stands in braces
}

var errNotFound = errors.New("a key is not where it was read")

// parse reads a file. The parser may panic on malformed text; that is an error like others.
func parse(s string) (t *text, err error) {
	defer func() {
		if r := recover(); r != nil {
			t, err = nil, fmt.Errorf("the text is not YAML: %v", r)
		}
	}()
	tree, err := parser.ParseBytes([]byte(s), 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return nil, fmt.Errorf("parsing: %w", err)
	}
	t = &text{lines: strings.SplitAfter(s, "\n"), end: "\n"}
	if strings.Contains(s, "\r\n") {
		t.end = "\r\n"
	}
	for _, doc := range tree.Docs {
		if doc.Body != nil && t.root == nil {
			t.root, err = t.mapping(doc.Body)
		}
	}
	return t, err
}

func (t *text) join() string { return strings.Join(t.lines, "") }

// mapping is a node as a map; nil where it is none, or an alias of one that is written elsewhere.
func (t *text) mapping(node ast.Node) (*mapping, error) {
	m := &mapping{}
	var pairs []*ast.MappingValueNode
	switch n := bare(node).(type) {
	case *ast.MappingNode:
		pairs = n.Values
		if m.flow = n.IsFlowStyle; m.flow {
			var first, last bool
			m.open, first = t.mark(n.Start, "{")
			m.close, last = t.mark(n.End, "}")
			if !first || !last {
				return nil, errNotFound
			}
		}
	case *ast.MappingValueNode:
		pairs = []*ast.MappingValueNode{n}
	default:
		return nil, nil //nolint:nilnil // a value of another kind has no entries to look at
	}
	for _, pair := range pairs {
		tk := pair.Key.GetToken()
		if pair.Key.IsMergeKey() || tk == nil {
			continue
		}
		at, ok := t.key(tk)
		if !ok {
			return nil, errNotFound
		}
		m.entries = append(m.entries, entry{name: tk.Value, at: at, value: pair.Value, flow: m.flow})
	}
	return m, nil
}

// bare is a node without anchor and tag.
func bare(node ast.Node) ast.Node {
	for {
		switch n := node.(type) {
		case *ast.AnchorNode:
			node = n.Value
		case *ast.TagNode:
			node = n.Value
		default:
			return node
		}
	}
}

// mark finds a bracket that is as good as where the parser says it is.
func (t *text) mark(tk *token.Token, bracket string) (place, bool) {
	if tk == nil || tk.Position == nil || tk.Position.Line < 1 || tk.Position.Line > len(t.lines) {
		return place{}, false
	}
	p := t.place(tk)
	return p, strings.HasPrefix(t.lines[p.line][p.column:], bracket)
}

// place is where a token begins; the parser counts characters.
func (t *text) place(tk *token.Token) place {
	line := tk.Position.Line - 1
	column, count := len(t.lines[line]), 1
	for i := range t.lines[line] {
		if count == tk.Position.Column {
			column = i
			break
		}
		count++
	}
	return place{line, column}
}

// key finds a key, in quotes or not.
func (t *text) key(tk *token.Token) (place, bool) {
	if tk.Position == nil || tk.Position.Line < 1 || tk.Position.Line > len(t.lines) {
		return place{}, false
	}
	p := t.place(tk)
	at := t.lines[p.line][p.column:]
	for _, mark := range []string{"", `"`, "'"} {
		if strings.HasPrefix(at, mark+tk.Value+mark) {
			return p, true
		}
	}
	// The names looked for here need no escapes; where others do, their line is all that matters.
	return p, strings.HasPrefix(at, `"`)
}

// find is the entry of a name, if its value is written.
func (m *mapping) find(name string) (entry, bool) {
	if m != nil {
		for _, e := range m.entries {
			if e.name == name {
				return e, true
			}
		}
	}
	return entry{}, false
}

// has says whether a name is written.
func (m *mapping) has(name string) bool {
	_, ok := m.find(name)
	return ok
}

// rename writes another name for a key, in the quotes it has.
func (t *text) rename(e entry, name string) {
	line := t.lines[e.at.line]
	rest := line[e.at.column:]
	i := strings.Index(rest, e.name)
	t.lines[e.at.line] = line[:e.at.column] + rest[:i] + name + rest[i+len(e.name):]
}

// prepend writes an entry before the others of a map.
func (t *text) prepend(m *mapping, written string) bool {
	if m.flow {
		line := t.lines[m.open.line]
		comma := ", "
		if strings.TrimSpace(line[m.open.column+1:]) == "" {
			comma = ","
		}
		if len(m.entries) == 0 {
			comma = ""
		}
		t.lines[m.open.line] = line[:m.open.column+1] + written + comma + line[m.open.column+1:]
		return true
	}
	if len(m.entries) == 0 {
		return false
	}
	first := m.entries[0].at
	margin := t.lines[first.line][:first.column]
	if strings.TrimSpace(margin) != "" {
		return false // it begins within a line
	}
	added := make([]string, 0, 1)
	for part := range strings.SplitSeq(written, "\n") {
		added = append(added, margin+part+t.end)
	}
	above := first.line // the first entry keeps the comments above it
	for above > 0 && strings.HasPrefix(t.lines[above-1], margin+"#") {
		above--
	}
	t.insert(above, added)
	return true
}

func (t *text) insert(at int, lines []string) {
	t.lines = append(t.lines[:at:at], append(lines, t.lines[at:]...)...)
}

// extent is the line behind the last one of an entry. Comments that follow it belong to what comes next.
func (t *text) extent(e entry) int {
	end := e.at.line + 1
	_, list := bare(e.value).(*ast.SequenceNode)
	for i := end; i < len(t.lines); i++ {
		body := strings.TrimLeft(t.lines[i], " ")
		indent := len(t.lines[i]) - len(body)
		body = strings.TrimSpace(body)
		switch {
		case body == "" || body[0] == '#' && indent <= e.at.column:
			continue
		case indent > e.at.column, list && indent == e.at.column && (body == "-" || strings.HasPrefix(body, "- ")):
			end = i + 1
		default:
			return end
		}
	}
	return end
}

var scalar = regexp.MustCompile(`^\s*:\s*("[^"\r\n]*"|'[^'\r\n]*'|[^\s,}#]+)`)

// plain is the value of an entry as it is written behind its colon, if that is a word.
func (t *text) plain(e entry) (string, bool) {
	rest := t.lines[e.at.line][e.at.column:]
	i := strings.Index(rest, e.name)
	found := scalar.FindStringSubmatch(strings.TrimLeft(rest[i+len(e.name):], `"'`))
	if found == nil {
		return "", false
	}
	return found[1], true
}

// cut takes out the text between two places.
func (t *text) cut(from, to place, instead string) {
	head, tail := t.lines[from.line][:from.column], t.lines[to.line][to.column:]
	merged := strings.SplitAfter(head+instead+tail, "\n")
	if merged[len(merged)-1] == "" && to.line+1 < len(t.lines) {
		merged = merged[:len(merged)-1]
	}
	t.lines = append(t.lines[:from.line:from.line], append(merged, t.lines[to.line+1:]...)...)
}

// span is the text from one place to the character before another.
func (t *text) span(from, to place) string {
	if from.line == to.line {
		return t.lines[from.line][from.column:to.column]
	}
	return t.lines[from.line][from.column:] + strings.Join(t.lines[from.line+1:to.line], "") + t.lines[to.line][:to.column]
}
