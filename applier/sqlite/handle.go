package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"

	"modernc.org/sqlite"

	"slipstream/proto/fault"
	flowv1 "slipstream/proto/slipstream/flow/v1"
)

// statementsKept is how many prepared statements a connection keeps before it forgets them all.
const statementsKept = 512

// handle is one connection to the file and the right to use it. The driver's connection is used directly: one goroutine
// at a time is what the handle sees to anyway, and rows are bound without a copy.
type handle struct {
	path    string
	options options
	turn    chan struct{} // holds a token while somebody uses the handle

	conn       driver.Conn
	file       os.FileInfo // what path was when it was opened
	statements map[string]driver.Stmt
	args       []driver.NamedValue
}

// conn is what the driver's connections can do.
type conn interface {
	driver.Conn
	driver.ExecerContext
	driver.QueryerContext
	driver.ConnPrepareContext
}

func newHandle(path string, o options) *handle {
	return &handle{path: path, options: o, turn: make(chan struct{}, 1)}
}

// take waits for the handle and opens the file if it is not open, or was replaced.
func (h *handle) take(ctx context.Context) error {
	select {
	case h.turn <- struct{}{}:
	case <-ctx.Done():
		return fault.New(flowv1.FaultClass_FAULT_CLASS_CONNECTION, ctx.Err())
	}
	if err := h.ready(ctx); err != nil {
		h.give()
		return err
	}
	return nil
}

// give lets the next one use the handle.
func (h *handle) give() { <-h.turn }

// ready makes sure that the connection is to the file that is at path now: SQLite would go on writing to a file that
// was deleted.
func (h *handle) ready(ctx context.Context) error {
	now, err := os.Stat(h.path)
	if err != nil {
		h.shut()
		return missingFile(h.path, err)
	}
	if h.conn != nil && os.SameFile(h.file, now) {
		return nil
	}
	if now.IsDir() {
		return schemaFault("%s is a folder", h.path).WithFix("set database to the path of the SQLite file")
	}
	h.shut()
	name := url.URL{Scheme: "file", Path: h.path, RawQuery: "mode=rw"}
	c, err := (&sqlite.Driver{}).Open(name.String())
	if err != nil {
		return fmt.Errorf("opening %s: %w", h.path, classed(err))
	}
	h.conn, h.file, h.statements = c, now, map[string]driver.Stmt{}
	for _, pragma := range []string{
		fmt.Sprintf("PRAGMA busy_timeout = %d", h.options.busyTimeout.Milliseconds()),
		"PRAGMA journal_mode = WAL",
		"PRAGMA synchronous = " + h.options.synchronous,
		fmt.Sprintf("PRAGMA foreign_keys = %t", h.options.foreignKeys),
	} {
		if err := h.exec(ctx, pragma); err != nil {
			h.shut()
			return fmt.Errorf("opening %s: %w", h.path, err)
		}
	}
	return nil
}

// shut closes the connection; the next to take the handle opens another.
func (h *handle) shut() {
	if h.conn == nil {
		return
	}
	h.forget()
	_ = h.conn.Close() // nothing is under way on it
	h.conn, h.file = nil, nil
}

func (h *handle) forget() {
	for _, s := range h.statements {
		_ = s.Close()
	}
	h.statements = map[string]driver.Stmt{}
}

// bounded puts statement_timeout on a call.
func (h *handle) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, h.options.statementTimeout)
}

// exec runs a statement that is not worth keeping.
func (h *handle) exec(ctx context.Context, text string, args ...any) error {
	ctx, cancel := h.bounded(ctx)
	defer cancel()
	_, err := h.conn.(conn).ExecContext(ctx, text, h.named(args))
	return classed(err)
}

// run runs a statement that comes again with other values.
func (h *handle) run(ctx context.Context, text string, args []driver.NamedValue) (driver.Result, error) {
	ctx, cancel := h.bounded(ctx)
	defer cancel()
	s := h.statements[text]
	if s == nil {
		if len(h.statements) >= statementsKept {
			h.forget()
		}
		var err error
		if s, err = h.conn.(conn).PrepareContext(ctx, text); err != nil {
			return nil, classed(err)
		}
		h.statements[text] = s
	}
	r, err := s.(driver.StmtExecContext).ExecContext(ctx, args)
	return r, classed(err)
}

// query calls each for every row of the answer.
func (h *handle) query(ctx context.Context, each func([]driver.Value) error, text string, args ...any) (err error) {
	ctx, cancel := h.bounded(ctx)
	defer cancel()
	rows, err := h.conn.(conn).QueryContext(ctx, text, h.named(args))
	if err != nil {
		return classed(err)
	}
	defer func() { err = errors.Join(err, classed(rows.Close())) }()
	values := make([]driver.Value, len(rows.Columns()))
	for {
		switch err := rows.Next(values); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return classed(err)
		}
		if err := each(values); err != nil {
			return err
		}
	}
}

func (h *handle) named(args []any) []driver.NamedValue {
	out := make([]driver.NamedValue, len(args))
	for i, a := range args {
		out[i] = driver.NamedValue{Ordinal: i + 1, Value: a}
	}
	return out
}

// slots are n numbered places for values; they are valid until the next call.
func (h *handle) slots(n int) []driver.NamedValue {
	for len(h.args) < n {
		h.args = append(h.args, driver.NamedValue{Ordinal: len(h.args) + 1})
	}
	return h.args[:n]
}

// missingFile says what is wrong with a path. The file is not made: see the package comment.
func missingFile(path string, err error) error {
	if !errors.Is(err, fs.ErrNotExist) {
		return fault.Errorf(flowv1.FaultClass_FAULT_CLASS_PERMISSION, "the database file cannot be reached: %w", err).
			WithFix("let the service read and write " + path)
	}
	return schemaFault("the database file %s does not exist", path).WithCode("SQLITE_CANTOPEN").
		WithFix("create it with its tables, for example: sqlite3 '" + path + "' < schema.sql")
}
