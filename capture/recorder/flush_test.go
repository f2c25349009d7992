package recorder_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"slipstream/capture/recorder"
	"slipstream/deploy/dev/devserver"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// flushes takes the jobs that are stopped.
type flushes struct{ jobs chan []string }

func (f flushes) Stop(ctx context.Context, jobs []string, _ time.Time) error {
	select {
	case f.jobs <- jobs:
	case <-ctx.Done():
	}
	return nil
}

// TestFlushStops: a flush is found while the recorder runs and while it did not, once; it stops the jobs that say so, and where
// the server cannot tell which database it was, those of other databases too (spec 1.5).
func TestFlushStops(t *testing.T) {
	ignore := func(j *pipelinev1.Job) { j.Source.OnFlush = pipelinev1.FlushPolicy_FLUSH_POLICY_IGNORE }
	off := func(j *pipelinev1.Job) { j.Enabled = false }
	three := func(j *pipelinev1.Job) { j.Source.Database = 3 }
	outbox := func(j *pipelinev1.Job) { j.Source.Stream = "app:outbox" }
	r := newRig(t, devserver.RedisOptions{},
		job("stops", "a:*"), job("ignores", "a:*", ignore), job("off", "a:*", off), job("outbox", "a:*", outbox), job("three", "a:*", three))
	f := flushes{make(chan []string, 10)}
	with := func(c *recorder.Config) { c.Flushes = f }
	stopped := func(want ...string) {
		t.Helper()
		select {
		case got := <-f.jobs:
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("stopped %v, want %v", got, want)
			}
		case <-time.After(time.Minute):
			t.Fatalf("nothing was stopped, want %v", want)
		}
	}
	one := r.started(with)
	r.do("FLUSHALL")
	stopped("outbox", "stops", "three")
	r.eventually("the recorder goes on", func() bool {
		return one.Status().GetConnected() && r.rdb.Exists(t.Context(), "slipstream:{p}:recorder").Val() == 1
	})

	flushed := func(db int) {
		t.Helper()
		other := redis.NewClient(&redis.Options{Addr: r.server.Addr, DB: db, Protocol: 2})
		if err := other.FlushDB(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		_ = other.Close()
	}
	flushed(3)
	stopped("three") // ours are all there, so it was not the database of the others
	one.stop()
	flushed(5)
	two := r.started(with)
	stopped("three")
	two.stop()
	r.do("CONFIG", "RESETSTAT")
	r.started(with)
	r.do("HSET", "a:1", "f", "1")
	r.expect("stops", "u hset a:1")
	select {
	case got := <-f.jobs:
		t.Errorf("stopped %v without a flush", got)
	default:
	}
}

// TestFlushElsewhere: where the streams are on another server, a flush of the source stops every job, as nothing tells which
// database it was; a flush of the streams' server is none of the source.
func TestFlushElsewhere(t *testing.T) {
	r := newRig(t, devserver.RedisOptions{}, job("a", "a:*"))
	source := devserver.Redis(t, devserver.RedisOptions{})
	f := flushes{make(chan []string, 10)}
	n := r.started(func(c *recorder.Config) {
		c.Flushes, c.Source, c.Streams = f, configOf(t, source.Addr), r.config
	})
	r.do("FLUSHALL")
	r.eventually("the loss is found", func() bool { return len(r.causes()) > 0 && n.Status().GetConnected() })
	rdb := redis.NewClient(&redis.Options{Addr: source.Addr, Protocol: 2})
	defer func() { _ = rdb.Close() }()
	if err := rdb.Do(t.Context(), "SWAPDB", 0, 1).Err(); err != nil {
		t.Fatal(err)
	}
	select {
	case got := <-f.jobs:
		if fmt.Sprint(got) != "[a]" {
			t.Errorf("stopped %v", got)
		}
	case <-time.After(time.Minute):
		t.Fatal("nothing was stopped")
	}
	select {
	case got := <-f.jobs:
		t.Errorf("stopped %v too", got)
	default:
	}
	r.eventually("the gaps say which was which", func() bool {
		causes := fmt.Sprint(r.causes())
		return causes == "[incarnation a flush]"
	})
}
