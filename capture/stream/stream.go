// Package stream is the change streams in Redis (design D2, D4): their names, their entries, their headers, and the
// bookkeeping that lets any lane say whether it may continue where its target stopped.
//
// The words:
//
//   - main: the stream in which changes are recorded, by the recorder or by the application itself (foreign).
//   - side: the stream of sweeps and replays beside it. A lane reads both and its Position has one ID for each.
//   - header: a hash beside the main stream: incarnation, since, trimmed_to, last, and the same of the side stream.
//   - group: a consumer group a connection, on both streams. It delivers nothing; it is where lanes publish how far
//     their target is, so that XINFO GROUPS shows the true lag to anyone, and so that the trimmer knows what is settled.
//
// Promises: an entry is trimmed only when every connection of the job has settled it (a missing group forbids trimming),
// and never from a foreign stream. What may be trimmed is written to the header before it is gone. A Reader returns
// entries only after it has seen that the stream is still the incarnation it was opened for and that nothing between the
// position and the entries was trimmed: a lane never skips what it should have seen (G1).
//
// Neighbours: recorder and sweep write, lane and tail read, upkeep trims.
package stream

import (
	"github.com/redis/go-redis/v9"
)

// Store is the change streams of one Redis.
type Store struct {
	rdb redis.UniversalClient
}

// NewStore returns the change streams that rdb keeps.
func NewStore(rdb redis.UniversalClient) *Store { return &Store{rdb: rdb} }
