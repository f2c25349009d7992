package upkeep_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"slipstream/capture/gap"
	"slipstream/capture/recorder"
	"slipstream/capture/source"
	"slipstream/capture/stream"
	"slipstream/capture/sweep"
	"slipstream/capture/upkeep"
	"slipstream/deploy/dev/devserver"
	capturev1 "slipstream/proto/slipstream/capture/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a Redis with recorder and upkeep, and lanes that only read.
type rig struct {
	t      *testing.T
	config *source.Config
	rdb    *redis.Client
	store  *stream.Store
	gaps   *gap.Book
	sweeps *sweep.Book
	spec   *pipelinev1.Pipeline
}

const partitions = 2

func layout(*pipelinev1.Job) int { return partitions }

func newRig(t *testing.T, jobs ...*pipelinev1.Job) *rig {
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
	return &rig{
		t: t, config: config, rdb: rdb, store: stream.NewStore(rdb), gaps: gap.NewBook(rdb, "p"), sweeps: sweep.NewBook(rdb, "p"),
		spec: &pipelinev1.Pipeline{Name: "p", Settings: &pipelinev1.Settings{Partitions: partitions}, Jobs: jobs},
	}
}

func job(name, pattern string, change ...func(*pipelinev1.Job)) *pipelinev1.Job {
	j := &pipelinev1.Job{
		Name: name, Enabled: true, Source: &pipelinev1.Source{KeyPattern: pattern},
		Outputs: []*pipelinev1.Output{{Connection: "pg"}, {Connection: "lite"}},
	}
	for _, c := range change {
		c(j)
	}
	return j
}

// run runs something until the returned function is called, or the test ends.
func (r *rig) run(run func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			r.t.Errorf("Run: %v", err)
		}
	})
	r.t.Cleanup(stop)
	return stop
}

func (r *rig) record() (stop func()) {
	r.t.Helper()
	n := recorder.NewNotifications(recorder.Config{
		Pipeline: "p", Instance: "one", Source: r.config, Gaps: r.gaps, Beat: 50 * time.Millisecond, Log: slog.New(slog.DiscardHandler),
	})
	n.Configure(recorder.NewPlan(r.spec, r.config, layout))
	stop = r.run(n.Run)
	r.eventually("the recorder is connected", func() bool { return n.Status().GetConnected() })
	return stop
}

func (r *rig) keep() (u *upkeep.Upkeep, stop func()) {
	u = upkeep.New(upkeep.Config{Pipeline: "p", Instance: "one", Source: r.config, Log: slog.New(slog.DiscardHandler)})
	u.Configure(r.spec, layout)
	return u, r.run(u.Run)
}

// lane reads a partition for a connection and settles whatever it reads. It returns the keys it got from sweeps.
func (r *rig) lane(j string, partition int, connection string) func() []string {
	var mu sync.Mutex
	var swept []string
	s := stream.Recorded("p", j, partition, partitions)
	r.run(func(ctx context.Context) error {
		for ctx.Err() == nil {
			if err := r.follow(ctx, s, connection, func(key string) {
				mu.Lock()
				defer mu.Unlock()
				swept = append(swept, key)
			}); err != nil && ctx.Err() == nil {
				time.Sleep(10 * time.Millisecond) // no header yet, or another incarnation
			}
		}
		return nil
	})
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(swept)
	}
}

func (r *rig) follow(ctx context.Context, s stream.Stream, connection string, swept func(string)) error {
	h, err := r.store.Header(ctx, s)
	if err != nil || !h.Exists {
		return fmt.Errorf("no header: %w", err)
	}
	conn, err := r.config.Dial(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	c, err := r.store.Cursor(ctx, s, connection, h.Start())
	if err != nil {
		return err
	}
	rd := stream.NewReader(conn, s, h.Incarnation, h.Start())
	for {
		b, err := rd.Read(ctx, 500)
		if err != nil {
			return err
		}
		for _, e := range b.Entries {
			if e.Side {
				swept(string(e.Key))
			}
		}
		if err := c.Publish(ctx, b.End, b.Main, b.Side); err != nil {
			return err
		}
		if len(b.Entries) == 0 {
			time.Sleep(2 * time.Millisecond)
		}
		b.Release()
	}
}

func (r *rig) eventually(what string, cond func() bool) {
	r.t.Helper()
	deadline := time.Now().Add(90 * time.Second)
	for !cond() {
		if time.Now().After(deadline) {
			r.t.Fatalf("not in time: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (r *rig) do(args ...any) {
	r.t.Helper()
	if err := r.rdb.Do(r.t.Context(), args...).Err(); err != nil {
		r.t.Fatalf("%v: %v", args, err)
	}
}

func (r *rig) sweepOf(id string) *capturev1.Sweep {
	r.t.Helper()
	s, err := r.sweeps.Find(r.t.Context(), id)
	if err != nil {
		r.t.Fatal(err)
	}
	return s
}

func (r *rig) open() (gaps []gap.Gap) {
	r.t.Helper()
	all, err := r.gaps.List(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	return slices.DeleteFunc(all, func(g gap.Gap) bool { return !g.Open() })
}

// TestSweep: a sweep finds the job's hashes and nothing else, each in its partition, and is settled when all lanes are.
func TestSweep(t *testing.T) {
	r := newRig(t, job("a", "a:*"), job("single", "one"), job("json", "a:*", func(j *pipelinev1.Job) { j.Source.Types = []string{"json"} }),
		job("three", "*", func(j *pipelinev1.Job) { j.Source.Database = 3 }))
	pipe := r.rdb.Pipeline()
	var want []string
	for i := range 5000 {
		key := fmt.Sprintf("a:%d", i)
		want = append(want, key)
		pipe.HSet(t.Context(), key, "f", "1")
		pipe.HSet(t.Context(), fmt.Sprintf("b:%d", i), "f", "1")
	}
	pipe.Set(t.Context(), "a:string", "x", 0)
	pipe.SAdd(t.Context(), "a:set", "x")
	pipe.HSet(t.Context(), "a:bin\x00\r\n", "f", "1")
	pipe.HSet(t.Context(), "one", "f", "1")
	pipe.HSet(t.Context(), "one2", "f", "1")
	pipe.Do(t.Context(), "SELECT", "3")
	pipe.HSet(t.Context(), "in three", "f", "1")
	pipe.Do(t.Context(), "SELECT", "0")
	if _, err := pipe.Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
	want = append(want, "a:bin\x00\r\n")
	r.record()
	r.keep()
	got := map[string]func() []string{}
	for _, j := range r.spec.GetJobs() {
		for p := range partitions {
			for _, c := range []string{"pg", "lite"} {
				if j.GetName() == "a" && p == 1 && c == "lite" {
					continue // this lane comes later
				}
				got[fmt.Sprint(j.GetName(), p, c)] = r.lane(j.GetName(), p, c)
			}
		}
	}
	ids := map[string]string{}
	for _, j := range []string{"a", "single", "json", "three"} {
		id, err := r.sweeps.Request(t.Context(), sweep.Request{Job: j, Cause: sweep.InitialLoad})
		if err != nil {
			t.Fatal(err)
		}
		again, err := r.sweeps.Request(t.Context(), sweep.Request{Job: j, Cause: sweep.InitialLoad})
		if err != nil || again != id {
			t.Errorf("the second to ask gets %q, %v; the first %q", again, err, id)
		}
		ids[j] = id
	}
	for _, j := range []string{"single", "json", "three"} {
		r.eventually(j+" is settled", func() bool { return r.sweepOf(ids[j]).GetSettledMs() != 0 })
	}
	r.eventually("a has ended", func() bool { return r.sweepOf(ids["a"]).GetEndedMs() != 0 })
	if s := r.sweepOf(ids["a"]); s.GetSettledMs() != 0 || s.GetMatched() < 5001 || s.GetScanned() < s.GetTotal() || s.GetCause() != "initial_load" {
		t.Errorf("%v, though a lane is missing", s)
	}
	late := r.lane("a", 1, "lite")
	// It starts behind what the sweep has found, and asks for its own.
	second, err := r.sweeps.Request(t.Context(), sweep.Request{Job: "a", Cause: sweep.InitialLoad})
	if err != nil || second == ids["a"] {
		t.Fatalf("a sweep that has ended is shared: %q, %v", second, err)
	}
	r.eventually("both are settled", func() bool {
		return r.sweepOf(ids["a"]).GetSettledMs() != 0 && r.sweepOf(second).GetSettledMs() != 0
	})
	unique := func(keys []string) []string {
		slices.Sort(keys)
		return slices.Compact(keys)
	}
	slices.Sort(want)
	if keys := unique(append(got["a0pg"](), got["a1pg"]()...)); !slices.Equal(keys, want) {
		t.Errorf("%d keys of job a, want %d", len(keys), len(want))
	}
	if keys := unique(append(got["a0lite"](), late()...)); !slices.Equal(keys, want) {
		t.Errorf("%d keys of job a for the late lane, want %d", len(keys), len(want))
	}
	if keys := append(got["single0pg"](), got["single1pg"]()...); !slices.Equal(unique(keys), []string{"one"}) {
		t.Errorf("keys of job single: %q", keys)
	}
	if keys := append(got["json0pg"](), got["json1pg"]()...); len(keys) != 0 {
		t.Errorf("keys of job json on a server without JSON: %q", keys)
	}
	if keys := append(got["three0pg"](), got["three1pg"]()...); !slices.Equal(unique(keys), []string{"in three"}) {
		t.Errorf("keys of job three: %q", keys)
	}
	r.eventually("the side streams are trimmed", func() bool {
		return r.rdb.XLen(t.Context(), stream.Recorded("p", "a", 0, partitions).Side).Val() < 200
	})
}

// TestRepair: a gap is repaired without anyone asking; also when nobody was there to begin with it.
func TestRepair(t *testing.T) {
	r := newRig(t, job("a", "a:*"), job("b", "b:*"))
	r.record()()
	r.do("HSET", "a:missed", "f", "1")
	r.record() // the gap is open, and capture dies before it asks for a sweep: there is no upkeep
	if open := r.open(); len(open) != 1 || open[0].Sweeps != nil || open[0].Cause != gap.Connect {
		t.Fatalf("%+v", open)
	}
	var swept []func() []string
	for p := range partitions {
		for _, c := range []string{"pg", "lite"} {
			swept = append(swept, r.lane("a", p, c))
			r.lane("b", p, c)
		}
	}
	r.eventually("the lanes have published", func() bool {
		h, err := r.store.Header(t.Context(), stream.Recorded("p", "b", 1, partitions))
		_, ok := h.Settled([]string{"pg", "lite"})
		return err == nil && ok
	})
	_, stop := r.keep()
	r.eventually("a sweep is asked for", func() bool { return len(r.open()) == 0 || r.open()[0].Sweeps != nil })
	stop() // and dies again
	r.keep()
	r.eventually("the gap is repaired", func() bool { return len(r.open()) == 0 })
	n := 0
	for _, f := range swept {
		n += len(f())
	}
	if n < 2 {
		t.Errorf("%d entries for the missed key on two connections", n)
	}
	all, err := r.gaps.List(t.Context())
	if err != nil || len(all) != 1 || all[0].Repaired.IsZero() || all[0].Proto().GetRepairedMs() == 0 {
		t.Errorf("%+v, %v", all, err)
	}
	// A gap of a job that is gone concerns nobody.
	if _, err := r.gaps.Open(t.Context(), gap.Gap{Cause: gap.Position, Job: "gone", Ended: time.Now()}); err != nil {
		t.Fatal(err)
	}
	r.eventually("that gap is closed", func() bool { return len(r.open()) == 0 })
}

// TestResume: a sweep goes on where its cursor was stored, at its rate; what it found before is found once more at most.
func TestResume(t *testing.T) {
	r := newRig(t, job("a", "a:*"))
	r.spec.Settings.SweepRate = 10_000
	pipe := r.rdb.Pipeline()
	const n = 30_000
	for i := range n {
		pipe.HSet(t.Context(), fmt.Sprintf("a:%d", i), "f", "1")
	}
	if _, err := pipe.Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.record()
	_, stop := r.keep()
	id, err := r.sweeps.Request(t.Context(), sweep.Request{Job: "a", Cause: sweep.Resync})
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	r.eventually("it is under way", func() bool { s := r.sweepOf(id); return s.GetScanned() > 5000 && s.GetEndedMs() == 0 })
	stop()
	halfway := r.sweepOf(id)
	r.keep()
	r.eventually("it has ended", func() bool { return r.sweepOf(id).GetEndedMs() != 0 })
	if took := time.Since(began); took < 2*time.Second {
		t.Errorf("%d keys at 10,000 a second took %v", n, took)
	}
	total := int64(0)
	for p := range partitions {
		total += r.rdb.XLen(t.Context(), stream.Recorded("p", "a", p, partitions).Side).Val()
	}
	if total < n || total > n+15_000 {
		t.Errorf("%d entries for %d keys", total, n)
	}
	if s := r.sweepOf(id); s.GetMatched() < n || s.GetStartedMs() != halfway.GetStartedMs() {
		t.Errorf("%v, halfway %v", s, halfway)
	}
}

// TestFlushDuringSweep: a sweep whose streams begin anew starts again, and settles.
func TestFlushDuringSweep(t *testing.T) {
	r := newRig(t, job("a", "a:*"))
	r.record()
	r.do("HSET", "a:1", "f", "1")
	_, stop := r.keep()
	id, err := r.sweeps.Request(t.Context(), sweep.Request{Job: "a", Cause: sweep.Resync})
	if err != nil {
		t.Fatal(err)
	}
	r.eventually("it has ended", func() bool { return r.sweepOf(id).GetEndedMs() != 0 })
	stop()
	old := r.rdb.HGet(t.Context(), stream.Recorded("p", "a", 0, partitions).Header, "incarnation").Val()
	for p := range partitions {
		s := stream.Recorded("p", "a", p, partitions)
		r.do("DEL", s.Main, s.Side, s.Header)
	}
	r.eventually("the recorder began anew", func() bool {
		now := r.rdb.HGet(t.Context(), stream.Recorded("p", "a", 0, partitions).Header, "incarnation").Val()
		return now != "" && now != old
	})
	var swept []func() []string
	for p := range partitions {
		swept = append(swept, r.lane("a", p, "pg"), r.lane("a", p, "lite"))
	}
	r.keep()
	r.eventually("it is settled", func() bool { return r.sweepOf(id).GetSettledMs() != 0 })
	n := 0
	for _, f := range swept {
		n += len(f())
	}
	if n < 2 {
		t.Errorf("%d entries for one key on two connections", n)
	}
}

// TestLease: one instance has the upkeep; the other takes over.
func TestLease(t *testing.T) {
	r := newRig(t, job("a", "a:*"))
	one, stop := r.keep()
	r.eventually("one has it", func() bool { owner, why := one.State(); return owner == "one" && why == "" })
	two := upkeep.New(upkeep.Config{Pipeline: "p", Instance: "two", Source: r.config, Log: slog.New(slog.DiscardHandler)})
	two.Configure(r.spec, layout)
	r.run(two.Run)
	r.eventually("two sees that", func() bool { owner, _ := two.State(); return owner == "one" })
	stop()
	r.eventually("two has it", func() bool { owner, _ := two.State(); return owner == "two" })
	r.do("DEL", "slipstream:{p}:lease:upkeep")
	r.eventually("it notices and takes it again", func() bool {
		return r.rdb.Exists(t.Context(), "slipstream:{p}:lease:upkeep").Val() == 1
	})
}
