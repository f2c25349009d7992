// Package gap is the record of gaps: spans of time or of a stream in which changes may have been missed (G1). The open
// gaps in Redis are the truth: whoever finds a gap opens it here and does nothing else; upkeep asks for the sweeps that
// repair it, also after any crash, and closes it when the repair has reached every target.
package gap

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"

	capturev1 "slipstream/proto/slipstream/capture/v1"
)

// Causes of gaps.
const (
	// Connect: the recorder connected, or another instance took over; between the two nobody recorded.
	Connect = "connect"
	// Reconnect: the recorder lost its connection, or was cut off by the server.
	Reconnect = "reconnect"
	// Trimmed: a lane's position lies before what the stream still has.
	Trimmed = "trimmed"
	// Incarnation: the stream had to begin anew.
	Incarnation = "incarnation"
	// Position: a lane's position is beyond what was recorded.
	Position = "position"
	// Flush: the source was emptied by FLUSHDB, FLUSHALL or SWAPDB. Rows stay (G7).
	Flush = "flush"
)

// Gap is a gap and how far its repair has come.
type Gap struct {
	ID       string    `json:"id"`
	Cause    string    `json:"cause"`
	Job      string    `json:"job,omitempty"` // empty: every job that is recorded
	Began    time.Time `json:"began"`
	Ended    time.Time `json:"ended"`
	Repaired time.Time `json:"repaired,omitzero"`
	Detail   string    `json:"detail,omitempty"`
	// Sweeps are the repairs by job: the id of the sweep.
	Sweeps map[string]string `json:"sweeps,omitempty"`
}

// Open says whether the gap is not repaired yet.
func (g Gap) Open() bool { return g.Repaired.IsZero() }

// Proto returns the gap as the status shows it.
func (g Gap) Proto() *capturev1.Gap {
	ms := func(t time.Time) int64 {
		if t.IsZero() {
			return 0
		}
		return t.UnixMilli()
	}
	return &capturev1.Gap{
		Id: g.ID, Cause: g.Cause, Job: g.Job, Detail: g.Detail,
		BeganMs: ms(g.Began), EndedMs: ms(g.Ended), RepairedMs: ms(g.Repaired),
	}
}

// Book is the gaps of a pipeline.
type Book struct {
	rdb      redis.UniversalClient
	pipeline string
}

// NewBook returns the gaps of a pipeline kept in rdb.
func NewBook(rdb redis.UniversalClient, pipeline string) *Book {
	return &Book{rdb: rdb, pipeline: pipeline}
}

// Open records a gap and returns its id. An open gap of the same job and cause whose sweeps were not asked for yet takes
// the new one in, so that the lanes of a restored target share one repair.
func (b *Book) Open(ctx context.Context, g Gap) (string, error) { return b.open(ctx, g) }

// List returns every gap kept, newest first: all that are open and the last that were repaired.
func (b *Book) List(ctx context.Context) ([]Gap, error) { return b.list(ctx) }
