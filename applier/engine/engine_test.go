package engine

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"slipstream/applier"
	"slipstream/proto/fault"
	applierv1 "slipstream/proto/slipstream/applier/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// counting is a dialect that only counts how often it was connected to and closed.
type counting struct {
	applier.Dialect
	connected, closed atomic.Int32
	password          atomic.Value
	err               error
}

type countingTarget struct {
	applier.Target
	d *counting
}

func (*counting) Name() string { return "counting" }

func (d *counting) Connect(_ context.Context, c *pipelinev1.Connection, _ *pipelinev1.Settings) (applier.Target, error) {
	d.connected.Add(1)
	d.password.Store(c.Password)
	if d.err != nil {
		return nil, d.err
	}
	return &countingTarget{d: d}, nil
}

func (t *countingTarget) Close() error { t.d.closed.Add(1); return nil }

// silent is a target that does not answer.
type silent struct{ counting }

type silentTarget struct{ applier.Target }

func (*silent) Connect(context.Context, *pipelinev1.Connection, *pipelinev1.Settings) (applier.Target, error) {
	return &silentTarget{}, nil
}

func (*silentTarget) Check(ctx context.Context, _ []*pipelinev1.Job) *applierv1.CheckResponse {
	<-ctx.Done()
	return &applierv1.CheckResponse{Fault: flowv1.FaultClass_FAULT_CLASS_CONNECTION}
}

func (*silentTarget) Close() error { return nil }

// TestCheckOfASilentTarget: the answer that a target does not answer comes in the time of who asks, so that it is not taken
// for an applier that is away.
func TestCheckOfASilentTarget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		e, err := New(&silent{}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		r := e.Check(ctx, &applierv1.CheckRequest{Connection: &pipelinev1.Connection{Name: "a"}})
		if r.GetFault() != flowv1.FaultClass_FAULT_CLASS_CONNECTION || ctx.Err() != nil {
			t.Errorf("%v, %v", r, ctx.Err())
		}
	})
}

// aliased serves connections of another type too.
type aliased struct{ counting }

func (*aliased) Aliases() []string { return []string{"tallying"} }

func TestServes(t *testing.T) {
	for kind, want := range map[string]bool{"counting": true, "tallying": true, "other": false, "": false} {
		if got := applier.Serves(&aliased{}, kind); got != want {
			t.Errorf("%q is served: %v", kind, got)
		}
	}
	if applier.Serves(&counting{}, "tallying") {
		t.Error("a dialect serves a type that it does not name")
	}
}

func TestTargetsAreShared(t *testing.T) {
	d := &counting{}
	ts := newTargets(d)
	a := &pipelinev1.Connection{Name: "a", Password: "${env:SUITE_PASSWORD}"}
	t.Setenv("SUITE_PASSWORD", "first")

	var leases [8]*lease
	var all sync.WaitGroup
	for i := range leases {
		all.Go(func() {
			var err error
			if leases[i], err = ts.acquire(t.Context(), a, nil); err != nil {
				t.Errorf("acquiring: %v", err)
			}
		})
	}
	all.Wait()
	if n := d.connected.Load(); n != 1 {
		t.Errorf("connected %d times for one connection", n)
	}
	if p := d.password.Load(); p != "first" {
		t.Errorf("the dialect got the password %q", p)
	}
	t.Setenv("SUITE_PASSWORD", "rotated")
	rotated, err := ts.acquire(t.Context(), a, nil)
	if err != nil {
		t.Fatalf("acquiring: %v", err)
	}
	if d.connected.Load() != 2 || d.password.Load() != "rotated" {
		t.Error("a password that was rotated did not make another target")
	}
	for _, l := range append(leases[:], rotated) {
		if err := l.release(); err != nil {
			t.Errorf("releasing: %v", err)
		}
	}
	if n := d.closed.Load(); n != 2 || len(ts.open) != 0 {
		t.Errorf("%d of 2 targets closed, %d kept", n, len(ts.open))
	}
}

func TestTargetThatFailsIsAskedAgain(t *testing.T) {
	d := &counting{err: fault.New(flowv1.FaultClass_FAULT_CLASS_SCHEMA, errors.New("no such option"))}
	ts := newTargets(d)
	for range 2 {
		if _, err := ts.acquire(t.Context(), &pipelinev1.Connection{}, nil); fault.Class(err) != flowv1.FaultClass_FAULT_CLASS_SCHEMA {
			t.Errorf("error is %v", err)
		}
	}
	if n := d.connected.Load(); n != 2 || len(ts.open) != 0 {
		t.Errorf("connected %d times, %d kept", n, len(ts.open))
	}
}

func TestPatience(t *testing.T) {
	start := time.Date(2030, 2, 1, 0, 0, 0, 0, time.UTC)
	p := patience{most: 10 * time.Second}
	for _, step := range []struct {
		name string
		at   time.Duration
		want time.Duration
	}{
		{"the first failure has all of it", 0, 10 * time.Second},
		{"the second has what is left", 4 * time.Second, 6 * time.Second},
		{"then there is none", 11 * time.Second, -1 * time.Second},
		{"the next record has none either", 20 * time.Second, -10 * time.Second},
		{"after a time without failures it is whole again", 31 * time.Second, 10 * time.Second},
	} {
		if got := p.left(start.Add(step.at)); got != step.want {
			t.Errorf("%s: %v left, want %v", step.name, got, step.want)
		}
	}
	none := patience{most: -1}
	if none.left(start) > 0 {
		t.Error("a negative bound waits")
	}
}

func TestInbox(t *testing.T) {
	b := newInbox()
	done := make(chan struct{})
	got := make(chan int)
	go func() {
		n := 0
		for {
			if _, ok := b.take(done); !ok {
				got <- n
				return
			}
			n++
		}
	}()
	for range 1000 {
		b.put(item{drain: true})
	}
	b.close()
	if n := <-got; n != 1000 {
		t.Errorf("%d of 1000 items came out before the end", n)
	}
	close(done)
	if _, ok := newInbox().take(done); ok {
		t.Error("an empty inbox gave something")
	}
}

func TestMetricsAreShared(t *testing.T) {
	r := prometheus.NewRegistry()
	one, err := newMetrics(r)
	if err != nil {
		t.Fatal(err)
	}
	two, err := newMetrics(r)
	if err != nil {
		t.Fatal(err)
	}
	if one.rows != two.rows || one.commit != two.commit {
		t.Error("two engines of one registry have collectors of their own")
	}
	r = prometheus.NewRegistry()
	other := prometheus.NewCounter(prometheus.CounterOpts{Name: "slipstream_applier_rows_total", Help: "Something else."})
	if err := r.Register(other); err != nil {
		t.Fatal(err)
	}
	if _, err := newMetrics(r); err == nil {
		t.Error("a name that is taken was not noticed")
	}
}
