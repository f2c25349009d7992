package job

import (
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// TestAnalysis: which outputs find their rows by the Redis key alone, and which need a row index (spec 1.6 A4, design D8).
func TestAnalysis(t *testing.T) {
	const cut = "keys: {delimiter: ':', fields: {id: 1}}\n"
	for _, c := range []struct {
		name, job, want string
	}{
		{"key column from the value", `write: {keys: [id]}`, "indexable, not derivable: id"},
		{"key column cut from the key", cut + `write: {keys: [id]}`, "indexable, derivable"},
		{"constant beside it", cut + `write: {keys: [id, {tenant: {value: 7}}]}`, "indexable, derivable"},
		{"one of two", cut + `write: {keys: [id, no]}`, "indexable, not derivable: no"},
		{"renamed", cut + `
transform: [{uses: rename_field, with: {from_field: id, to_field: nested.no}}]
write: {keys: [{no: nested.no}]}`, "indexable, derivable"},
		{"renamed away", cut + `
transform: [{uses: rename_field, with: {from_field: id, to_field: no}}]
write: {keys: [id]}`, "indexable, not derivable: id"},
		{"overwritten by a value", cut + `
transform: [{uses: add_field, with: {field: id, language: jmespath, expression: other}}]
write: {keys: [id]}`, "indexable, not derivable: id"},
		{"computed from the key", cut + `
transform: [{uses: add_field, with: {field: no, language: jmespath, expression: "upper(id)"}}]
write: {keys: [no]}`, "indexable, derivable"},
		{"computed in SQL", cut + `
transform: [{uses: add_field, with: {field: no, language: sql, expression: "CAST(id AS INTEGER) + 1"}}]
write: {keys: [no]}`, "indexable, derivable"},
		{"another each time", cut + `
transform: [{uses: add_field, with: {field: no, language: jmespath, expression: "concat([id, uuid()])"}}]
write: {keys: [no]}`, "indexable, not derivable: no"},
		{"replaced by a map that keeps it", cut + `
transform: [{uses: map, with: {language: jmespath, expression: {no: id, x: other}}}]
write: {keys: [no]}`, "indexable, derivable"},
		{"replaced by a map of text", cut + `
transform: [{uses: map, with: {language: jmespath, expression: "{no: id, x: other}"}}]
write: {keys: [no]}`, "indexable, derivable"},
		{"replaced by a map that loses it", cut + `
transform: [{uses: map, with: {language: jmespath, expression: "{no: inner.id}"}}]
write: {keys: [no]}`, "indexable, not derivable: no"},
		{"key member of a full record", "row_format: full\nwrite: {keys: [{k: key.key}]}", "indexable, derivable"},
		{"after of a full record", "row_format: full\nwrite: {keys: [{k: after.id}]}", "indexable, not derivable: k"},
		{"before of a full record", "row_format: full\nwrite: {keys: [{k: key.key}], mapping: [{b: before.x}]}", "indexable, derivable, mentions before"},
		{"expression column", cut + `write: {keys: [{no: {expression: "lower(id)", language: jmespath}}]}`, "indexable, derivable"},
		{"appended", `write: {keys: [id], load_strategy: APPEND}`, "not derivable: id"},
		{"historized", cut + `write: {keys: [id], load_strategy: TYPE2}`, "derivable"},
		{"replaced", cut + `write: {keys: [id], load_strategy: REPLACE}`, "indexable, derivable"},
		{"foreach by its parent", cut + `write: {foreach: "p: parts", keys: [id, {no: p.no}], foreach_sync: true}`, "indexable, derivable"},
		{"foreach by its elements", cut + `write: {foreach: "p: parts", keys: [{no: p.no}]}`, "indexable, not derivable: no"},
		{"foreach whose rows may stay", `write: {foreach: "p: parts", keys: [{no: p.no}], foreach_sync: false}`, "indexable, derivable"},
		{"foreach by a parent of the value", `write: {foreach: "p: parts", keys: [order, {no: p.no}], foreach_sync: true}`, "indexable, not derivable: order"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var f jobFile
			if err := yaml.UnmarshalWithOptions([]byte(c.job), &f, yaml.Strict()); err != nil {
				t.Fatal(err)
			}
			problems, outputs := Check(f.compile())
			if len(outputs) != 1 {
				t.Fatalf("outputs %v, problems %v", outputs, problems)
			}
			a := outputs[0]
			var said []string
			if a.GetIndexable() {
				said = append(said, "indexable")
			}
			if a.GetDerivable() {
				said = append(said, "derivable")
			} else {
				said = append(said, "not derivable: "+strings.Join(a.GetUnderivable(), ", "))
			}
			if a.GetMentionsBefore() {
				said = append(said, "mentions before")
			}
			if got := strings.Join(said, ", "); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}
