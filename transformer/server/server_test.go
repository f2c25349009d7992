package server

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"google.golang.org/protobuf/proto"

	applierv1 "slipstream/proto/slipstream/applier/v1"
	changev1 "slipstream/proto/slipstream/change/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
	transformerv1 "slipstream/proto/slipstream/transformer/v1"

	"slipstream/proto/fault"
	"slipstream/proto/flow"
)

const (
	created = changev1.Op_OP_CREATE
	updated = changev1.Op_OP_UPDATE
	deleted = changev1.Op_OP_DELETE
)

// settling is an applier that commits whatever comes, as an applier does: rejects of a held batch first, none of its own.
func settling(batches chan<- *applierv1.RowBatch) script {
	return func(r *flow.Receiver[*applierv1.RowBatch], _ *flowv1.Open) error {
		if err := r.Opened(&flowv1.Opened{Epoch: 7, Dialect: "postgresql", Position: &changev1.Position{Main: &changev1.StreamId{Ms: 1}}}); err != nil {
			return err
		}
		var held, last *applierv1.RowBatch
		for {
			d, err := r.Next()
			switch {
			case errors.Is(err, io.EOF):
				return nil
			case err != nil:
				return err
			case d.Batch != nil:
				if last = d.Batch; batches != nil {
					batches <- d.Batch
				}
				if d.Batch.Hold {
					held, err = d.Batch, r.Rejects(&flowv1.Rejects{Sequence: d.Batch.Sequence})
					break
				}
				err = settle(r, d.Batch)
			case d.Stored != nil:
				if held == nil || held.Sequence != d.Stored.Sequence {
					return errors.New("stored for a batch that is not held")
				}
				err = settle(r, held)
			case d.Drain != nil:
				err = r.Drained(&flowv1.Drained{Position: last.GetPosition()})
			}
			if err != nil {
				return err
			}
		}
	}
}

func settle(r *flow.Receiver[*applierv1.RowBatch], b *applierv1.RowBatch) error {
	rows := uint64(0)
	for _, t := range b.Tables {
		rows += uint64(t.Count)
	}
	return r.Settled(&flowv1.Settled{Sequence: b.Sequence, Position: b.Position, CommitNs: 9, Counts: &flowv1.Counts{Rows: rows}})
}

// TestLife: a lane from Open to its end, with its counts, its trace and its metrics (G2, design D5, D11).
func TestLife(t *testing.T) {
	batches := make(chan *applierv1.RowBatch, 4)
	frames := make(chan *flowv1.Open, 1)
	x := start(t, func(r *flow.Receiver[*applierv1.RowBatch], open *flowv1.Open) error {
		frames <- open
		for _, f := range []*flowv1.Fault{{Message: "starting up"}, nil} {
			if err := r.Waiting(&flowv1.Waiting{Fault: f}); err != nil {
				return err
			}
		}
		return settling(batches)(r, open)
	})
	c, err := x.open(t, openFrame())
	if err != nil {
		t.Fatal(err)
	}
	if open := hear(t, frames); !proto.Equal(open, openFrame()) {
		t.Errorf("the applier was opened with %v", open)
	}
	if c.opened.Epoch != 7 || c.opened.Dialect != "postgresql" || c.opened.Position.Main.Ms != 1 {
		t.Errorf("opened %v", c.opened)
	}
	if w := hear(t, c.waiting); w.GetFault().GetMessage() != "starting up" {
		t.Errorf("waiting %v", w)
	}
	if w := hear(t, c.waiting); w.Fault != nil {
		t.Errorf("waiting %v", w)
	}
	err = c.Send(t.Context(), batchOf(1,
		pump(created, "1", "north", `{"text":"N"}`), pump(updated, "22", "hidden", `{}`), pump(updated, "333", "south", `{}`), pump(deleted, "4444", "", "")))
	if err != nil {
		t.Fatal(err)
	}
	rows := hear(t, batches)
	if rows.Hold || rows.Changes != 4 || rows.State.GetPhase() != "live" || rows.Position.Main.Ms != 1 || len(rows.Tables) != 1 {
		t.Fatalf("rows %v", rows)
	}
	table := rows.Tables[0]
	if table.Count != 3 || string(table.Columns[0].Text) != "13334444" || string(table.Columns[1].Text) != "northsouth" || string(table.Columns[2].Text) != "N" {
		t.Errorf("table %v", table)
	}
	s := hear(t, c.settled)
	if s.GetTransformNs() <= 0 {
		t.Errorf("the transformer took %d ns", s.GetTransformNs())
	}
	want := &flowv1.Settled{
		Sequence: 1, Position: rows.Position, CommitNs: 9, TransformNs: s.GetTransformNs(),
		Counts: &flowv1.Counts{Changes: 4, Filtered: 1, Inserted: 1, Updated: 1, Deleted: 1, Rows: 3},
	}
	if !proto.Equal(s, want) {
		t.Errorf("settled %v, want %v", s, want)
	}
	position, err := c.Drain(t.Context())
	if err != nil || position.Main.Ms != 1 {
		t.Errorf("drained at %v: %v", position, err)
	}
	if err := c.Close(); err != nil {
		t.Errorf("closing: %v", err)
	}
	if err := hear(t, x.applier.ended); err != nil {
		t.Errorf("the applier's stream ended with %v", err)
	}
	x.checkTrace(t, rows.Traceparent)
	expected := `
# HELP slipstream_transformer_changes_total Changes received from capture, those of retried batches included.
# TYPE slipstream_transformer_changes_total counter
slipstream_transformer_changes_total{connection="pg",job="pumps",pipeline="p"} 4
# HELP slipstream_transformer_filtered_total Changes dropped by a filter.
# TYPE slipstream_transformer_filtered_total counter
slipstream_transformer_filtered_total{connection="pg",job="pumps",pipeline="p"} 1
`
	if err := testutil.GatherAndCompare(x.registry, strings.NewReader(expected),
		"slipstream_transformer_changes_total", "slipstream_transformer_filtered_total"); err != nil {
		t.Error(err)
	}
}

// checkTrace: the span of a batch is a child of capture's, and the parent of the applier's (design D11).
func (x *line) checkTrace(t *testing.T, traceparent string) {
	t.Helper()
	spans := x.spans.GetSpans()
	if len(spans) != 1 || spans[0].Name != "transform" {
		t.Fatalf("spans %v", spans)
	}
	own := spans[0].SpanContext
	if spans[0].Parent.SpanID().String() != "0102030405060708" || own.TraceID().String() != "0102030405060708090a0b0c0d0e0f10" {
		t.Errorf("parent %v of %v", spans[0].Parent, own)
	}
	if want := "00-" + own.TraceID().String() + "-" + own.SpanID().String() + "-01"; traceparent != want {
		t.Errorf("the rows carry %q, want %q", traceparent, want)
	}
}

// TestRejects: rejects of both stages reach capture together, complete, before the batch commits (G2, G5, design D9).
func TestRejects(t *testing.T) {
	var applier script = func(r *flow.Receiver[*applierv1.RowBatch], _ *flowv1.Open) error {
		if err := r.Opened(&flowv1.Opened{Epoch: 1}); err != nil {
			return err
		}
		d, err := r.Next()
		if err != nil {
			return err
		}
		b := d.Batch
		target := &flowv1.Reject{Change: 2, Output: 0, Reason: "cannot convert 'x'", ErrorClass: "target", Code: "22P02", Attempts: 2, Column: "site", Table: `"ops"."pump"`}
		again := &flowv1.Reject{Change: 2, Output: 0, Reason: "another row of the same record", ErrorClass: "target"}
		if !b.Hold {
			return errors.New("the batch must be held")
		}
		if err := r.Rejects(&flowv1.Rejects{Sequence: b.Sequence, Rejects: []*flowv1.Reject{target, again}}); err != nil {
			return err
		}
		if d, err = r.Next(); err != nil || d.Stored.GetSequence() != b.Sequence {
			return errors.Join(err, errors.New("Stored must follow"))
		}
		if err := settle(r, b); err != nil {
			return err
		}
		_, err = r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		return err
	}
	x := start(t, applier)
	c, err := x.open(t, openFrame())
	if err != nil {
		t.Fatal(err)
	}
	err = c.Send(t.Context(), batchOf(1, pump(updated, "1", "north", "no json"), pump(updated, "22", "ok", "{}"), pump(created, "333", "x", `{"text":"T"}`)))
	if err != nil {
		t.Fatal(err)
	}
	got := hear(t, c.rejects)
	if got.Sequence != 1 || len(got.Rejects) != 2 {
		t.Fatalf("rejects %v", got)
	}
	if !strings.Contains(got.Rejects[0].Reason, "json_parse") {
		t.Errorf("reason %q", got.Rejects[0].Reason)
	}
	got.Rejects[0].Reason = "own"
	want := []*flowv1.Reject{
		{
			Change: 0, SourceId: "5-1", Output: -1, Opcode: "u", Command: "hset", Key: []byte("pump:1"), Reason: "own", ErrorClass: "transform",
			Block: "transform[1] add_field", Attempts: 1,
			Record: []byte(`{"after":{"label":"no json","site":"north"},"before":null,"command":"hset","db":0,"key":{"key":"pump:1"},"opcode":"u","ts_ms":0,"type":"hash"}`),
		},
		{
			Change: 2, SourceId: "5-3", Output: 0, Writer: "relational.write", Connection: "pg", Table: `"ops"."pump"`, Opcode: "c", Command: "hset",
			Key: []byte("pump:333"), Reason: "cannot convert 'x'", ErrorClass: "target", Code: "22P02", Attempts: 2, Column: "site",
			Record:      []byte(`{"after":{"label":"{\"text\":\"T\"}","site":"x"},"before":null,"command":"hset","db":0,"key":{"key":"pump:333"},"opcode":"c","ts_ms":0,"type":"hash"}`),
			Transformed: []byte(`{"label":{"text":"T"},"serial":"333","site":"x"}`),
		},
	}
	for i := range want {
		if !proto.Equal(got.Rejects[i], want[i]) {
			t.Errorf("reject\n%v\nwant\n%v", got.Rejects[i], want[i])
		}
	}
	if err := c.Stored(1); err != nil {
		t.Fatal(err)
	}
	s := hear(t, c.settled)
	if want := (&flowv1.Counts{Changes: 3, Rejected: 2, Updated: 1, Rows: 2}); !proto.Equal(s.Counts, want) {
		t.Errorf("counts %v, want %v", s.Counts, want)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if err := hear(t, x.applier.ended); err != nil {
		t.Error(err)
	}
}

// TestStoredPassesAFullWindow: a batch that waits for room does not keep back the Stored that makes it (G2).
func TestStoredPassesAFullWindow(t *testing.T) {
	x := start(t, settling(nil))
	open := openFrame()
	open.WindowBytes = 600
	big, err := x.open(t, withConstant(open))
	if err != nil {
		t.Fatal(err)
	}
	if err := big.Send(t.Context(), batchOf(1, pump(updated, "1", "a", "no json"), pump(updated, "2", "a", "{}"))); err != nil {
		t.Fatal(err)
	}
	hear(t, big.rejects)
	if err := big.Send(t.Context(), batchOf(2, pump(updated, "3", "a", "{}"))); err != nil {
		t.Fatal(err)
	}
	if err := big.Stored(1); err != nil {
		t.Fatal(err)
	}
	for n := uint64(1); n <= 2; n++ {
		if s := hear(t, big.settled); s.Sequence != n {
			t.Fatalf("settled %v", s)
		}
	}
	if err := big.Close(); err != nil {
		t.Error(err)
	}
}

// withConstant makes rows larger than the window of their lane.
func withConstant(open *flowv1.Open) *flowv1.Open {
	w := open.Job.Outputs[0].GetRelational()
	w.Columns = append(w.Columns, &pipelinev1.OutputColumn{
		Column: "large", Source: &pipelinev1.OutputColumn_Constant{Constant: `"` + strings.Repeat("x", 2000) + `"`},
	})
	return open
}

// TestSettlingSeveral: one Settled may stand for several batches; their counts are added.
func TestSettlingSeveral(t *testing.T) {
	x := start(t, func(r *flow.Receiver[*applierv1.RowBatch], _ *flowv1.Open) error {
		if err := r.Opened(&flowv1.Opened{Epoch: 1}); err != nil {
			return err
		}
		for range 3 {
			if _, err := r.Next(); err != nil {
				return err
			}
		}
		err := r.Settled(&flowv1.Settled{Sequence: 3, Counts: &flowv1.Counts{Rows: 3}})
		if _, end := r.Next(); !errors.Is(end, io.EOF) {
			return errors.Join(err, end)
		}
		return err
	})
	c, err := x.open(t, openFrame())
	if err != nil {
		t.Fatal(err)
	}
	for n := uint64(1); n <= 3; n++ {
		if err := c.Send(t.Context(), batchOf(n, pump(updated, "1", "a", "{}"), pump(updated, "2", "hidden", "{}"))); err != nil {
			t.Fatal(err)
		}
	}
	s := hear(t, c.settled)
	if want := (&flowv1.Counts{Changes: 6, Filtered: 3, Updated: 3, Rows: 3}); s.Sequence != 3 || !proto.Equal(s.Counts, want) {
		t.Errorf("settled %v", s)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

// TestCheck reports every problem with its place (spec 3.7).
func TestCheck(t *testing.T) {
	x := start(t, nil)
	job := openFrame().Job
	answer, err := x.client.Check(t.Context(), &transformerv1.CheckRequest{Job: job})
	if err != nil || len(answer.Problems) != 0 {
		t.Errorf("a good job: %v, %v", answer, err)
	}
	job.Transform[0].GetFilter().Expression.Text = "site ="
	job.Transform[1].GetAddField().Fields[0].Field = ""
	answer, err = x.client.Check(t.Context(), &transformerv1.CheckRequest{Job: job})
	if err != nil || len(answer.Problems) != 2 {
		t.Fatalf("problems %v, %v", answer, err)
	}
	for i, path := range []string{"transform[0].with.expression", "transform[1].with.field"} {
		if p := answer.Problems[i]; p.Path != path || p.Severity != pipelinev1.Severity_SEVERITY_ERROR || p.Message == "" || p.Fix == "" || p.Job != "pumps" {
			t.Errorf("problem %v, want one at %s", p, path)
		}
	}
	if _, err := x.client.Check(t.Context(), &transformerv1.CheckRequest{}); fault.Class(err) != flowv1.FaultClass_FAULT_CLASS_DATA {
		t.Errorf("no job: %v", err)
	}
}

// TestNew refuses options that are missing and metrics that are taken.
func TestNew(t *testing.T) {
	if _, err := New(Options{}); err == nil {
		t.Error("made without options")
	}
}
