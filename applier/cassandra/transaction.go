package cassandra

import (
	"context"
	"errors"

	"golang.org/x/sync/errgroup"

	"slipstream/applier"
	"slipstream/proto/fault"
	changev1 "slipstream/proto/slipstream/change/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
)

const (
	// inFlight is how many requests of a transaction are under way at once.
	inFlight = 64
	// Rows of one partition travel together, as far as these go: a node applies them as one mutation.
	mostInGroup  = 100
	groupedBytes = 64 << 10
)

// session is a lane that holds its fence, with the write timestamps that it may use for its next batch.
type session struct {
	target   *target
	lane     *flowv1.Lane
	epoch    int64
	from, to int64
	txn      *txn // under way
	// suspect says that the cluster refused a row of the batch under way, which rows at a time will find.
	suspect bool
}

// op is a write of one row, or of the rows of one parent.
type op struct {
	cql
	stamp     int   // where the write timestamp stands among the values
	rank      int64 // its place in the range
	partition string
	size      int
	removes   bool
	of        *bound
}

// txn is what is to be written, held until the commit.
type txn struct {
	session    *session
	prev, next *changev1.Position
	state      *changev1.LaneState

	ops    []op
	writes int64             // how many writes there were: the rank of the next
	tables map[string]*bound // who wrote to a table
	first  []op              // of the row index: before the rows
	last   []op              // and behind them
	owners map[string]wire   // the owners that entries of the row index had, by output and row
	seen   []*applier.Write  // of a rehearsal
	try    func([]op) error  // replaces sending, in a rehearsal
	sure   bool              // the fence was seen to hold
	doomed bool              // a row was refused: the batch will be done again without its record
	over   bool
}

// Begin implements applier.Session. Nothing is sent yet.
func (s *session) Begin(_ context.Context, prev, next *changev1.Position, state *changev1.LaneState) (applier.Txn, error) {
	if s.txn != nil {
		return nil, fault.Errorf(flowv1.FaultClass_FAULT_CLASS_CONFLICT, "a transaction of this lane is still under way")
	}
	s.txn = &txn{session: s, prev: prev, next: next, state: state, tables: map[string]*bound{}, owners: map[string]wire{}}
	return s.txn, nil
}

// Close implements applier.Session.
func (s *session) Close() error {
	if s.txn == nil {
		return nil
	}
	return s.txn.Rollback()
}

// Try implements applier.Txn. What fn adds is taken back if it does not encode. Once the cluster has refused a row of the
// batch, rows are sent here to find which; and where fn adds nothing, everything so far is sent, because the caller wants
// to know whether it will pass. What was sent is not taken back: it is written again, or it is older than what is.
func (x *txn) Try(ctx context.Context, fn func() error) error {
	mark := len(x.ops)
	err := fn()
	if err == nil && (x.session.suspect || len(x.ops) == mark) {
		ctx, cancel := limited(ctx)
		defer cancel()
		err = x.flush(ctx)
	}
	if err != nil {
		x.ops = x.ops[:min(mark, len(x.ops))]
		x.doomed = x.doomed || fault.Class(err) == flowv1.FaultClass_FAULT_CLASS_DATA
	}
	return err
}

// Commit implements applier.Txn: the row index learns of new rows, rows are written and removed, the row index forgets old
// ones, and then the position moves. Wherever this ends, doing all of it again ends the same.
func (x *txn) Commit(ctx context.Context) error {
	ctx, cancel := limited(ctx)
	defer cancel()
	if x.over {
		return fault.Errorf(flowv1.FaultClass_FAULT_CLASS_CONFLICT, "the transaction is over")
	}
	if err := x.flush(ctx); err != nil {
		return err
	}
	if err := x.send(ctx, x.last); err != nil {
		return err
	}
	if err := x.move(ctx); err != nil {
		return err
	}
	x.session.suspect = false
	x.end()
	return nil
}

// move is the lightweight transaction that settles the batch (G2) and gives out the timestamps of the next one.
func (x *txn) move(ctx context.Context) error {
	s, t := x.session, x.session.target
	from, to := t.stamps(s.to)
	args := []any{wire(applier.FormatID(x.next.GetMain())), wire(applier.FormatID(x.next.GetSide())), bigint(to), t.clock()}
	q := cql{text: t.position.move}
	if x.state != nil {
		q.text = t.position.moveState
		args = append(args, wire(x.state.GetIncarnation()), wire(x.state.GetPhase()))
	}
	q.args = append(args, x.still()...)
	if err := x.swap(ctx, q, "moving a position in"); err != nil {
		return err
	}
	s.from, s.to = from, to
	return nil
}

// still is the position row and the condition that it is as this lane left it.
func (x *txn) still() []any {
	s := x.session
	return append(laneValues(s.lane), wire(s.lane.GetSource()), bigint(s.epoch),
		wire(applier.FormatID(x.prev.GetMain())), wire(applier.FormatID(x.prev.GetSide())))
}

func (x *txn) swap(ctx context.Context, q cql, doing string) error {
	won, err := x.session.target.cluster.swap(ctx, q)
	if err != nil {
		return x.session.target.positionFault(doing, err)
	}
	if !won {
		return lost()
	}
	return nil
}

// lost says that the fence is somebody else's.
func lost() error {
	return fault.Errorf(flowv1.FaultClass_FAULT_CLASS_FENCED, "another owner holds the lane or moved its position")
}

// flush sends what is held.
func (x *txn) flush(ctx context.Context) error {
	first, ops := x.first, x.ops
	x.first, x.ops = nil, nil
	if err := x.send(ctx, first); err != nil {
		return err
	}
	return x.send(ctx, ops)
}

// send runs writes, as many at once as may be. Before the first of them the fence is looked at: a lane that lost it writes
// nothing. One that loses it in the moment after writes with timestamps that the new owner's lie above (G4).
func (x *txn) send(ctx context.Context, ops []op) error {
	if len(ops) == 0 {
		return nil
	}
	if x.try != nil {
		return x.try(ops)
	}
	t := x.session.target
	if !x.sure {
		r, err := t.readRow(ctx, own, x.session.lane)
		if err != nil {
			return t.positionFault("reading", err)
		}
		if r == nil || !r.stands(x.session, x.prev) {
			return lost()
		}
		x.sure = true
	}
	if err := x.reserve(ctx, ops); err != nil {
		return err
	}
	all, ctx := errgroup.WithContext(ctx)
	all.SetLimit(inFlight)
	for _, g := range x.grouped(ops) {
		all.Go(func() error { return x.run(ctx, g) })
	}
	err := all.Wait()
	var u *unfit
	if errors.As(err, &u) {
		x.session.suspect = true
		return u.fault
	}
	return err
}

// reserve asks for more write timestamps where there are more writes than the range has room for.
func (x *txn) reserve(ctx context.Context, ops []op) error {
	s, t := x.session, x.session.target
	highest := int64(0)
	for i := range ops {
		highest = max(highest, ops[i].rank)
	}
	if s.from+highest <= s.to {
		return nil
	}
	to := s.from + highest + width
	if err := x.swap(ctx, cql{t.position.reserve, append([]any{bigint(to), t.clock()}, x.still()...)}, "reserving write timestamps in"); err != nil {
		return err
	}
	s.to = to
	return nil
}

// grouped puts together what goes to one partition of one table, in order.
func (x *txn) grouped(ops []op) [][]op {
	open := map[string]int{}
	var groups [][]op
	var sizes []int
	for i := range ops {
		o := &ops[i]
		if x.doomed && o.removes {
			continue // the batch will be done again, and may then remove less
		}
		g, ok := open[o.partition]
		if !ok || len(groups[g]) >= mostInGroup || sizes[g]+o.size > groupedBytes {
			g = len(groups)
			open[o.partition] = g
			groups, sizes = append(groups, nil), append(sizes, 0)
		}
		groups[g] = append(groups[g], *o)
		sizes[g] += o.size
	}
	return groups
}

// run sends one group.
func (x *txn) run(ctx context.Context, group []op) error {
	statements := make([]cql, len(group))
	level := asConfigured
	for i := range group {
		o := &group[i]
		o.args[o.stamp] = bigint(x.session.from + o.rank)
		statements[i] = o.cql
		if o.of == nil {
			level = own
		}
	}
	err := x.session.target.cluster.run(ctx, level, statements)
	if err == nil {
		return nil
	}
	if group[0].of == nil {
		return x.session.target.rowFault("writing", err)
	}
	doing := "writing to "
	if group[0].removes {
		doing = "deleting from "
	}
	f := x.session.target.sort(ctx, group[0].of, doing+group[0].of.relation.label(), err)
	if f.Class == flowv1.FaultClass_FAULT_CLASS_DATA {
		return &unfit{f}
	}
	return f
}

// unfit marks a fault of class DATA that the cluster found.
type unfit struct{ fault *fault.Error }

func (e *unfit) Error() string { return e.fault.Error() }

// Rollback implements applier.Txn.
func (x *txn) Rollback() error {
	if !x.over {
		x.end()
	}
	return nil
}

func (x *txn) end() {
	x.over = true
	x.ops, x.first, x.last = nil, nil, nil
	x.session.txn = nil
}
