package server

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"

	applierv1 "slipstream/proto/slipstream/applier/v1"
	capturev1 "slipstream/proto/slipstream/capture/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
	transformerv1 "slipstream/proto/slipstream/transformer/v1"

	"slipstream/gateway/compile"
)

// sampleKeys is how many keys of a job are looked at before its tables are made.
const sampleKeys = 200

// inferTables gives the columns of tables that auto_create is about to make the types that a sample of the job's keys
// suggests, and asks the appliers once more for their plans. Types that the job names stand.
func (s *Server) inferTables(ctx context.Context, r *compile.Result, f *findings) {
	again := make(map[string]bool)
	for _, job := range r.Pipeline.GetJobs() {
		var missing []int
		for i, out := range job.GetOutputs() {
			planned := func(s *applierv1.Statement) bool { return s.GetJob() == job.GetName() && s.GetOutput() == uint32(i) }
			if slices.ContainsFunc(f.plan[out.GetConnection()], planned) {
				missing = append(missing, i)
				again[out.GetConnection()] = true
			}
		}
		if len(missing) > 0 {
			s.inferJob(ctx, r, job, missing, f)
		}
	}
	var all sync.WaitGroup
	for _, connection := range targets(r.Pipeline) {
		if again[connection.GetName()] {
			all.Go(func() { s.checkApply(ctx, r, connection, nil, f) })
		}
	}
	all.Wait()
}

// inferJob looks at a sample for the outputs of a job whose tables are missing.
func (s *Server) inferJob(ctx context.Context, r *compile.Result, job *pipelinev1.Job, missing []int, f *findings) {
	unknown := func(format string, args ...any) {
		f.add(&pipelinev1.Problem{
			Severity: pipelinev1.Severity_SEVERITY_WARNING, Job: job.GetName(),
			Path:    job.GetOutputs()[missing[0]].GetPath() + ".with.auto_create",
			Message: fmt.Sprintf(format, args...) + ", so columns whose type the job does not say become text",
			Fix:     "write type: for columns that are no text, or load some keys first",
		})
	}
	sample, err := s.readKeys(ctx, &capturev1.ReadKeysRequest{Pipeline: r.Pipeline, Job: job.GetName(), MaxKeys: sampleKeys})
	if err != nil {
		unknown("no sample of keys can be read: %s", reason(err))
		return
	}
	if len(sample.GetBatch().GetChanges()) == 0 {
		unknown("no key matches %q yet", job.GetSource().GetKeyPattern())
		return
	}
	shown, err := s.config.Transformer.Client.Preview(ctx, &transformerv1.PreviewRequest{
		Job: job, Batch: sample.GetBatch(), Lookups: lookups(r.Pipeline, job),
	})
	if err != nil {
		unknown("the sample of keys cannot be transformed: %s", reason(err))
		return
	}
	for _, i := range missing {
		out := job.GetOutputs()[i]
		w := out.GetRelational()
		for _, rows := range shown.GetRows() {
			for _, t := range rows.GetBatch().GetTables() {
				if rows.GetConnection() == out.GetConnection() && t.GetOutput() == uint32(i) {
					inferColumns(w, t)
				}
			}
		}
		if r.Unmapped[job.GetName()][out.GetPath()] {
			inferMembers(out, shown.GetChanges())
		}
	}
}

func inferColumns(w *pipelinev1.RelationalWrite, rows *applierv1.Rows) {
	for c, column := range w.GetColumns() {
		if column.GetType() != pipelinev1.ColumnType_COLUMN_TYPE_UNSPECIFIED || c >= len(rows.GetColumns()) {
			continue
		}
		g := newGuess()
		values := rows.GetColumns()[c]
		begin := uint32(0)
		for i, end := range values.GetEnds() {
			g.add(applierv1.ValueKind(values.GetKinds()[i]), string(values.GetText()[begin:end]))
			begin = end
		}
		column.Inferred = g.kind()
	}
}

// inferMembers gives an output without a mapping a column for each member of the records, in the order in which they
// come first.
func inferMembers(out *pipelinev1.Output, changes []*transformerv1.PreviewedChange) {
	w := out.GetRelational()
	guesses := make(map[string]*guess)
	var names []string
	for _, change := range changes {
		if change.GetFilteredBy() != "" {
			continue
		}
		record := change.GetRecord()
		if blocks := change.GetBlocks(); len(blocks) > 0 {
			record = blocks[len(blocks)-1].GetRecord()
		}
		for _, m := range members(record) {
			if guesses[m.name] == nil {
				guesses[m.name] = newGuess()
				names = append(names, m.name)
			}
			kind, text := m.value()
			guesses[m.name].add(kind, text)
		}
	}
	for _, name := range names {
		if hasColumn(w, name) {
			continue
		}
		w.Columns = append(w.Columns, &pipelinev1.OutputColumn{
			Column: name, Source: &pipelinev1.OutputColumn_Field{Field: strings.ReplaceAll(name, ".", `\.`)},
			Path: out.GetPath() + ".with.table", Inferred: guesses[name].kind(),
		})
	}
}

// member is a member of a JSON object.
type member struct {
	name string
	raw  json.RawMessage
}

// value is what the transformer would make of a member.
func (m member) value() (applierv1.ValueKind, string) {
	switch m.raw[0] {
	case 'n':
		return applierv1.ValueKind_VALUE_KIND_UNSPECIFIED, ""
	case 't', 'f':
		return applierv1.ValueKind_VALUE_KIND_BOOLEAN, string(m.raw)
	case '{', '[':
		return applierv1.ValueKind_VALUE_KIND_DOCUMENT, string(m.raw)
	case '"':
		var text string
		_ = json.Unmarshal(m.raw, &text) // it was read as JSON before
		return applierv1.ValueKind_VALUE_KIND_STRING, text
	}
	return applierv1.ValueKind_VALUE_KIND_NUMBER, string(m.raw)
}

// members are those of a JSON object, in their order; nil where the text is none.
func members(object []byte) []member {
	d := json.NewDecoder(strings.NewReader(string(object)))
	if token, err := d.Token(); err != nil || token != json.Delim('{') {
		return nil
	}
	var out []member
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil
		}
		m := member{name: fmt.Sprint(name)}
		if err := d.Decode(&m.raw); err != nil {
			return nil
		}
		out = append(out, m)
	}
	return out
}

// lookups are the connections that lookup blocks of a job read.
func lookups(p *pipelinev1.Pipeline, job *pipelinev1.Job) []*pipelinev1.Connection {
	var out []*pipelinev1.Connection
	for _, block := range job.GetTransform() {
		c := p.GetConnections()[block.GetRedisLookup().GetConnection()]
		if c != nil && !slices.Contains(out, c) {
			out = append(out, c)
		}
	}
	return out
}
