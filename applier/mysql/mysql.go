// Package mysql writes to MySQL, 5.7 or newer, and MariaDB, 10.5 or newer, natively through go-sql-driver/mysql. The
// server says which of the two it is; what connection type the configuration names makes no difference.
//
// What a batch is here: one transaction. Sessions never commit by themselves, so a transaction begins with its first
// statement, which moves the position; how many rows it found is read before anything else is sent. A write is a
// statement of up to some thousand rows whose text is made here, each value spelled as its column's type wants it: one
// round trip, and nothing prepared that a proxy would have to remember.
//
// Promises beyond those of package applier:
//
//   - An upsert touches the row of its keys or none. INSERT … ON DUPLICATE KEY UPDATE fires on any unique index, so it is
//     used only where the one on the keys is the only one; elsewhere rows that are there are updated by a join, and the
//     others inserted. A value that another row holds in another unique index is a fault of class REFERENCE.
//   - Each session is strict, in UTC, and reads backslashes in texts as what they are: nothing is cut or zeroed, and one
//     character alone needs escaping.
//   - A transaction that the server rolled back by itself, as after a deadlock, takes no further statement.
//
// Files: connect.go makes the pool from a connection's attributes (spec 2.3), tls.go its TLS, server.go what each session
// is told and asked, link.go one connection in use, catalogue.go reads tables, types.go maps types (spec 10.3),
// literal.go spells values, table.go binds outputs, unique.go chooses how rows are upserted, position.go keeps the position
// table (design D4), rowindex.go the row index (D8), transaction.go is the unit of commit, write.go and history.go the
// statements, errors.go the classes of error numbers (design D9), check.go and grants.go what validate says, create.go
// makes tables, rehearse.go is for previews.
package mysql

import (
	"context"
	"database/sql"
	"sync"
	"sync/atomic"
	"time"

	"slipstream/applier"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// Name is the connection type this dialect serves; connections of type mariadb are served too.
const Name = "mysql"

// Dialect opens MySQL and MariaDB targets. The zero value is ready.
type Dialect struct{}

var (
	_ applier.Dialect = Dialect{}
	_ applier.Alias   = Dialect{}
)

// New makes the dialect.
func New() Dialect { return Dialect{} }

// Name implements applier.Dialect.
func (Dialect) Name() string { return Name }

// Aliases implements applier.Alias (spec 2.3).
func (Dialect) Aliases() []string { return []string{"mariadb"} }

// Connect implements applier.Dialect. It reads certificates and checks the attributes; the server is reached first when
// the target is used.
func (Dialect) Connect(_ context.Context, conn *pipelinev1.Connection, settings *pipelinev1.Settings) (applier.Target, error) {
	o, err := parseOptions(conn)
	if err != nil {
		return nil, misconfigured(conn, err)
	}
	t := &target{
		name:             conn.GetName(),
		user:             conn.GetUser(),
		database:         conn.GetDatabase(),
		plain:            o.tls.disabled,
		statementTimeout: o.statementTimeout,
		rowsPerStatement: int(settings.GetWriteBatchSize()),
		position:         newPositionTable(settings.GetPositionTable()),
		rows:             newRowTable(settings.GetRowTable()),
	}
	if t.rowsPerStatement == 0 {
		t.rowsPerStatement = defaultRows
	}
	c, err := newConnector(conn, o, &t.server)
	if err != nil {
		return nil, misconfigured(conn, err)
	}
	t.db = sql.OpenDB(c)
	t.db.SetMaxOpenConns(o.poolSize)
	t.db.SetMaxIdleConns(o.poolSize)
	t.db.SetConnMaxIdleTime(idleConnection)
	return t, nil
}

// target is a pool of connections to one database.
type target struct {
	db               *sql.DB
	name             string // of the connection
	user             string
	database         string
	plain            bool // ssl_disabled
	statementTimeout time.Duration
	rowsPerStatement int
	position         positionTable
	rows             rowTable
	server           atomic.Pointer[server] // set by the first connection, and by each one after it
	creating         sync.Mutex             // lanes that open together create the position table once
}

// Close implements applier.Target.
func (t *target) Close() error { return t.db.Close() }

// limited bounds a call in time. The server ends a statement after statement_timeout, where it can; a server that does
// not is given up a little later, and the connection with it.
func (t *target) limited(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, t.statementTimeout+unansweredAfter)
}
