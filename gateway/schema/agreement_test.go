package schema_test

import (
	"encoding/json"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"

	"slipstream/gateway/configfile"
	"slipstream/gateway/jobfile"
	"slipstream/gateway/schema"
	"slipstream/gateway/yamlfile"
)

// kind is a kind of file: what its schema says of it, and what the parser.
type kind struct {
	compiled *jsonschema.Schema
	parse    func(text []byte) *yamlfile.File
}

// refuses is why the schema does not allow a document.
func (k kind) refuses(document any) error { return k.compiled.Validate(document) }

// errors are those of the parser.
func (k kind) errors(text []byte) []string {
	var found []string
	for _, p := range k.parse(text).Problems() {
		if p.GetSeverity() == pipelinev1.Severity_SEVERITY_ERROR {
			found = append(found, p.GetPath()+": "+p.GetMessage())
		}
	}
	return found
}

// reads are the attributes that the parser would read in the map that has an unknown one.
func (k kind) reads(text []byte) []string {
	for _, p := range k.parse(text).Problems() {
		if _, list, ok := strings.Cut(p.GetFix(), "allowed here: "); ok {
			return strings.Split(list, ", ")
		}
	}
	return nil
}

// kinds are config.yaml and job files.
func kinds(t *testing.T) (config, job kind) {
	t.Helper()
	config = kind{compiled(t, schema.Config()), func(text []byte) *yamlfile.File {
		// Every reference stands for a number that all settings allow.
		return configfile.Read("config.yaml", text, nil, func(string) (string, error) { return "5", nil }).File
	}}
	job = kind{compiled(t, schema.Job()), func(text []byte) *yamlfile.File {
		return jobfile.Read("jobs/a.yaml", text).File
	}}
	return config, job
}

func compiled(t *testing.T, text []byte) *jsonschema.Schema {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(strings.NewReader(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	if err := c.AddResource("schema.json", document); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// beyond are the errors of parsers that a schema cannot find: they take names, two values, or another language.
var beyond = regexp.MustCompile(`: (` + strings.Join([]string{
	`(cluster|sentinel) is not supported yet`, // only where the connection is used
	`connection source is missing`,            // it may stand in source.yaml
	`\S+ is written twice`, `column .* is written twice`, `\S+ excludes every command`,
	`column .* has another source in keys`, `load_strategy: \S+ keeps every change`,
	`\S+: the expression has no group`, `expression: error parsing regexp`,
	`expression: must be an object, or the text`, `expression: .* must be text`,
	`row_format is`, `foreach_sync: parent needs a key column`,
	`row_table and position_table are one table`, `\S+ has another value below`,
}, "|") + `)`)

// document is a file as a schema sees it; ok is false where it is no YAML.
func document(text []byte) (any, bool) {
	f := yamlfile.Parse("x.yaml", text)
	root := f.Root()
	if !root.Present() || f.Errors() > 0 {
		return nil, false
	}
	asJSON, ok := root.JSON()
	if !ok || f.Errors() > 0 {
		return nil, false // an alias that leads nowhere, a key written twice
	}
	d, err := jsonschema.UnmarshalJSON(strings.NewReader(asJSON))
	return d, err == nil
}

// TestAgreement changes every value of every file of the golden cases and the samples, one at a time, adds every attribute
// that either side knows to every map, and asks both the schema and the parser.
func TestAgreement(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // all is litter, and little of it lives: a fifth of the time went there
	config, job := kinds(t)
	w := &witness{told: make(map[string]bool), read: make(map[string]bool)}
	m := &mutator{seen: make(map[string]bool), names: names(t)}
	for _, f := range files(t) {
		k := job
		if f.config {
			k = config
		}
		d, ok := document(f.text)
		if !ok {
			continue
		}
		w.hear(t, f.name, k, mutation{change: "nothing", document: d})
		if k.refuses(d) == nil { // one more mistake in a file with several says nothing
			m.kind = k
			for _, changed := range m.mutations(d) {
				w.hear(t, f.name, k, changed)
			}
		}
	}
	t.Logf("%d documents, of which %d were refused", w.asked, w.refused)
	for _, name := range m.names {
		if !w.read[name] {
			t.Errorf("no document with %s was ever read", name)
		}
	}
	if w.asked < 10000 || w.refused < 2000 || w.asked-w.refused < 1500 {
		t.Errorf("%d documents, %d refused: too few to say anything", w.asked, w.refused)
	}
}

// witness asks the schema and the parser, and tells where they differ.
type witness struct {
	asked, refused int
	told           map[string]bool
	read           map[string]bool // the attributes of documents that nobody refused
}

func (w *witness) hear(t *testing.T, name string, k kind, m mutation) {
	t.Helper()
	no := k.refuses(m.document)
	w.asked++
	if no != nil {
		w.refused++
	}
	if no != nil && m.foreign {
		return // as the parser does
	}
	text, err := json.Marshal(m.document)
	if err != nil {
		t.Fatal(err)
	}
	errs := k.errors(text)
	form := slices.DeleteFunc(slices.Clone(errs), beyond.MatchString)
	if no == nil && len(form) == 0 && !w.read[m.added] {
		w.learn(m.document)
		w.read[m.added] = true
	}
	if (no != nil) == (len(form) > 0) || no != nil && len(errs) > 0 || w.told[m.change] || len(w.told) > 30 {
		return
	}
	w.told[m.change] = true
	if no != nil {
		t.Errorf("%s, %s: the schema refuses what the parser reads: %v\n%s", name, m.change, no, text)
	} else {
		t.Errorf("%s, %s: the schema allows what the parser refuses: %v\n%s", name, m.change, form, text)
	}
}

// learn notes every attribute of a document.
func (w *witness) learn(v any) {
	switch v := v.(type) {
	case map[string]any:
		for name, member := range v {
			w.read[name] = true
			w.learn(member)
		}
	case []any:
		for _, member := range v {
			w.learn(member)
		}
	}
}
