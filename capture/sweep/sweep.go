// Package sweep reads the keys of a job into its side streams: initial load, resync, repair of a gap (design D3.4). A
// sweep finds keys by SCAN and a type filter and appends an entry with op r for each; the lanes read the values when
// they come to it, so a sweep can never write anything older than what a lane already wrote (G4). A sweep upserts. It
// never deletes (G7).
//
// The words:
//
//   - Book: the sweeps of a pipeline, kept in Redis. Anybody may ask for one.
//   - Sweeper: runs the requested sweeps, one after the other, on the one instance that has the upkeep.
//   - settled: every lane of the job has settled what the sweep found.
//   - queued: asked for and not begun; what it will read is still to come.
//   - generation of a sweep: the lowest that a lane of the job had taken up when the scan began. What was found was written
//     as that one says, or a later one.
//
// A sweep that is queued is shared: who asks for one of the same job before it begins gets the same id, and where he wants it
// after a later generation, it begins after that one. The cursor is kept in Redis, so a sweep goes on where it stood when the
// instance died.
package sweep

import (
	"context"

	"github.com/redis/go-redis/v9"

	capturev1 "slipstream/proto/slipstream/capture/v1"
)

// Cause says why a sweep runs.
type Cause string

// Causes of sweeps.
const (
	InitialLoad Cause = "initial_load"
	Repair      Cause = "repair"
	Resync      Cause = "resync"
)

// Book is the sweeps of a pipeline.
type Book struct {
	rdb      redis.UniversalClient
	pipeline string
}

// NewBook returns the sweeps of a pipeline kept in rdb.
func NewBook(rdb redis.UniversalClient, pipeline string) *Book {
	return &Book{rdb: rdb, pipeline: pipeline}
}

// Find returns a sweep; nil when there is none of that id (any more).
func (b *Book) Find(ctx context.Context, id string) (*capturev1.Sweep, error) {
	return b.find(ctx, id)
}

// List returns every sweep kept, newest first: all that are not settled and the last that are.
func (b *Book) List(ctx context.Context) ([]*capturev1.Sweep, error) { return b.list(ctx) }

// Settled says whether every lane has settled what a sweep found. A sweep that is not kept any more counts as settled.
func (b *Book) Settled(ctx context.Context, id string) (bool, error) {
	s, err := b.find(ctx, id)
	return s == nil || s.GetSettledMs() != 0, err
}
