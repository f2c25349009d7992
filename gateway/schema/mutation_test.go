package schema_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"slipstream/gateway/schema"
)

// mutation is a document that differs in one place from another.
type mutation struct {
	change   string
	document any
	// added is the attribute that the other document does not have.
	added string
	// foreign says that the parser does not know what was added.
	foreign bool
}

// probes are values of every kind, at the edges of what is common.
var probes = []string{
	`null`, `""`, `" "`, `"x"`, `".x"`, `"APPEND"`, `"${env:N}"`, `"a: b"`, `-1`, `0`, `1`, `70000`, `true`, `[]`, `{}`, `["x"]`, `[{"x": "y"}]`, `{"x": 1}`,
	`{"value": null}`, `{"expression": "x", "language": "SQL"}`, `["x", 1]`,
}

// names are all attributes that the schemas know.
func names(t *testing.T) []string {
	t.Helper()
	found := make(map[string]bool)
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			if properties, ok := v["properties"].(map[string]any); ok {
				for name := range properties {
					found[name] = true
				}
			}
			for _, member := range v {
				walk(member)
			}
		case []any:
			for _, member := range v {
				walk(member)
			}
		}
	}
	for _, text := range [][]byte{schema.Config(), schema.Job()} {
		d, err := jsonschema.UnmarshalJSON(strings.NewReader(string(text)))
		if err != nil {
			t.Fatal(err)
		}
		walk(d)
	}
	return slices.Sorted(maps.Keys(found))
}

// mutator makes mutations, of values in the same place and of the same text only once.
type mutator struct {
	kind  kind
	names []string
	seen  map[string]bool
}

var index = regexp.MustCompile(`\[\d+\]`)

func (m *mutator) first(at string, v any) bool {
	text, err := json.Marshal(v)
	key := index.ReplaceAllString(at, "[]") + "\x00" + string(text)
	if err != nil || m.seen[key] {
		return false
	}
	m.seen[key] = true
	return true
}

// mutations are the documents with one value replaced, one member left out, or one member added.
func (m *mutator) mutations(d any) []mutation {
	var all []mutation
	m.walk("", d, func(value any) any { return value }, func(x mutation) { all = append(all, x) })
	return all
}

// walk changes a value, which put puts in its place, and all values within. What is beside it is brief, and a value of a list
// stands there alone, where that is allowed: neither side looks there to judge it, and every document is read twice.
func (m *mutator) walk(at string, v any, put func(any) any, add func(mutation)) {
	if m.first(at, v) {
		for _, probe := range probes {
			add(mutation{change: at + " = " + probe, document: put(parsed(probe))})
		}
	}
	switch v := v.(type) {
	case map[string]any:
		beside := v
		if short := brief(v).(map[string]any); m.kind.refuses(put(short)) == nil {
			beside = short
		}
		with := func(key string, value any) any {
			changed := maps.Clone(beside)
			changed[key] = value
			return put(changed)
		}
		m.members(at, v, with, add)
		for _, key := range slices.Sorted(maps.Keys(v)) {
			without := maps.Clone(beside)
			delete(without, key)
			add(mutation{change: at + " without " + key, document: put(without)})
			m.walk(at+"."+key, v[key], func(value any) any { return with(key, value) }, add)
		}
	case []any:
		for i := range v {
			among := func(value any) any { return put([]any{value}) }
			if m.kind.refuses(among(v[i])) != nil {
				among = func(value any) any {
					changed := slices.Clone(v)
					changed[i] = value
					return put(changed)
				}
			}
			m.walk(fmt.Sprintf("%s[%d]", at, i), v[i], among, add)
		}
	}
}

// brief is a value with lists of one value.
func brief(v any) any {
	switch v := v.(type) {
	case map[string]any:
		short := make(map[string]any, len(v))
		for key, member := range v {
			short[key] = brief(member)
		}
		return short
	case []any:
		if len(v) > 1 {
			v = v[:1]
		}
		short := make([]any, len(v))
		for i := range v {
			short[i] = brief(v[i])
		}
		return short
	}
	return v
}

// members adds to a map each attribute that the parser would read there, with every probe, and each that the schemas know
// anywhere, with a few.
func (m *mutator) members(at string, v map[string]any, with func(string, any) any, add func(mutation)) {
	unknown := with("unknown", "x")
	add(mutation{change: at + " has unknown", document: unknown})
	text, err := json.Marshal(unknown)
	if err != nil {
		return
	}
	read := m.kind.reads(text)
	if !m.first(at+" members", []any{read, v["type"], v["uses"]}) {
		return
	}
	for _, name := range slices.Compact(slices.Sorted(slices.Values(slices.Concat(m.names, read)))) {
		if _, written := v[name]; written {
			continue
		}
		among, foreign := probes, !slices.Contains(read, name)
		if foreign {
			among = []string{`"x"`, `true`}
		}
		for _, probe := range among {
			add(mutation{change: at + "." + name + " = " + probe, document: with(name, parsed(probe)), added: name, foreign: foreign})
		}
	}
}

func parsed(text string) any {
	v, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		return nil
	}
	return v
}
