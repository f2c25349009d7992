package yamlfile

import (
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// Map is a map whose keys are taken one by one; Done names those that nobody took.
type Map struct {
	Value
	entries []Entry
	index   map[string]int // of entries
	asked   []string
}

// Entry is a key of a map and its value.
type Entry struct {
	// Key is the key as text.
	Key string
	// Value is its value; its line is the line of the key.
	Value Value
}

// Map is the value as a map. Keys written twice are errors; "<<" merges.
func (v Value) Map() (*Map, bool) {
	if v.Kind() != Mapping {
		v.wrong("a map", "write keys below it, indented: <key>: <value>")
		return nil, false
	}
	if !v.shallow() {
		return nil, false
	}
	m := &Map{Value: v, index: make(map[string]int)}
	m.gather(v.node, false)
	return m, true
}

// gather appends the entries of a map node. Keys of a merged map give way to those written out.
func (m *Map) gather(node ast.Node, merged bool) {
	var pairs []*ast.MappingValueNode
	switch n := node.(type) {
	case *ast.MappingNode:
		pairs = n.Values
	case *ast.MappingValueNode:
		pairs = []*ast.MappingValueNode{n}
	}
	var merges []Value
	for _, pair := range pairs {
		line := lineOf(pair.Key)
		if pair.Key.IsMergeKey() {
			merges = append(merges, m.file.value(m.path+".<<", pair.Value, line, m.depth+1))
			continue
		}
		key, ok := keyText(pair.Key)
		at := m.file.value(Join(m.path, key), pair.Value, line, m.depth+1)
		if !ok {
			at.Error("write a plain name", "the key of a map must be a name")
			continue
		}
		if i, twice := m.index[key]; twice {
			if !merged {
				at.Error("write it once", "%s is written twice, first on line %d", key, m.entries[i].Value.line)
			}
			continue
		}
		m.index[key] = len(m.entries)
		m.entries = append(m.entries, Entry{Key: key, Value: at})
	}
	for _, merge := range merges {
		if merge.Kind() == Mapping && merge.shallow() {
			m.mergeFrom(merge)
			continue
		}
		items, ok := merge.Items()
		if !ok {
			continue
		}
		for _, item := range items {
			m.mergeFrom(item)
		}
	}
}

func (m *Map) mergeFrom(from Value) {
	if from.Kind() == Absent {
		return // an alias that leads nowhere, reported already
	}
	if from.Kind() != Mapping {
		from.wrong("a map", "merge maps only")
		return
	}
	if m.depth++; m.depth > maxDepth {
		return
	}
	m.gather(from.node, true)
}

// keyText is a key as text: every scalar is one, "? " and nested keys are not.
func keyText(key ast.MapKeyNode) (string, bool) {
	switch k := key.(type) {
	case *ast.StringNode:
		return k.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.NullNode, *ast.InfinityNode, *ast.NanNode:
		return tokenText(k), true
	case *ast.AnchorNode:
		return tokenText(k.Value), true
	default:
		return tokenText(key), false
	}
}

// Entries are all keys in the order written, for maps whose keys are free.
func (m *Map) Entries() []Entry { return m.entries }

// Take is the value of a key; absent when the key is not written.
func (m *Map) Take(key string) Value {
	if !slices.Contains(m.asked, key) {
		m.asked = append(m.asked, key)
	}
	if i, written := m.index[key]; written {
		return m.entries[i].Value
	}
	return Value{file: m.file, path: Join(m.path, key), line: m.line, depth: m.depth + 1}
}

// Require is the value of a key that must be written; fix says how.
func (m *Map) Require(key, fix string) Value {
	v := m.Take(key)
	if !v.Present() {
		v.line = max(v.line, m.line)
		if v.Written() {
			v.Error(fix, "%s has no value", key)
		} else {
			v.Error(fix, "%s is missing", key)
		}
	}
	return v
}

// Hints tell Done what to say of keys that are known but not taken here.
type Hints struct {
	// Elsewhere are keys with what to write instead.
	Elsewhere map[string]string
}

// Done reports every key that was not taken.
func (m *Map) Done(hints Hints) {
	for _, e := range m.entries {
		if slices.Contains(m.asked, e.Key) {
			continue
		}
		if m.file.full() {
			return // errors enough
		}
		if fix, ok := hints.Elsewhere[e.Key]; ok {
			e.Value.Error(fix, "%s does not belong here", e.Key)
			continue
		}
		e.Value.Error(didYouMean(e.Key, m.asked, "allowed here"), "unknown key %q", e.Key)
	}
}

// Join is the path of a key below a path. Names with dots or brackets are quoted.
func Join(path, key string) string {
	if key == "" || strings.ContainsAny(key, ".[]\" ") {
		key = `"` + strings.ReplaceAll(key, `"`, `\"`) + `"`
	}
	if path == "" {
		return key
	}
	return path + "." + key
}
