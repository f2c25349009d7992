package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"google.golang.org/protobuf/proto"

	"slipstream/capture/lane"
	"slipstream/proto/keyspace"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// observePause is the time between two measurements of the backlog for the metrics.
const observePause = 2 * time.Second

// errLeaseLost is why a lane stops whose lease is another's.
var errLeaseLost = errors.New("the lease of the lane is lost")

// errGrace is why a lane stops that did not drain in time.
var errGrace = errors.New("the lane did not drain in time")

// pipeline supervises one pipeline. Its loop is one goroutine; what status reads is under the mutex.
type pipeline struct {
	e    *Engine
	name string
	log  *slog.Logger
	wake chan struct{} // capacity 1: a lane has ended

	// Of the loop.
	leases     *leases
	observed   time.Time
	configured uint64 // generation that the site was told of; 0: none
	lanes      sync.WaitGroup

	mu         sync.Mutex
	spec       *pipelinev1.Pipeline // nil: not deployed yet
	generation uint64
	running    bool
	site       *site
	reason     string // why there is no site
	instances  []string
	plan       []wanted
	staying    map[string]int // jobs that are recorded in another layout than the generation's, for now
	held       map[string]*holding
	halted     map[string]time.Time // jobs that a flush has stopped, and since when
	stale      []stale              // jobs that need a resync
}

// holding is a lane that this instance runs.
type holding struct {
	want       wanted
	generation uint64
	lane       *lane.Lane
	until      time.Time // when it opens anew; zero: it need not
	cancel     context.CancelCauseFunc
	done       chan struct{} // closed when Run has returned
	err        error         // of Run; read after done
}

func newPipeline(e *Engine, name string) *pipeline {
	return &pipeline{
		e: e, name: name, log: e.log.With("pipeline", name), wake: make(chan struct{}, 1), held: map[string]*holding{},
	}
}

// run supervises until ctx ends, then drains.
func (p *pipeline) run(ctx context.Context) {
	ticker := time.NewTicker(p.e.o.Poll)
	defer ticker.Stop()
	last := ""
	for ctx.Err() == nil {
		if err := p.tick(ctx); err != nil && ctx.Err() == nil && err.Error() != last {
			last = err.Error()
			p.log.WarnContext(ctx, "pipeline is held up", "error", err)
		} else if err == nil {
			last = ""
		}
		select {
		case <-ticker.C:
		case <-p.wake:
		case <-ctx.Done():
		}
	}
	p.end(context.WithoutCancel(ctx))
}

// tick looks at the store and brings what runs here in line with it. An error leaves what runs running.
func (p *pipeline) tick(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, p.e.o.Lease/2)
	defer cancel()
	err := p.load(ctx) // the last generation goes on while the store is away (D10)
	if serr := p.settle(ctx); serr != nil {
		return errors.Join(err, serr)
	}
	if p.site == nil {
		return err
	}
	// Leases first: whatever else fails, a lane without its lease must stop.
	if lerr := p.renew(ctx); lerr != nil {
		return errors.Join(err, lerr)
	}
	if herr := p.heartbeat(ctx); herr != nil {
		return errors.Join(err, herr)
	}
	if herr := p.halts(ctx); herr != nil {
		return errors.Join(err, herr)
	}
	if !p.site.serves(p.spec) {
		p.reap(ctx) // the lanes of the connections before drain, and none begins anew there
		return err
	}
	return errors.Join(err, p.reconcile(ctx), p.freshen(ctx), p.observe(ctx))
}

// load reads the generation from the store.
func (p *pipeline) load(ctx context.Context) error {
	values, err := p.e.store.HMGet(ctx, keyspace.Pipeline(p.name), keyspace.FieldGeneration, keyspace.FieldRunning).Result()
	if err != nil {
		return fmt.Errorf("reading pipeline %q: %w", p.name, err)
	}
	text, _ := values[0].(string)
	if text == "" {
		if p.spec == nil {
			return nil // not deployed yet
		}
		return p.restore(ctx)
	}
	generation, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return fmt.Errorf("reading pipeline %q: generation %q: %w", p.name, text, err)
	}
	running := values[1] == "1"
	p.mu.Lock()
	known := p.spec != nil && p.generation == generation
	changed := p.running != running
	p.running = running
	p.mu.Unlock()
	if changed {
		p.log.InfoContext(ctx, "pipeline starts or stops", "running", running)
	}
	if known {
		return nil
	}
	return p.adopt(ctx)
}

// adopt takes a generation up. Number and spec are read together: a deploy may come in between.
func (p *pipeline) adopt(ctx context.Context) error {
	values, err := p.e.store.HMGet(ctx, keyspace.Pipeline(p.name), keyspace.FieldGeneration, keyspace.FieldSpec).Result()
	if err != nil {
		return fmt.Errorf("reading pipeline %q: %w", p.name, err)
	}
	text, _ := values[0].(string)
	binary, _ := values[1].(string)
	generation, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return fmt.Errorf("reading pipeline %q: generation %q: %w", p.name, text, err)
	}
	spec := &pipelinev1.Pipeline{}
	if err := proto.Unmarshal([]byte(binary), spec); err != nil {
		return fmt.Errorf("reading generation %d of pipeline %q: %w", generation, p.name, err)
	}
	spec.Name, spec.Generation = p.name, generation
	p.mu.Lock()
	p.spec, p.generation = spec, generation
	p.mu.Unlock()
	p.log.InfoContext(ctx, "generation taken up", "generation", generation, "jobs", len(spec.Jobs))
	return nil
}

// settle makes sure that there is a site for the generation. When its connections changed, the lanes drain first.
func (p *pipeline) settle(ctx context.Context) error {
	if p.spec == nil || (p.site != nil && p.site.serves(p.spec)) {
		return nil
	}
	if p.site != nil {
		for _, h := range p.held {
			h.lane.Drain()
		}
		p.reap(ctx)
		if len(p.held) > 0 {
			return nil // their ends wake the loop
		}
		p.site.stop()
		p.mu.Lock()
		p.site, p.leases = nil, nil
		p.mu.Unlock()
	}
	site, err := newSite(ctx, p.e, p.spec)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		p.reason = err.Error()
		return err
	}
	p.site, p.reason, p.configured = site, "", 0
	p.leases = newLeases(site.rdb, p.name, p.e.token, p.e.o.Lease, time.Now)
	return nil
}

// beat adds an instance to those alive, by the clock of the server: those of the instances need not agree. It drops the others
// first, also what is of another clock, which needs no memory: after a first write a server that is out of memory refuses no
// other in the same script, and lanes must be shared there too, since they are what drains it. KEYS: the instances. ARGV: this
// one, and for how long one is alive, milliseconds.
var beat = redis.NewScript(`
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local function text(ms) return string.format('%.0f', ms) end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. text(now - ARGV[2]))
redis.call('ZREMRANGEBYSCORE', KEYS[1], '(' .. text(now + ARGV[2]), '+inf')
redis.call('ZADD', KEYS[1], text(now), ARGV[1])
return redis.call('ZRANGE', KEYS[1], 0, -1)`)

// heartbeat says that this instance is alive and learns who else is.
func (p *pipeline) heartbeat(ctx context.Context) error {
	key := keyspace.Instances(p.name)
	alive, err := beat.Run(ctx, p.site.rdb, []string{key}, p.e.o.Instance, p.e.o.Lease.Milliseconds()).StringSlice()
	if err != nil {
		return fmt.Errorf("beating: %w", err)
	}
	p.mu.Lock()
	p.instances = slices.Sorted(slices.Values(alive))
	p.mu.Unlock()
	return nil
}

// renew prolongs the leases; a lane that lost its own stops at once.
func (p *pipeline) renew(ctx context.Context) error {
	lost, err := p.leases.renew(ctx)
	for _, what := range lost {
		for _, h := range p.held {
			if h.want.lease() == what {
				h.cancel(errLeaseLost)
				p.log.WarnContext(ctx, "lease lost", "lane", h.want.name())
			}
		}
	}
	return err
}

// end drains what runs, within the grace, and leaves.
func (p *pipeline) end(ctx context.Context) {
	if p.site == nil {
		return
	}
	for _, h := range p.held {
		h.lane.Drain()
	}
	grace := time.NewTimer(p.e.o.Grace)
	defer grace.Stop()
	ticker := time.NewTicker(p.e.o.Poll)
	defer ticker.Stop()
	for len(p.held) > 0 {
		select {
		case <-p.wake:
		case <-ticker.C:
		case <-grace.C:
			for _, h := range p.held {
				h.cancel(errGrace)
			}
		}
		p.bounded(ctx, func(ctx context.Context) error {
			p.reap(ctx)
			return p.renew(ctx)
		})
	}
	p.lanes.Wait()
	p.bounded(ctx, func(ctx context.Context) error {
		return p.site.rdb.ZRem(ctx, keyspace.Instances(p.name), p.e.o.Instance).Err()
	})
	p.site.stop()
}

// bounded does something at the end that may fail: what it leaves behind runs out by itself.
func (p *pipeline) bounded(ctx context.Context, do func(context.Context) error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if err := do(ctx); err != nil {
		p.log.DebugContext(ctx, "not tidied up", "error", err)
	}
}
