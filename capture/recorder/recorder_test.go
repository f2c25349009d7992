package recorder_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"slipstream/capture/gap"
	"slipstream/capture/recorder"
	"slipstream/capture/source"
	"slipstream/capture/stream"
	"slipstream/deploy/dev/devserver"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a Redis with a recorder on it.
type rig struct {
	t      testing.TB
	server *devserver.RedisServer
	config *source.Config
	rdb    *redis.Client
	store  *stream.Store
	gaps   *gap.Book
	spec   *pipelinev1.Pipeline
}

func configOf(t testing.TB, addr string) *source.Config {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	c, err := source.Parse(&pipelinev1.Connection{Name: "source", Type: "redis", Host: host, Port: port})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func newRig(t testing.TB, options devserver.RedisOptions, jobs ...*pipelinev1.Job) *rig {
	t.Helper()
	server := devserver.Redis(t, options)
	r := rigAt(t, server.Addr, jobs...)
	r.server = server
	return r
}

// rigAt is a rig on a server that is none of its own.
func rigAt(t testing.TB, addr string, jobs ...*pipelinev1.Job) *rig {
	t.Helper()
	r := &rig{t: t, config: configOf(t, addr)}
	r.rdb = redis.NewClient(&redis.Options{Addr: addr, Protocol: 2})
	t.Cleanup(func() { _ = r.rdb.Close() })
	r.store = stream.NewStore(r.rdb)
	r.gaps = gap.NewBook(r.rdb, "p")
	r.spec = &pipelinev1.Pipeline{Name: "p", Generation: 1, Settings: &pipelinev1.Settings{Partitions: 2}, Jobs: jobs}
	return r
}

func job(name, pattern string, change ...func(*pipelinev1.Job)) *pipelinev1.Job {
	j := &pipelinev1.Job{Name: name, Enabled: true, Source: &pipelinev1.Source{KeyPattern: pattern}}
	for _, c := range change {
		c(j)
	}
	return j
}

func (r *rig) plan() *recorder.Plan {
	return recorder.NewPlan(r.spec, r.config, func(*pipelinev1.Job) int { return recorder.Partitions(r.spec.GetSettings()) })
}

// running is a recorder that runs.
type running struct {
	*recorder.Notifications
	stop func()
}

func (r *rig) start(change ...func(*recorder.Config)) *running {
	r.t.Helper()
	c := recorder.Config{
		Pipeline: "p", Instance: "one", Source: r.config, Gaps: r.gaps, Beat: 50 * time.Millisecond, Lease: 2 * time.Second,
		Log: slog.New(slog.NewTextHandler(testWriter{r.t}, nil)),
	}
	for _, f := range change {
		f(&c)
	}
	n := recorder.NewNotifications(c)
	n.Configure(r.plan())
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	stopped := false
	stop := func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			r.t.Errorf("Run: %v", err)
		}
	}
	r.t.Cleanup(stop)
	return &running{Notifications: n, stop: stop}
}

func (r *rig) started(change ...func(*recorder.Config)) *running {
	r.t.Helper()
	n := r.start(change...)
	r.eventually("the recorder is connected", func() bool { return n.Status().GetConnected() })
	return n
}

// eventually polls until cond holds.
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
	if err := r.rdb.Do(r.t.Context(), args...).Err(); err != nil && !errors.Is(err, redis.Nil) {
		r.t.Fatalf("%v: %v", args, err)
	}
}

// entries returns what is recorded for a job as "op command key", over all partitions in the order of the IDs.
func (r *rig) entries(jobName string) []string {
	r.t.Helper()
	type found struct {
		id   stream.ID
		text string
	}
	var all []found
	for _, s := range stream.OfJob("p", job(jobName, ""), 2) {
		messages, err := r.rdb.XRange(r.t.Context(), s.Main, "-", "+").Result()
		if err != nil {
			r.t.Fatal(err)
		}
		for _, m := range messages {
			id, err := stream.ParseID(m.ID)
			if err != nil {
				r.t.Fatal(err)
			}
			text := m.Values["op"].(string) + " " + m.Values["command"].(string) + " " + m.Values["key"].(string)
			all = append(all, found{id, text})
		}
	}
	slices.SortFunc(all, func(a, b found) int { return a.id.Compare(b.id) })
	texts := make([]string, len(all))
	for i, f := range all {
		texts[i] = f.text
	}
	return texts
}

// expect waits for exactly these entries.
func (r *rig) expect(jobName string, want ...string) {
	r.t.Helper()
	deadline := time.Now().Add(90 * time.Second)
	for {
		got := r.entries(jobName)
		if strings.Join(got, "\n") == strings.Join(want, "\n") {
			return
		}
		if time.Now().After(deadline) || len(got) > len(want) {
			r.t.Fatalf("job %s: recorded\n  %s\nwant\n  %s", jobName, strings.Join(got, "\n  "), strings.Join(want, "\n  "))
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// causes returns the causes of the gaps recorded, with the job, oldest first.
func (r *rig) causes() []string {
	r.t.Helper()
	gaps, err := r.gaps.List(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	var causes []string
	for _, g := range gaps {
		causes = append([]string{strings.TrimSuffix(g.Cause+" "+g.Job, " ")}, causes...)
	}
	return causes
}

// testWriter shows the recorder's log when a test fails.
type testWriter struct{ t testing.TB }

func (w testWriter) Write(line []byte) (int, error) {
	w.t.Logf("%s", line)
	return len(line), nil
}
