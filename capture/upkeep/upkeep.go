// Package upkeep does for a pipeline what only one instance may do, beside recording: it asks for the sweeps that repair
// open gaps and closes the gaps once they are settled, runs sweeps, and trims streams.
//
// Every instance runs it; the lease decides who works. Two at once, where one was paused and wakes, do no harm: a sweep
// that is read twice upserts twice, a trim never goes beyond what every lane has settled.
//
// Whatever it knows it reads from Redis, so it goes on where another instance ended: the gaps that are open are the
// truth (G1).
package upkeep

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"slipstream/capture/gap"
	"slipstream/capture/lease"
	"slipstream/capture/source"
	"slipstream/capture/stream"
	"slipstream/capture/sweep"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

const (
	leaseTime = 6 * time.Second
	poll      = 200 * time.Millisecond
	trimEvery = time.Second
)

// Config is what upkeep needs.
type Config struct {
	// Pipeline is the name of the pipeline.
	Pipeline string
	// Instance is the name of the capture instance.
	Instance string
	// Source is where the keys are.
	Source *source.Config
	// Streams is where the streams are kept. Default: Source.
	Streams *source.Config
	// Metrics of the sweeps. Default: none.
	Metrics *sweep.Metrics
	// Log is told of changes of state. Default: slog.Default().
	Log *slog.Logger
}

// Upkeep keeps a pipeline's streams.
type Upkeep struct {
	Config
	rdb    *redis.Client
	store  *stream.Store
	gaps   *gap.Book
	sweeps *sweep.Book
	runs   *sweep.Sweeper

	mu    sync.Mutex
	delay time.Duration
	owner string
	why   string // what it waits for
}

// New returns the upkeep of a pipeline; Configure tells it the jobs, Run works.
func New(c Config) *Upkeep {
	if c.Streams == nil {
		c.Streams = c.Source
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	rdb := c.Streams.Client()
	book := sweep.NewBook(rdb, c.Pipeline)
	return &Upkeep{
		Config: c, rdb: rdb, store: stream.NewStore(rdb), gaps: gap.NewBook(rdb, c.Pipeline), sweeps: book,
		runs: sweep.NewSweeper(sweep.Config{
			Book: book, Streams: c.Streams, Source: c.Source, Redis: rdb, Metrics: c.Metrics,
		}),
	}
}

// Configure sets the generation that is kept, at any time. Partitions is the layout that each job is recorded in.
func (u *Upkeep) Configure(p *pipelinev1.Pipeline, partitions func(*pipelinev1.Job) int) {
	u.mu.Lock()
	u.delay = time.Duration(p.GetSettings().GetTrimDelay()) * time.Second
	u.mu.Unlock()
	u.runs.Configure(sweep.Targets(p, u.Source, partitions))
}

// State tells which instance has the upkeep, as far as this one knows, and what it waits for, empty when for nothing.
func (u *Upkeep) State() (owner, waiting string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.owner, u.why
}

// Run works whenever it has the lease, until ctx ends; then it returns nil. It is called once.
func (u *Upkeep) Run(ctx context.Context) error {
	defer func() { _ = u.rdb.Close() }() // nothing is under way any more
	held := u.lease(lease.NewToken(u.Instance))
	for ctx.Err() == nil {
		had, err := held.Take(ctx, u.rdb)
		switch {
		case err != nil:
			u.note(ctx, "", err)
		case had == "" || had == held.Token:
			u.note(ctx, u.Instance, nil)
			if err := u.work(ctx, held); err != nil && ctx.Err() == nil {
				u.note(ctx, "", err)
			}
			continue
		default:
			u.note(ctx, lease.Instance(had), nil)
		}
		_ = sleep(ctx, trimEvery) // the loop looks at ctx
	}
	return nil
}

// note remembers the state, and says so when it changes.
func (u *Upkeep) note(ctx context.Context, owner string, err error) {
	why := ""
	if err != nil {
		why = err.Error()
	}
	u.mu.Lock()
	changed := u.owner != owner || u.why != why
	u.owner, u.why = owner, why
	u.mu.Unlock()
	if changed {
		u.Log.InfoContext(ctx, "upkeep changed state", "pipeline", u.Pipeline, "owner", owner, "reason", why)
	}
}

// work does the upkeep while the lease is ours.
func (u *Upkeep) work(ctx context.Context, held lease.Lease) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return u.hold(ctx, held) })
	group.Go(func() error { return u.every(ctx, poll, u.repair) })
	group.Go(func() error {
		return u.every(ctx, poll, func(ctx context.Context) error {
			for {
				if ran, err := u.runs.Step(ctx); !ran || err != nil {
					return err
				}
			}
		})
	})
	trims := map[time.Duration]*stream.Trimmer{}
	group.Go(func() error {
		return u.every(ctx, trimEvery, func(ctx context.Context) error { return u.trim(ctx, trims) })
	})
	return group.Wait()
}

// every runs a step again and again. An error of a step is noted and tried again: the others go on.
func (u *Upkeep) every(ctx context.Context, pause time.Duration, step func(context.Context) error) error {
	for {
		err := step(ctx)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			u.note(ctx, u.Instance, err)
			if err := sleep(ctx, time.Second); err != nil {
				return err
			}
			u.note(ctx, u.Instance, nil)
		}
		if err := sleep(ctx, pause); err != nil {
			return err
		}
	}
}

// repair asks for the sweeps of open gaps, and closes the gaps whose sweeps are settled.
func (u *Upkeep) repair(ctx context.Context) error {
	targets := u.runs.Targets()
	if targets == nil {
		return nil // not configured yet
	}
	gaps, err := u.gaps.List(ctx)
	if err != nil {
		return err
	}
	for _, g := range gaps {
		if !g.Open() {
			continue
		}
		if g.Sweeps == nil {
			err = u.begin(ctx, g, targets)
		} else {
			err = u.close(ctx, g)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// begin asks for the sweeps of a gap. When it dies on the way the gap is still open, without sweeps, and the next one
// begins again.
func (u *Upkeep) begin(ctx context.Context, g gap.Gap, targets map[string]sweep.Target) error {
	if err := u.gaps.Take(ctx, g); err != nil {
		return err
	}
	g.Sweeps = map[string]string{}
	for name, t := range targets {
		if g.Job != name && (g.Job != "" || t.Foreign) {
			continue
		}
		id, err := u.sweeps.Request(ctx, sweep.Request{Job: name, Cause: sweep.Repair})
		if err != nil {
			return err
		}
		g.Sweeps[name] = id
	}
	if len(g.Sweeps) == 0 {
		g.Repaired = time.Now() // its job is gone, and nobody lacks anything
	}
	return u.gaps.Store(ctx, g)
}

// close closes a gap whose sweeps are settled. A sweep of a job that is gone is dropped, and settles nothing any more.
func (u *Upkeep) close(ctx context.Context, g gap.Gap) error {
	for _, id := range g.Sweeps {
		settled, err := u.sweeps.Settled(ctx, id)
		if err != nil || !settled {
			return err
		}
	}
	g.Repaired = time.Now()
	if err := u.gaps.Store(ctx, g); err != nil {
		return err
	}
	u.Log.InfoContext(ctx, "gap repaired", "pipeline", u.Pipeline, "gap", g.ID, "cause", g.Cause, "job", g.Job)
	return nil
}

// trim trims the streams of all jobs.
func (u *Upkeep) trim(ctx context.Context, trims map[time.Duration]*stream.Trimmer) error {
	u.mu.Lock()
	delay := u.delay
	u.mu.Unlock()
	t := trims[delay]
	if t == nil {
		clear(trims)
		t = stream.NewTrimmer(u.store, delay)
		trims[delay] = t
	}
	// A server that runs out of memory keeps nothing for targets that come back a little older: they get a sweep.
	low, err := source.MemoryLow(ctx, u.rdb)
	if err != nil {
		return err
	}
	var inUse []stream.Stream
	for _, target := range u.runs.Targets() {
		for _, s := range target.Streams {
			inUse = append(inUse, s)
			if _, err := t.Step(ctx, time.Now(), s, target.Connections, low); err != nil {
				return err
			}
		}
	}
	t.Forget(inUse)
	return nil
}
