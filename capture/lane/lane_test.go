package lane_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"slipstream/capture/gap"
	"slipstream/capture/lane"
	"slipstream/capture/lane/lanetest"
	"slipstream/capture/resp"
	"slipstream/capture/stream"
	"slipstream/capture/sweep"
	"slipstream/capture/tail"
	"slipstream/deploy/dev/devserver"
	"slipstream/proto/keyspace"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// line is a lane of one partition between a Redis and a fake target.
type line struct {
	t      *testing.T
	name   string // of the pipeline: no other test's, and no other run's
	rdb    *redis.Client
	store  *stream.Store
	stream stream.Stream
	target *lanetest.Target
	config lane.Config
	pool   *tail.Pool
}

func newLine(t *testing.T, addr string) *line {
	t.Helper()
	rdb := redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1})
	dial := func(ctx context.Context) (*resp.Conn, error) { return resp.Dial(ctx, resp.Options{Addr: addr}) }
	pipeline := t.Name() + "-" + rand.Text()[:6]
	metrics, err := lane.NewMetrics(prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	l := &line{
		t: t, name: pipeline, rdb: rdb, store: stream.NewStore(rdb), stream: stream.Recorded(pipeline, "job", 0, 1),
		target: &lanetest.Target{}, pool: tail.NewPool(dial, 2),
	}
	bell := stream.NewBell(dial)
	ringing, hush := context.WithCancel(context.WithoutCancel(t.Context()))
	var wg sync.WaitGroup
	wg.Go(func() { _ = bell.Run(ringing) })
	l.config = lane.Config{
		Lane:       &flowv1.Lane{Source: "src", Pipeline: pipeline, Job: "job", Connection: "target", Layout: 1},
		Generation: 1,
		Job: &pipelinev1.Job{
			Name: "job", Enabled: true, Source: &pipelinev1.Source{KeyPattern: "*"},
			Outputs: []*pipelinev1.Output{{Connection: "target"}},
		},
		Connection: &pipelinev1.Connection{Name: "target", Type: "fake"},
		Settings:   &pipelinev1.Settings{OnFailedRetryInterval: 1, ReadBatchSize: 50, Duration: 20},
		Owner:      "test", Stream: l.stream, Dial: l.target.Dial, Redis: rdb, Store: l.store, Bell: bell,
		Sweeps: sweep.NewBook(rdb, pipeline), Gaps: gap.NewBook(rdb, pipeline), Streams: dial, Values: l.pool,
		Metrics: metrics, Logger: slog.New(slog.DiscardHandler),
	}
	t.Cleanup(func() {
		l.target.Wait()
		hush()
		wg.Wait()
		if err := l.pool.Close(); err != nil {
			t.Errorf("closing the pool: %v", err)
		}
		_ = rdb.Close()
	})
	return l
}

func (l *line) create() stream.Header {
	l.t.Helper()
	h, err := l.store.Create(l.t.Context(), l.stream, stream.ID{}, "0 *")
	if err != nil {
		l.t.Fatal(err)
	}
	return h
}

// run starts a lane; the returned function ends it at once and waits.
func (l *line) run() (*lane.Lane, func() error) {
	l.t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(l.t.Context()))
	one := lane.New(l.config)
	done := make(chan error, 1)
	go func() { done <- one.Run(ctx) }()
	var once sync.Once
	var err error
	stop := func() error {
		once.Do(func() {
			cancel()
			err = <-done
		})
		return err
	}
	l.t.Cleanup(func() { _ = stop() })
	return one, stop
}

func (l *line) key(name string) string { return l.name + ":" + name }

// set writes a hash and records it, as an application and the recorder do.
func (l *line) set(key, value string) {
	l.t.Helper()
	if err := l.rdb.HSet(l.t.Context(), l.key(key), "v", value).Err(); err != nil {
		l.t.Fatal(err)
	}
	l.record(key, "u", "hset")
}

func (l *line) del(key string) {
	l.t.Helper()
	if err := l.rdb.Del(l.t.Context(), l.key(key)).Err(); err != nil {
		l.t.Fatal(err)
	}
	l.record(key, "d", "del")
}

func (l *line) record(key, op, command string) {
	l.t.Helper()
	err := l.rdb.XAdd(l.t.Context(), &redis.XAddArgs{
		Stream: l.stream.Main, Values: []any{"key", l.key(key), "op", op, "command", command},
	}).Err()
	if err != nil {
		l.t.Fatal(err)
	}
}

// eventually polls until ok, or fails after ten seconds.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(90 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not within ten seconds: %s", what)
		}
		time.Sleep(2 * time.Millisecond) // a poll, not a synchronisation
	}
}

// rows waits until the target has exactly these rows.
func (l *line) rows(want map[string]string) {
	l.t.Helper()
	var got map[string]string
	equal := func() bool {
		got = l.target.Rows("job", "target")
		if len(got) != len(want) {
			return false
		}
		for k, v := range want {
			if got[l.key(k)] != "v="+v+";" {
				return false
			}
		}
		return true
	}
	deadline := time.Now().Add(90 * time.Second)
	for !equal() {
		if time.Now().After(deadline) {
			l.t.Fatalf("rows are %v, want %v", got, want)
		}
		time.Sleep(2 * time.Millisecond) // a poll, not a synchronisation
	}
}

func addr(t *testing.T) string { return devserver.SharedRedis(t).Addr }

func TestChangesReachTheTarget(t *testing.T) {
	l := newLine(t, addr(t))
	h := l.create()
	one, stop := l.run()
	l.set("a", "1")
	l.set("b", "1")
	l.rows(map[string]string{"a": "1", "b": "1"})
	l.set("a", "2")
	l.del("b")
	l.rows(map[string]string{"a": "2"})

	_, state := l.target.Position(l.config.Lane)
	if state.GetIncarnation() != h.Incarnation || state.GetPhase() != "live" {
		t.Errorf("state %v, want incarnation %s, live", state, h.Incarnation)
	}
	eventually(t, "the settlement shows in the status", func() bool { return one.Status().Counts.Changes >= 4 })
	s := one.Status()
	if s.State.String() != "LANE_STATE_RUNNING" || s.Epoch != 1 || s.Dialect != "fake" || s.Fault != nil || s.CommitMs == 0 {
		t.Errorf("status %v", s)
	}
	eventually(t, "the group says that nothing is left", func() bool {
		h, err := l.store.Header(t.Context(), l.stream)
		main, _ := h.Backlog("target")
		return err == nil && main == 0
	})
	if err := stop(); err == nil {
		t.Error("a cancelled lane returned nil")
	}
	counts, err := l.rdb.HGetAll(t.Context(), keyspace.Counts(l.name, "job")).Result()
	if err != nil || counts[lane.FieldUpdated] != "3" || counts[lane.FieldDeleted] != "1" || counts[lane.FieldLastArrival] == "" {
		t.Errorf("counters %v, %v", counts, err)
	}
}

func TestWaitsForTheRecorder(t *testing.T) {
	l := newLine(t, addr(t))
	one, _ := l.run()
	eventually(t, "the lane says what it waits for", func() bool {
		s := one.Status()
		return s.State.String() == "LANE_STATE_WAITING" && s.Fault.GetMessage() != ""
	})
	l.create()
	l.set("a", "1")
	l.rows(map[string]string{"a": "1"})
}

func TestDrainSettlesWhatIsUnderWay(t *testing.T) {
	l := newLine(t, addr(t))
	l.create()
	hold := make(chan struct{})
	reached := make(chan struct{}, 16)
	l.target.At = func(ctx context.Context, m lanetest.Moment, _ *flowv1.Lane, sequence uint64) error {
		if m == lanetest.BeforeCommit && sequence == 2 {
			reached <- struct{}{}
			select {
			case <-hold:
			case <-ctx.Done():
			}
		}
		return nil
	}
	one := lane.New(l.config)
	done := make(chan error, 1)
	go func() { done <- one.Run(t.Context()) }()
	l.set("a", "1")
	<-reached
	one.Drain()
	select {
	case err := <-done:
		t.Fatalf("drained with a batch under way: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	close(hold)
	if err := <-done; err != nil {
		t.Fatalf("Run = %v, want nil", err)
	}
	l.rows(map[string]string{"a": "1"})
	h, err := l.store.Header(t.Context(), l.stream)
	if err != nil {
		t.Fatal(err)
	}
	if p, ok := h.Settled([]string{"target"}); !ok || p.Main != h.Last {
		t.Errorf("published %v, %v; want %v", p, ok, h.Last)
	}
}

func TestDrainWhileTheTargetIsAway(t *testing.T) {
	l := newLine(t, addr(t))
	l.create()
	l.target.Fault = func() *flowv1.Fault {
		time.Sleep(time.Millisecond) // the pace of a target that is asked again and again
		return &flowv1.Fault{Class: flowv1.FaultClass_FAULT_CLASS_CONNECTION, Message: "connection refused", Stage: "applier"}
	}
	one := lane.New(l.config)
	done := make(chan error, 1)
	go func() { done <- one.Run(t.Context()) }()
	eventually(t, "the target's reason shows (G6)", func() bool {
		s := one.Status()
		return s.State.String() == "LANE_STATE_WAITING" && s.Fault.GetMessage() == "connection refused" && s.Fault.Stage == "applier"
	})
	one.Drain()
	if err := <-done; err != nil {
		t.Fatalf("Run = %v, want nil", err)
	}
}

// A batch that waits for the target, for a table that is not there, does not hold up the generation that would mend it.
func TestDrainWhileABatchWaits(t *testing.T) {
	l := newLine(t, addr(t))
	l.create()
	var mended atomic.Bool
	l.target.Stuck = func(uint64) *flowv1.Fault {
		if mended.Load() {
			return nil
		}
		time.Sleep(time.Millisecond) // the pace of a target that is asked again and again
		return &flowv1.Fault{Class: flowv1.FaultClass_FAULT_CLASS_SCHEMA, Message: "table t does not exist", Stage: "applier"}
	}
	one := lane.New(l.config)
	done := make(chan error, 1)
	go func() { done <- one.Run(t.Context()) }()
	l.set("a", "1")
	eventually(t, "the target's reason shows (G6)", func() bool {
		return one.Status().Fault.GetMessage() == "table t does not exist"
	})
	one.Drain()
	if err := <-done; err != nil {
		t.Fatalf("Run = %v, want nil", err)
	}
	l.rows(map[string]string{})
	mended.Store(true)
	l.run() // as the next generation does: nothing is lost
	l.rows(map[string]string{"a": "1"})
}

func TestFiniteStreamEnds(t *testing.T) {
	l := newLine(t, addr(t))
	l.create()
	want := map[string]string{}
	for i := range 200 {
		key := fmt.Sprint("k", i)
		l.set(key, "1")
		want[key] = "1"
	}
	l.config.Finite = true
	if err := lane.New(l.config).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.rows(want)
}
