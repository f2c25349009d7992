package mysql

import (
	"bytes"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"time"
)

// rollbackWithin is how long a rollback may take; a connection that cannot say it is closed, which rolls back too.
const rollbackWithin = 3 * time.Second

// link is a connection of the pool in use. Sessions do not commit by themselves, so whoever sent anything ends with a
// commit or a rollback; release sees to it.
type link struct {
	conn   *sql.Conn
	server *server
	open   bool // a transaction may be under way
}

// link takes a connection from the pool.
func (t *target) link(ctx context.Context) (*link, error) {
	conn, err := t.db.Conn(ctx)
	if err != nil {
		return nil, t.unreachable(err)
	}
	return &link{conn: conn, server: t.server.Load()}, nil
}

// enter fails, as connecting would, where the connection's database is there no more: a session outlives it.
func (t *target) enter(ctx context.Context, l *link) error {
	if _, err := l.exec(ctx, "USE "+quote(t.database)); err != nil {
		return t.unreachable(err)
	}
	return nil
}

// exec runs a statement and tells how many rows it found.
func (l *link) exec(ctx context.Context, text string) (int64, error) {
	l.open = true
	result, err := l.conn.ExecContext(ctx, text)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// query runs a statement and gives each row to a function, NULL as nil. The values are valid during the call.
func (l *link) query(ctx context.Context, text string, row func(v [][]byte)) (err error) {
	l.open = true
	rows, err := l.conn.QueryContext(ctx, text)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	names, err := rows.Columns()
	if err != nil {
		return err
	}
	raw, values, into := make([]sql.RawBytes, len(names)), make([][]byte, len(names)), make([]any, len(names))
	for i := range raw {
		into[i] = &raw[i]
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return err
		}
		for i := range raw {
			values[i] = raw[i]
		}
		row(values)
	}
	return rows.Err()
}

// texts runs a query of one column and gives its rows as texts.
func (l *link) texts(ctx context.Context, text string) (list []string, err error) {
	err = l.query(ctx, text, func(v [][]byte) { list = append(list, string(v[0])) })
	return list, err
}

// understands has the server read a statement, look up its names and check the account's rights. Nothing runs.
func (l *link) understands(ctx context.Context, text string) (err error) {
	l.open = true
	prepared, err := l.conn.PrepareContext(ctx, text)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, prepared.Close()) }()
	return nil
}

// commit commits.
func (l *link) commit(ctx context.Context) error {
	_, err := l.exec(ctx, "COMMIT")
	if err == nil {
		l.open = false
	}
	return err
}

// rollback undoes what is not committed, whatever became of the caller's context. If that fails the connection is closed,
// which undoes it too.
func (l *link) rollback() error {
	if !l.open {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), rollbackWithin)
	defer cancel()
	_, err := l.exec(ctx, "ROLLBACK")
	if l.open = err != nil; l.open {
		l.discard()
	}
	return err
}

// release gives the connection back.
func (l *link) release() {
	if err := l.rollback(); err != nil {
		return // closed already
	}
	_ = l.conn.Close() // gives it back; the pool drops one that is broken
}

// discard closes the connection for good.
func (l *link) discard() {
	_ = l.conn.Raw(func(any) error { return driver.ErrBadConn })
	_ = l.conn.Close()
}

// clone copies a value that outlives its row; nil stays nil.
func clone(v []byte) []byte { return bytes.Clone(v) }
