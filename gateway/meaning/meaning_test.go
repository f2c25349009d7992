package meaning_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"

	"slipstream/gateway/compile"
	"slipstream/gateway/meaning"
)

// base is a job of which each test changes one thing.
const base = `name: emp
source:
  redis: {trigger: write-behind, key_pattern: "emp:*", exclude_commands: [hdel]}
  keys: {fields: {id: 1}}
transform:
  - uses: filter
    with: {language: jmespath, expression: "age > ` + "`10`" + `"}
  - uses: add_field
    with: {field: full, language: sql, expression: "first || last"}
  - uses: rename_field
    with: {from_field: land, to_field: country}
output:
  - uses: relational.write
    with:
      connection: hr
      schema: public
      table: emp
      keys: [id]
      mapping: [full, country, age]
`

const conf = `connections:
  source: {type: redis, host: r, port: 6379}
  hr: {type: postgresql, host: h, port: 5432, database: d, user: u, password: p}
  hr2: {type: postgresql, host: h2, port: 5432, database: d, user: u, password: p}
  cache: {type: redis, host: c, port: 6379}
`

func compiled(t *testing.T, job, config string) *pipelinev1.Pipeline {
	t.Helper()
	r := compile.Files("default", []*pipelinev1.File{
		{Path: "config.yaml", Text: []byte(config)}, {Path: "jobs/emp.yaml", Text: []byte(job)},
	}, func(string) (string, error) { return "", nil })
	for _, p := range r.Problems {
		if p.GetSeverity() == pipelinev1.Severity_SEVERITY_ERROR {
			t.Fatalf("%v\n%s", p, job)
		}
	}
	return r.Pipeline
}

// lines are the changes as text: ! where a resync is needed.
func lines(jobs []meaning.Job) []string {
	var out []string
	for _, j := range jobs {
		for _, c := range j.Changes {
			mark := "  "
			if c.GetNeedsResync() {
				mark = "! "
			}
			line := mark + c.GetPath() + ": " + c.GetMessage()
			if c.GetStays() != "" {
				line += " | " + c.GetStays()
			}
			out = append(out, line)
		}
	}
	return out
}

// replaced changes a text, all of whose parts must be there.
func replaced(t *testing.T, s string, pairs []string) string {
	t.Helper()
	for i := 0; i+1 < len(pairs); i += 2 {
		if !strings.Contains(s, pairs[i]) {
			t.Fatalf("%q is not in\n%s", pairs[i], s)
		}
		s = strings.Replace(s, pairs[i], pairs[i+1], 1)
	}
	return s
}

func TestCompare(t *testing.T) {
	const noIndex = "rows under the old key, where the target keeps no row index"
	tests := []struct {
		name    string
		changes []string // pairs: text and what replaces it
		want    []string
	}{
		{"nothing", nil, nil},
		{"a comment", []string{"transform:", "# about\ntransform:"}, nil},
		{"spaces, the multi form, a cache", []string{
			"with: {field: full, language: sql, expression: \"first || last\"}",
			"with: {fields: [{field: full, language: sql, expression: \"first || last\", cache: {enabled: true}}]}",
		}, nil},
		{"the order of columns", []string{"[full, country, age]", "[age, full, country]"}, nil},
		{"what removals do", []string{"exclude_commands: [hdel]", "exclude_commands: [hdel], on_expire: delete, on_flush: ignore"}, nil},
		{"an initial load", []string{"exclude_commands: [hdel]", "exclude_commands: [hdel], initial_load: always"}, nil},
		{"mirror in another word", []string{"table: emp", "table: emp\n      load_strategy: UPSERT"}, nil},
		{"more commands left out", []string{"[hdel]", "[hdel, hset]"}, nil},
		{"a command that is no longer left out", []string{"exclude_commands: [hdel]", "exclude_commands: []"}, []string{
			"! source.redis.exclude_commands: changes by hdel are no longer left out: rows lack those that were | rows of keys that such a change removed",
		}},
		{"a wider pattern", []string{`"emp:*"`, `"e*"`}, []string{
			"  source.redis.key_pattern: key_pattern: emp:* → e*: its keys are read again by themselves, as for a gap",
		}},
		{"another pattern", []string{`"emp:*"`, `"man:*"`}, []string{
			"  source.redis.key_pattern: key_pattern: emp:* → man:*: its keys are read again by themselves, as for a gap | rows of keys that no longer match",
		}},
		{"another database", []string{"exclude_commands: [hdel]", "exclude_commands: [hdel], database: 2"}, []string{
			"  source.redis.database: the logical database: 0 → 2: its keys are read again by themselves, as for a gap | rows of keys of database 0",
		}},
		{"fields of the key", []string{"fields: {id: 1}", `delimiter: "/", fields: {id: 1}`}, []string{
			`! source.keys: the fields cut out of the key: id: 1 by ":" → id: 1 by "/" | rows under key columns that a key no longer has, where the target keeps no row index`,
		}},
		{"row_format", []string{"  keys: {fields", "  row_format: full\n  keys: {fields", "age > `10`", "after.age > `10`"}, []string{
			"! row_format: row_format: partial → full",
			"! transform[0]: filter: `age > `10`` (jmespath) → `after.age > `10`` (jmespath) | rows of records that no longer pass, without on_filtered: delete",
		}},
		{"a filter", []string{"age > `10`", "age > `20`"}, []string{
			"! transform[0]: filter: `age > `10`` (jmespath) → `age > `20`` (jmespath) | rows of records that no longer pass, without on_filtered: delete",
		}},
		{"a filter, where rows go", []string{"age > `10`", "age > `20`", "table: emp", "table: emp\n      on_filtered: delete"}, []string{
			"! transform[0]: filter: `age > `10`` (jmespath) → `age > `20`` (jmespath)",
			"! output[0].with.on_filtered: on_filtered: delete: rows of records that do not pass go",
		}},
		{"an expression", []string{"first || last", "last || first"}, []string{
			"! transform[1]: add_field: full = `first || last` (sql) → full = `last || first` (sql)",
		}},
		{"a block that is gone", []string{"  - uses: rename_field\n    with: {from_field: land, to_field: country}\n", ""}, []string{
			"! transform[2]: rename_field is gone: land to country",
		}},
		{"a block that is new", []string{"  - uses: rename_field", "  - uses: remove_field\n    with: {field: x}\n  - uses: rename_field"}, []string{
			"! transform[2]: remove_field is new: x",
		}},
		{"a column that is new", []string{"[full, country, age]", "[full, country, age, {salary: pay}]"}, []string{
			"! output[0].with.mapping[3]: column salary is new: pay",
		}},
		{"a column that is gone", []string{"[full, country, age]", "[full, age]"}, []string{
			"  output[0].with.mapping[1]: column country is no longer written | its values",
		}},
		{"a column of something else", []string{"[full, country, age]", "[{full: first}, country, age]"}, []string{
			"! output[0].with.mapping[0]: column full: full → first",
		}},
		{"another key", []string{"keys: [id]", "keys: [id, age]"}, []string{
			"! output[0].with.keys: the key columns: id → age, id | " + noIndex,
		}},
		{"another table", []string{"table: emp", "table: staff"}, []string{
			"! output[0]: the output writes elsewhere: public.emp on hr → public.staff on hr | the rows of public.emp on hr",
		}},
		{"another connection", []string{"connection: hr", "connection: hr2"}, []string{
			"! output[0]: the output writes elsewhere: public.emp on hr → public.emp on hr2 | the rows of public.emp on hr",
		}},
		{"another connection, that is loaded", []string{"connection: hr", "connection: hr2", "exclude_commands: [hdel]", "exclude_commands: [hdel], initial_load: always"}, []string{
			"  output[0]: the output writes elsewhere: public.emp on hr → public.emp on hr2: loaded by its initial_load | the rows of public.emp on hr",
		}},
		{"one more output", []string{"output:", "output:\n  - uses: relational.write\n    with: {connection: hr, table: log, keys: [id]}"}, []string{
			"! output[0]: a new output writes log on hr",
		}},
		{"history", []string{"table: emp", "table: emp\n      load_strategy: APPEND", "exclude_commands: [hdel]", "exclude_commands: [hdel], values: each"}, []string{
			"  output[0].with.load_strategy: load_strategy: upsert → append | rows written before stay as they were appended",
		}},
		{"what is null", []string{"table: emp", "table: emp\n      empty_as_null: always"}, []string{
			"! output[0].with.empty_as_null: empty_as_null: non_text → always",
		}},
	}
	before := compiled(t, base, conf)
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			got := lines(meaning.Compare(before, compiled(t, replaced(t, base, tc.changes), conf)))
			if fmt.Sprint(strings.Join(got, "\n")) != strings.Join(tc.want, "\n") {
				t.Errorf("changes are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tc.want, "\n"))
			}
			// And back: whatever made a job stale does so in the other direction too, or leaves rows that stay.
			back := meaning.Compare(compiled(t, replaced(t, base, tc.changes), conf), before)
			for _, c := range back {
				for _, change := range c.Changes {
					if !change.GetNeedsResync() && change.GetStays() == "" && !strings.Contains(change.GetMessage(), "by themselves") {
						t.Errorf("back: %v says nothing", change)
					}
				}
			}
		})
	}
}

// TestSettings: of the settings of a pipeline only the one that documents show belongs to the meaning.
func TestSettings(t *testing.T) {
	job := `source:
  redis: {trigger: write-behind, key_pattern: "emp:*"}
output:
  - uses: redis.write
    with: {connection: cache, data_type: json, on_update: merge, key: {expression: key.key, language: jmespath}}
`
	before := compiled(t, job, conf)
	quiet := compiled(t, job, conf+"applier:\n  read_batch_size: 17\n  duration: 5\n  error_handling: ignore\n  on_failed_retry_interval: 2\n")
	if got := meaning.Compare(before, quiet); len(got) > 0 {
		t.Errorf("settings of the engine: %v", lines(got))
	}
	merge := compiled(t, job, conf+"applier:\n  use_native_json_merge: false\n")
	if got := lines(meaning.Compare(before, merge)); len(got) != 1 || got[0] != "! output[0]: use_native_json_merge: true → false" {
		t.Errorf("use_native_json_merge: %q", got)
	}
	moved := compiled(t, job, strings.Replace(conf, "host: c", "host: elsewhere", 1))
	if got := meaning.Compare(before, moved); len(got) > 0 {
		t.Errorf("a connection that leads elsewhere is for the positions there to judge: %v", lines(got))
	}
}

// TestTables: what targets know of a job stands in tables that may get another name, and is not carried over.
func TestTables(t *testing.T) {
	const positions = "  applier: position_table: slipstream_position → there; no position is known there: what the change streams still have is written again"
	history := replaced(t, base, []string{"table: emp", "table: emp\n      load_strategy: APPEND", "exclude_commands: [hdel]", "exclude_commands: [hdel], values: each"})
	for _, tc := range []struct {
		job     string
		indexed bool
		want    []string
	}{
		{base, false, []string{positions}},
		{history, false, []string{positions + ", and stands in the history twice"}},
		{base, true, []string{positions, "! applier: row_table: slipstream_row → here: which key owns which row is not known there until the key is " +
			"written again | rows of keys that are removed, or move to another row, before that"}},
	} {
		before := compiled(t, tc.job, conf)
		after := compiled(t, tc.job, conf+"applier:\n  position_table: there\n  row_table: here\n")
		for _, p := range []*pipelinev1.Pipeline{before, after} {
			p.GetJobs()[0].GetOutputs()[0].GetRelational().RowIndex = tc.indexed
		}
		if got := lines(meaning.Compare(before, after)); !slices.Equal(got, tc.want) {
			t.Errorf("%q, want %q", got, tc.want)
		}
	}
}

// TestCaution: what a resync would do that may be unwanted.
func TestCaution(t *testing.T) {
	tests := []struct {
		name    string
		changes []string
		want    string
	}{
		{"none", nil, ""},
		{"disabled", []string{"name: emp", "name: emp\nenabled: false"}, "the job is disabled"},
		{"history", []string{"table: emp", "table: emp\n      load_strategy: APPEND", "exclude_commands: [hdel]", "exclude_commands: [hdel], values: each"}, "an output keeps history"},
		{"no keys", []string{`key_pattern: "emp:*", exclude_commands: [hdel]`, `stream: "app:emp"`}, "the job follows a stream"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			job := compiled(t, replaced(t, base, tc.changes), conf).GetJobs()[0]
			if got := meaning.Caution(job); !strings.HasPrefix(got, tc.want) || (tc.want == "") != (got == "") {
				t.Errorf("caution is %q, want %q", got, tc.want)
			}
			if meaning.Automatic(job) != (tc.want == "") {
				t.Errorf("automatic: %t", meaning.Automatic(job))
			}
		})
	}
}

// TestNewJobs: a job that is new follows its initial load, one that is gone has no meaning, and without a generation
// before there is nothing to compare.
func TestNewJobs(t *testing.T) {
	one, other := compiled(t, base, conf), compiled(t, strings.Replace(base, "name: emp", "name: staff", 1), conf)
	for _, before := range []*pipelinev1.Pipeline{nil, other} {
		if got := meaning.Compare(before, one); len(got) > 0 {
			t.Errorf("a new job is told of: %v", got)
		}
	}
}
