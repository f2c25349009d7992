package recorder

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"slipstream/capture/gap"
	"slipstream/capture/lease"
	"slipstream/capture/source"
	"slipstream/capture/stream"
	"slipstream/proto/flow"
	"slipstream/proto/keyspace"
	capturev1 "slipstream/proto/slipstream/capture/v1"
)

// Config is what a recorder needs.
type Config struct {
	// Pipeline is the name of the pipeline.
	Pipeline string
	// Instance is the name of the capture instance.
	Instance string
	// Source is where the changes come from.
	Source *source.Config
	// Streams is where the streams are kept. Default: Source.
	Streams *source.Config
	// Gaps is told what may have been missed.
	Gaps Gaps
	// Flushes is told which jobs a flush of the source stops. Default: nobody is.
	Flushes Flushes
	// Metrics are counted in. Default: none.
	Metrics *Metrics
	// Log is told of starts, stops and changes of state. Default: slog.Default().
	Log *slog.Logger
	// Lease is how long the lease of a recorder that died stands in the way of the next. Default 6s.
	Lease time.Duration
	// Beat is the time between signs of life. Default 1s.
	Beat time.Duration
	// Memory bounds the events that wait to be written, bytes. Default 64 MB.
	Memory int
}

// Notifications records by keyspace events. It is a Recorder.
type Notifications struct {
	Config
	pipeline string
	rdb      *redis.Client // streams
	src      *redis.Client // source
	store    *stream.Store

	plan   atomic.Pointer[Plan]
	replan chan struct{} // capacity 1

	// Of the goroutine in Run.
	sessions int
	known    map[string]stream.ID
	alive    time.Time
	flushes  flushes // of the asking goroutine while there is one

	mu    sync.Mutex
	state state
}

var _ Recorder = (*Notifications)(nil)

// state is what Status shows.
type state struct {
	owner     string
	connected bool
	reason    string
	broke     string // why the last session ended
	since     time.Time
	recorded  uint64
	gaps      uint64
}

// NewNotifications returns a recorder by keyspace events. It connects in Run.
func NewNotifications(c Config) *Notifications {
	if c.Streams == nil {
		c.Streams = c.Source
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Lease <= 0 {
		c.Lease = 6 * time.Second
	}
	if c.Beat <= 0 {
		c.Beat = time.Second
	}
	if c.Memory <= 0 {
		c.Memory = 64 << 20
	}
	if c.Metrics == nil {
		c.Metrics = NewMetrics(nil)
	}
	n := &Notifications{
		Config: c, pipeline: c.Pipeline, replan: make(chan struct{}, 1), known: map[string]stream.ID{},
		state: state{since: time.Now(), reason: "starting"},
	}
	n.flushes.n = n
	return n
}

// Configure sets what is recorded.
func (n *Notifications) Configure(p *Plan) {
	n.plan.Store(p)
	signal(n.replan)
}

// Status tells the state.
func (n *Notifications) Status() *capturev1.RecorderStatus {
	n.mu.Lock()
	defer n.mu.Unlock()
	return &capturev1.RecorderStatus{
		Method:    capturev1.CaptureMethod_CAPTURE_METHOD_NOTIFICATIONS,
		Guarantee: capturev1.Guarantee_GUARANTEE_REPAIRED,
		Owner:     n.state.owner,
		Connected: n.state.connected,
		Recorded:  n.state.recorded,
		Reason:    n.state.reason,
		SinceMs:   n.state.since.UnixMilli(),
		Gaps:      n.state.gaps,
	}
}

// Run records until ctx ends.
func (n *Notifications) Run(ctx context.Context) error {
	n.rdb, n.src = n.Streams.Client(), n.Source.Client()
	n.store = stream.NewStore(n.rdb)
	defer func() { _, _ = n.rdb.Close(), n.src.Close() }() // nothing is under way any more
	token := lease.NewToken(n.Instance)
	pause := flow.Backoff{Base: 100 * time.Millisecond, Max: 3 * time.Second}
	defer n.Metrics.method(false)
	n.Metrics.method(true)
	for {
		began := time.Now()
		err := n.session(ctx, token)
		if ctx.Err() != nil {
			n.change(ctx, "stopped", func(s *state) { s.owner, s.connected = "", false })
			return nil
		}
		var taken *takenError
		wait := pause.Next()
		if errors.As(err, &taken) {
			n.change(ctx, taken.Error(), func(s *state) { s.owner, s.connected = taken.by, false })
			wait = n.Beat
		} else {
			n.change(ctx, err.Error(), func(s *state) { s.owner, s.connected, s.broke = "", false, err.Error() })
		}
		if time.Since(began) > 10*time.Second {
			pause.Reset()
		}
		if err := sleep(ctx, wait); err != nil {
			n.change(ctx, "stopped", func(s *state) { s.owner, s.connected = "", false })
			return nil
		}
	}
}

// change notes a new state, and says so once.
func (n *Notifications) change(ctx context.Context, reason string, to func(*state)) {
	n.mu.Lock()
	was := n.state
	to(&n.state)
	n.state.reason = reason
	now := n.state
	if was.connected != now.connected || was.reason != now.reason {
		n.state.since = time.Now()
	}
	n.mu.Unlock()
	n.Metrics.connected(now.connected)
	if was.connected != now.connected || was.reason != now.reason {
		n.Log.InfoContext(ctx, "recorder changed state", "pipeline", n.pipeline, "connected", now.connected,
			"owner", now.owner, "reason", now.reason)
	}
}

// waits notes that Redis does not take what is recorded, and why; an empty code says that it does again.
func (n *Notifications) waits(code string, err error) {
	reason := ""
	if err != nil {
		reason = "waiting: the server refuses to record: " + err.Error()
		n.Metrics.refused(code)
	}
	n.change(context.Background(), reason, func(*state) {})
}

// broke notes that the subscription is over.
func (n *Notifications) broke(err error) {
	n.change(context.Background(), err.Error(), func(s *state) { s.connected, s.broke = false, err.Error() })
}

func (n *Notifications) lastReason() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.state.broke == "" {
		return "reason unknown"
	}
	return n.state.broke
}

// attached notes that recording goes on.
func (n *Notifications) attached() {
	n.change(context.Background(), "", func(s *state) { s.owner, s.connected = n.Instance, true })
}

func (n *Notifications) recorded(t *table, b *batch, took time.Duration) {
	n.mu.Lock()
	n.state.recorded += uint64(len(b.entries))
	n.mu.Unlock()
	n.Metrics.batch(len(b.entries), took, b.entries[0].ms)
}

func (n *Notifications) openGap(ctx context.Context, g gap.Gap) error {
	if _, err := n.Gaps.Open(ctx, g); err != nil {
		return fmt.Errorf("recording a gap: %w", err)
	}
	n.mu.Lock()
	n.state.gaps++
	n.mu.Unlock()
	n.Metrics.gap(g.Cause)
	n.Log.InfoContext(ctx, "gap recorded", "pipeline", n.pipeline, "cause", g.Cause, "job", g.Job,
		"began", g.Began, "detail", g.Detail)
	return nil
}

// pauses is the waiting between attempts to write what the server refuses; the lease outlives each of them.
func (n *Notifications) pauses() flow.Backoff {
	return flow.Backoff{Base: 20 * time.Millisecond, Max: n.Lease / 4}
}

func (n *Notifications) leaseOf(token string) lease.Lease {
	return lease.Lease{Key: keyspace.Lease(n.pipeline, "recorder"), Token: token, TTL: n.Lease}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
