// Package sqlite writes to SQLite database files, with SQLite linked in: the embedded default (design D12).
//
// SQLite has one writer at a time, so a target has one connection that writes, and lanes take turns at it, a transaction
// each; a second connection reads the catalogue beside it. The file is kept in WAL mode, so readers never wait. Other
// processes that write to the file are waited for up to busy_timeout; a longer wait is a CONFLICT and is tried again.
//
// Words: a statement is a prepared one, kept as long as its connection lives; the path is the file as opened, after a
// relative one was put below Dialect.DataDir.
//
// Promises: the file is never created, since an empty database in a place nobody meant would hide a typing error. A file
// that was replaced while it was open is noticed before the next transaction. Foreign keys are enforced. A value that
// SQLite would keep inexactly is refused (see bind).
//
// The package is a dialect of package applier; README.md has what an operator needs.
package sqlite

import (
	"context"
	"path/filepath"

	"slipstream/applier"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// Dialect opens SQLite targets. The zero value works.
type Dialect struct {
	// DataDir is where relative paths of connections begin. Default: the working directory.
	DataDir string
}

var _ applier.Dialect = Dialect{}

// Name is the connection type served.
func (Dialect) Name() string { return "sqlite" }

// Connect prepares a target; the file is opened at first use. Options that make no sense are faults of class SCHEMA.
func (d Dialect) Connect(_ context.Context, conn *pipelinev1.Connection, s *pipelinev1.Settings) (applier.Target, error) {
	o, err := readOptions(conn, s)
	if err != nil {
		return nil, err
	}
	path := conn.GetDatabase()
	if !filepath.IsAbs(path) {
		path = filepath.Join(d.DataDir, path)
	}
	if path, err = filepath.Abs(path); err != nil {
		return nil, schemaFault("finding the database file %q: %w", conn.GetDatabase(), err)
	}
	t := &target{name: conn.GetName(), path: path, options: o}
	t.writer = newHandle(path, o)
	t.reader = newHandle(path, o)
	return t, nil
}
