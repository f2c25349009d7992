package oracle

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"time"

	"slipstream/applier"
	"slipstream/proto/fault"
	changev1 "slipstream/proto/slipstream/change/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
)

// rollbackWithin is how long a rollback may take; a connection that cannot say it is closed, which rolls back too.
const rollbackWithin = 3 * time.Second

// session is a lane that holds its fence. Between transactions it holds no connection.
type session struct {
	target *target
	lane   *flowv1.Lane
	epoch  int64
	txn    *txn // under way
}

// Begin implements applier.Session: it moves the position, which nothing else comes before.
func (s *session) Begin(ctx context.Context, prev, next *changev1.Position, state *changev1.LaneState) (applier.Txn, error) {
	if s.txn != nil {
		return nil, fault.Errorf(flowv1.FaultClass_FAULT_CLASS_CONFLICT, "a transaction of this lane is still under way")
	}
	x, err := s.target.begin(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := s.target.limited(ctx)
	defer cancel()
	args := []any{
		applier.FormatID(next.GetMain()), applier.FormatID(next.GetSide()), optional(state.GetIncarnation()), optional(state.GetPhase()),
	}
	args = append(append(args, laneValues(s.lane)...), s.lane.GetSource(), s.epoch,
		applier.FormatID(prev.GetMain()), applier.FormatID(prev.GetSide()))
	result, err := x.tx.ExecContext(ctx, s.target.position.move, args...)
	moved := int64(0)
	if err == nil {
		moved, err = result.RowsAffected()
	}
	switch {
	case err != nil:
		return nil, errors.Join(s.target.positionFault("moving a position in", err), x.Rollback())
	case moved != 1:
		return nil, errors.Join(fault.Errorf(flowv1.FaultClass_FAULT_CLASS_FENCED, "another owner holds the lane or moved its position"), x.Rollback())
	}
	x.session, s.txn = s, x
	return x, nil
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
	target  *target
	session *session // nil: a rehearsal
	conn    *sql.Conn
	tx      *sql.Tx
	cancel  context.CancelFunc // breaks off what the transaction has under way
	over    bool
}

// begin takes a connection and begins a transaction on it. The driver holds on to the context of a transaction until its
// end, so that is one of its own.
func (t *target) begin(ctx context.Context) (*txn, error) {
	limited, done := t.limited(ctx)
	defer done()
	conn, err := t.db.Conn(limited)
	if err != nil {
		return nil, t.failed("connecting to "+quote(t.name), err)
	}
	life, cancel := context.WithCancel(context.WithoutCancel(ctx))
	tx, err := conn.BeginTx(life, nil)
	if err != nil {
		cancel()
		return nil, errors.Join(t.failed("beginning a transaction", err), conn.Close())
	}
	return &txn{target: t, conn: conn, tx: tx, cancel: cancel}, nil
}

const (
	setSavepoint      = "SAVEPOINT slipstream"
	rollBackSavepoint = "ROLLBACK TO SAVEPOINT slipstream"
	// Constraints that wait for the commit are checked, and wait again from here on.
	checkDeferred = "SET CONSTRAINTS ALL IMMEDIATE"
	deferAgain    = "SET CONSTRAINTS ALL DEFERRED"
)

// Try implements applier.Txn.
func (x *txn) Try(ctx context.Context, fn func() error) error {
	if x.over {
		return fault.Errorf(flowv1.FaultClass_FAULT_CLASS_CONFLICT, "the transaction is over")
	}
	if err := x.exec(ctx, setSavepoint); err != nil {
		return x.target.failed("setting a savepoint", err)
	}
	err := fn()
	if err == nil {
		if err = x.exec(ctx, checkDeferred); err == nil {
			err = x.exec(ctx, deferAgain)
		}
		if err != nil {
			err = x.target.failed("checking what the rows refer to", err)
		}
	}
	if err == nil {
		return nil
	}
	if class := fault.Class(err); class != flowv1.FaultClass_FAULT_CLASS_DATA && class != flowv1.FaultClass_FAULT_CLASS_REFERENCE {
		return err // the whole of it will be rolled back
	}
	if back := x.exec(ctx, rollBackSavepoint); back != nil {
		return x.target.failed("rolling back to a savepoint", back)
	}
	return err
}

func (x *txn) exec(ctx context.Context, text string) error {
	ctx, cancel := x.target.limited(ctx)
	defer cancel()
	_, err := x.tx.ExecContext(ctx, text)
	return err
}

// Commit implements applier.Txn.
func (x *txn) Commit(ctx context.Context) error {
	if x.over {
		return fault.Errorf(flowv1.FaultClass_FAULT_CLASS_CONFLICT, "the transaction is over")
	}
	ctx, done := x.target.limited(ctx)
	defer done()
	stop := context.AfterFunc(ctx, x.cancel)
	err := x.tx.Commit()
	stop()
	if err != nil {
		if errors.Is(err, context.Canceled) || errors.Is(err, sql.ErrTxDone) {
			// It was broken off: whether it happened is not known.
			return errors.Join(fault.Errorf(flowv1.FaultClass_FAULT_CLASS_CONNECTION, "committing: %w", err), x.end(true))
		}
		return x.target.failed("committing", err)
	}
	return x.end(false)
}

// Rollback implements applier.Txn.
func (x *txn) Rollback() error {
	if x.over {
		return nil
	}
	late := time.AfterFunc(rollbackWithin, x.cancel)
	err := x.tx.Rollback()
	late.Stop()
	broken := err != nil && !errors.Is(err, sql.ErrTxDone)
	if broken && !errors.Is(err, driver.ErrBadConn) {
		err = x.target.failed("rolling back", err)
	} else {
		err = nil // a connection that is gone is rolled back as well
	}
	return errors.Join(err, x.end(broken))
}

// end gives the connection back, or closes it: one that may have a transaction on it must not go back to the pool.
func (x *txn) end(broken bool) error {
	x.over = true
	x.cancel()
	if x.session != nil {
		x.session.txn = nil
	}
	if broken {
		_ = x.conn.Raw(func(any) error { return driver.ErrBadConn }) // which makes the pool close it
	}
	if err := x.conn.Close(); err != nil && !errors.Is(err, sql.ErrConnDone) && !errors.Is(err, driver.ErrBadConn) {
		return x.target.failed("giving back a connection", err)
	}
	return nil
}
