package job

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	changev1 "slipstream/proto/slipstream/change/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

var (
	fieldNames = []string{"serial", "site", "psi", "after", "key", "opcode", "a.b", "a"}
	pathTexts  = []string{"serial", "site", "psi", "key", "opcode", `a\.b`, "a", "a.b", "after.site", "after.a", "key.key", "before.site"}
)

func drawBatch(t *rapid.T) *changev1.Batch {
	b := &changev1.Batch{Sequence: 1, Position: &changev1.Position{}}
	value := rapid.OneOf(rapid.SliceOfN(rapid.Byte(), 0, 6), rapid.Map(rapid.StringN(0, 5, -1), func(s string) []byte { return []byte(s) }))
	for i := range rapid.IntRange(0, 12).Draw(t, "changes") {
		c := &changev1.Change{Id: &changev1.StreamId{Ms: recordedMs, Seq: uint64(i)}, TsMs: recordedMs, Folded: 1}
		c.Key = []byte(rapid.SampledFrom([]string{"pump", "pump:1", "pump:1:north", "pump::x", ":"}).Draw(t, "key"))
		c.Op = changev1.Op(rapid.IntRange(1, 4).Draw(t, "op"))
		switch {
		case c.Op == changev1.Op_OP_DELETE:
		case rapid.IntRange(0, 9).Draw(t, "kind") == 0:
			c.Type = changev1.ValueType_VALUE_TYPE_JSON
			c.Document = []byte(rapid.SampledFrom([]string{`{"serial":1,"site":{"a":[1]}}`, `[]`, `{`, `{"after":null}`}).Draw(t, "document"))
		default:
			hash := map[string][]byte{}
			for _, name := range rapid.SliceOfDistinct(rapid.SampledFrom(fieldNames), rapid.ID).Draw(t, "fields") {
				hash[name] = value.Draw(t, name)
			}
			setHash(b, c, hash)
		}
		b.Changes = append(b.Changes, c)
	}
	return b
}

// drawJob draws a job without blocks whose outputs take plain fields.
func drawJob(t *rapid.T) *pipelinev1.Job {
	j := &pipelinev1.Job{Name: "pumps", Source: &pipelinev1.Source{}, RowFormat: pipelinev1.RowFormat(rapid.IntRange(1, 2).Draw(t, "format"))}
	if rapid.Bool().Draw(t, "cut") {
		j.Source.Keys = &pipelinev1.KeyFields{Fields: map[string]uint32{"serial": 1, "site": 2}}
	}
	for i := range rapid.IntRange(1, 3).Draw(t, "outputs") {
		w := &pipelinev1.RelationalWrite{Table: "t", LoadStrategy: pipelinev1.LoadStrategy(rapid.IntRange(0, 4).Draw(t, "strategy"))}
		for n := range rapid.IntRange(1, 5).Draw(t, "columns") {
			c := &pipelinev1.OutputColumn{
				Column: fmt.Sprintf("c%d", n), Key: n == 0, OnMissing: pipelinev1.OnMissing(rapid.IntRange(0, 2).Draw(t, "missing")),
				Source: &pipelinev1.OutputColumn_Field{Field: rapid.SampledFrom(pathTexts).Draw(t, "path")},
			}
			if rapid.IntRange(0, 7).Draw(t, "constant") == 0 {
				c.Source = &pipelinev1.OutputColumn_Constant{Constant: rapid.SampledFrom([]string{`"x"`, `1.50`, `null`, `[true]`}).Draw(t, "value")}
			}
			w.Columns = append(w.Columns, c)
		}
		j.Outputs = append(j.Outputs, &pipelinev1.Output{Path: fmt.Sprintf("output[%d]", i), Connection: "pg", Writer: &pipelinev1.Output_Relational{Relational: w}})
	}
	return j
}

func compiled(t *rapid.T, j *pipelinev1.Job) *Program {
	p, problems := Compile(j, "pg")
	if p == nil {
		t.Fatalf("does not compile: %v", problems)
	}
	return p
}

// outcome is all that a run gave, as text.
func outcome(t *rapid.T, p *Program, batches ...*changev1.Batch) (lines []string) {
	l := NewLane(p)
	defer func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}()
	for _, b := range batches {
		r := l.Run(b)
		lines = append(lines, rowsOf(p, r.Rows)...)
		for _, x := range r.Rejects {
			lines = append(lines, x.String())
		}
		var counts flowv1.Counts
		r.Counts(&counts)
		lines = append(lines, counts.String())
		r.Release()
	}
	return lines
}

func normal(lines []string) string { return strings.ReplaceAll(strings.Join(lines, "\n"), "  ", " ") }

// TestPlanEqualsRecord: a hash that goes straight into columns gives what its record would have given.
func TestPlanEqualsRecord(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := drawBatch(t)
		p := compiled(t, drawJob(t))
		if !p.planned {
			t.Fatal("a job of plain fields has no plan")
		}
		byRecord := *p
		byRecord.planned = false
		if got, want := normal(outcome(t, p, b)), normal(outcome(t, &byRecord, b)); got != want {
			t.Fatalf("by plan\n%s\nby record\n%s", got, want)
		}
	})
}

// TestLaneForgets: what one batch left behind does not show in the next (G4), and a retry gives the same (G3).
func TestLaneForgets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := compiled(t, drawJob(t))
		first, second := drawBatch(t), drawBatch(t)
		want := slices.Concat(outcome(t, p, first), outcome(t, p, second), outcome(t, p, first))
		if got := outcome(t, p, first, second, first); normal(got) != normal(want) {
			t.Fatalf("on one lane\n%s\non fresh lanes\n%s", normal(got), normal(want))
		}
	})
}

// TestRowsAreWellFormed: whatever comes in, the columns of a batch fit together, order is kept, no key is null (G7), the
// batch is not changed, and every change is accounted for (G1).
func TestRowsAreWellFormed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		j := drawJob(t)
		if rapid.Bool().Draw(t, "blocks") {
			j.Transform = []*pipelinev1.Block{{Path: "transform[0]", Block: &pipelinev1.Block_Filter{Filter: &pipelinev1.Filter{
				Expression: &pipelinev1.Expression{Language: pipelinev1.Language_LANGUAGE_JMESPATH, Text: "psi || opcode || site"},
			}}}}
		}
		p := compiled(t, j)
		b := drawBatch(t)
		before := proto.Clone(b)
		l := NewLane(p)
		r := l.Run(b)
		for _, rows := range r.Rows.Tables {
			n := int(rows.Count)
			if n == 0 || len(rows.Ops) != n || len(rows.Changes) != n || !slices.IsSorted(rows.Changes) {
				t.Fatalf("rows %v", rows)
			}
			for i, c := range rows.Columns {
				if len(c.Ends) != n || len(c.Kinds) != n || !slices.IsSorted(c.Ends) || int(c.Ends[n-1]) != len(c.Text) {
					t.Fatalf("column %d of %v", i, rows)
				}
				if i == 0 && slices.ContainsFunc(c.Kinds, func(k byte) bool { return k == 0 || k == 6 }) {
					t.Fatalf("null in the key column of %v", rows)
				}
			}
		}
		if !proto.Equal(before, b) {
			t.Fatal("the batch was changed")
		}
		var c flowv1.Counts
		r.Counts(&c)
		lost := uint64(0) // changes that no output took
		for i := range b.Changes {
			all := 0
			for _, x := range r.Rejects {
				if x.Change == uint32(i) && (x.Output >= 0 || len(p.outputs) == 1) {
					all++
				} else if x.Change == uint32(i) {
					all = len(p.outputs)
				}
			}
			if all >= len(p.outputs) {
				lost++
			}
		}
		if c.Changes != c.Filtered+c.Inserted+c.Updated+c.Deleted+lost {
			t.Fatalf("counts %v, %d lost, rejects %v", &c, lost, r.Rejects)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	})
}
