package job

import (
	"fmt"
	"testing"

	changev1 "slipstream/proto/slipstream/change/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

const benchChanges = 1000

// benchBatch is hashes of 10 fields, some 200 bytes each.
func benchBatch() *changev1.Batch {
	b := &changev1.Batch{Sequence: 1, Position: &changev1.Position{}}
	for i := range benchChanges {
		c := &changev1.Change{
			Id: &changev1.StreamId{Ms: recordedMs, Seq: uint64(i)}, Key: fmt.Appendf(nil, "pump:P-%06d", i),
			Op: changev1.Op_OP_UPDATE, Command: "hset", TsMs: recordedMs, Folded: 1,
		}
		hash := map[string][]byte{}
		for n := range 10 {
			hash[fmt.Sprintf("field_%d", n)] = fmt.Appendf(nil, "%d-value-of-%06d", n, i)
		}
		setHash(b, c, hash)
		b.Changes = append(b.Changes, c)
	}
	return b
}

func benchJob() *pipelinev1.Job {
	f := jobFile{Write: map[string]any{"keys": []any{"serial"}}}
	for n := range 10 {
		mapping, _ := f.Write["mapping"].([]any)
		f.Write["mapping"] = append(mapping, fmt.Sprintf("field_%d", n))
	}
	j := f.compile()
	j.Source.Keys = &pipelinev1.KeyFields{Fields: map[string]uint32{"serial": 1}}
	return j
}

func benchmarkRun(b *testing.B, j *pipelinev1.Job, planned bool) {
	b.Helper()
	p, problems := Compile(j, "pg")
	if p == nil {
		b.Fatal(problems)
	}
	p.planned = p.planned && planned
	l := NewLane(p)
	batch := benchBatch()
	b.ReportAllocs()
	for b.Loop() {
		r := l.Run(batch)
		if len(r.Rejects) > 0 || len(r.Rows.Tables) != 1 || r.Rows.Tables[0].Count != benchChanges {
			b.Fatal(r.Rejects)
		}
		r.Release()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchChanges, "ns/change")
	if err := l.Close(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkTransformHash: 1,000 hashes of 10 fields, no blocks.
func BenchmarkTransformHash(b *testing.B) {
	b.Run("plan", func(b *testing.B) { benchmarkRun(b, benchJob(), true) })
	b.Run("record", func(b *testing.B) { benchmarkRun(b, benchJob(), false) })
}

// BenchmarkTransformBlocks: the same through rename_field, a filter and an added field.
func BenchmarkTransformBlocks(b *testing.B) {
	for _, language := range []string{"jmespath", "sql"} {
		b.Run(language, func(b *testing.B) {
			j := benchJob()
			add, filter := "concat([field_1, '/', field_2])", "field_3 != 'x'"
			if language == "sql" {
				add, filter = "field_1 || '/' || field_2", "field_3 <> 'x'"
			}
			for i, x := range []usesWith{
				{"rename_field", map[string]any{"from_field": "field_0", "to_field": "renamed"}},
				{"filter", map[string]any{"language": language, "expression": filter}},
				{"add_field", map[string]any{"language": language, "expression": add, "field": "field_0"}},
			} {
				block := blockOf(x)
				block.Path = fmt.Sprintf("transform[%d]", i)
				j.Transform = append(j.Transform, block)
			}
			benchmarkRun(b, j, true)
		})
	}
}
