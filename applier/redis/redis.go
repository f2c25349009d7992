// Package redis writes to Redis and Valkey: hashes, JSON documents, sets, sorted sets, streams and strings (spec 5.5, 5.6).
//
// A row of an output is a key, or a member of one; pipelinev1.RedisForm says which. A transaction is a buffer of commands
// that goes to the server as MULTI … EXEC in one piece, the lane's position among them, so rows and position commit
// together (G3). The bytes of a batch are bounded by read_batch_size.
//
// The words: a command is what is sent; an answer what comes back, which may be a refusal; the ground is what the
// transaction has learnt of the keys it touches: their types, and the documents that it merges itself.
//
// Redis does not roll back: a command that fails inside EXEC fails alone. So everything that can fail for the sake of its
// data is found before: keys are WATCHed before their type is asked, and EXEC does nothing if one has changed since. A key
// of another type is a fault of class DATA, which rejects that record, and its neighbours commit. What the server refuses
// as a whole (out of memory, read only, no permission) it refuses when the command is queued, and EXEC does nothing.
// If a command fails inside EXEC all the same, the position is put back, and the rows of that command are refused when
// they come again.
//
// Lanes of one process that write to keys which others write too (sets, sorted sets, streams, documents with nest) or keep
// a row index take turns, so that they do not break each other's WATCH; lanes of several processes try again.
//
// On a Redis Cluster a transaction has one slot. Rows are written first, each key's commands together, the position last;
// all of it may happen twice, so streams are refused there (design D13).
//
// The package is a dialect of package applier; README.md has what an operator needs.
package redis

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/redis/go-redis/v9"

	"slipstream/applier"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// Dialect opens Redis targets. The zero value works.
type Dialect struct{}

var _ applier.Dialect = Dialect{}

// Name is the connection type served.
func (Dialect) Name() string { return "redis" }

// Connect prepares a target; the server is reached at first use. Options that make no sense are faults of class SCHEMA.
func (Dialect) Connect(_ context.Context, conn *pipelinev1.Connection, s *pipelinev1.Settings) (applier.Target, error) {
	o, err := readOptions(conn, s)
	if err != nil {
		return nil, err
	}
	t := &target{name: conn.GetName(), options: o, turn: make(chan struct{}, 1)}
	switch {
	case o.cluster:
		t.cluster = redis.NewClusterClient(o.clusterOptions())
	case o.master != "":
		t.single = redis.NewFailoverClient(o.failoverOptions())
	default:
		t.single = redis.NewClient(o.singleOptions())
	}
	return t, nil
}

// target is one Redis, or one cluster.
type target struct {
	name    string // of the connection
	options options
	single  *redis.Client        // nil on a cluster
	cluster *redis.ClusterClient // nil otherwise

	json atomic.Bool   // an output has documents
	turn chan struct{} // held by the lane that writes what other lanes write too
}

// Close ends the connections.
func (t *target) Close() error {
	var err error
	if t.single != nil {
		err = t.single.Close()
	} else {
		err = t.cluster.Close()
	}
	if err != nil {
		return fmt.Errorf("closing connection %q: %w", t.name, err)
	}
	return nil
}
