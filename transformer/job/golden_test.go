package job

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"go.uber.org/goleak"

	changev1 "slipstream/proto/slipstream/change/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"

	"slipstream/transformer/block"
	"slipstream/transformer/record"
)

// The clock of the regular expressions' time limit stops by itself, some time after the last match.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/dlclark/regexp2.runClock"))
}

// golden is a case of testdata/*.yaml: a job, changes in, rows and rejects out. README.md there describes it.
type golden struct {
	Name     string            `yaml:"name"`
	Spec     string            `yaml:"spec"`
	Job      jobFile           `yaml:"job"`
	Lane     string            `yaml:"lane"`
	Redis    map[string]any    `yaml:"redis"`
	Records  []string          `yaml:"records"`
	Rows     []string          `yaml:"rows"`
	Rejects  []reject          `yaml:"rejects"`
	Filtered uint64            `yaml:"filtered"`
	Counts   map[string]uint64 `yaml:"counts"`
	Problems []string          `yaml:"problems"`
}

type reject struct {
	Change      uint32 `yaml:"change"`
	Output      int32  `yaml:"output"`
	Class       string `yaml:"class"`
	Block       string `yaml:"block"`
	Reason      string `yaml:"reason"`
	Column      string `yaml:"column"`
	Opcode      string `yaml:"opcode"`
	Transformed string `yaml:"transformed"`
	Record      string `yaml:"record"`
}

// cases are those of testdata, by their names.
func cases(t *testing.T) map[string]golden {
	t.Helper()
	files, err := filepath.Glob("../testdata/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	all := map[string]golden{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var list []golden
		if err := yaml.NewDecoder(bytes.NewReader(text), yaml.Strict()).Decode(&list); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for _, g := range list {
			name := strings.TrimSuffix(filepath.Base(file), ".yaml") + "/" + g.Name
			if _, twice := all[name]; twice || g.Name == "" {
				t.Errorf("case %q: needs a name of its own", name)
			}
			all[name] = g
		}
	}
	return all
}

// TestGolden runs every case of testdata, by record and, where the job allows it, by plan.
func TestGolden(t *testing.T) {
	all := cases(t)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		t.Run(name, func(t *testing.T) {
			g := all[name]
			g.run(t)
		})
	}
}

func (g *golden) run(t *testing.T) {
	lane := g.Lane
	if lane == "" {
		lane = "pg"
	}
	job := g.Job.compile()
	program, problems := Compile(job, lane)
	g.checkProblems(t, problems)
	if program == nil {
		if len(g.Problems) == 0 {
			t.Fatalf("does not compile: %v", problems)
		}
		return
	}
	g.runOn(t, program, "as compiled")
	if program.planned {
		slow := *program
		slow.planned = false
		g.runOn(t, &slow, "by record")
	}
}

func (g *golden) checkProblems(t *testing.T, problems []*pipelinev1.Problem) {
	t.Helper()
	if len(g.Problems) == 0 {
		return
	}
	var got []string
	for _, p := range problems {
		severity := strings.ToLower(strings.TrimPrefix(p.Severity.String(), "SEVERITY_"))
		got = append(got, fmt.Sprintf("%s %s: %s", severity, p.Path, p.Message))
		if p.Fix == "" || p.Job != "pumps" {
			t.Errorf("problem %q has no fix or no job", p.Message)
		}
	}
	slices.Sort(got)
	want := slices.Sorted(slices.Values(g.Problems))
	if len(got) != len(want) {
		t.Fatalf("problems:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for i := range want {
		at, message, _ := strings.Cut(want[i], ": ")
		if !strings.HasPrefix(got[i], at+": ") || !strings.Contains(got[i], message) {
			t.Errorf("problem %q, want %q", got[i], want[i])
		}
	}
}

// runOn runs the case twice on one lane: what a batch left behind must not show in the next, and a retry must give the
// same (design D5).
func (g *golden) runOn(t *testing.T, program *Program, how string) {
	t.Helper()
	b, err := batchOf(g.Records)
	if err != nil {
		t.Fatal(err)
	}
	l := NewLane(program)
	defer func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}()
	for attempt := range 2 {
		if program.Looks() {
			if err := l.Look(t.Context(), b, replies(g.Redis)); err != nil {
				t.Fatal(err)
			}
		}
		r := l.Run(b)
		g.checkRows(t, fmt.Sprintf("%s, attempt %d", how, attempt), rowsOf(program, r.Rows))
		g.checkRejects(t, b, r.Rejects)
		if r.Filtered() != g.Filtered {
			t.Errorf("%s: %d filtered, want %d", how, r.Filtered(), g.Filtered)
		}
		if r.Rows.Hold != (len(r.Rejects) > 0) || int(r.Rows.Changes) != len(b.Changes) || r.Rows.Position != b.Position {
			t.Errorf("%s: batch %v", how, r.Rows)
		}
		g.checkCounts(t, r)
		r.Release()
	}
}

// replies are what Redis says to commands: a text that begins with "error " is an error.
type replies map[string]any

func (r replies) Look(_ context.Context, connection string, commands [][]string, _ int) ([]block.Reply, error) {
	all := make([]block.Reply, len(commands))
	for i, command := range commands {
		asked := connection + " " + strings.Join(command, " ")
		value, known := r[asked]
		message, failed := strings.CutPrefix(str(value), "error ")
		switch {
		case !known:
			all[i].Err = fmt.Errorf("the case has no reply to %q", asked)
		case failed:
			all[i].Err = errors.New(message)
		default:
			all[i].Value = value
		}
	}
	return all, nil
}

func (g *golden) checkRows(t *testing.T, how string, got []string) {
	t.Helper()
	var want []string
	for _, line := range g.Rows {
		op, text, _ := strings.Cut(line, " ")
		text, owner, owned := strings.Cut(text, " @")
		if owned {
			owner = " @" + owner
		}
		value, err := record.Decode([]byte(text))
		if err != nil {
			t.Fatalf("expected row %q: %v", line, err)
		}
		want = append(want, op+" "+string(record.Encode(value))+owner)
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s: rows\n%s\nwant\n%s", how, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func (g *golden) checkRejects(t *testing.T, b *changev1.Batch, got []*flowv1.Reject) {
	t.Helper()
	if len(got) != len(g.Rejects) {
		t.Errorf("rejects %v, want %d", got, len(g.Rejects))
		return
	}
	for i, want := range g.Rejects {
		x := got[i]
		if x.Change != want.Change || x.Output != want.Output || x.ErrorClass != want.Class || x.Block != want.Block || x.Column != want.Column {
			t.Errorf("reject %v\nwant %+v", x, want)
		}
		if want.Reason == "" || !strings.Contains(x.Reason, want.Reason) {
			t.Errorf("reason %q, want %q", x.Reason, want.Reason)
		}
		if want.Opcode != "" && x.Opcode != want.Opcode {
			t.Errorf("opcode %q, want %q", x.Opcode, want.Opcode)
		}
		if want.Transformed != "" && string(x.Transformed) != want.Transformed {
			t.Errorf("transformed %s, want %s", x.Transformed, want.Transformed)
		}
		if want.Record != "" && string(x.Record) != want.Record {
			t.Errorf("record %s, want %s", x.Record, want.Record)
		}
		c := b.Changes[want.Change]
		if x.SourceId != fmt.Sprintf("%d-%d", recordedMs, want.Change) || !bytes.Equal(x.Key, c.Key) || x.Command != c.Command ||
			len(x.Record) == 0 || x.Attempts != 1 || (x.Output >= 0) != (x.Writer == writerName && len(x.Transformed) > 0 && x.Table != "") {
			t.Errorf("incomplete reject %v", x)
		}
	}
}

func (g *golden) checkCounts(t *testing.T, r *Result) {
	t.Helper()
	var c flowv1.Counts
	r.Counts(&c)
	if c.Changes != uint64(len(g.Records)) || c.Filtered != g.Filtered || c.Rejected != uint64(len(g.Rejects)) {
		t.Errorf("counts %v", &c)
	}
	got := map[string]uint64{"inserted": c.Inserted, "updated": c.Updated, "deleted": c.Deleted}
	for name, n := range g.Counts {
		if value, ok := got[name]; !ok || value != n {
			t.Errorf("%s %d, want %d", name, value, n)
		}
	}
}
