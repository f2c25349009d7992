package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"slipstream/applier"
	"slipstream/proto/fault"
	flowv1 "slipstream/proto/slipstream/flow/v1"
)

// txn is one transaction; it has the writer's turn until it ends.
type txn struct {
	session *session
	handle  *handle
	ended   bool
}

// Try runs fn under a savepoint. Foreign keys that are deferred to the commit are looked at here: SQLite counts those
// that are open.
func (t *txn) Try(ctx context.Context, fn func() error) error {
	if err := t.handle.exec(ctx, "SAVEPOINT try"); err != nil {
		return err
	}
	err := fn()
	if err == nil {
		err = t.deferred()
	}
	if err == nil {
		return t.handle.exec(ctx, "RELEASE try")
	}
	if rerr := t.back(ctx); rerr != nil {
		return lostSavepoint(err, rerr)
	}
	return err
}

func (t *txn) back(ctx context.Context) error {
	if err := t.handle.exec(ctx, "ROLLBACK TO try"); err != nil {
		return err
	}
	return t.handle.exec(ctx, "RELEASE try")
}

// lostSavepoint is the fault after which a transaction cannot go on, whatever its rows are worth: a trigger or a
// constraint said ROLLBACK, or the file failed.
func lostSavepoint(err, rerr error) error {
	switch fault.Class(err) {
	case flowv1.FaultClass_FAULT_CLASS_DATA, flowv1.FaultClass_FAULT_CLASS_REFERENCE:
		return schemaFault("the table ends the whole transaction for one row: %w (%w)", err, rerr).
			WithFix("replace ON CONFLICT ROLLBACK or RAISE(ROLLBACK) in the schema by ABORT")
	}
	return err
}

func (t *txn) deferred() error {
	s, ok := t.handle.conn.(sqlite.DBStatus)
	if !ok {
		return nil
	}
	open, _, err := s.Status(sqlite.DBStatusDeferredFKs, false)
	if err != nil {
		return classed(err)
	}
	if open != 0 {
		return fault.Errorf(flowv1.FaultClass_FAULT_CLASS_REFERENCE, "a deferred foreign key is not satisfied").
			WithCode(codeName(sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY))
	}
	return nil
}

// Commit makes the transaction durable.
func (t *txn) Commit(ctx context.Context) error {
	if err := t.handle.exec(ctx, "COMMIT"); err != nil {
		return err
	}
	t.end()
	return nil
}

// Rollback undoes the transaction, unless it has ended.
func (t *txn) Rollback() error {
	if t.ended {
		return nil
	}
	t.handle.undo()
	t.end()
	return nil
}

func (t *txn) end() {
	t.ended = true
	t.session.txn = nil
	t.handle.give()
}

// Result codes that tell what may follow.
const (
	codeError = sqlite3.SQLITE_ERROR
	codeBusy  = sqlite3.SQLITE_BUSY
)

// code is the result code of an error of the driver; 0 where it has none.
func code(err error) int {
	var e *sqlite.Error
	if errors.As(err, &e) {
		return e.Code()
	}
	return 0
}

func fencedFault(format string, args ...any) error {
	return fault.Errorf(flowv1.FaultClass_FAULT_CLASS_FENCED, format, args...)
}

// Write does one thing with many rows.
func (t *txn) Write(ctx context.Context, w *applier.Write) error {
	switch w.Verb {
	case applier.Upsert:
		return t.upsert(ctx, w)
	case applier.Delete:
		return t.inChunks(ctx, w, w.Rows, w.Columns, deleteText)
	case applier.Prune:
		return t.prune(ctx, w)
	case applier.Insert:
		return t.inChunks(ctx, w, w.Rows, w.Columns, insertText)
	case applier.Close:
		return t.inChunks(ctx, w, w.Rows, w.Columns, closeText)
	case applier.Update:
		return t.inChunks(ctx, w, w.Rows, w.Columns, updateText)
	}
	return schemaFault("%s is not supported by SQLite targets", w.Verb)
}

// fill binds the columns of some rows, row after row.
func fill(args []driver.NamedValue, w *applier.Write, columns []int, rows []int32) error {
	i := 0
	for _, row := range rows {
		for _, c := range columns {
			v, err := bind(&w.Table.Columns[c].Type, w.Values.Columns[c].At(row))
			if err != nil {
				return err
			}
			args[i].Value = v
			i++
		}
	}
	return nil
}
