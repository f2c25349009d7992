package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"slipstream/applier"
	"slipstream/applier/value"
	"slipstream/proto/fault"
	"slipstream/proto/flow"
	applierv1 "slipstream/proto/slipstream/applier/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// Prepare creates the missing tables of outputs with auto_create.
func (e *Engine) Prepare(ctx context.Context, r *applierv1.PrepareRequest) *applierv1.PrepareResponse {
	lease, err := e.targets.acquire(ctx, r.GetConnection(), r.GetSettings())
	if err != nil {
		return &applierv1.PrepareResponse{Problems: unreachable(r.GetConnection(), err).GetProblems()}
	}
	response := lease.target.Prepare(ctx, r.GetJobs())
	e.release(ctx, lease)
	return response
}

func (e *Engine) release(ctx context.Context, l *lease) {
	if err := l.release(); err != nil {
		e.log.WarnContext(ctx, "closing a target", slog.Any("error", err))
	}
}

// Preview shows the statements that rows would run and, if asked, the rows they would change. Everything happens in a
// transaction that is rolled back; no position moves.
func (e *Engine) Preview(ctx context.Context, r *applierv1.PreviewRequest) *applierv1.PreviewResponse {
	lease, err := e.targets.acquire(ctx, r.GetConnection(), r.GetSettings())
	if err != nil {
		return untried(r, err)
	}
	defer e.release(ctx, lease)
	p := &preview{request: r, target: lease.target, refused: refused{}}
	if err := p.run(ctx); err != nil {
		return untried(r, err)
	}
	p.response.Rejects = p.refused.list(r.GetJob(), 1)
	return &p.response
}

// untried is the answer where nothing could be tried. A table that deploy would make is no reason to make it by hand.
func untried(r *applierv1.PreviewRequest, err error) *applierv1.PreviewResponse {
	f := fault.Proto(err)
	creates := slices.ContainsFunc(r.GetJob().GetOutputs(), func(o *pipelinev1.Output) bool {
		return o.GetConnection() == r.GetConnection().GetName() && o.GetRelational().GetAutoCreate()
	})
	if creates && f.GetClass() == flowv1.FaultClass_FAULT_CLASS_SCHEMA {
		f.Fix = "deploy the job, which creates the table because of auto_create"
	}
	return &applierv1.PreviewResponse{Fault: f}
}

// preview is one answer in the making.
type preview struct {
	request  *applierv1.PreviewRequest
	target   applier.Target
	prepared *prepared
	refused  refused
	response applierv1.PreviewResponse
}

func (p *preview) run(ctx context.Context) error {
	tables := tableSet{}
	outputs := p.request.GetJob().GetOutputs()
	for _, rows := range p.request.GetBatch().GetTables() {
		if int(rows.GetOutput()) >= len(outputs) || outputs[rows.GetOutput()].GetRelational() == nil {
			return fmt.Errorf("%w: the job has no output %d", flow.ErrProtocol, rows.GetOutput())
		}
		table, err := bindTable(ctx, p.target, outputs[rows.GetOutput()])
		if err != nil {
			return err
		}
		tables[rows.GetOutput()] = table
	}
	var err error
	if p.prepared, err = prepare(p.request.GetBatch(), tables); err != nil {
		return err
	}
	for _, c := range p.prepared.outputs {
		for change, why := range c.bad {
			p.refused.add(c.rows.Output, change, why)
		}
	}
	// What the target refuses takes its record along, as it does in a lane; so it is tried again without them.
	for {
		before := p.refused.count()
		if err := p.rehearse(ctx); err != nil {
			return err
		}
		if p.refused.count() == before {
			return nil
		}
	}
}

// rehearse makes one attempt. It adds to the refused records, or fills in the response.
func (p *preview) rehearse(ctx context.Context) (err error) {
	x, err := p.target.Rehearse(ctx, p.request.GetLane())
	if err != nil {
		return err
	}
	defer func() {
		if end := x.Rollback(); err == nil {
			err = end
		}
	}()
	var ledgers map[uint32]*ledger
	if p.prepared.indexed() {
		if ledgers, err = load(ctx, x, p.prepared, p.request.GetJob()); err != nil {
			return err
		}
	}
	steps, err := plan(p.prepared, p.refused, ledgers)
	if err != nil {
		return err
	}
	p.response.Statements, p.response.Differences = nil, nil
	for _, s := range steps {
		for _, row := range s.write.Rows {
			p.response.Statements = append(p.response.Statements, &applierv1.Statement{
				Job: p.request.GetJob().GetName(), Output: s.output.rows.Output, Text: x.Show(s.write, row), Rows: 1,
			})
		}
	}
	if !p.request.GetDiff() {
		return nil
	}
	before, err := look(ctx, x, steps)
	if err != nil {
		return err
	}
	iso := &isolation{txn: x, out: p.refused}
	for _, s := range steps {
		if err := iso.halve(ctx, s); err != nil {
			return err
		}
	}
	if err := iso.settleReferences(ctx); err != nil {
		return err
	}
	if err := iso.swap(ctx); err != nil {
		return err
	}
	for _, m := range iso.missing {
		iso.refuse(m.step, m.err)
	}
	if iso.bad {
		return nil // without those, then
	}
	after, err := look(ctx, x, steps)
	if err != nil {
		return err
	}
	for _, c := range p.prepared.outputs {
		p.compare(c, before[c.rows.Output], after[c.rows.Output])
	}
	return nil
}

// sight is the rows of an output's table that its writes are about, by their keys, in the order they were first looked for.
type sight struct {
	order []string
	rows  map[string][][][]byte
}

// look reads the rows that writes are about.
func look(ctx context.Context, x applier.Rehearsal, steps []step) (map[uint32]*sight, error) {
	seen := map[uint32]*sight{}
	for _, s := range steps {
		output, t := s.output.rows.Output, s.write.Table
		of := seen[output]
		if of == nil {
			of = &sight{rows: map[string][][][]byte{}}
			seen[output] = of
		}
		by := t.Keys
		if s.write.Verb == applier.Prune {
			by = s.write.Columns
		}
		if len(by) == 0 {
			continue // appended rows without a key: nothing finds them
		}
		all := make([]int, len(t.Columns))
		for i := range all {
			all[i] = i
		}
		for _, row := range s.write.Rows {
			found, err := x.Read(ctx, t, by, s.write.Values, []int32{row}, all)
			if err != nil {
				return nil, err
			}
			of.add(t, found)
		}
	}
	return seen, nil
}

// identity is the key of a row, as text.
func identity(t *applier.Table, at func(column int) []byte) string {
	values := make([][]byte, len(t.Keys))
	for n, i := range t.Keys {
		values[n] = at(i)
	}
	return string(applier.JoinKey(nil, values...))
}

// add takes rows that were found together. Those of a key that was seen before are the same ones.
func (s *sight) add(t *applier.Table, found [][][]byte) {
	fresh := map[string]bool{}
	for _, row := range found {
		key := identity(t, func(i int) []byte { return row[i] })
		if _, known := s.rows[key]; !known {
			fresh[key] = true
			s.order = append(s.order, key)
		}
		if fresh[key] {
			s.rows[key] = append(s.rows[key], row)
		}
	}
}

// compare tells what became of the rows of an output.
func (p *preview) compare(c *converted, before, after *sight) {
	if before == nil || after == nil {
		return
	}
	var names []string
	for i := range c.table.Columns {
		names = append(names, c.table.Columns[i].Name)
	}
	add := func(was, is []byte) {
		p.response.Differences = append(p.response.Differences, &applierv1.RowDifference{
			Output: c.rows.Output, Table: c.table.Name, Columns: names, Before: was, After: is,
		})
	}
	done := map[string]bool{}
	for _, key := range append(before.order, after.order...) {
		if done[key] {
			continue
		}
		done[key] = true
		was, is := before.rows[key], after.rows[key]
		for i := range max(len(was), len(is)) {
			switch {
			case i >= len(is):
				add(texts(c.table, was[i]), nil)
			case i >= len(was):
				add(nil, texts(c.table, is[i]))
			default:
				add(texts(c.table, was[i]), texts(c.table, is[i]))
			}
		}
	}
}

// texts are values as a JSON list.
func texts(t *applier.Table, row [][]byte) []byte {
	list := make([]json.RawMessage, len(row))
	for i, text := range row {
		list[i] = jsonText(t.Columns[i].Type.Kind, text)
	}
	out, err := json.Marshal(list)
	if err != nil {
		return []byte("[]") // its members are JSON, so it cannot fail
	}
	return out
}

func jsonText(kind value.Kind, text []byte) json.RawMessage {
	if text == nil {
		return json.RawMessage("null")
	}
	switch kind {
	case value.Integer, value.Decimal, value.Float:
		if json.Valid(text) {
			return text
		}
	case value.Boolean:
		switch strings.ToLower(string(text)) {
		case "t", "true", "1":
			return json.RawMessage("true")
		case "f", "false", "0":
			return json.RawMessage("false")
		}
	}
	quoted, err := json.Marshal(strings.ToValidUTF8(string(text), "\uFFFD"))
	if err != nil {
		return json.RawMessage("null") // a string always encodes
	}
	return quoted
}
