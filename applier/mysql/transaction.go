package mysql

import (
	"context"

	"slipstream/applier"
	"slipstream/proto/fault"
	changev1 "slipstream/proto/slipstream/change/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
)

// session is a lane that holds its fence. Between transactions it holds no connection.
type session struct {
	target *target
	lane   laneKey
	epoch  string
	txn    *txn // under way

	buffer []byte // of statements, reused from write to write
}

// Begin implements applier.Session. The transaction begins with the move of the position, and how many rows that found is
// known before anything else is sent: a lane that lost its fence has nothing to commit.
func (s *session) Begin(ctx context.Context, prev, next *changev1.Position, state *changev1.LaneState) (applier.Txn, error) {
	if s.txn != nil {
		return nil, fault.Errorf(flowv1.FaultClass_FAULT_CLASS_CONFLICT, "a transaction of this lane is still under way")
	}
	x, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	found, err := x.exec(ctx, s.target.position.move(s, prev, next, state))
	switch {
	case err != nil:
		err = s.target.positionFault("moving a position in", err)
	case found != 1:
		err = fault.Errorf(flowv1.FaultClass_FAULT_CLASS_FENCED, "another owner holds the lane or moved its position")
	default:
		return x, nil
	}
	_ = x.Rollback() // a connection that cannot is closed, which is the same
	return nil, err
}

// begin takes a connection for a transaction. Nothing is sent: the first statement begins it.
func (s *session) begin(ctx context.Context) (*txn, error) {
	ctx, cancel := s.target.limited(ctx)
	defer cancel()
	l, err := s.target.link(ctx)
	if err != nil {
		return nil, err
	}
	s.txn = &txn{session: s, link: l}
	return s.txn, nil
}

// Close implements applier.Session.
func (s *session) Close() error {
	if s.txn == nil {
		return nil
	}
	return s.txn.Rollback()
}

// txn is a transaction on a connection of the pool.
type txn struct {
	session *session
	link    *link
	lost    *fault.Error // the server may have rolled back: nothing more may be sent, since it would begin anew
	known   []*bound     // tables whose unique index was seen in this transaction, which keeps it there
	memory  *memory      // the row index of a rehearsal where there is no table of it; else nil
	over    bool
}

// exec runs a statement and tells how many rows it found.
func (x *txn) exec(ctx context.Context, text string) (found int64, err error) {
	err = x.run(ctx, func(ctx context.Context) error {
		found, err = x.link.exec(ctx, text)
		return err
	})
	return found, err
}

// query runs a statement that returns rows.
func (x *txn) query(ctx context.Context, text string, row func(v [][]byte)) error {
	return x.run(ctx, func(ctx context.Context) error { return x.link.query(ctx, text, row) })
}

// run sends something, unless the transaction is over. After most errors it may be, without a word: a deadlock rolls
// everything back, and the next statement would begin another transaction, without the move of the position.
func (x *txn) run(ctx context.Context, send func(context.Context) error) error {
	switch {
	case x.over:
		return fault.Errorf(flowv1.FaultClass_FAULT_CLASS_CONFLICT, "the transaction is over")
	case x.lost != nil:
		return x.lost
	}
	ctx, cancel := x.session.target.limited(ctx)
	defer cancel()
	err := send(ctx)
	if err != nil && !staysOpen(err) {
		x.lost = failed("the transaction was lost", err)
	}
	return err
}

// staysOpen tells whether an error undoes the statement alone.
func staysOpen(err error) bool {
	switch class, _ := classOf(err); class {
	case flowv1.FaultClass_FAULT_CLASS_DATA, flowv1.FaultClass_FAULT_CLASS_REFERENCE, flowv1.FaultClass_FAULT_CLASS_SCHEMA,
		flowv1.FaultClass_FAULT_CLASS_PERMISSION:
		return true
	}
	return false
}

const (
	setSavepoint      = "SAVEPOINT slipstream" // in place of an earlier one
	rollBackSavepoint = "ROLLBACK TO SAVEPOINT slipstream"
)

// Try implements applier.Txn. No constraint waits for the commit here.
func (x *txn) Try(ctx context.Context, fn func() error) error {
	if _, err := x.exec(ctx, setSavepoint); err != nil {
		return failed("setting a savepoint", err)
	}
	undone := x.memory.copy()
	err := fn()
	if err == nil || x.lost != nil {
		return err
	}
	x.memory = undone
	if _, undo := x.exec(ctx, rollBackSavepoint); undo != nil {
		return failed("rolling back to a savepoint", undo)
	}
	return err
}

// Commit implements applier.Txn.
func (x *txn) Commit(ctx context.Context) error {
	err := x.run(ctx, x.link.commit)
	if err != nil {
		return failed("committing", err)
	}
	x.end()
	return nil
}

// Rollback implements applier.Txn.
func (x *txn) Rollback() error {
	if x.over {
		return nil
	}
	err := x.link.rollback()
	x.end()
	if err == nil || x.lost != nil && x.lost.Class == flowv1.FaultClass_FAULT_CLASS_CONNECTION {
		return nil // ended with the connection
	}
	return failed("rolling back", err)
}

// end gives the connection back.
func (x *txn) end() {
	x.over = true
	x.session.txn = nil
	x.link.release()
}
