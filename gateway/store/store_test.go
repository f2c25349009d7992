package store_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"slipstream/deploy/dev/devserver"
	"slipstream/proto/keyspace"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"

	"slipstream/gateway/store"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

func open(t *testing.T) (*store.Store, *redis.Client) {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: devserver.Redis(t, devserver.RedisOptions{}).Addr})
	t.Cleanup(func() { _ = client.Close() })
	return store.New(client), client
}

func pipeline(name, job string) *pipelinev1.Pipeline {
	return &pipelinev1.Pipeline{Name: name, Jobs: []*pipelinev1.Job{{Name: job}}}
}

func TestNothingDeployed(t *testing.T) {
	s, _ := open(t)
	if _, err := s.Current(t.Context(), "p"); !errors.Is(err, store.ErrNotDeployed) {
		t.Errorf("Current: %v, want ErrNotDeployed", err)
	}
	if _, err := s.SetRunning(t.Context(), "p", true); !errors.Is(err, store.ErrNotDeployed) {
		t.Errorf("SetRunning: %v, want ErrNotDeployed", err)
	}
	if _, err := s.Generation(t.Context(), "p", 1); !errors.Is(err, store.ErrNotDeployed) {
		t.Errorf("Generation: %v, want ErrNotDeployed", err)
	}
	if names, err := s.Pipelines(t.Context()); err != nil || len(names) != 0 {
		t.Errorf("Pipelines: %v, %v", names, err)
	}
}

func TestGenerations(t *testing.T) {
	s, client := open(t)
	const last = store.Kept + 3
	for n := uint64(1); n <= last; n++ {
		got, err := s.Save(t.Context(), pipeline("p", fmt.Sprint("job", n)), n-1)
		if err != nil || got != n {
			t.Fatalf("Save over %d: %d, %v", n-1, got, err)
		}
	}
	now, err := s.Current(t.Context(), "p")
	if err != nil {
		t.Fatal(err)
	}
	if !now.Running || now.Pipeline.GetGeneration() != last || now.Pipeline.GetJobs()[0].GetName() != fmt.Sprint("job", last) {
		t.Errorf("Current: running %v, %v", now.Running, now.Pipeline)
	}
	for n := uint64(1); n <= last; n++ {
		p, err := s.Generation(t.Context(), "p", n)
		if gone := n <= last-store.Kept; gone != errors.Is(err, store.ErrNotDeployed) {
			t.Errorf("generation %d: %v", n, err)
		} else if !gone && (p.GetGeneration() != n || p.GetJobs()[0].GetName() != fmt.Sprint("job", n)) {
			t.Errorf("generation %d: %v", n, p)
		}
	}
	// What capture reads is the same.
	hash, err := client.HGetAll(t.Context(), keyspace.Pipeline("p")).Result()
	if err != nil {
		t.Fatal(err)
	}
	if hash[keyspace.FieldGeneration] != fmt.Sprint(last) || hash[keyspace.FieldRunning] != "1" {
		t.Errorf("hash: generation %s, running %s", hash[keyspace.FieldGeneration], hash[keyspace.FieldRunning])
	}
	spec := &pipelinev1.Pipeline{}
	if err := proto.Unmarshal([]byte(hash[keyspace.FieldSpec]), spec); err != nil || !proto.Equal(spec, now.Pipeline) {
		t.Errorf("spec: %v, %v", spec, err)
	}
	if names, err := s.Pipelines(t.Context()); err != nil || len(names) != 1 || names[0] != "p" {
		t.Errorf("Pipelines: %v, %v", names, err)
	}
	keys, err := client.Keys(t.Context(), "*").Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		if !keyspace.Internal([]byte(key)) {
			t.Errorf("key %s is not ours", key)
		}
	}
}

func TestConflict(t *testing.T) {
	s, _ := open(t)
	if _, err := s.Save(t.Context(), pipeline("p", "first"), 0); err != nil {
		t.Fatal(err)
	}
	for _, base := range []uint64{0, 2, 7} {
		if _, err := s.Save(t.Context(), pipeline("p", "late"), base); !errors.Is(err, store.ErrConflict) {
			t.Errorf("Save over %d: %v, want ErrConflict", base, err)
		}
	}
	now, err := s.Current(t.Context(), "p")
	if err != nil || now.Pipeline.GetGeneration() != 1 || now.Pipeline.GetJobs()[0].GetName() != "first" {
		t.Errorf("Current: %v, %v", now.Pipeline, err)
	}
}

// TestRace lets many deploy over the same generation: one wins, and what is stored is whole.
func TestRace(t *testing.T) {
	s, _ := open(t)
	var wins, conflicts int
	var mu sync.Mutex
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			_, err := s.Save(t.Context(), pipeline("p", fmt.Sprint(i)), 0)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				wins++
			case errors.Is(err, store.ErrConflict):
				conflicts++
			default:
				t.Errorf("Save: %v", err)
			}
		})
	}
	all.Wait()
	if wins != 1 || conflicts != 15 {
		t.Errorf("%d wins, %d conflicts", wins, conflicts)
	}
	now, err := s.Current(t.Context(), "p")
	if err != nil {
		t.Fatal(err)
	}
	kept, err := s.Generation(t.Context(), "p", 1)
	if err != nil || !proto.Equal(kept, now.Pipeline) {
		t.Errorf("current %v, generation 1 %v, %v", now.Pipeline, kept, err)
	}
}

func TestRunning(t *testing.T) {
	s, _ := open(t)
	if _, err := s.Save(t.Context(), pipeline("p", "a"), 0); err != nil {
		t.Fatal(err)
	}
	for _, want := range []bool{false, false, true} {
		if n, err := s.SetRunning(t.Context(), "p", want); err != nil || n != 1 {
			t.Fatalf("SetRunning(%v): %d, %v", want, n, err)
		}
		if now, err := s.Current(t.Context(), "p"); err != nil || now.Running != want {
			t.Errorf("running %v, want %v (%v)", now.Running, want, err)
		}
	}
	if _, err := s.SetRunning(t.Context(), "p", false); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Save(t.Context(), pipeline("p", "b"), 1); err != nil {
		t.Fatal(err)
	}
	if now, err := s.Current(t.Context(), "p"); err != nil || !now.Running {
		t.Errorf("a deploy must start the pipeline: running %v, %v", now.Running, err)
	}
}

func TestSource(t *testing.T) {
	s, _ := open(t)
	first, err := s.Source(t.Context())
	if err != nil || len(first) < 20 {
		t.Fatalf("Source: %q, %v", first, err)
	}
	if again, err := s.Source(t.Context()); err != nil || again != first {
		t.Errorf("Source again: %q, %v, want %q", again, err, first)
	}
	other, _ := open(t)
	if id, err := other.Source(t.Context()); err != nil || id == first {
		t.Errorf("Source of another Redis: %q, %v", id, err)
	}
}

// TestAway says what is told when Redis is not there.
func TestAway(t *testing.T) {
	client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", MaxRetries: -1})
	defer func() { _ = client.Close() }()
	s := store.New(client)
	calls := map[string]func(context.Context) error{
		"Current":    func(ctx context.Context) error { _, err := s.Current(ctx, "p"); return err },
		"Save":       func(ctx context.Context) error { _, err := s.Save(ctx, pipeline("p", "a"), 0); return err },
		"SetRunning": func(ctx context.Context) error { _, err := s.SetRunning(ctx, "p", true); return err },
		"Generation": func(ctx context.Context) error { _, err := s.Generation(ctx, "p", 1); return err },
		"Pipelines":  func(ctx context.Context) error { _, err := s.Pipelines(ctx); return err },
		"Deployed":   func(ctx context.Context) error { _, err := s.Deployed(ctx); return err },
		"Source":     func(ctx context.Context) error { _, err := s.Source(ctx); return err },
	}
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			err := call(t.Context())
			if err == nil || errors.Is(err, store.ErrNotDeployed) || errors.Is(err, store.ErrConflict) {
				t.Fatalf("error: %v", err)
			}
			if !strings.Contains(err.Error(), "127.0.0.1:1") {
				t.Errorf("the error does not name the address: %v", err)
			}
		})
	}
}

// TestStale: what a generation makes stale is stored with it; what was stale stays, but for jobs that are gone; a resync is
// asked for only of jobs that are stale still.
func TestStale(t *testing.T) {
	s, client := open(t)
	two := &pipelinev1.Pipeline{Name: "p", Jobs: []*pipelinev1.Job{{Name: "a"}, {Name: "b"}}}
	if _, err := s.Save(t.Context(), two, 0, &pipelinev1.StaleJob{Job: "a"}, &pipelinev1.StaleJob{Job: "b"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Save(t.Context(), two, 1, &pipelinev1.StaleJob{Job: "b", Caution: "careful"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Save(t.Context(), two, 1, &pipelinev1.StaleJob{Job: "a", Caution: "late"}); !errors.Is(err, store.ErrConflict) {
		t.Fatalf("over an older generation: %v", err)
	}
	if err := s.RequestResync(t.Context(), "p", []string{"a", "none"}); err != nil {
		t.Fatal(err)
	}
	now, err := s.Current(t.Context(), "p")
	want := []*pipelinev1.StaleJob{{Job: "a", Generation: 1, Resync: true}, {Job: "b", Generation: 2, Caution: "careful"}}
	if err != nil || len(now.Stale) != 2 || !proto.Equal(now.Stale[0], want[0]) || !proto.Equal(now.Stale[1], want[1]) {
		t.Errorf("stale: %v, %v", now.Stale, err)
	}
	if _, err := s.Save(t.Context(), pipeline("p", "b"), 2); err != nil {
		t.Fatal(err)
	}
	if now, err = s.Current(t.Context(), "p"); err != nil || len(now.Stale) != 1 || now.Stale[0].GetJob() != "b" {
		t.Errorf("stale once a job is gone: %v, %v", now.Stale, err)
	}
	if left := client.HKeys(t.Context(), keyspace.Stale("p")).Val(); len(left) != 1 {
		t.Errorf("left in the store: %v", left)
	}
}
