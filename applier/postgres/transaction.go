package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"slipstream/applier"
	"slipstream/proto/fault"
	changev1 "slipstream/proto/slipstream/change/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
)

// rollbackWithin is how long a rollback may take; a connection that cannot say it is closed, which rolls back too.
const rollbackWithin = 3 * time.Second

// statement is one statement of the extended protocol: unnamed, its parameter types given.
type statement struct {
	sql     string
	values  [][]byte
	oids    []uint32
	formats []int16               // none: text
	results []int16               // formats of the rows; none: text
	row     func(values [][]byte) // takes each row; nil: none is expected
	tag     *pgconn.CommandTag    // where the command's tag goes; nil: nowhere
}

// flushBytes is how much the driver gathers before it goes out.
const flushBytes = 256 << 10

// exchange sends statements in one round trip and reads their answers. Where one fails those behind it do not run; failed
// is its index. The parameters of a statement may be reused when send returns.
func exchange(ctx context.Context, pg *pgconn.PgConn, all func(send func(statement) error) error) (failed int, err error) {
	p := pg.StartPipeline(ctx)
	var answers []statement // without parameters
	unsent := 0
	err = all(func(s statement) error {
		p.SendQueryParams(s.sql, s.values, s.oids, s.formats, s.results)
		answers = append(answers, statement{row: s.row, tag: s.tag})
		for _, v := range s.values {
			unsent += len(v)
		}
		if unsent < flushBytes {
			return nil
		}
		unsent = 0
		return p.Flush()
	})
	if err == nil {
		err = p.Sync()
	}
	for failed = 0; err == nil && failed < len(answers); failed++ {
		if err = answers[failed].read(p); err != nil {
			break
		}
	}
	// Close reads what is left up to the end of the exchange; its error is ours again, or a lost connection.
	return failed, errors.Join(err, unless(err != nil, p.Close()))
}

func unless(known bool, err error) error {
	if known {
		return nil
	}
	return err
}

// read reads the answer to one statement.
func (s *statement) read(p *pgconn.Pipeline) error {
	answer, err := p.GetResults()
	if err != nil {
		return err
	}
	r, ok := answer.(*pgconn.ResultReader)
	if !ok {
		return fmt.Errorf("the server's answers are out of order: %T", answer)
	}
	for r.NextRow() {
		if s.row != nil {
			s.row(r.Values())
		}
	}
	tag, err := r.Close()
	if s.tag != nil {
		*s.tag = tag
	}
	return err
}

// session is a lane that holds its fence. Between transactions it holds no connection.
type session struct {
	target *target
	lane   [][]byte
	epoch  string
	txn    *txn // under way

	// Reused from write to write.
	buffer []byte
	ends   []int
	values [][]byte
}

// Begin implements applier.Session. Nothing is sent yet: BEGIN and the move of the position travel with what comes first.
func (s *session) Begin(_ context.Context, prev, next *changev1.Position, state *changev1.LaneState) (applier.Txn, error) {
	if s.txn != nil {
		return nil, fault.Errorf(flowv1.FaultClass_FAULT_CLASS_CONFLICT, "a transaction of this lane is still under way")
	}
	id := func(id *changev1.StreamId) []byte { return []byte(applier.FormatID(id)) }
	values := append(append([][]byte{}, s.lane...), []byte(s.epoch), id(prev.GetMain()), id(next.GetMain()), id(next.GetSide()))
	if state == nil {
		values = append(values, nil, nil)
	} else {
		values = append(values, []byte(state.GetIncarnation()), []byte(state.GetPhase()))
	}
	values = append(values, id(prev.GetSide()))
	values = append(values, s.target.timeouts()...)
	s.txn = &txn{session: s, first: []statement{
		{sql: "BEGIN ISOLATION LEVEL READ COMMITTED"},
		{sql: s.target.position.move, values: values, oids: moveOIDs},
	}}
	return s.txn, nil
}

// indexOfMove is the place of the move among the statements a transaction begins with.
const indexOfMove = 1

// Close implements applier.Session.
func (s *session) Close() error {
	if s.txn == nil {
		return nil
	}
	return s.txn.Rollback()
}

// txn is a transaction on a connection of the pool, taken when there is something to send.
type txn struct {
	session *session
	conn    *pgxpool.Conn
	first   []statement // not sent yet: BEGIN, the move, savepoints
	begun   bool
	over    bool
}

// send runs statements, with what is still to be sent in front.
func (x *txn) send(ctx context.Context, all func(send func(statement) error) error) error {
	if x.over {
		return fault.Errorf(flowv1.FaultClass_FAULT_CLASS_CONFLICT, "the transaction is over")
	}
	t := x.session.target
	ctx, cancel := t.limited(ctx)
	defer cancel()
	if x.conn == nil {
		conn, err := t.pool.Acquire(ctx)
		if err != nil {
			return t.unreachable(err)
		}
		x.conn = conn
	}
	first, moves := x.first, !x.begun
	x.first, x.begun = nil, true
	at, err := exchange(ctx, x.conn.Conn().PgConn(), func(send func(statement) error) error {
		for _, s := range first {
			if err := send(s); err != nil {
				return err
			}
		}
		return all(send)
	})
	if err != nil && moves && at <= indexOfMove {
		if hasState(err, stateDivisionByZero) {
			return fault.Errorf(flowv1.FaultClass_FAULT_CLASS_FENCED, "another owner holds the lane or moved its position")
		}
		return t.positionFault("moving a position in", err)
	}
	return err
}

// only sends one statement.
func only(s statement) func(func(statement) error) error {
	return func(send func(statement) error) error { return send(s) }
}

const (
	setSavepoint      = "SAVEPOINT slipstream"
	rollBackSavepoint = "ROLLBACK TO SAVEPOINT slipstream"
	releaseSavepoint  = "RELEASE SAVEPOINT slipstream"
	// Constraints that wait for the commit are checked, and wait again from here on.
	checkDeferred = "SET CONSTRAINTS ALL IMMEDIATE"
	deferAgain    = "SET CONSTRAINTS ALL DEFERRED"
)

// Try implements applier.Txn.
func (x *txn) Try(ctx context.Context, fn func() error) error {
	x.first = append(x.first, statement{sql: setSavepoint})
	mark := len(x.first)
	err := fn()
	if err == nil {
		err = x.send(ctx, func(send func(statement) error) error {
			return errors.Join(send(statement{sql: checkDeferred}), send(statement{sql: deferAgain}),
				send(statement{sql: releaseSavepoint}))
		})
		if err != nil {
			err = failed("checking what the rows refer to", err)
		}
	}
	switch {
	case err == nil:
	case x.conn == nil || len(x.first) >= mark:
		x.first = x.first[:mark-1] // the savepoint was never set
	default:
		x.first = append(x.first, statement{sql: rollBackSavepoint}, statement{sql: releaseSavepoint})
	}
	return err
}

// Commit implements applier.Txn.
func (x *txn) Commit(ctx context.Context) error {
	var tag pgconn.CommandTag
	if err := x.send(ctx, only(statement{sql: "COMMIT", tag: &tag})); err != nil {
		return failed("committing", err)
	}
	x.end()
	if tag.String() != "COMMIT" {
		return fault.Errorf(flowv1.FaultClass_FAULT_CLASS_CONFLICT, "the server answered the commit with %s", tag)
	}
	return nil
}

// Rollback implements applier.Txn.
func (x *txn) Rollback() error {
	if x.over {
		return nil
	}
	defer x.end()
	if x.conn == nil || x.conn.Conn().PgConn().IsClosed() {
		return nil // never begun, or ended with the connection
	}
	ctx, cancel := context.WithTimeout(context.Background(), rollbackWithin)
	defer cancel()
	_, err := exchange(ctx, x.conn.Conn().PgConn(), only(statement{sql: "ROLLBACK"}))
	if err != nil {
		// A closed connection is rolled back as well; it must not go back to the pool with a transaction on it.
		return errors.Join(failed("rolling back", err), x.conn.Conn().PgConn().Close(ctx))
	}
	return nil
}

// end gives the connection back. The pool drops one that is closed or still in a transaction.
func (x *txn) end() {
	x.over = true
	x.session.txn = nil
	if x.conn != nil {
		x.conn.Release()
	}
}
