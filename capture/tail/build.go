package tail

import (
	"encoding/json"
	"slices"

	"slipstream/capture/stream"
	changev1 "slipstream/proto/slipstream/change/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
)

// mostLinks bounds the traces that one batch is linked to.
const mostLinks = 128

// classCapture is the error class of records that fail before they leave capture.
const classCapture = "capture"

// build makes the batch of the runs gathered from entries, which are all accounted for by it, and moves done.
func (t *Tail) build(entries []stream.Entry) *Read {
	out := &Read{Batch: &changev1.Batch{}}
	for i := range entries {
		e := &entries[i]
		if e.Side {
			out.Side++
			t.done.Side = e.ID
		} else {
			out.Main++
			t.done.Main = e.ID
		}
		if out.OldestMs == 0 || e.Ms < out.OldestMs {
			out.OldestMs = e.Ms
		}
	}
	t.fold.order()
	slab := make([]changev1.Change, len(t.fold.runs))
	ids := make([]changev1.StreamId, len(t.fold.runs))
	out.Batch.Changes = make([]*changev1.Change, 0, len(t.fold.runs))
	for i := range t.fold.runs {
		r := &t.fold.runs[i]
		if r.superseded && !r.removed {
			continue // what follows in this batch says all
		}
		fate, v := t.fateOf(r)
		switch fate {
		case fateUnread:
			out.Unread++
			out.Rejects = append(out.Rejects, t.unreadReject(r))
			continue
		case fateSkipped:
			out.Skipped++
			continue
		case fatePending, fateNothing:
			continue
		}
		c := &slab[len(out.Batch.Changes)]
		id := &ids[len(out.Batch.Changes)]
		id.Ms, id.Seq = r.id.Ms, r.id.Seq
		c.Id = id
		t.describe(c, r, fate, v)
		out.Batch.Changes = append(out.Batch.Changes, c)
		if r.traceparent != "" && len(out.Traceparents) < mostLinks && !slices.Contains(out.Traceparents, r.traceparent) {
			out.Traceparents = append(out.Traceparents, r.traceparent)
		}
	}
	out.Batch.Shapes = t.values.shapes.list
	for i := range t.fold.faults {
		out.Rejects = append(out.Rejects, t.faultReject(&t.fold.faults[i]))
	}
	return out
}

// fateOf decides about a run, and remembers or forgets that its value is unread.
func (t *Tail) fateOf(r *run) (fate, *value) {
	switch {
	case r.replay:
		return r.again(t.probes[r.probe].value.kind), nil
	case r.carried != nil:
		return r.carry(), nil
	case r.superseded:
		return fateDelete, nil // removed, and written again by an entry that carries its value
	}
	v := &value{kind: r.found}
	if !r.known {
		v = &t.probes[r.probe].value
	}
	unread := r.vanished && t.o.Unread.has(r.key)
	f := r.decide(v.kind, &t.policy, unread)
	t.o.Unread.set(r.key, f == fatePending)
	return f, v
}

// describe fills a change whose id is set.
func (t *Tail) describe(c *changev1.Change, r *run, f fate, v *value) {
	c.Side = !r.main
	c.Key = t.values.arena.Copy(r.key)
	c.Command = r.command
	c.TsMs, c.FirstTsMs = r.ms, r.firstMs
	c.Traceparent = r.traceparent
	c.Folded = r.folded
	c.Db = t.policy.db
	c.AsOf = r.asOf.Proto()
	if len(r.before) > 0 {
		c.Before = t.values.arena.Copy(r.before)
	}
	if f == fateDelete {
		c.Op = changev1.Op_OP_DELETE
		return
	}
	c.Op = r.op()
	switch {
	case r.carried != nil && r.carried.Hash != nil:
		h := t.values.unpack(r.carried.Hash)
		c.Type, c.Shape, c.Values, c.Ends = changev1.ValueType_VALUE_TYPE_HASH, h.shape, h.values, h.ends
	case r.carried != nil:
		c.Type, c.Document = changev1.ValueType_VALUE_TYPE_JSON, t.values.arena.Copy(r.carried.After)
	case v.kind == kindJSON:
		c.Type, c.Document = changev1.ValueType_VALUE_TYPE_JSON, v.doc
	default:
		c.Type, c.Shape, c.Values, c.Ends = changev1.ValueType_VALUE_TYPE_HASH, v.shape, v.values, v.ends
	}
}

func (t *Tail) unreadReject(r *run) *flowv1.Reject {
	reason := "value expired before it was read"
	if r.command == "evicted" {
		reason = "value was evicted before it was read"
	}
	return &flowv1.Reject{
		SourceId: sourceID(r.id, !r.main), Output: -1, Connection: t.o.Connection, Opcode: "d", Command: r.command,
		Key: slices.Clone(r.key), Reason: reason, ErrorClass: classCapture, Attempts: 1,
	}
}

func (t *Tail) faultReject(e *stream.Entry) *flowv1.Reject {
	return &flowv1.Reject{
		SourceId: sourceID(e.ID, e.Side), Output: -1, Connection: t.o.Connection, Key: slices.Clone(e.Key),
		Opcode: opcodes[e.Op], Command: e.Command, Record: recordOf(e),
		Reason: "entry not understood: " + e.Fault, ErrorClass: classCapture, Attempts: 1,
	}
}

// opcodes are the operations that entries stand for (spec 1.3), as far as they tell.
var opcodes = map[stream.Op]string{
	stream.OpCreate: "c", stream.OpUpdate: "u", stream.OpDelete: "d", stream.OpRead: "r",
}

// recordOf is what is understood of an entry that is not, in the words of spec 1.3. Text that is no JSON stands there as
// text.
func recordOf(e *stream.Entry) []byte {
	value := func(text []byte) any {
		switch {
		case text == nil:
			return nil
		case json.Valid(text):
			return json.RawMessage(text)
		}
		return string(text)
	}
	root := map[string]any{
		"key": map[string]any{"key": string(e.Key)}, "command": e.Command, "ts_ms": e.Ms,
		"before": value(e.Before), "after": value(e.After),
	}
	record, err := json.Marshal(root)
	if err != nil { // none of these can fail
		return nil
	}
	return record
}

// sourceID is the name of an entry in dead letters; entries of the side stream end in "r".
func sourceID(id stream.ID, side bool) string {
	s := id.String()
	if side {
		s += "r"
	}
	return s
}
