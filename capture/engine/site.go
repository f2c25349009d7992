package engine

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"

	"github.com/redis/go-redis/v9"
	"google.golang.org/protobuf/proto"

	"slipstream/capture/flush"
	"slipstream/capture/gap"
	"slipstream/capture/recorder"
	"slipstream/capture/resp"
	"slipstream/capture/source"
	"slipstream/capture/stream"
	"slipstream/capture/sweep"
	"slipstream/capture/tail"
	"slipstream/capture/upkeep"
	"slipstream/proto/keyspace"
	"slipstream/proto/secret"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// Names of the connections that capture itself uses.
const (
	sourceConnection  = "source"
	streamsConnection = "streams"
)

// valueConnections is how many connections read values from one logical database at once, for all lanes together (G8).
const valueConnections = 8

// configs resolves and parses the connections that capture uses. streams is source where there is no other.
func configs(p *pipelinev1.Pipeline) (src, streams *source.Config, err error) {
	src, err = configOf(p, sourceConnection)
	if err != nil {
		return nil, nil, err
	}
	if p.GetConnections()[streamsConnection] == nil {
		return src, src, nil
	}
	streams, err = configOf(p, streamsConnection)
	return src, streams, err
}

func configOf(p *pipelinev1.Pipeline, name string) (*source.Config, error) {
	c := p.GetConnections()[name]
	if c == nil {
		return nil, fmt.Errorf("connection %q is missing", name)
	}
	resolved, err := secret.Connection(c)
	if err != nil {
		return nil, fmt.Errorf("connection %q: %w", name, err)
	}
	config, err := source.Parse(resolved)
	if err != nil {
		return nil, fmt.Errorf("connection %q: %w", name, err)
	}
	return config, nil
}

// site is the connections of a pipeline and what runs on them. It lives as long as the connections stay the same.
type site struct {
	source, streams *source.Config
	from            [2]*pipelinev1.Connection // what it was made of, references unresolved
	rdb             *redis.Client             // streams
	src             *redis.Client             // source
	store           *stream.Store
	bell            *stream.Bell
	sweeps          *sweep.Book
	gaps            *gap.Book
	flushes         *flush.Book
	recorder        recorder.Recorder
	upkeep          *upkeep.Upkeep
	id              string // of the source installation (design D4)

	mu    sync.Mutex
	pools map[int]*tail.Pool // by logical database
	facts source.Facts

	stop func() // ends what runs and waits for it
}

// newSite connects a pipeline and starts recorder, upkeep and bell. The streams must answer: the id of the installation is
// theirs.
func newSite(ctx context.Context, e *Engine, p *pipelinev1.Pipeline) (*site, error) {
	src, streams, err := configs(p)
	if err != nil {
		return nil, err
	}
	s := &site{
		source: src, streams: streams, rdb: streams.Client(), src: src.Client(), pools: map[int]*tail.Pool{},
		from: [2]*pipelinev1.Connection{p.GetConnections()[sourceConnection], p.GetConnections()[streamsConnection]},
	}
	name := p.GetName()
	if err := s.identify(ctx); err != nil {
		return nil, errors.Join(err, s.rdb.Close(), s.src.Close())
	}
	s.store, s.bell = stream.NewStore(s.rdb), stream.NewBell(streams.Dial)
	s.sweeps, s.gaps = sweep.NewBook(s.rdb, name), gap.NewBook(s.rdb, name)
	s.flushes = flush.NewBook(s.rdb, name)
	s.recorder = recorder.NewNotifications(recorder.Config{
		Pipeline: name, Instance: e.o.Instance, Source: src, Streams: streams, Gaps: s.gaps, Flushes: s.flushes,
		Metrics: e.recorder, Log: e.log,
	})
	s.upkeep = upkeep.New(upkeep.Config{
		Pipeline: name, Instance: e.o.Instance, Source: src, Streams: streams, Metrics: e.sweeps, Log: e.log,
	})
	running, cancel := context.WithCancel(context.WithoutCancel(ctx)) // they outlive ctx: lanes drain before they stop
	var wg sync.WaitGroup
	wg.Go(func() { _ = s.bell.Run(running) }) // it returns nil
	wg.Go(func() {
		if err := s.recorder.Run(running); err != nil {
			e.log.ErrorContext(running, "recorder gave up", "pipeline", name, "error", err)
		}
	})
	wg.Go(func() { _ = s.upkeep.Run(running) }) // it returns nil
	s.stop = func() {
		cancel()
		wg.Wait()
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, pool := range s.pools {
			_ = pool.Close() // nobody reads any more
		}
		_, _ = s.rdb.Close(), s.src.Close()
	}
	return s, nil
}

// identify makes sure that the installation has its id, and gives a Redis that lost it the same one again.
func (s *site) identify(ctx context.Context) error {
	key := keyspace.Source()
	for {
		id, err := s.rdb.Get(ctx, key).Result() // first: a server that is out of memory refuses a SETNX that would set nothing
		if err == nil {
			if s.id == "" {
				s.id = id
			}
			return nil
		}
		if !errors.Is(err, redis.Nil) {
			return fmt.Errorf("reading the id of the source: %w", err)
		}
		if err := s.rdb.SetNX(ctx, key, cmp.Or(s.id, rand.Text()), 0).Err(); err != nil {
			return fmt.Errorf("setting the id of the source: %w", err)
		}
	}
}

// configure tells recorder and upkeep of a generation. Staying are jobs that are recorded in another layout, for now, and
// moved are those that have others in which changes were recorded.
func (s *site) configure(p *pipelinev1.Pipeline, staying map[string]int, moved map[string]bool) {
	partitions := func(job *pipelinev1.Job) int {
		return cmp.Or(staying[job.GetName()], recorder.Partitions(p.GetSettings()))
	}
	plan := recorder.NewPlan(p, s.source, partitions)
	for i := range plan.Jobs {
		plan.Jobs[i].Moved = moved[plan.Jobs[i].Name]
	}
	s.recorder.Configure(plan)
	s.upkeep.Configure(p, partitions)
}

// serves says whether a generation uses the same connections.
func (s *site) serves(p *pipelinev1.Pipeline) bool {
	return proto.Equal(s.from[0], p.GetConnections()[sourceConnection]) &&
		proto.Equal(s.from[1], p.GetConnections()[streamsConnection])
}

// values lends connections to a logical database of the source.
func (s *site) values(db int) *tail.Pool {
	s.mu.Lock()
	defer s.mu.Unlock()
	pool := s.pools[db]
	if pool == nil {
		pool = tail.NewPool(func(ctx context.Context) (*resp.Conn, error) { return s.source.DialDB(ctx, db) }, valueConnections)
		s.pools[db] = pool
	}
	return pool
}

// server is what the source is, asked for once.
func (s *site) server(ctx context.Context) source.Facts {
	s.mu.Lock()
	facts := s.facts
	s.mu.Unlock()
	if facts.Server != "" {
		return facts
	}
	facts, err := source.Probe(ctx, s.src)
	if err != nil {
		return source.Facts{} // the recorder says why
	}
	s.mu.Lock()
	s.facts = facts
	s.mu.Unlock()
	return facts
}
