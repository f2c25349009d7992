package e2e_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"slipstream/deploy/dev/devserver"
	"slipstream/deploy/dev/jsonserver"
	"slipstream/gateway/schema"
	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
)

// example is what a job of deploy/jobs does, in testdata/examples.yaml.
type example struct {
	Job    string       `yaml:"job"`
	Before [][]string   `yaml:"before"` // what is in Redis before the job is deployed
	Tables perTarget    `yaml:"tables"`
	Query  perTarget    `yaml:"query"`
	Steps  []exampleDid `yaml:"steps"`
}

type exampleDid struct {
	SQL      string     `yaml:"sql"`
	Do       [][]string `yaml:"do"`
	Rows     []string   `yaml:"rows"`
	Rejected string     `yaml:"rejected"` // key of a record that is rejected
}

// perTarget is one text or several, the same for every target or other ones for each.
type perTarget map[string][]string

func (p *perTarget) UnmarshalYAML(text []byte) error {
	var one string
	var list []string
	if yaml.Unmarshal(text, &list) == nil {
		*p = perTarget{"": list}
		return nil
	}
	if yaml.Unmarshal(text, &one) == nil {
		*p = perTarget{"": {one}}
		return nil
	}
	var each map[string]any
	if err := yaml.Unmarshal(text, &each); err != nil {
		return err
	}
	*p = perTarget{}
	for name, value := range each {
		switch v := value.(type) {
		case string:
			(*p)[name] = []string{v}
		case []any:
			for _, x := range v {
				(*p)[name] = append((*p)[name], fmt.Sprint(x))
			}
		}
	}
	return nil
}

func (p perTarget) of(target string) []string {
	if list, ok := p[target]; ok {
		return list
	}
	return p[""]
}

// examples are all of them; there is one for each file, and a file for each.
func examples(t *testing.T) []example {
	t.Helper()
	text, err := os.ReadFile("testdata/examples.yaml")
	must(t, err)
	var all []example
	must(t, yaml.UnmarshalWithOptions(text, &all, yaml.Strict()))
	files, err := filepath.Glob("../../deploy/jobs/*.yaml")
	must(t, err)
	var told, there []string
	for _, x := range all {
		told = append(told, x.Job)
	}
	for _, f := range files {
		there = append(there, strings.TrimSuffix(filepath.Base(f), ".yaml"))
	}
	slices.Sort(told)
	slices.Sort(there)
	if !slices.Equal(told, there) {
		t.Fatalf("examples of %q, jobs are %q", told, there)
	}
	return all
}

// TestExamplesShowEveryAttribute: whatever the schema of jobs allows of the source, the blocks and relational.write is in an example.
func TestExamplesShowEveryAttribute(t *testing.T) {
	var s struct {
		Properties map[string]any `yaml:"properties"`
		Defs       map[string]struct {
			Properties map[string]any `yaml:"properties"`
		} `yaml:"$defs"`
	}
	must(t, yaml.Unmarshal(schema.Job(), &s)) // JSON is YAML
	known := map[string]bool{}
	for name := range s.Properties {
		known[name] = true
	}
	for _, part := range []string{
		"cache", "filter", "add_field", "remove_field", "rename_field", "map", "lookup", "source_of_column", "relational_write", "redis", "keyspace", "keys", "source",
	} {
		if len(s.Defs[part].Properties) == 0 {
			t.Errorf("the schema has no attributes of %s", part)
		}
		for name := range s.Defs[part].Properties {
			known[name] = true
		}
	}
	delete(known, "databases") // another spelling of database
	delete(known, "key")       // of redis.write
	written := map[string]bool{}
	var walk func(any)
	walk = func(value any) {
		switch v := value.(type) {
		case map[string]any:
			for name, member := range v {
				written[name] = true
				walk(member)
			}
		case []any:
			for _, member := range v {
				walk(member)
			}
		}
	}
	for _, x := range examples(t) {
		text, err := os.ReadFile("../../deploy/jobs/" + x.Job + ".yaml")
		must(t, err)
		var job any
		must(t, yaml.Unmarshal(text, &job))
		walk(job)
	}
	for _, name := range slices.Sorted(maps.Keys(known)) {
		if !written[name] {
			t.Errorf("no example shows %s", name)
		}
	}
}

// TestExamples runs every job of deploy/jobs end to end, all in one pipeline, on each target.
func TestExamples(t *testing.T) {
	all := examples(t)
	for name, open := range map[string]func(t *testing.T) *target{
		"sqlite":     sqliteTarget,
		"postgresql": func(t *testing.T) *target { return postgresTarget(t, devserver.SharedPostgres(t)) },
	} {
		t.Run(name, func(t *testing.T) {
			tg := open(t)
			server := jsonserver.Redis(t, jsonserver.RedisJSON, devserver.RedisOptions{})
			c := client(t, server.Addr)
			do := func(commands [][]string) {
				t.Helper()
				for _, command := range commands {
					args := make([]any, len(command))
					for i, word := range command {
						args[i] = word
					}
					if err := c.Do(t.Context(), args...).Err(); err != nil {
						t.Fatalf("%v: %v", command, err)
					}
				}
			}
			files := map[string]string{
				"config.yaml": strings.Replace(config(server.Addr, tg, "applier: {partitions: 1}\n"), "  hr:\n", "  warehouse:\n", 1),
			}
			for _, x := range all {
				text, err := os.ReadFile("../../deploy/jobs/" + x.Job + ".yaml")
				must(t, err)
				files["jobs/"+x.Job+".yaml"] = string(text)
				for _, table := range x.Tables.of(name) {
					tg.exec(t, table)
				}
				do(x.Before)
			}
			l := startEmbedded(t, server.Addr)
			for _, p := range deploy(t, l, files).GetProblems() {
				if !slices.Contains([]string{"keyspace", "append", "full_record", "type2"}, p.GetJob()) { // what it says is what these show
					t.Errorf("%s: %s: %s", p.GetFile(), p.GetPath(), p.GetMessage())
				}
			}
			running(t, l)
			for _, x := range all {
				t.Run(x.Job, func(t *testing.T) {
					for _, step := range x.Steps {
						if step.SQL != "" {
							tg.exec(t, step.SQL)
						}
						do(step.Do)
						rowsAre(t, tg, x.Query.of(name)[0], step.Rows...)
						if step.Rejected != "" {
							rejected(t, l, x.Job, step.Rejected)
						}
					}
				})
			}
		})
	}
}

// rejected waits for a dead letter of a key.
func rejected(t *testing.T, l line, job, key string) {
	t.Helper()
	await(t, 30*time.Second, "a dead letter of "+key, func() (bool, string) {
		r, err := l.gateway().ListRejected(t.Context(), &gatewayv1.ListRejectedRequest{Job: job})
		if err != nil {
			return false, err.Error()
		}
		for _, s := range r.GetStreams() {
			for _, e := range s.GetEntries() {
				if string(e.GetReject().GetKey()) == key {
					return true, ""
				}
			}
		}
		return false, r.String()
	})
}
