// Package cassandra writes to Apache Cassandra, 3.0 or newer, natively through its own driver.
//
// There are no transactions here, so a batch is not one: every row is written by a statement of its own, with a write
// timestamp that Slipstream chooses, and the position follows in a lightweight transaction when all of them are
// acknowledged. What is written twice is written alike, so the promise is at least once with the effect of once; a
// history cannot be kept, and is refused.
//
// Words. A transaction of package applier is a list here, held until its commit: undoing is forgetting. A range is the
// write timestamps that the position row has given to a lane; it is the fence of the rows, because the range of a newer
// owner lies above that of an older one. Whatever an older owner still has under way loses to what the newer one
// writes, whenever it arrives and whatever the clocks say (G4).
//
// Files: connect.go makes a session from a connection's attributes (spec 2.3), session.go is the only one that talks to
// the driver, catalogue.go reads system_schema, types.go maps types (spec 10.3), encode.go, literal.go and decode.go
// are their bytes, table.go binds outputs, position.go keeps the position table (design D4), rowindex.go the row index
// (D8), transaction.go is the list, write.go the statements, errors.go the classes of error codes (design D9), check.go
// what validate says, create.go makes tables, rehearse.go is for previews.
package cassandra

import (
	"context"
	"sync"
	"time"

	"slipstream/applier"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// Name is the connection type this dialect serves.
const Name = "cassandra"

// Dialect opens Cassandra targets. The zero value is ready.
type Dialect struct{}

var _ applier.Dialect = Dialect{}

// New makes the dialect.
func New() Dialect { return Dialect{} }

// Name implements applier.Dialect.
func (Dialect) Name() string { return Name }

// Connect implements applier.Dialect. It reads certificates and checks the attributes; the cluster is reached first when
// the target is used.
func (Dialect) Connect(_ context.Context, conn *pipelinev1.Connection, settings *pipelinev1.Settings) (applier.Target, error) {
	o, err := parseOptions(conn)
	if err != nil {
		return nil, misconfigured(conn, err)
	}
	t := newTarget(conn, settings)
	t.cluster = newDriver(o)
	return t, nil
}

// newTarget makes a target without a cluster behind it.
func newTarget(conn *pipelinev1.Connection, settings *pipelinev1.Settings) *target {
	return &target{
		name:     conn.GetName(),
		user:     conn.GetUser(),
		keyspace: conn.GetDatabase(),
		position: newPositionTable(settings.GetPositionTable(), conn.GetDatabase()),
		rows:     newRowTable(settings.GetRowTable(), conn.GetDatabase()),
		now:      time.Now,
	}
}

// target is a session with one cluster.
type target struct {
	cluster  cluster
	name     string // of the connection
	user     string
	keyspace string // of outputs that name none, and of our own tables
	position positionTable
	rows     rowTable
	creating sync.Mutex // lanes that open together create the tables once
	now      func() time.Time
}

// Close implements applier.Target.
func (t *target) Close() error {
	t.cluster.close()
	return nil
}
