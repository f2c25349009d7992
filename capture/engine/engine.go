// Package engine is the supervisor of a capture instance: it watches the pipelines that the gateway deployed, shares
// their lanes with the other instances, and runs recorder, upkeep and lanes.
//
// The words:
//
//   - store: the Redis in which the gateway keeps the pipelines (keyspace.Pipelines, keyspace.Pipeline).
//   - site: the connections of a pipeline to its source and to where its streams are, with recorder and upkeep on them.
//   - plan: the lanes that a generation wants: enabled jobs × connections of their outputs × partitions.
//   - share: the lanes of the plan that fall to this instance. Every instance computes the same shares from the set of
//     instances that are alive (rendezvous hashing), and a lease a lane decides where they disagree for a moment.
//
// Promises: a lane runs only while its lease is held; when the lease is lost it stops at once, and the fence in the target
// makes it harmless even before (D4). A new generation reaches a lane at a batch border: the lane drains, and opens anew
// (D10). A stopped pipeline drains its lanes and goes on recording, so that a start misses nothing. Recorded streams of an
// older layout are read to their end before the lanes of the new layout open (D2). Run returns when everything it started
// has ended.
package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"slipstream/capture/follow"
	"slipstream/capture/lane"
	"slipstream/capture/lease"
	"slipstream/capture/recorder"
	"slipstream/capture/sweep"
	"slipstream/proto/keyspace"
)

// Options are what an engine needs.
type Options struct {
	// Redis is the store. Required.
	Redis *redis.Options
	// Instance is the name of this instance, unique among those alive. Required.
	Instance string
	// Pipelines are the pipelines to serve. Default: all in the store.
	Pipelines []string
	// Transformer connects lanes. Required.
	Transformer lane.Dial
	// Registerer takes the collectors. Default: one of its own.
	Registerer prometheus.Registerer
	// Tracer makes spans. Default: none.
	Tracer trace.TracerProvider
	// Logger. Default: slog.Default().
	Logger *slog.Logger
	// Poll is the time between looks at the store, and between heartbeats. Default 500ms.
	Poll time.Duration
	// Lease is how long the lanes of an instance that died stay with it. Default 6s.
	Lease time.Duration
	// LaneAge is how long a lane stays with the transformer and applier that it opened on; then it drains at a batch border and
	// opens anew, maybe on instances that have come since. Default: as long as it runs.
	LaneAge time.Duration
	// Grace is how long draining may take when the engine ends. Default 20s.
	Grace time.Duration
	// WindowBytes bounds the unsettled batches of a lane. Default 16 MB.
	WindowBytes uint64
}

// Engine runs the pipelines of a store.
type Engine struct {
	o        Options
	store    *redis.Client
	token    string
	metrics  *lane.Metrics
	recorder *recorder.Metrics
	sweeps   *sweep.Metrics
	stale    *staleMetric
	tracer   trace.Tracer
	log      *slog.Logger
	board    follow.Board // where lanes tell those who follow changes

	mu        sync.Mutex
	pipelines map[string]*pipeline
}

// New returns an engine. It connects in Run; Status and the others answer while it runs.
func New(o Options) (*Engine, error) {
	switch {
	case o.Redis == nil:
		return nil, errors.New("the engine needs a store: Options.Redis is nil")
	case o.Instance == "":
		return nil, errors.New("the engine needs a name: Options.Instance is empty")
	case o.Transformer == nil:
		return nil, errors.New("the engine needs a transformer: Options.Transformer is nil")
	}
	if o.Registerer == nil {
		o.Registerer = prometheus.NewRegistry()
	}
	if o.Tracer == nil {
		o.Tracer = noop.NewTracerProvider()
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Poll <= 0 {
		o.Poll = 500 * time.Millisecond
	}
	if o.Lease <= 0 {
		o.Lease = 6 * time.Second
	}
	if o.Grace <= 0 {
		o.Grace = 20 * time.Second
	}
	metrics, err := lane.NewMetrics(o.Registerer)
	if err != nil {
		return nil, fmt.Errorf("registering metrics: %w", err)
	}
	stale, err := newStaleMetric(o.Registerer)
	if err != nil {
		return nil, fmt.Errorf("registering metrics: %w", err)
	}
	return &Engine{
		o: o, stale: stale, store: redis.NewClient(o.Redis), token: lease.NewToken(o.Instance), metrics: metrics,
		recorder: recorder.NewMetrics(o.Registerer), sweeps: sweep.NewMetrics(o.Registerer),
		tracer: o.Tracer.Tracer("slipstream/capture"), log: o.Logger, pipelines: map[string]*pipeline{},
	}, nil
}

// Run serves the pipelines until ctx ends; then it drains the lanes, within Grace, and returns nil. It is called once.
func (e *Engine) Run(ctx context.Context) error {
	defer func() { _ = e.store.Close() }() // nothing is under way any more
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ticker := time.NewTicker(e.o.Poll)
	defer ticker.Stop()
	silent := false
	for {
		names, err := e.names(ctx)
		switch {
		case err == nil:
			silent = false
			e.follow(ctx, &wg, names)
		case ctx.Err() == nil && !silent: // pipelines that run go on
			silent = true
			e.log.WarnContext(ctx, "store does not answer", "error", err)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// names are the pipelines to serve.
func (e *Engine) names(ctx context.Context) ([]string, error) {
	if len(e.o.Pipelines) > 0 {
		return e.o.Pipelines, nil
	}
	names, err := e.store.SMembers(ctx, keyspace.Pipelines()).Result()
	if err != nil {
		return nil, fmt.Errorf("reading the names of the pipelines: %w", err)
	}
	slices.Sort(names)
	return names, nil
}

// follow starts the pipelines that are new. None ends because its name is gone: names do not go away but by a flush, and
// the pipeline puts itself back then.
func (e *Engine) follow(ctx context.Context, wg *sync.WaitGroup, names []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, name := range names {
		if e.pipelines[name] != nil {
			continue
		}
		p := newPipeline(e, name)
		e.pipelines[name] = p
		wg.Go(func() {
			p.run(ctx)
			e.mu.Lock()
			defer e.mu.Unlock()
			delete(e.pipelines, name)
		})
	}
}

var (
	// ErrUnknownPipeline says that no pipeline of that name runs here.
	ErrUnknownPipeline = errors.New("no such pipeline")
	// ErrUnknownJob says that the pipeline has no job of that name.
	ErrUnknownJob = errors.New("no such job")
	// ErrUnknownStream says that a stream is not one of dead letters.
	ErrUnknownStream = errors.New("no such stream")
)

// pipeline finds a pipeline by name; empty means the only one, or the default.
func (e *Engine) pipeline(name string) (*pipeline, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if name == "" {
		name = keyspace.DefaultPipeline
		if len(e.pipelines) == 1 {
			for only := range e.pipelines {
				name = only
			}
		}
	}
	if p := e.pipelines[name]; p != nil {
		return p, nil
	}
	return nil, fmt.Errorf("pipeline %q: %w", name, ErrUnknownPipeline)
}
