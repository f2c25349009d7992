package lane_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"slipstream/capture/lane"
	"slipstream/capture/lane/lanetest"
	"slipstream/capture/stream"
	"slipstream/capture/sweep"
	"slipstream/deploy/dev/devserver"
	"slipstream/proto/keyspace"
	changev1 "slipstream/proto/slipstream/change/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// Whatever crashes at whatever moment, in the end the target equals Redis (G1, G3, G4), its position never falls, and
// every reject is stored exactly once, before its batch commits (G2, G5, D9).
func TestCrashesAtRandom(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			l := newLine(t, addr(t))
			l.create()
			crash := rand.New(rand.NewPCG(seed, 1))
			var mu sync.Mutex
			var calm bool
			l.target.At = func(context.Context, lanetest.Moment, *flowv1.Lane, uint64) error {
				mu.Lock()
				defer mu.Unlock()
				if !calm && crash.IntN(12) == 0 {
					return lanetest.ErrCrash
				}
				return nil
			}
			l.target.Reject = func(c *changev1.Change) string {
				if strings.HasSuffix(string(c.Key), ":bad") {
					return "bad"
				}
				return ""
			}
			r := rand.New(rand.NewPCG(seed, 2))
			want := map[string]string{}
			_, stop := l.run()
			for i := range 1500 {
				key := fmt.Sprint("k", r.IntN(40))
				switch r.IntN(10) {
				case 0, 1:
					l.del(key)
					delete(want, key)
				case 2:
					l.set("bad", fmt.Sprint(i))
				default:
					value := fmt.Sprint(i)
					l.set(key, value)
					want[key] = value
				}
				if r.IntN(150) == 0 { // kill -9 of the lane's process
					_ = stop()
					_, stop = l.run()
				}
			}
			mu.Lock()
			calm = true
			mu.Unlock()
			l.rows(want)
			eventually(t, "everything is settled", func() bool {
				h, err := l.store.Header(t.Context(), l.stream)
				p, ok := h.Settled([]string{"target"})
				return err == nil && ok && p.Main == h.Last
			})
			_ = stop()
			l.checkPositions()
			l.checkDeadLetters()
		})
	}
}

func (l *line) checkPositions() {
	l.t.Helper()
	var at stream.Position
	for i, b := range l.target.Batches() {
		p := stream.FromPosition(b.Position)
		if p.Main.Less(at.Main) || p.Side.Less(at.Side) {
			l.t.Fatalf("batch %d moves the position from %v back to %v", i, at, p)
		}
		at = p
	}
}

// checkDeadLetters compares what the target rejected in batches that committed with the dead-letter stream.
func (l *line) checkDeadLetters() {
	l.t.Helper()
	entries, err := l.rdb.XRange(l.t.Context(), keyspace.DeadLetters(l.name, "job"), "-", "+").Result()
	if err != nil {
		l.t.Fatal(err)
	}
	seen := map[string]int{}
	for _, e := range entries {
		seen[e.Values["source_id"].(string)]++
	}
	for id, n := range seen {
		if n != 1 {
			l.t.Errorf("dead letter %s stored %d times", id, n)
		}
	}
	committed := 0
	for _, b := range l.target.Batches() {
		for _, c := range b.Changes {
			if strings.HasSuffix(string(c.Key), ":bad") {
				committed++
				if id := fmt.Sprintf("%d-%d", c.Id.Ms, c.Id.Seq); seen[id] != 1 {
					l.t.Errorf("reject %s committed without a dead letter", id)
				}
			}
		}
	}
	if committed == 0 {
		l.t.Error("nothing was rejected: the test tests nothing")
	}
}

func TestInitialLoadIsAskedForOnce(t *testing.T) {
	l := newLine(t, addr(t))
	l.config.Job.Source.InitialLoad = pipelinev1.InitialLoad_INITIAL_LOAD_ALWAYS
	h := l.create()
	_, stop := l.run()
	var id string
	eventually(t, "the load is adopted by the target", func() bool {
		_, state := l.target.Position(l.config.Lane)
		var ok bool
		id, ok = strings.CutPrefix(state.GetPhase(), "loading:")
		return ok && state.GetIncarnation() == h.Incarnation
	})
	found, err := l.config.Sweeps.Find(t.Context(), id)
	if err != nil || found.GetCause() != string(sweep.InitialLoad) || found.GetJob() != "job" {
		t.Fatalf("sweep %q is %v, %v", id, found, err)
	}
	_ = stop()
	_, stop = l.run() // resumes: it must not ask again
	l.set("a", "1")
	l.rows(map[string]string{"a": "1"})
	all, err := l.config.Sweeps.List(t.Context())
	if err != nil || len(all) != 1 {
		t.Errorf("sweeps %v, %v; want the one", all, err)
	}
	if err := l.rdb.XAdd(t.Context(), &redis.XAddArgs{
		Stream: l.stream.Side, Values: []any{"key", l.key("old"), "op", "r"},
	}).Err(); err != nil {
		t.Fatal(err)
	}
	if err := l.rdb.HSet(t.Context(), l.key("old"), "v", "0").Err(); err != nil {
		t.Fatal(err)
	}
	_ = stop()
	l.run()
	eventually(t, "the swept key or its absence is settled", func() bool {
		p, _ := l.target.Position(l.config.Lane)
		return p.GetSide().GetMs() > h.SideLast.Ms
	})
}

func TestGapStartsOverAndDeletesNothing(t *testing.T) {
	l := newLine(t, addr(t))
	l.create()
	_, stop := l.run()
	l.set("a", "1")
	l.rows(map[string]string{"a": "1"})
	_ = stop()
	l.rdb.Del(t.Context(), l.key("a")) // Redis loses all: the key, and its streams
	h, err := l.store.Create(t.Context(), l.stream, stream.ID{Ms: uint64(time.Now().UnixMilli()) + 1}, "0 *")
	if err != nil {
		t.Fatal(err)
	}
	l.run()
	eventually(t, "the new incarnation is adopted", func() bool {
		_, state := l.target.Position(l.config.Lane)
		return state.GetIncarnation() == h.Incarnation
	})
	gaps, err := l.config.Gaps.List(t.Context())
	if err != nil || len(gaps) != 1 || gaps[0].Cause != "incarnation" || gaps[0].Job != "job" || !gaps[0].Open() {
		t.Fatalf("gaps %+v, %v", gaps, err)
	}
	if !strings.Contains(gaps[0].Detail, "began anew") {
		t.Errorf("detail %q", gaps[0].Detail)
	}
	l.rows(map[string]string{"a": "1"}) // G7
}

// A lane that is open finds that the stream is another one: it opens anew and records the gap.
func TestStreamReplacedUnderARunningLane(t *testing.T) {
	l := newLine(t, addr(t))
	l.create()
	l.run()
	l.set("a", "1")
	l.rows(map[string]string{"a": "1"})
	if _, err := l.store.Create(t.Context(), l.stream, stream.ID{Ms: uint64(time.Now().UnixMilli()) + 1}, "0 *"); err != nil {
		t.Fatal(err)
	}
	if err := l.rdb.HSet(t.Context(), l.key("b"), "v", "2").Err(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the change is recorded", func() bool { // the ID must lie after since, which is in the future
		return l.rdb.XAdd(t.Context(), &redis.XAddArgs{
			Stream: l.stream.Main, Values: []any{"key", l.key("b"), "op", "c"},
		}).Err() == nil
	})
	l.rows(map[string]string{"a": "1", "b": "2"})
	gaps, err := l.config.Gaps.List(t.Context())
	if err != nil || len(gaps) != 1 {
		t.Errorf("gaps %+v, %v", gaps, err)
	}
}

func TestErrorHandlingIgnoreDropsAndCounts(t *testing.T) {
	l := newLine(t, addr(t))
	l.create()
	l.config.Settings.ErrorHandling = pipelinev1.ErrorHandling_ERROR_HANDLING_IGNORE
	l.target.Reject = func(c *changev1.Change) string { return "all of them" }
	one, stop := l.run()
	l.set("a", "1")
	eventually(t, "the reject is counted", func() bool { return one.Status().Counts.Rejected == 1 })
	_ = stop()
	if n, err := l.rdb.XLen(t.Context(), keyspace.DeadLetters(l.name, "job")).Result(); err != nil || n != 0 {
		t.Errorf("%d dead letters, %v; want none", n, err)
	}
	if n, err := l.rdb.HGet(t.Context(), keyspace.Counts(l.name, "job"), lane.FieldRejected).Int(); err != nil || n != 1 {
		t.Errorf("%d rejected, %v; want 1", n, err)
	}
}

// Redis away is a wait with a reason; the stream to the target stays open and the lane goes on by itself (G6).
func TestRedisRestarts(t *testing.T) {
	server := devserver.Redis(t, devserver.RedisOptions{Persist: true})
	l := newLine(t, server.Addr)
	l.create()
	one, _ := l.run()
	l.set("a", "1")
	l.rows(map[string]string{"a": "1"})
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the lane waits for Redis", func() bool {
		s := one.Status()
		return s.State.String() == "LANE_STATE_WAITING" && s.Fault.GetClass() == flowv1.FaultClass_FAULT_CLASS_CONNECTION
	})
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "Redis takes writes again", func() bool { return l.rdb.HSet(t.Context(), l.key("b"), "v", "2").Err() == nil })
	l.record("b", "c", "hset")
	l.rows(map[string]string{"a": "1", "b": "2"})
	if one.Status().Fault != nil {
		t.Errorf("still waits: %v", one.Status())
	}
	if n := len(l.target.Opens()); n != 1 {
		t.Errorf("opened %d times, want once", n)
	}
}

// While one batch commits the next gathers: many changes become few batches (D6).
func TestBatchesFormWhileOneCommits(t *testing.T) {
	l := newLine(t, addr(t))
	l.create()
	l.config.Settings.Duration = 10_000
	l.config.Settings.ReadBatchSize = 2000
	gate := make(chan struct{})
	l.target.At = func(ctx context.Context, m lanetest.Moment, _ *flowv1.Lane, _ uint64) error {
		if m != lanetest.BeforeCommit {
			return nil
		}
		select {
		case <-gate:
			return nil
		case <-ctx.Done():
			return errors.New("the stream ended")
		}
	}
	l.run()
	gate <- struct{}{} // the start is adopted
	want := map[string]string{}
	for i := range 500 {
		key := fmt.Sprint("k", i)
		l.set(key, "1")
		want[key] = "1"
	}
	close(gate)
	l.rows(want)
	if n := len(l.target.Batches()); n > 6 {
		t.Errorf("500 changes behind a slow commit made %d batches", n)
	}
}
