package flush_test

import (
	"crypto/rand"
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"slipstream/capture/flush"
	"slipstream/deploy/dev/devserver"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// TestBook: the first flush of a job counts until it is acknowledged, once for all jobs.
func TestBook(t *testing.T) {
	rdb := redis.NewClient(&redis.Options{Addr: devserver.SharedRedis(t).Addr})
	defer func() { _ = rdb.Close() }()
	b := flush.NewBook(rdb, "flush-"+rand.Text()[:8])
	at := func(ms int64) time.Time { return time.UnixMilli(ms) }
	for _, stop := range []struct {
		at   int64
		jobs []string
	}{{1, []string{"emp"}}, {2, []string{"emp", "dept"}}, {3, nil}} {
		if err := b.Stop(t.Context(), stop.jobs, at(stop.at)); err != nil {
			t.Fatal(err)
		}
	}
	stopped, err := b.Stopped(t.Context())
	if err != nil || len(stopped) != 2 || !stopped["emp"].Equal(at(1)) || !stopped["dept"].Equal(at(2)) {
		t.Errorf("stopped %v, %v", stopped, err)
	}
	for _, want := range []string{"[dept emp]", "[]"} {
		if jobs, err := b.Acknowledge(t.Context()); err != nil || fmt.Sprint(jobs) != want {
			t.Errorf("acknowledged %v, %v; want %s", jobs, err, want)
		}
	}
	if stopped, err := b.Stopped(t.Context()); err != nil || len(stopped) != 0 {
		t.Errorf("stopped %v, %v", stopped, err)
	}
}

// TestStops: a job stops unless it says otherwise.
func TestStops(t *testing.T) {
	for policy, want := range map[pipelinev1.FlushPolicy]bool{
		pipelinev1.FlushPolicy_FLUSH_POLICY_UNSPECIFIED: true, pipelinev1.FlushPolicy_FLUSH_POLICY_STOP: true,
		pipelinev1.FlushPolicy_FLUSH_POLICY_IGNORE: false,
	} {
		if got := flush.Stops(&pipelinev1.Job{Source: &pipelinev1.Source{OnFlush: policy}}); got != want {
			t.Errorf("%v: %v", policy, got)
		}
	}
}
