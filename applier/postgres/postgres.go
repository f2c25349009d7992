// Package postgres writes to PostgreSQL, 12 or newer, natively through pgx.
//
// What a batch is here: one transaction in one or two round trips a write. BEGIN, the move of the position and the first
// write travel together; the move fails in the server when the lane lost its fence, which stops what follows it. A write
// is an INSERT … SELECT from unnested arrays with ON CONFLICT, whose parameters are encoded straight from the batch's
// columns: the client makes no string and the server plans one statement, however many rows there are.
//
// Promises beyond those of package applier:
//
//   - Nothing relies on a named prepared statement or on the state of a session, so a pooler in transaction mode works:
//     every statement is unnamed and brings its parameter types along, and timeouts are set for the transaction alone.
//   - Every name and every cast is qualified and quoted from the catalogue; the search path decides only where a table
//     without a schema is looked for.
//   - Casts have no length: a value too long for its column is an error of the server too, never cut.
//
// Files: connect.go makes the pool from a connection's attributes (spec 2.3), catalogue.go reads tables, types.go maps
// types (spec 10.3), table.go binds outputs, position.go keeps the position table (design D4), rowindex.go the row index
// (D8), transaction.go is the unit of commit, write.go and history.go the statements, array.go their parameters,
// errors.go the classes of SQLSTATE (design D9), check.go what validate says, create.go makes tables, rehearse.go is for
// previews.
package postgres

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"slipstream/applier"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// Name is the connection type this dialect serves.
const Name = "postgresql"

// Dialect opens PostgreSQL targets. The zero value is ready.
type Dialect struct{}

var _ applier.Dialect = Dialect{}

// New makes the dialect.
func New() Dialect { return Dialect{} }

// Name implements applier.Dialect.
func (Dialect) Name() string { return Name }

// Connect implements applier.Dialect. It reads certificates and checks the attributes; the server is reached first when
// the target is used.
func (Dialect) Connect(ctx context.Context, conn *pipelinev1.Connection, settings *pipelinev1.Settings) (applier.Target, error) {
	o, err := parseOptions(conn)
	if err != nil {
		return nil, misconfigured(conn, err)
	}
	config, err := poolConfig(conn, o)
	if err != nil {
		return nil, misconfigured(conn, err)
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, misconfigured(conn, err)
	}
	t := &target{
		pool:             pool,
		name:             conn.GetName(),
		user:             conn.GetUser(),
		database:         conn.GetDatabase(),
		statementTimeout: o.statementTimeout,
		rowsPerStatement: int(settings.GetWriteBatchSize()),
		position:         newPositionTable(settings.GetPositionTable()),
		rows:             newRowTable(settings.GetRowTable()),
	}
	if t.rowsPerStatement == 0 {
		t.rowsPerStatement = defaultRows
	}
	return t, nil
}

// target is a pool of connections to one database.
type target struct {
	pool             *pgxpool.Pool
	name             string // of the connection
	user             string
	database         string
	statementTimeout time.Duration
	rowsPerStatement int
	position         positionTable
	rows             rowTable
	creating         sync.Mutex // lanes that open together create the position table once
}

// Close implements applier.Target.
func (t *target) Close() error {
	t.pool.Close()
	return nil
}

// limited bounds a call in time. The server ends a statement after statement_timeout; a server that cannot say so any
// more is given up a little later.
func (t *target) limited(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, t.statementTimeout+unansweredAfter)
}
