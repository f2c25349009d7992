// Package sweep reads the keys of a job into its side streams: initial load, resync, repair of a gap (design D3.4). A
// sweep finds keys by SCAN and a type filter and appends an entry with op r for each; the lanes read the values when
// they come to it, so a sweep can never write anything older than what a lane already wrote (G4). A sweep upserts. It
// never deletes (G7).
//
// The words:
//
//   - Book: the sweeps of a pipeline, kept in Redis. Anybody may request one.
//   - Sweeper: runs the requested sweeps, one after the other, on the one instance that has the upkeep.
//   - settled: every lane of the job has settled what the sweep found.
//   - generation of a sweep: the lowest that a lane of the job had taken up when the scan began. What was found was written
//     as that one says, or a later one.
//
// A request that waits is shared: who asks for a sweep of the same job, cause and generation before it starts gets the same id. The
// cursor is kept in Redis, so a sweep goes on where it stood when the instance died.
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

// Request asks for a sweep of a job and returns its id. The caller's side position must lie at the end of the side
// streams or before when it asks: the sweep's entries come after.
func (b *Book) Request(ctx context.Context, job string, cause Cause) (string, error) {
	return b.request(ctx, job, cause, 0)
}

// RequestAfter asks for a sweep of a job that begins when every lane of the job has taken up a generation or a later one:
// nothing of it is written as an older one would.
func (b *Book) RequestAfter(ctx context.Context, job string, cause Cause, generation uint64) (string, error) {
	return b.request(ctx, job, cause, generation)
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
