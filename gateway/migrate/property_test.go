package migrate_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"

	"slipstream/gateway/compile"
	"slipstream/gateway/migrate"
)

func five(string) (string, error) { return "5", nil }

// compiled compiles a config.yaml and a job, and counts the deprecations.
func compiled(config, job string) (p *pipelinev1.Pipeline, failed bool, deprecated int) {
	r := compile.Files("p", []*pipelinev1.File{{Path: "config.yaml", Text: []byte(config)}, {Path: "jobs/a.yaml", Text: []byte(job)}}, five)
	for _, problem := range r.Problems {
		if strings.Contains(problem.GetFix(), "slipstream migrate") {
			deprecated++
		}
	}
	r.Pipeline.Files = nil
	return r.Pipeline, compile.Failed(r.Problems), deprecated
}

// writer writes YAML of random style.
type writer struct {
	*rand.Rand
	comments int
}

func (w *writer) comment() string {
	if w.IntN(3) > 0 {
		return ""
	}
	w.comments++
	return fmt.Sprintf(" # note %d: with {braces}, 'quotes", w.comments)
}

func (w *writer) key(name string) string {
	switch w.IntN(6) {
	case 0:
		return `"` + name + `"`
	case 1:
		return "'" + name + "'"
	default:
		return name
	}
}

// pair is a key and either a scalar or list as text, or a map.
type pair struct {
	key  string
	text string
	in   []pair
}

func (w *writer) block(pairs []pair, margin string) string {
	var b strings.Builder
	for _, p := range pairs {
		if w.IntN(5) == 0 {
			w.comments++
			fmt.Fprintf(&b, "%s# note %d\n", margin, w.comments)
		}
		if w.IntN(8) == 0 {
			b.WriteString("\n")
		}
		switch {
		case p.in == nil:
			fmt.Fprintf(&b, "%s%s: %s%s\n", margin, w.key(p.key), p.text, w.comment())
		case w.IntN(3) == 0:
			fmt.Fprintf(&b, "%s%s: %s%s\n", margin, w.key(p.key), w.flow(p.in), w.comment())
		default:
			fmt.Fprintf(&b, "%s%s:%s\n%s", margin, w.key(p.key), w.comment(), w.block(p.in, margin+strings.Repeat(" ", 1+w.IntN(4))))
		}
	}
	return b.String()
}

func (w *writer) flow(pairs []pair) string {
	parts := make([]string, 0, len(pairs))
	for _, p := range pairs {
		text := p.text
		if p.in != nil {
			text = w.flow(p.in)
		}
		parts = append(parts, w.key(p.key)+": "+text)
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// some are pairs of which each is written or not, in any order.
func (w *writer) some(always []pair, perhaps ...pair) []pair {
	all := slices.Clone(always)
	for _, p := range perhaps {
		if w.IntN(2) == 0 {
			all = append(all, p)
		}
	}
	w.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

func (w *writer) job() string {
	keyspace := w.some([]pair{{key: "pattern", text: `"größe:*"`}}, pair{key: "exclude-commands", text: "[hdel, del]"},
		pair{key: "on_expire", text: "delete"}, pair{key: "database", text: "2"})
	source := w.some([]pair{{key: "keyspace", in: keyspace}}, pair{key: "trigger", text: "write-behind"},
		pair{key: "row_format", text: "data_only"}, pair{key: "keys", in: []pair{{key: "fields", in: []pair{{key: "id", text: "1"}}}}})
	return w.block([]pair{{key: "source", in: source}}, "") +
		"output:\n- uses: relational.write\n  with: {connection: pg, table: t, keys: [id], mapping: [{trigger: pattern}]}\n"
}

func (w *writer) config() string {
	attributes := []pair{
		{key: "type", text: "postgresql"},
		{key: "host", text: "hübsch"},
		{key: "port", text: "5432"},
		{key: "database", text: "d"},
		{key: "user", text: "u"},
		{key: "query_args", in: []pair{{key: "sslmode", text: "require"}, {key: "connection", text: "x"}}},
	}
	nested := func(attributes []pair) []pair {
		return w.some([]pair{{key: "connection", in: attributes}}, pair{key: "name", text: "the fleet"})
	}
	targets := []pair{{key: "pg", in: nested(attributes)}, {key: "lite", in: []pair{{key: "type", text: "sqlite"}, {key: "path", text: "x"}}}}
	if w.IntN(3) == 0 {
		targets = []pair{{key: "connection", in: []pair{{key: "pg", in: attributes}, {key: "lite", in: targets[1].in}}}}
	}
	settings := w.some([]pair{{key: "duration", text: "7"}}, pair{key: "batch", text: "20"}, pair{key: "read_batch_size", text: "30"},
		pair{key: "write_batch_size", text: `"${env:N}"`}, pair{key: "type", text: "classic"})
	if w.IntN(2) == 0 {
		settings[slices.IndexFunc(settings, func(p pair) bool { return p.key == "duration" })].key = "read_batch_timeout_ms"
	}
	names := []string{"targets", "processors"}
	if w.IntN(3) == 0 {
		names[1] = "applier"
	}
	return w.block(w.some([]pair{
		{key: "source", in: []pair{{key: "host", text: "h"}, {key: "port", text: "1"}}},
		{key: names[0], in: targets},
		{key: names[1], in: settings},
	}), "")
}

var note = regexp.MustCompile(`# note \d+`)

// TestMeaningStays rewrites random files of older generations: what is compiled stays the same, no old form and every comment
// is left, and a second time changes nothing.
func TestMeaningStays(t *testing.T) {
	const rounds = 400
	for seed := range uint64(rounds) {
		w := &writer{Rand: rand.New(rand.NewPCG(seed, 3))}
		config, job := w.config(), w.job()
		before, failed, _ := compiled(config, job)
		if failed {
			t.Fatalf("seed %d is not even right before:\n%s\n%s", seed, config, job)
		}
		var out [2]string
		for i, f := range []struct{ name, text string }{{"config.yaml", config}, {"jobs/a.yaml", job}} {
			text, changes, err := migrate.File(f.name, []byte(f.text))
			if err != nil || len(changes) == 0 {
				t.Fatalf("seed %d: %v, changes %v\n%s", seed, err, changes, f.text)
			}
			again, more, err := migrate.File(f.name, text)
			if err != nil || len(more) > 0 || string(again) != string(text) {
				t.Errorf("seed %d: the second time: %v, changes %v\n%s\n%s", seed, err, more, text, again)
			}
			for _, n := range note.FindAllString(f.text, -1) {
				if !strings.Contains(string(text), n) {
					t.Errorf("seed %d: comment %q is lost\n%s\n%s", seed, n, f.text, text)
				}
			}
			out[i] = string(text)
		}
		after, failed, deprecated := compiled(out[0], out[1])
		if failed || deprecated > 0 || !proto.Equal(before, after) {
			t.Errorf("seed %d: failed %v, %d old forms, another meaning\n%s\n%s", seed, failed, deprecated, out[0], out[1])
		}
		if t.Failed() {
			return
		}
	}
}

// TestLineEnds keeps the line ends of other systems.
func TestLineEnds(t *testing.T) {
	const old = "source:\r\n  keyspace:\r\n    pattern: a\r\noutput:\r\n- uses: relational.write\r\n  with: {connection: pg, table: t, keys: [id]}\r\n"
	const want = "source:\r\n  redis:\r\n    trigger: write-behind\r\n    key_pattern: a\r\noutput:\r\n- uses: relational.write\r\n  with: {connection: pg, table: t, keys: [id]}\r\n"
	out, _, err := migrate.File("jobs/a.yaml", []byte(old))
	if err != nil || string(out) != want {
		t.Errorf("%v, got %q, want %q", err, out, want)
	}
}

// FuzzFile rewrites whatever there is: it ends, never breaks a file, and is done after one time.
func FuzzFile(f *testing.F) {
	for _, pattern := range []string{"testdata/*.txt", "../compile/testdata/*.txt"} {
		cases, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, name := range cases {
			text, err := os.ReadFile(name)
			if err != nil {
				f.Fatal(err)
			}
			input, _, _ := strings.Cut(string(text), "-- want --\n")
			for part := range strings.SplitSeq("\n"+input, "\n-- ") {
				if path, body, ok := strings.Cut(part, " --\n"); ok {
					f.Add(path == "config.yaml", []byte(body))
				}
			}
		}
	}
	f.Fuzz(func(t *testing.T, config bool, text []byte) {
		name := "jobs/a.yaml"
		if config {
			name = "config.yaml"
		}
		out, changes, err := migrate.File(name, text)
		if err != nil || len(changes) == 0 {
			if string(out) != string(text) || len(changes) > 0 {
				t.Errorf("not rewritten (%v), and yet another text: %q", err, out)
			}
			return
		}
		if again, more, err := migrate.File(name, out); err != nil || len(more) > 0 || string(again) != string(out) {
			t.Errorf("the second time: %v, changes %v, %q", err, more, again)
		}
	})
}
