package helm

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// node is a part of the schema of values.
type node = map[string]any

// schema is values.schema.json.
type schema struct{ root node }

func schemaOf(t *testing.T) schema {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(Folder, "values.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	var root node
	if err := json.Unmarshal(text, &root); err != nil {
		t.Fatal(err)
	}
	return schema{root}
}

// properties are those of an object, also those of what it refers to.
func (s schema) properties(n node) node {
	all := node{}
	if ref, ok := n["$ref"].(string); ok {
		defs, _ := s.root["$defs"].(node)
		named, _ := defs[strings.TrimPrefix(ref, "#/$defs/")].(node)
		maps.Copy(all, s.properties(named))
	}
	if parts, ok := n["allOf"].([]any); ok {
		for _, p := range parts {
			part, _ := p.(node)
			maps.Copy(all, s.properties(part))
		}
	}
	if own, ok := n["properties"].(node); ok {
		maps.Copy(all, own)
	}
	return all
}

// fixed says whether an object has properties of its own, and no others.
func (s schema) fixed(n node) bool { return len(s.properties(n)) > 0 }

// at is the schema of a value; nil where there is none.
func (s schema) at(path []string) node {
	n := s.root
	for _, key := range path {
		n, _ = s.properties(n)[key].(node)
	}
	return n
}

// TestSchema: each value of values.yaml is in the schema, and each of the schema in values.yaml, there or among the keys of
// service and applier; no object takes a key that it does not know.
func TestSchema(t *testing.T) {
	s := schemaOf(t)
	there := map[string]bool{}
	for _, v := range documented(t) {
		there[v.name()] = true
		if s.at(v.path) == nil {
			t.Errorf("the schema does not know %s", v.name())
		}
	}
	seen := 0
	var walk func(n node, path []string)
	walk = func(n node, path []string) {
		for key, below := range s.properties(n) {
			below, _ := below.(node)
			path := append(slices.Clone(path), key)
			name := strings.Join(path, ".")
			if seen++; name == "global" { // Helm's own
				continue
			}
			general := len(path) > 1 && there["service."+strings.Join(path[1:], ".")] || len(path) > 2 && (there["service."+strings.Join(path[2:], ".")] || there["applier."+strings.Join(path[2:], ".")])
			if !there[name] && !general {
				t.Errorf("values.yaml does not have %s", name)
			}
			if s.fixed(below) {
				closed := below["additionalProperties"] == false || below["unevaluatedProperties"] == false
				if ref, ok := below["$ref"].(string); ok && !closed {
					defs, _ := s.root["$defs"].(node)
					named, _ := defs[strings.TrimPrefix(ref, "#/$defs/")].(node)
					closed = named["additionalProperties"] == false || named["unevaluatedProperties"] == false
				}
				if !closed {
					t.Errorf("%s takes keys that it does not know", name)
				}
				walk(below, path)
			}
		}
	}
	walk(s.root, nil)
	if seen < 100 {
		t.Errorf("only %d values in the schema", seen)
	}
}
