package sweep

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"slipstream/capture/source"
	"slipstream/capture/stream"
)

const (
	// share is how long a request waits before its sweep starts, so that the lanes of a job that open together share it.
	share = 300 * time.Millisecond
	// storeEvery is how often the cursor is stored: what is scanned again after a crash.
	storeEvery = time.Second
	// highWater is how many entries may wait in a side stream before the scan pauses (G8).
	highWater = 200_000
	// pausePoll is the time between looks whether the scan may go on.
	pausePoll = 100 * time.Millisecond
)

// Config is what a sweeper needs.
type Config struct {
	Book    *Book
	Streams *source.Config // where the streams are kept
	Source  *source.Config // where the keys are
	Redis   redis.UniversalClient
	Metrics *Metrics // default: none
	// HighWater is the most entries that wait in a side stream. Default 200,000.
	HighWater int
}

// Sweeper runs sweeps.
type Sweeper struct {
	Config
	store   *stream.Store
	targets atomic.Pointer[map[string]Target]
	seen    map[string]time.Time // when a waiting sweep was seen first
}

// NewSweeper returns a sweeper; Configure tells it what there is to sweep.
func NewSweeper(c Config) *Sweeper {
	if c.HighWater <= 0 {
		c.HighWater = highWater
	}
	if c.Metrics == nil {
		c.Metrics = NewMetrics(nil)
	}
	return &Sweeper{Config: c, store: stream.NewStore(c.Redis), seen: map[string]time.Time{}}
}

// Configure sets the targets, at any time. Sweeps of jobs that are no targets any more are dropped.
func (s *Sweeper) Configure(targets map[string]Target) { s.targets.Store(&targets) }

// Targets returns what Configure set.
func (s *Sweeper) Targets() map[string]Target {
	if t := s.targets.Load(); t != nil {
		return *t
	}
	return nil
}

// Step runs the oldest sweep there is to its end, and settles those that the lanes have settled. It reports whether it
// ran one. A sweep that was interrupted goes on where its cursor was stored.
func (s *Sweeper) Step(ctx context.Context) (ran bool, err error) {
	records, err := s.Book.records(ctx)
	if err != nil {
		return false, err
	}
	now := time.Now()
	settled := 0
	for i := range records {
		r := records[len(records)-1-i] // newest first, to keep the newest
		if _, ok := s.Targets()[r.Job]; !ok && s.targets.Load() != nil {
			if err := s.forget(ctx, r); err != nil {
				return false, err
			}
			continue
		}
		if !r.Settled.IsZero() {
			if settled++; settled > kept {
				if err := s.Book.drop(ctx, r.ID); err != nil {
					return false, err
				}
			}
			continue
		}
		if !r.Ended.IsZero() {
			if err := s.settle(ctx, r); err != nil {
				return false, err
			}
		}
	}
	var waits error
	for _, r := range records {
		target, ok := s.Targets()[r.Job]
		if !ok || !r.Ended.IsZero() || !r.Settled.IsZero() {
			continue
		}
		if first, ok := s.seen[r.ID]; r.queued() && (!ok || now.Sub(first) < share) {
			if !ok {
				s.seen[r.ID] = now
			}
			continue
		}
		err := s.run(ctx, r, target)
		if !errors.Is(err, errChanged) {
			delete(s.seen, r.ID)
		}
		switch {
		case errors.Is(err, errNotRecorded):
			waits = err // the others need not
			continue
		case errors.Is(err, errNotTaken): // it says so itself, and may for long
			continue
		case errors.Is(err, errChanged):
			return s.Step(ctx)
		}
		return true, err
	}
	return false, waits
}

// forget drops a sweep of a job that is gone.
func (s *Sweeper) forget(ctx context.Context, r record) error {
	delete(s.seen, r.ID)
	return s.Book.drop(ctx, append(r.waiting, r.ID)...)
}

// settle looks whether every lane has settled what a sweep found. Where a stream began anew meanwhile the sweep runs
// again: its entries are gone.
func (s *Sweeper) settle(ctx context.Context, r record) error {
	target := s.Targets()[r.Job]
	headers, err := s.store.Headers(ctx, target.Streams)
	if err != nil {
		return err
	}
	if len(headers) != len(r.Ends) {
		return s.again(ctx, r)
	}
	for i, h := range headers {
		if h.Incarnation != r.Ends[i].Incarnation || h.Lost {
			return s.again(ctx, r)
		}
		end, err := stream.ParseID(r.Ends[i].ID)
		if err != nil {
			return fmt.Errorf("reading sweep %q: %w", r.ID, err)
		}
		p, ok := h.Settled(target.Connections)
		if len(target.Connections) > 0 && (!ok || p.Side.Less(end)) {
			return nil
		}
	}
	if falls(headers) != r.Falls {
		if r.After > 0 {
			return s.again(ctx, r) // an older generation may have read some of it
		}
		r.Generation = 0
	}
	r.Settled = time.Now()
	s.Metrics.settled(r)
	return s.Book.store(ctx, &r)
}

func (s *Sweeper) again(ctx context.Context, r record) error {
	r.Ended, r.Ends, r.Cursor, r.Layout, r.Generation, r.Falls = time.Time{}, nil, 0, 0, 0, 0
	return s.Book.store(ctx, &r)
}

// errMoved says that the streams are not what they were when the sweep started; it starts again.
var errMoved = errors.New("the change streams began anew during the sweep")

// run scans for one sweep.
func (s *Sweeper) run(ctx context.Context, r record, t Target) (err error) {
	headers, err := s.store.Headers(ctx, t.Streams)
	if err != nil {
		return err
	}
	for _, h := range headers {
		if !h.Exists {
			return fmt.Errorf("sweeping job %q: %w", r.Job, errNotRecorded)
		}
	}
	begins := r.queued() || r.Selection != t.selection() || r.Layout != len(t.Streams)
	if begins {
		if err := s.taken(ctx, &r, t, headers); err != nil {
			return err
		}
	}
	scan, err := s.Source.DialDB(ctx, t.DB)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, scan.Close()) }()
	write, err := s.Streams.Dial(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, write.Close()) }()
	facts, err := source.Probe(ctx, s.Redis)
	if err != nil {
		return err
	}
	if s.Source != s.Streams {
		facts.JSON = true // another server: TYPE tells
	}
	if begins {
		r.Cursor, r.Scanned, r.Matched, r.Selection, r.Layout = 0, 0, 0, t.selection(), len(t.Streams)
		if r.queued() {
			r.Started = time.Now()
		}
	}
	size, err := scan.Do(ctx, "DBSIZE")
	if err != nil {
		return fmt.Errorf("counting keys: %w", err)
	}
	r.Total = uint64(size.Int)
	if err := s.Book.store(ctx, &r); err != nil {
		return err
	}
	found := &scanner{conn: scan, target: t, json: facts.JSON}
	side := newAppender(write, t.Streams, headers)
	if err := s.scan(ctx, &r, found, side); err != nil {
		return err
	}
	if headers, err = s.store.Headers(ctx, t.Streams); err != nil {
		return err
	}
	for i, h := range headers {
		if h.Incarnation != side.headers[i].Incarnation {
			return s.again(ctx, r)
		}
		r.Ends = append(r.Ends, end{Incarnation: h.Incarnation, ID: h.SideLast.String()})
	}
	r.Ended, r.Scanned, r.Total = time.Now(), max(r.Scanned, r.Total), max(r.Scanned, r.Total)
	return s.Book.store(ctx, &r)
}

// errNotRecorded says that nothing is recorded for a job yet: a sweep comes after `since` (design D10).
var errNotRecorded = errors.New("waiting until the job is recorded")

// scan goes through the keys.
func (s *Sweeper) scan(ctx context.Context, r *record, found *scanner, side *appender) error {
	rate := pace{rate: found.target.Rate}
	stored := time.Now()
	for {
		if err := s.room(ctx, found.target); err != nil {
			return err
		}
		n := rate.count()
		if err := sleep(ctx, rate.wait(time.Now(), n)); err != nil {
			return err
		}
		keys, next, err := found.next(ctx, r.Cursor, n)
		if err != nil {
			return err
		}
		err = side.append(ctx, keys)
		switch {
		case errors.Is(err, errMoved):
			return s.again(ctx, *r)
		case err != nil:
			return err
		}
		r.Scanned += uint64(max(n, len(keys)))
		r.Matched += uint64(len(keys))
		r.Cursor = next
		s.Metrics.scanned(n, len(keys))
		if next == 0 {
			return nil
		}
		r.Scanned = min(r.Scanned, r.Total)
		if time.Since(stored) >= storeEvery {
			if err := s.Book.store(ctx, r); err != nil {
				return err
			}
			stored = time.Now()
		}
	}
}

// room waits while the lanes are too far behind.
func (s *Sweeper) room(ctx context.Context, t Target) error {
	for {
		headers, err := s.store.Headers(ctx, t.Streams)
		if err != nil {
			return err
		}
		full := false
		for _, h := range headers {
			full = full || h.SideBacklog(t.Connections) > int64(s.HighWater)
		}
		if !full {
			return nil
		}
		if err := sleep(ctx, pausePoll); err != nil {
			return err
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
