package job

import (
	"errors"
	"sync"

	applierv1 "slipstream/proto/slipstream/applier/v1"
	changev1 "slipstream/proto/slipstream/change/v1"

	"slipstream/transformer/block"
	"slipstream/transformer/expression"
	"slipstream/transformer/record"
	"slipstream/transformer/row"
)

// Lane runs a program. It is safe for concurrent use, one call at a time doing work.
type Lane struct {
	program *Program

	mu     sync.Mutex
	runner expression.Runner
	// Of the batch at hand, kept for their memory: the plan of each output (row) for each shape (column), the last for
	// deletes.
	plans [][]plan
	// Of previews: who looks on, and is told of each change before it is.
	watch watcher
	// Of the batch at hand, where a block reads from Redis: what became of the records, which were run together.
	ready []*ready
	hash  row.Hash
	names shapeNames

	freeMu sync.Mutex // apart from mu, so that nothing settled waits for a batch that is transformed
	free   []*Result
}

// plan is a plan and whether it belongs to the batch at hand.
type plan struct {
	row.Plan
	made bool
}

// NewLane makes a lane; Close it.
func NewLane(p *Program) *Lane { return &Lane{program: p, plans: make([][]plan, len(p.outputs))} }

// Close frees what expressions needed.
func (l *Lane) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.runner.Close()
}

// Run makes the rows of a batch. The result refers to the batch; Release it once the batch is settled.
func (l *Lane) Run(b *changev1.Batch) *Result {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.result(b)
	r.ready, l.ready = l.ready, nil
	l.names = append(l.names[:0], make(shapeNames, len(b.GetShapes()))...)
	for _, plans := range l.plans {
		for i := range plans {
			plans[i].made = false
		}
	}
	for i, c := range b.GetChanges() {
		if err := check(b, c); err != nil {
			r.opcodes[i] = rejected
			r.reject(uint32(i), nil, nil, "", &row.Error{Class: row.Validation, Err: err})
			continue
		}
		l.hash.Cut = l.program.keys.cut(l.hash.Cut[:0], c.GetKey())
		if l.program.indexed {
			r.own(c)
		}
		if l.program.planned && len(c.GetBefore()) == 0 &&
			(c.GetType() == changev1.ValueType_VALUE_TYPE_HASH || c.GetOp() == changev1.Op_OP_DELETE) {
			l.direct(r, uint32(i), c)
			continue
		}
		l.transform(r, uint32(i), c)
	}
	r.finish()
	return r
}

// direct writes a hash or a delete by plan, without a record.
func (l *Lane) direct(r *Result, i uint32, c *changev1.Change) {
	l.hash.Change, l.hash.Index, l.hash.Opcode = c, i, opcode(c.GetOp())
	r.opcodes[i] = letter(l.hash.Opcode)
	for n, t := range r.tables {
		if err := t.AddHash(l.plan(n, r.batch, c), &l.hash); err != nil {
			r.reject(i, nil, t.Output(), l.hash.Opcode, err)
		}
	}
	l.hash.Change = nil
}

// plan finds or makes the plan of an output for a change.
func (l *Lane) plan(output int, b *changev1.Batch, c *changev1.Change) row.Plan {
	n := len(b.GetShapes())
	var fields [][]byte
	if c.GetOp() != changev1.Op_OP_DELETE {
		n = int(c.GetShape())
		fields = b.GetShapes()[n].GetFields()
	}
	for n >= len(l.plans[output]) {
		l.plans[output] = append(l.plans[output], plan{})
	}
	p := &l.plans[output][n]
	if !p.made {
		p.Plan = l.program.outputs[output].Plan(p.Plan, fields, l.program.keys.names)
		p.made = true
	}
	return p.Plan
}

// transform makes the record of a change, runs the blocks, and writes the rows.
func (l *Lane) transform(r *Result, i uint32, c *changev1.Change) {
	rec, kept, failure := l.watched(r, c, i)
	switch {
	case failure != nil:
		r.opcodes[i] = rejected
		r.reject(i, nil, nil, "", failure)
		return
	case !kept:
		r.opcodes[i] = filtered
		if l.program.unfilters {
			l.unfilter(r, i, c)
		}
		return
	}
	op := l.program.opcode(rec, c)
	r.opcodes[i] = letter(op)
	for _, t := range r.tables {
		if err := t.Add(&l.runner, rec, op, i); err != nil {
			r.reject(i, rec, t.Output(), op, err)
		}
	}
}

// unfilter deletes the rows of a record that a filter dropped, where an output asks for it (A8): by its owner, or as the
// delete of the key would. What that does not find was not written from the Redis key, or is not there.
func (l *Lane) unfilter(r *Result, i uint32, c *changev1.Change) {
	for _, t := range r.tables {
		switch o := t.Output(); {
		case !o.RemovesFiltered():
		case o.Indexed():
			t.Disown(i)
		default:
			gone := &changev1.Change{
				Id: c.GetId(), Side: c.GetSide(), Key: c.GetKey(), Op: changev1.Op_OP_DELETE, Command: c.GetCommand(), TsMs: c.GetTsMs(), Db: c.GetDb(),
			}
			if rec, kept, failure := l.record(r.batch, gone, nil); failure == nil && kept {
				_ = t.Add(&l.runner, rec, "d", i) // without its key nothing is deleted (G7)
			}
		}
	}
}

// record builds and transforms the record of a change. Its key fields must have been cut.
func (l *Lane) record(b *changev1.Batch, c *changev1.Change, names shapeNames) (rec *block.Record, kept bool, failed *row.Error) {
	rec, err := l.program.build(b, c, names, l.hash.Cut)
	if err != nil {
		return nil, false, &row.Error{Class: row.Validation, Err: err}
	}
	kept, err = l.program.chain.Apply(&l.runner, rec)
	return ran(rec, kept, err)
}

// watched is record for the change with a number, with whoever looks on. It may have been run already.
func (l *Lane) watched(r *Result, c *changev1.Change, i uint32) (rec *block.Record, kept bool, failed *row.Error) {
	if r.ready != nil {
		x := r.ready[i]
		if x.broken != nil {
			return nil, false, x.broken
		}
		return ran(x.item.Record, x.item.Kept, x.item.Err)
	}
	if l.watch == nil {
		return l.record(r.batch, c, l.names)
	}
	rec, err := l.program.build(r.batch, c, l.names, l.hash.Cut)
	if err != nil {
		return nil, false, &row.Error{Class: row.Validation, Err: err}
	}
	kept, err = l.program.chain.Watch(&l.runner, rec, l.look(i, rec))
	return ran(rec, kept, err)
}

// look is what a preview sees of a record; nil where nobody looks on.
func (l *Lane) look(i uint32, rec *block.Record) func(name string, kept bool) {
	if l.watch == nil {
		return nil
	}
	l.watch.begin(i, rec)
	return func(name string, kept bool) { l.watch.block(i, rec, name, kept) }
}

// ran is what blocks made of a record, in the words of this package.
func ran(rec *block.Record, kept bool, err error) (*block.Record, bool, *row.Error) {
	if err == nil {
		return rec, kept, nil
	}
	failed := &row.Error{Class: row.Transform, Err: err}
	var failure *block.Failure
	if errors.As(err, &failure) {
		failed.Block, failed.Err = failure.Block, failure.Err
	}
	return nil, false, failed
}

// opcode is what outputs take for the operation: the member of a full record, which blocks may have changed, or else the
// change's own (spec 1.6).
func (p *Program) opcode(rec *block.Record, c *changev1.Change) string {
	if !p.full {
		return opcode(c.GetOp())
	}
	if value := rec.Root[block.Opcode]; value != nil {
		return record.Text(value)
	}
	return ""
}

// result is an empty result for a batch, made of an old one where there is one.
func (l *Lane) result(b *changev1.Batch) *Result {
	r := l.reuse()
	if r == nil {
		r = &Result{lane: l, Rows: &applierv1.RowBatch{}}
		for _, o := range l.program.outputs {
			r.tables = append(r.tables, row.NewTable(o))
		}
	}
	r.batch = b
	if n := len(b.GetChanges()); n <= cap(r.opcodes) {
		r.opcodes = r.opcodes[:n]
	} else {
		r.opcodes = make([]byte, n)
	}
	return r
}

// reuse takes a result that was released, nil where there is none.
func (l *Lane) reuse() *Result {
	l.freeMu.Lock()
	defer l.freeMu.Unlock()
	n := len(l.free)
	if n == 0 {
		return nil
	}
	r := l.free[n-1]
	l.free = l.free[:n-1]
	return r
}
