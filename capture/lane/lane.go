// Package lane drives one lane: it opens the lane at the transformer, decides from the position in the target where to
// go on, sends batches, and settles them.
//
// The words:
//
//   - session: the lane from one Open to the end of that stream. When it breaks, the next one starts from the position
//     that the target then has (G2, G3).
//   - opening: what a session starts with: a position, and where that cannot simply be the target's, a gap or an initial
//     load, and the state to store with it.
//   - flight: a batch sent and not settled.
//   - waiting: the target, the transformer or Redis holds the lane up; the lane says why and goes on by itself (G6).
//
// Promises: batches are sent in the stream's order; a position is published, a counter counted, and an entry given up to
// the trimmer only after its batch was settled (G2); rejects are stored before their batch may commit (D9); what is under
// way stays within the window in bytes and a few batches (D6). Cancelling Run's context ends the lane at once and at any
// point without harm (G3); Drain ends it after the last batch is settled.
//
// Neighbours: tail makes the batches, deadletter stores rejects, stream publishes positions, engine owns the lanes.
package lane

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"slipstream/capture/deadletter"
	"slipstream/capture/follow"
	"slipstream/capture/gap"
	"slipstream/capture/resp"
	"slipstream/capture/stream"
	"slipstream/capture/sweep"
	"slipstream/capture/tail"
	"slipstream/proto/flow"
	capturev1 "slipstream/proto/slipstream/capture/v1"
	changev1 "slipstream/proto/slipstream/change/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// Dial connects to a transformer. The stream ends with ctx.
type Dial func(ctx context.Context) (flow.Downlink[*changev1.Batch], error)

// Config is all that a lane needs.
type Config struct {
	// Lane names it; Open carries the rest to the other stages.
	Lane       *flowv1.Lane
	Generation uint64
	Job        *pipelinev1.Job
	Connection *pipelinev1.Connection
	Settings   *pipelinev1.Settings
	// Lookups are the connections that lookup blocks of the job read, references unresolved.
	Lookups []*pipelinev1.Connection
	// Owner is the instance, for logs and the position row.
	Owner string
	// Stream is what it reads, Database the logical database of the keys.
	Stream   stream.Stream
	Database uint32
	// Finite: the stream gets no more entries; Run returns when the lane has settled its end (design D2).
	Finite bool

	// Dial connects to a transformer.
	Dial Dial
	// Redis keeps the streams and everything beside them. Store, Bell, Sweeps and Gaps are on it; Streams dials it.
	Redis   redis.UniversalClient
	Store   *stream.Store
	Bell    *stream.Bell
	Sweeps  *sweep.Book
	Gaps    *gap.Book
	Streams func(context.Context) (*resp.Conn, error)
	// Values lends connections to the database of the keys.
	Values *tail.Pool

	// WindowBytes bounds the unsettled batches. Default 16 MB.
	WindowBytes uint64
	// Board is where those who follow changes look; nil: nobody does.
	Board *follow.Board
	// Metrics counts; required.
	Metrics *Metrics
	// Tracer makes the spans capture.read. Default: none.
	Tracer trace.Tracer
	// Logger tells of starts, stops and changes of state. Default: slog.Default().
	Logger *slog.Logger
	// Now is the clock. Default: time.Now.
	Now func() time.Time
}

// batchShare is the part of the window one batch may take, so that several fit.
const batchShare = 4

// Lane is a lane that runs or ran.
type Lane struct {
	c      Config
	log    *slog.Logger
	dead   *deadletter.Queue
	unread tail.Unread
	follow *follow.Lane
	drain  chan struct{} // closed by Drain
	once   sync.Once
	m      instruments

	mu       sync.Mutex
	state    capturev1.LaneState
	since    time.Time
	own      *flowv1.Fault // what holds it up on this side
	held     *flowv1.Fault // what the stages below say they wait for
	opened   *flowv1.Opened
	position stream.Position // settled last
	counts   flowv1.Counts   // since it was opened first
	flights  []flight
	pending  int64 // when the oldest gathered entry was made; 0: none
	commit   time.Duration
	window   samples
	rate     rate
	inFlight func() (int, uint64)
}

// New returns a lane; Run drives it.
func New(c Config) *Lane {
	if c.WindowBytes == 0 {
		c.WindowBytes = 16 << 20
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Tracer == nil {
		c.Tracer = noop.NewTracerProvider().Tracer("")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Lane{
		c: c, log: c.Logger.With("lane", flow.Name(c.Lane)), drain: make(chan struct{}),
		dead: deadletter.NewQueue(c.Redis, c.Lane, c.Settings, c.Now),
		m:    c.Metrics.of(c.Lane), follow: c.Board.Lane(c.Lane, c.Stream.Main),
		state: capturev1.LaneState_LANE_STATE_OPENING, since: c.Now(),
	}
}

// Drain asks the lane to end after the batches under way are settled. Run then returns. It may be called more than once.
func (l *Lane) Drain() { l.once.Do(func() { close(l.drain) }) }

// Drained says whether Drain was called.
func (l *Lane) Drained() bool { return l.draining() }

func (l *Lane) draining() bool {
	select {
	case <-l.drain:
		return true
	default:
		return false
	}
}

// Run drives the lane until it is drained, has reached the end of a finite stream (nil), or ctx ends (its cause). No
// goroutine of the lane runs when it returns.
func (l *Lane) Run(ctx context.Context) error {
	defer l.m.forget()
	l.log.InfoContext(ctx, "lane starts", "generation", l.c.Generation)
	back := l.backoff()
	for {
		begun := l.c.Now()
		err := l.session(ctx)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err == nil || l.draining() { // nothing is under way once a session has ended
			l.become(capturev1.LaneState_LANE_STATE_IDLE)
			l.log.InfoContext(ctx, "lane ends")
			return nil
		}
		if l.c.Now().Sub(begun) > 10*time.Second {
			back.Reset()
		}
		l.wait(ctx, err)
		l.pause(ctx, back.Next()) // a drain or the end of ctx is seen by the next session
	}
}

func (l *Lane) backoff() *flow.Backoff {
	longest := time.Duration(l.c.Settings.GetOnFailedRetryInterval()) * time.Second
	return &flow.Backoff{Base: min(100*time.Millisecond, max(longest, time.Millisecond)), Max: longest}
}

// pause waits and says whether it waited to the end.
func (l *Lane) pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
	case <-l.drain:
	}
	return false
}
