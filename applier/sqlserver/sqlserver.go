// Package sqlserver writes to Microsoft SQL Server, 2016 or newer, Azure SQL, and what speaks TDS and T-SQL with the same
// catalogue, through go-mssqldb.
//
// What a batch is here: one transaction on one connection of the pool. It begins with the move of the position, a
// compare-and-set whose row count is read before anything else is sent. A write is an UPDATE … FROM and an INSERT … WHERE
// NOT EXISTS, both under UPDLOCK and HOLDLOCK, fed from parameters or, where there are many rows, from a temporary table
// that was filled by bulk copy. There is no MERGE.
//
// Promises beyond those of package applier:
//
//   - A transaction that the server ended by itself (a trigger that rolls back, a conversion that fails, with XACT_ABORT or
//     without) is never written past: it is noticed by XACT_STATE, and inside Try it is begun again and what had been
//     written is written once more, so that one bad row costs one row also there (G5).
//   - No value takes a side way: numbers, dates and money travel as canonical text and are read by the server with a CAST
//     to the column's own type; text goes to varchar columns as varchar, so that their indexes are used.
//   - No OUTPUT clause on tables of the user: it fails where a table has triggers.
//   - Every name is quoted from the catalogue.
//
// Files: connect.go makes the pool from a connection's attributes (spec 2.3), login.go how to log in, catalogue.go reads
// tables, types.go maps types (spec 10.3), collation.go says what is equal and what fits, table.go binds outputs,
// position.go keeps the position table (design D4), rowindex.go the row index (D8), transaction.go is the unit of commit,
// write.go and history.go the statements, source.go where their rows come from, bulk.go the temporary table, errors.go the
// classes of error numbers (design D9), check.go what validate says, create.go makes tables, rehearse.go is for previews.
package sqlserver

import (
	"context"
	"database/sql"
	"sync"
	"time"

	"slipstream/applier"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// Name is the connection type this dialect serves.
const Name = "sqlserver"

// Dialect opens SQL Server targets. The zero value is ready.
type Dialect struct{}

var _ applier.Dialect = Dialect{}

// New makes the dialect.
func New() Dialect { return Dialect{} }

// Name implements applier.Dialect.
func (Dialect) Name() string { return Name }

// Connect implements applier.Dialect. It reads certificates and checks the attributes; the server is reached first when
// the target is used.
func (Dialect) Connect(_ context.Context, conn *pipelinev1.Connection, settings *pipelinev1.Settings) (applier.Target, error) {
	o, err := parseOptions(conn)
	if err != nil {
		return nil, misconfigured(conn, err)
	}
	connector, err := o.connector(conn)
	if err != nil {
		return nil, misconfigured(conn, err)
	}
	t := &target{
		db:               sql.OpenDB(connector),
		name:             conn.GetName(),
		user:             conn.GetUser(),
		database:         conn.GetDatabase(),
		statementTimeout: o.statementTimeout,
		rowsPerStatement: int(settings.GetWriteBatchSize()),
		position:         newPositionTable(settings.GetPositionTable()),
		rows:             newRowTable(settings.GetRowTable()),
		mayBulk:          o.bulkCopy,
	}
	t.db.SetMaxOpenConns(o.poolSize)
	t.db.SetMaxIdleConns(o.poolSize)
	t.db.SetConnMaxIdleTime(idleTime)
	if t.rowsPerStatement == 0 {
		t.rowsPerStatement = defaultRows
	}
	return t, nil
}

// target is a pool of connections to one database.
type target struct {
	db               *sql.DB
	name             string // of the connection
	user             string
	database         string
	statementTimeout time.Duration
	rowsPerStatement int
	position         positionTable
	rows             rowTable
	creating         sync.Mutex // lanes that open together create the position table once
	mayBulk          bool       // the connection allows bulk copy

	knowing sync.Mutex
	known   *facts
}

// Close implements applier.Target.
func (t *target) Close() error { return t.db.Close() }

// limited bounds a call in time: the driver cancels a statement that takes longer than statement_timeout.
func (t *target) limited(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, t.statementTimeout)
}
