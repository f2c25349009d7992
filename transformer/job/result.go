package job

import (
	applierv1 "slipstream/proto/slipstream/applier/v1"
	changev1 "slipstream/proto/slipstream/change/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"

	"slipstream/transformer/block"
	"slipstream/transformer/record"
	"slipstream/transformer/row"
)

// Result is what became of a batch.
type Result struct {
	// Rows are what goes to the applier; hold is set where there are rejects. Valid until Release.
	Rows *applierv1.RowBatch
	// Rejects are the records that failed here.
	Rejects []*flowv1.Reject

	lane    *Lane
	batch   *changev1.Batch
	tables  []*row.Table
	opcodes []byte // of each change; filtered or rejected
	// failed are the outputs that rejected a change, here or in the target; nil while there are none.
	failed map[place]bool
	ready  []*ready // the records, where they were run together before
}

type place struct {
	change uint32
	output int32
}

// In opcodes: what is no letter of an operation.
const (
	filtered = '-'
	rejected = '!'
	unknown  = '?'
)

func letter(opcode string) byte {
	switch opcode {
	case "c", "u", "r", "d":
		return opcode[0]
	}
	return unknown
}

// Batch is the batch the result is of.
func (r *Result) Batch() *changev1.Batch { return r.batch }

// Release gives the result back to its lane; neither it nor its rows may be used any more.
func (r *Result) Release() {
	for _, t := range r.tables {
		t.Reset()
	}
	tables := r.Rows.Tables[:0]
	r.Rows.Reset()
	r.Rows.Tables = tables
	r.Rejects, r.failed, r.batch, r.ready = nil, nil, nil, nil
	r.lane.freeMu.Lock()
	defer r.lane.freeMu.Unlock()
	r.lane.free = append(r.lane.free, r)
}

// finish puts the rows together.
func (r *Result) finish() {
	b := r.batch
	r.Rows.Sequence, r.Rows.Position, r.Rows.State = b.GetSequence(), b.GetPosition(), b.GetState()
	r.Rows.Changes = uint32(len(b.GetChanges()))
	r.Rows.Hold = len(r.Rejects) > 0
	for _, t := range r.tables {
		if rows := t.Rows(); rows != nil {
			r.Rows.Tables = append(r.Rows.Tables, rows)
		}
	}
}

// Filtered counts the changes that a filter dropped.
func (r *Result) Filtered() uint64 {
	n := uint64(0)
	for _, opcode := range r.opcodes {
		if opcode == filtered {
			n++
		}
	}
	return n
}

// Counts adds what became of the batch: the changes that were written by their opcode, those that a filter dropped, and
// the rejects, one for each output of a record that failed. A change counts as written if an output took it.
func (r *Result) Counts(into *flowv1.Counts) {
	into.Changes += uint64(len(r.opcodes))
	into.Rejected += uint64(len(r.failed))
	var failures map[uint32]int
	if len(r.failed) > 0 {
		failures = make(map[uint32]int, len(r.failed))
		for p := range r.failed {
			failures[p.change]++
		}
	}
	for i, opcode := range r.opcodes {
		if failures != nil && failures[uint32(i)] == len(r.tables) {
			continue
		}
		switch opcode {
		case 'c':
			into.Inserted++
		case 'u', 'r':
			into.Updated++
		case 'd':
			into.Deleted++
		case filtered:
			into.Filtered++
		}
	}
}

// reject adds a record that failed; rec is the record after the blocks, out the output, nil where it did not come so far.
func (r *Result) reject(change uint32, rec *block.Record, out *row.Output, opcode string, failure *row.Error) {
	x := &flowv1.Reject{
		Change: change, Output: -1, Opcode: opcode, Reason: failure.Error(), ErrorClass: failure.Class,
		Block: failure.Block, Column: failure.Column, Attempts: 1,
	}
	if out != nil {
		x.Output = int32(out.Index)
		if rec != nil {
			x.Transformed = record.Encode(rec.Root)
		}
	}
	r.fill(x, out)
	if out != nil && rec == nil {
		x.Transformed = r.transformed(change)
	}
	r.mark(x)
	r.Rejects = append(r.Rejects, x)
}

func (r *Result) mark(x *flowv1.Reject) (first bool) {
	p := place{x.Change, x.Output}
	if r.failed[p] {
		return false
	}
	if r.failed == nil {
		r.failed = map[place]bool{}
	}
	r.failed[p] = true
	return true
}

// fill adds what is known of the change and of the output.
func (r *Result) fill(x *flowv1.Reject, out *row.Output) {
	c := r.batch.Changes[x.Change]
	x.SourceId = sourceID(c)
	x.Command = c.GetCommand()
	x.Key = append([]byte(nil), c.GetKey()...)
	x.Record = r.lane.program.captured(r.batch, c)
	if op := r.opcodes[x.Change]; x.Opcode == "" && (op == 'c' || op == 'u' || op == 'r' || op == 'd') {
		x.Opcode = string(op)
	} else if x.Opcode == "" {
		x.Opcode = opcode(c.GetOp())
	}
	if out == nil {
		return
	}
	x.Writer, x.Connection = out.Writer, out.Connection
	if x.Table == "" {
		x.Table = out.Table
	}
}

// Merge adds the rejects of the target, completed, to the result's own: one for each output of a change (design D9).
func (r *Result) Merge(target []*flowv1.Reject) []*flowv1.Reject {
	r.lane.mu.Lock()
	defer r.lane.mu.Unlock()
	all := r.Rejects
	for _, x := range target {
		if int(x.Change) >= len(r.batch.Changes) || !r.mark(x) {
			continue
		}
		var out *row.Output
		for _, t := range r.tables {
			if int32(t.Output().Index) == x.Output {
				out = t.Output()
			}
		}
		r.fill(x, out)
		x.Transformed = r.transformed(x.Change)
		all = append(all, x)
	}
	return all
}

// transformed is the record of a change after the blocks: as it was kept, where Redis was read for it, and otherwise made
// again. The lane is locked.
func (r *Result) transformed(change uint32) []byte {
	if r.ready != nil {
		if x := r.ready[change]; x.broken == nil && x.item.Kept {
			return record.Encode(x.item.Record.Root)
		}
		return nil
	}
	l, c := r.lane, r.batch.Changes[change]
	l.hash.Cut = l.program.keys.cut(l.hash.Cut[:0], c.GetKey())
	rec, kept, failure := l.record(r.batch, c, nil)
	if failure != nil || !kept {
		return nil
	}
	return record.Encode(rec.Root)
}
