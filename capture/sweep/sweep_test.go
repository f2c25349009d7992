package sweep_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"slipstream/capture/source"
	"slipstream/capture/stream"
	"slipstream/capture/sweep"
	"slipstream/deploy/dev/devserver"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type rig struct {
	t       *testing.T
	rdb     *redis.Client
	store   *stream.Store
	book    *sweep.Book
	sweeper *sweep.Sweeper
	s       stream.Stream
	config  *source.Config
	spec    *pipelinev1.Pipeline
}

func newRig(t *testing.T, highWater int, pattern string) *rig {
	t.Helper()
	server := devserver.Redis(t, devserver.RedisOptions{})
	host, port, err := net.SplitHostPort(server.Addr)
	if err != nil {
		t.Fatal(err)
	}
	config, err := source.Parse(&pipelinev1.Connection{Name: "source", Type: "redis", Host: host, Port: port})
	if err != nil {
		t.Fatal(err)
	}
	rdb := config.Client()
	t.Cleanup(func() { _ = rdb.Close() })
	r := &rig{t: t, rdb: rdb, store: stream.NewStore(rdb), book: sweep.NewBook(rdb, "p"), s: stream.Recorded("p", "a", 0, 1)}
	r.sweeper = sweep.NewSweeper(sweep.Config{Book: r.book, Streams: config, Source: config, Redis: rdb, HighWater: highWater})
	spec := &pipelinev1.Pipeline{Name: "p", Jobs: []*pipelinev1.Job{{
		Name: "a", Enabled: true, Source: &pipelinev1.Source{KeyPattern: pattern}, Outputs: []*pipelinev1.Output{{Connection: "pg"}},
	}, {Name: "off", Source: &pipelinev1.Source{KeyPattern: "*"}}}}
	r.config, r.spec = config, spec
	r.generation(1)
	return r
}

// generation is the one that the sweeper knows.
func (r *rig) generation(n uint64) {
	r.spec.Generation = n
	r.sweeper.Configure(sweep.Targets(r.spec, r.config, func(*pipelinev1.Job) int { return 1 }))
}

// step steps until a sweep ran.
func (r *rig) step(ctx context.Context) error {
	deadline := time.Now().Add(90 * time.Second)
	for {
		ran, err := r.sweeper.Step(ctx)
		if ran || err != nil || time.Now().After(deadline) {
			return err
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (r *rig) fill(n int) {
	r.t.Helper()
	pipe := r.rdb.Pipeline()
	for i := range n {
		pipe.HSet(r.t.Context(), fmt.Sprintf("a:%d", i), "f", "1")
	}
	if _, err := pipe.Exec(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) create() stream.Header {
	r.t.Helper()
	h, err := r.store.Create(r.t.Context(), r.s, stream.ID{Ms: 1}, "")
	if err != nil {
		r.t.Fatal(err)
	}
	return h
}

func (r *rig) request() string {
	r.t.Helper()
	id, err := r.book.Request(r.t.Context(), sweep.Request{Job: "a", Cause: sweep.Repair})
	if err != nil {
		r.t.Fatal(err)
	}
	return id
}

// TestNotRecorded: no sweep before the job is recorded (design D10).
func TestNotRecorded(t *testing.T) {
	r := newRig(t, 0, "a:*")
	r.fill(10)
	id := r.request()
	if err := r.step(t.Context()); err == nil {
		t.Fatal("swept a job that is not recorded")
	}
	r.create()
	if err := r.step(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s, err := r.book.Find(t.Context(), id); err != nil || s.GetMatched() != 10 || s.GetEndedMs() == 0 {
		t.Errorf("%v, %v", s, err)
	}
}

// TestHighWater: a scan pauses while the lanes are too far behind, so that a slow target makes no unbounded backlog (G8).
func TestHighWater(t *testing.T) {
	r := newRig(t, 2000, "a:*")
	r.fill(20_000)
	h := r.create()
	c, err := r.store.Cursor(t.Context(), r.s, "pg", h.Start())
	if err != nil {
		t.Fatal(err)
	}
	id := r.request()
	ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
	defer cancel()
	if err := r.step(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("%v", err)
	}
	waiting := r.rdb.XLen(t.Context(), r.s.Side).Val()
	if waiting < 2000 || waiting > 5000 {
		t.Fatalf("%d entries wait, at a mark of 2,000", waiting)
	}
	// The lane reads on, and so does the scan.
	done := make(chan error, 1)
	go func() { done <- r.step(t.Context()) }()
	for running := true; running; {
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			running = false
		case <-time.After(20 * time.Millisecond):
			h, err := r.store.Header(t.Context(), r.s)
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Publish(t.Context(), stream.Position{Main: h.Last, Side: h.SideLast}, 0, 0); err != nil {
				t.Fatal(err)
			}
		}
	}
	if s, err := r.book.Find(t.Context(), id); err != nil || s.GetEndedMs() == 0 || s.GetMatched() < 20_000 {
		t.Errorf("%v, %v", s, err)
	}
}

// TestOutOfMemory: a sweep waits for memory; it loses nothing.
func TestOutOfMemory(t *testing.T) {
	r := newRig(t, 0, "a:*")
	r.fill(500)
	r.create()
	r.request()
	if _, err := r.sweeper.Step(t.Context()); err != nil { // seen; it starts a little later
		t.Fatal(err)
	}
	if err := r.rdb.ConfigSet(t.Context(), "maxmemory", "1").Err(); err != nil {
		t.Fatal(err)
	}
	if err := r.step(t.Context()); err == nil {
		t.Fatal("started without memory")
	}
	if err := r.rdb.ConfigSet(t.Context(), "maxmemory", "0").Err(); err != nil {
		t.Fatal(err)
	}
	if err := r.step(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := r.rdb.XLen(t.Context(), r.s.Side).Val(); n != 500 {
		t.Errorf("%d entries, want 500", n)
	}
}

// TestForgotten: sweeps of jobs that are gone are dropped, and so are the oldest that are settled.
func TestForgotten(t *testing.T) {
	r := newRig(t, 0, "a:none")
	h := r.create()
	if _, err := r.store.Cursor(t.Context(), r.s, "pg", h.Start()); err != nil {
		t.Fatal(err)
	}
	gone, err := r.book.Request(t.Context(), sweep.Request{Job: "off", Cause: sweep.Repair})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		r.request()
		if err := r.step(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.sweeper.Step(t.Context()); err != nil { // settles the last
		t.Fatal(err)
	}
	sweeps, err := r.book.List(t.Context())
	if err != nil || len(sweeps) != 3 {
		t.Fatalf("%v, %v", sweeps, err)
	}
	for _, s := range sweeps {
		if s.GetSettledMs() == 0 || s.GetMatched() != 0 {
			t.Errorf("%v", s)
		}
	}
	if settled, err := r.book.Settled(t.Context(), gone); err != nil || !settled {
		t.Errorf("the sweep of a job that is gone: %t, %v", settled, err)
	}
}

// TestExact: a pattern without wildcards names one key, and costs no scan.
func TestExact(t *testing.T) {
	r := newRig(t, 0, "a:7")
	r.fill(20)
	r.create()
	r.request()
	if err := r.step(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := r.rdb.XLen(t.Context(), r.s.Side).Val(); n != 1 {
		t.Errorf("%d entries", n)
	}
	if stats := r.rdb.Info(t.Context(), "commandstats").Val(); stats == "" || strings.Contains(stats, "cmdstat_scan:") {
		t.Error("it scanned")
	}
}
