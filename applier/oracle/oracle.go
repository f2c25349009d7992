// Package oracle writes to Oracle Database, 12.2 or newer, through a driver in Go: no Oracle client is needed.
//
// What a batch is here: one transaction, which begins by moving the position. A write is one statement that is bound to
// arrays: it goes over in one piece and the server runs it once a row. An upsert is a MERGE of one row from DUAL; that is
// one statement and one look at the index a row, and where another session has inserted the key meanwhile it fails with
// ORA-00001, which the engine tries again, instead of inserting twice.
//
// Promises beyond those of package applier:
//
//   - Every value travels as text, bytes or a large object, and is made the column's type by a function that is given its
//     format; numbers, dates and the like depend on no setting of the session. The settings are made all the same, for
//     the SQL that users write (spec 2.3).
//   - An empty string is NULL in this database. Where a key would be one, the record is rejected (G7).
//   - What the server would round or cut without a word is found before (numbers of more digits than it keeps).
//
// Files: connect.go makes the pool from a connection's attributes (spec 2.3), catalogue.go reads tables, types.go maps
// types (spec 10.3), bind.go makes parameters of values, table.go binds outputs, position.go keeps the position table
// (design D4), rowindex.go the row index (D8), transaction.go is the unit of commit, write.go and history.go the
// statements, errors.go the classes of error numbers (design D9), check.go what validate says, create.go makes tables,
// rehearse.go is for previews.
package oracle

import (
	"context"
	"database/sql"
	"sync"
	"time"

	"slipstream/applier"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// Name is the connection type this dialect serves.
const Name = "oracle"

// Dialect opens Oracle targets. The zero value is ready.
type Dialect struct{}

var _ applier.Dialect = Dialect{}

// New makes the dialect.
func New() Dialect { return Dialect{} }

// Name implements applier.Dialect.
func (Dialect) Name() string { return Name }

// Connect implements applier.Dialect. It checks the attributes; the server is reached first when the target is used.
func (Dialect) Connect(_ context.Context, conn *pipelinev1.Connection, settings *pipelinev1.Settings) (applier.Target, error) {
	o, err := parseOptions(conn)
	if err != nil {
		return nil, misconfigured(conn, err)
	}
	connector, err := newConnector(conn, o)
	if err != nil {
		return nil, misconfigured(conn, err)
	}
	return newTarget(sql.OpenDB(connector), conn, settings, o), nil
}

// newTarget makes a target of a pool.
func newTarget(db *sql.DB, conn *pipelinev1.Connection, settings *pipelinev1.Settings, o options) *target {
	db.SetMaxOpenConns(o.poolSize)
	db.SetMaxIdleConns(o.poolSize)
	db.SetConnMaxIdleTime(5 * time.Minute)
	t := &target{
		db:               db,
		name:             conn.GetName(),
		user:             conn.GetUser(),
		statementTimeout: o.statementTimeout,
		rowsPerStatement: int(settings.GetWriteBatchSize()),
		position:         newPositionTable(settings.GetPositionTable()),
		rows:             newRowTable(settings.GetRowTable()),
	}
	if t.rowsPerStatement == 0 {
		t.rowsPerStatement = defaultRows
	}
	return t
}

// target is a pool of connections to one database.
type target struct {
	db               *sql.DB
	name             string // of the connection
	user             string
	statementTimeout time.Duration
	rowsPerStatement int
	position         positionTable
	rows             rowTable
	creating         sync.Mutex // lanes that open together create the tables once
}

// Close implements applier.Target.
func (t *target) Close() error { return t.db.Close() }

// limited bounds a call in time: a statement that takes longer than statement_timeout is broken off.
func (t *target) limited(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, t.statementTimeout)
}
