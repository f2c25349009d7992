package sqlserver

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	"slipstream/applier"
	"slipstream/proto/fault"
	changev1 "slipstream/proto/slipstream/change/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
)

// rollbackWithin is how long a rollback may take; a connection that cannot say it is closed, which rolls back too.
const rollbackWithin = 3 * time.Second

// A transaction must survive the error of one row: XACT_ABORT would end it. IMPLICIT_TRANSACTIONS would begin another.
const (
	beginTransaction  = "SET XACT_ABORT OFF; SET IMPLICIT_TRANSACTIONS OFF; SET TRANSACTION ISOLATION LEVEL READ COMMITTED; BEGIN TRANSACTION"
	setSavepoint      = "SAVE TRANSACTION slipstream"
	rollBackSavepoint = "IF XACT_STATE() = 1 ROLLBACK TRANSACTION slipstream; SELECT XACT_STATE()"
	rollBack          = "IF @@TRANCOUNT > 0 ROLLBACK TRANSACTION"
	commit            = "COMMIT TRANSACTION"
)

// take gives a connection of the pool.
func (t *target) take(ctx context.Context) (*sql.Conn, error) {
	conn, err := t.db.Conn(ctx)
	if err != nil {
		return nil, t.unreachable(err)
	}
	return conn, nil
}

// give puts a connection back.
func (t *target) give(conn *sql.Conn) {
	_ = conn.Close() // of a connection that the pool takes back or has dropped; there is nothing to do about it
}

// drop closes a connection instead of giving it back, so that the server rolls back what is on it.
func (t *target) drop(conn *sql.Conn) {
	_ = conn.Raw(func(any) error { return driver.ErrBadConn }) // that is the way to say so, and its error
	t.give(conn)
}

// begin takes a connection and begins a transaction on it. A connection that died in the pool is not the lane's trouble:
// the next one is tried.
func (t *target) begin(ctx context.Context) (*sql.Conn, error) {
	for tries := 0; ; tries++ {
		conn, err := t.take(ctx)
		if err != nil {
			return nil, err
		}
		_, err = exec(ctx, conn, beginTransaction)
		if err == nil {
			return conn, nil
		}
		t.drop(conn)
		if tries > t.db.Stats().Idle || !errors.Is(err, driver.ErrBadConn) {
			return nil, t.unreachable(err)
		}
	}
}

// session is a lane that holds its fence. Between transactions it holds no connection.
type session struct {
	target *target
	lane   []any
	epoch  int64
	txn    *txn // under way
}

// Begin implements applier.Session.
func (s *session) Begin(ctx context.Context, prev, next *changev1.Position, state *changev1.LaneState) (applier.Txn, error) {
	if s.txn != nil {
		return nil, fault.Errorf(flowv1.FaultClass_FAULT_CLASS_CONFLICT, "a transaction of this lane is still under way")
	}
	ctx, cancel := s.target.limited(ctx)
	defer cancel()
	move := s.moveArguments(prev, next, state)
	x := &txn{session: s, move: func(ctx context.Context, x *txn) error { return x.movePosition(ctx, move) }}
	if err := x.start(ctx); err != nil {
		return nil, err
	}
	s.txn = x
	return x, nil
}

// Close implements applier.Session.
func (s *session) Close() error {
	if s.txn == nil {
		return nil
	}
	return s.txn.Rollback()
}

// txn is a transaction on a connection of its own.
type txn struct {
	session *session
	conn    *sql.Conn
	move    func(ctx context.Context, x *txn) error // what comes first in it; nil in a rehearsal
	done    []func(ctx context.Context) error       // what was written so far, to be done again where the server ended the transaction
	saves   bool                                    // a savepoint is to be set before the next statement
	saved   bool                                    // it was
	staged  int                                     // temporary tables made
	lost    error                                   // why the transaction is of no use any more
	over    bool
}

// start begins the transaction and moves the position. After an error nothing is left of it.
func (x *txn) start(ctx context.Context) (err error) {
	t := x.session.target
	if x.conn == nil {
		if x.conn, err = t.begin(ctx); err != nil {
			return err
		}
	} else if _, err = exec(ctx, x.conn, beginTransaction); err != nil {
		return failed("beginning a transaction", err)
	}
	if x.move == nil {
		return nil
	}
	if err = x.move(ctx, x); err != nil {
		x.abandon()
	}
	return err
}

// abandon rolls back and gives the connection back, or drops it.
func (x *txn) abandon() {
	if x.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), rollbackWithin)
	defer cancel()
	if _, err := exec(ctx, x.conn, rollBack); err != nil {
		x.session.target.drop(x.conn)
	} else {
		x.session.target.give(x.conn)
	}
	x.conn = nil
}

// do does something in the transaction that may have to be done again.
func (x *txn) do(ctx context.Context, fn func(ctx context.Context) error) error {
	switch {
	case x.over:
		return fault.Errorf(flowv1.FaultClass_FAULT_CLASS_CONFLICT, "the transaction is over")
	case x.lost != nil:
		return x.lost
	}
	ctx, cancel := x.session.target.limited(ctx)
	defer cancel()
	err := fn(ctx)
	if err == nil {
		x.done = append(x.done, fn)
	}
	return err
}

// exec runs a batch without parameters.
func (x *txn) exec(ctx context.Context, batch string) (sql.Result, error) {
	if err := x.save(ctx); err != nil {
		return nil, err
	}
	return exec(ctx, x.conn, batch)
}

// run runs a statement with parameters. It calls sp_executesql itself, as the driver would, but with types that do not
// depend on the values: else every length and every NULL would be another statement to compile.
func (x *txn) run(ctx context.Context, text *sqlText, args []any) (sql.Result, error) {
	if len(args) == 0 {
		return x.exec(ctx, text.sql)
	}
	if err := x.save(ctx); err != nil {
		return nil, err
	}
	return exec(ctx, x.conn, executeSQL, append([]any{text.sql, text.decl}, args...)...)
}

// executeSQL is the procedure that runs a statement with parameters.
const executeSQL = "sp_executesql"

// save sets the savepoint that Try has asked for.
func (x *txn) save(ctx context.Context) error {
	if !x.saves {
		return nil
	}
	if _, err := exec(ctx, x.conn, setSavepoint); err != nil {
		return err
	}
	x.saves, x.saved = false, true
	return nil
}

// Try implements applier.Txn. No constraint of SQL Server is deferred.
func (x *txn) Try(ctx context.Context, fn func() error) error {
	if x.lost != nil {
		return x.lost
	}
	mark := len(x.done)
	x.saves, x.saved = true, false
	err := fn()
	saved := x.saved
	x.saves, x.saved = false, false
	if err == nil {
		return nil
	}
	x.done = x.done[:mark]
	if !saved || x.lost != nil {
		return err // nothing was sent
	}
	if lost := x.undo(ctx, err); lost != nil {
		return lost
	}
	return err
}

// undo goes back to the savepoint. Where the server has ended the transaction there is none: then, if the error is of a
// row, all that was written before is written again in a new one.
func (x *txn) undo(ctx context.Context, cause error) error {
	ctx, cancel := x.session.target.limited(context.WithoutCancel(ctx))
	defer cancel()
	state := 0
	err := each(ctx, x.conn, func(scan func(...any) error) error { return scan(&state) }, rollBackSavepoint)
	if err != nil {
		x.lost = failed("rolling back to a savepoint", err)
		return x.lost
	}
	if state == 1 {
		return nil
	}
	switch fault.Class(cause) {
	case flowv1.FaultClass_FAULT_CLASS_DATA, flowv1.FaultClass_FAULT_CLASS_REFERENCE:
	default:
		x.lost = cause
		return nil
	}
	if _, err := exec(ctx, x.conn, rollBack); err != nil {
		x.lost = failed("rolling back", err)
		return x.lost
	}
	if err := x.start(ctx); err != nil {
		x.lost = err
		return err
	}
	for _, fn := range x.done {
		if err := fn(ctx); err != nil {
			f := failed("writing again what was written before the server ended the transaction", err)
			if f.Class == flowv1.FaultClass_FAULT_CLASS_DATA || f.Class == flowv1.FaultClass_FAULT_CLASS_REFERENCE {
				f.Class = flowv1.FaultClass_FAULT_CLASS_CONFLICT // it had passed: somebody else was there meanwhile
			}
			x.lost = f
			return f
		}
	}
	return nil
}

// Commit implements applier.Txn.
func (x *txn) Commit(ctx context.Context) error {
	switch {
	case x.over:
		return fault.Errorf(flowv1.FaultClass_FAULT_CLASS_CONFLICT, "the transaction is over")
	case x.lost != nil:
		return x.lost
	}
	ctx, cancel := x.session.target.limited(ctx)
	defer cancel()
	if _, err := exec(ctx, x.conn, commit); err != nil {
		return failed("committing", err)
	}
	x.end()
	x.session.target.give(x.conn)
	return nil
}

// Rollback implements applier.Txn.
func (x *txn) Rollback() error {
	if x.over {
		return nil
	}
	x.end()
	x.abandon()
	return nil
}

func (x *txn) end() {
	x.over = true
	x.session.txn = nil
}

// movePosition is the compare-and-set of design D4. Its row count is read before anything else is sent.
func (x *txn) movePosition(ctx context.Context, args []any) error {
	t := x.session.target
	result, err := exec(ctx, x.conn, executeSQL, append([]any{t.position.move.sql, t.position.move.decl}, args...)...)
	if err != nil {
		return t.positionFault("moving a position in", err)
	}
	moved, err := result.RowsAffected()
	if err != nil {
		return fmt.Errorf("moving a position: %w", err)
	}
	if moved != 1 {
		return fault.Errorf(flowv1.FaultClass_FAULT_CLASS_FENCED, "another owner holds the lane or moved its position")
	}
	return nil
}
