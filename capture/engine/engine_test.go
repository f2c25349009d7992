package engine_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"slipstream/capture/engine"
	"slipstream/capture/lane/lanetest"
	"slipstream/deploy/dev/devserver"
	"slipstream/proto/keyspace"
	capturev1 "slipstream/proto/slipstream/capture/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// house is a pipeline in a Redis of its own, a fake target, and any number of engines.
type house struct {
	t      *testing.T
	addr   string
	rdb    *redis.Client
	target *lanetest.Target
	spec   *pipelinev1.Pipeline
}

func newHouse(t *testing.T, args ...string) *house {
	t.Helper()
	return houseAt(t, devserver.Redis(t, devserver.RedisOptions{Args: args}).Addr)
}

// houseAt is a house on a server that is started by somebody else, and empty.
func houseAt(t *testing.T, addr string) *house {
	t.Helper()
	h := &house{t: t, addr: addr, rdb: redis.NewClient(&redis.Options{Addr: addr, Protocol: 2}), target: &lanetest.Target{}}
	t.Cleanup(func() {
		h.target.Wait()
		_ = h.rdb.Close()
	})
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	h.spec = &pipelinev1.Pipeline{
		Name: "fleet",
		Connections: map[string]*pipelinev1.Connection{
			"source": {Name: "source", Type: "redis", Host: host, Port: port},
			"target": {Name: "target", Type: "sqlite"},
			"copy":   {Name: "copy", Type: "sqlite"},
		},
		Settings: &pipelinev1.Settings{Partitions: 2, OnFailedRetryInterval: 1, ReadBatchSize: 100, Duration: 20, DlqMaxMessages: 100},
		Jobs:     []*pipelinev1.Job{job("emp", "target")},
	}
	return h
}

func job(name string, connections ...string) *pipelinev1.Job {
	j := &pipelinev1.Job{
		Name: name, File: "jobs/" + name + ".yaml", Enabled: true, Source: &pipelinev1.Source{KeyPattern: name + ":*"},
	}
	for _, c := range connections {
		j.Outputs = append(j.Outputs, &pipelinev1.Output{Connection: c})
	}
	return j
}

// deploy stores the next generation as the gateway does.
func (h *house) deploy(running bool) {
	h.t.Helper()
	h.spec.Generation++
	binary, err := proto.Marshal(h.spec)
	if err != nil {
		h.t.Fatal(err)
	}
	_, err = h.rdb.TxPipelined(h.t.Context(), func(p redis.Pipeliner) error {
		p.SAdd(h.t.Context(), keyspace.Pipelines(), h.spec.Name)
		p.HSet(h.t.Context(), keyspace.Pipeline(h.spec.Name),
			keyspace.FieldGeneration, h.spec.Generation, keyspace.FieldRunning, running, keyspace.FieldSpec, binary)
		return nil
	})
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) running(on bool) {
	h.t.Helper()
	if err := h.rdb.HSet(h.t.Context(), keyspace.Pipeline(h.spec.Name), keyspace.FieldRunning, on).Err(); err != nil {
		h.t.Fatal(err)
	}
}

// engine starts an instance; the returned function ends it and waits.
func (h *house) engine(name string, choices ...func(*engine.Options)) (*engine.Engine, func()) {
	h.t.Helper()
	o := engine.Options{
		Redis: &redis.Options{Addr: h.addr}, Instance: name, Transformer: h.target.Dial,
		Logger: slog.New(slog.DiscardHandler), Poll: 20 * time.Millisecond, Lease: 2 * time.Second, Grace: 5 * time.Second,
	}
	for _, choose := range choices {
		choose(&o)
	}
	e, err := engine.New(o)
	if err != nil {
		h.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	var once sync.Once
	stop := func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				h.t.Errorf("engine %s: %v", name, err)
			}
		})
	}
	h.t.Cleanup(stop)
	return e, stop
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(90 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not within twenty seconds: %s", what)
		}
		time.Sleep(5 * time.Millisecond) // a poll, not a synchronisation
	}
}

func (h *house) set(key, value string) {
	h.t.Helper()
	if err := h.rdb.HSet(h.t.Context(), key, "v", value).Err(); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) del(key string) {
	h.t.Helper()
	if err := h.rdb.Del(h.t.Context(), key).Err(); err != nil {
		h.t.Fatal(err)
	}
}

// equal waits until the rows of a job and connection are what Redis has.
func (h *house) equal(job, connection string, want map[string]string) {
	h.t.Helper()
	var got map[string]string
	deadline := time.Now().Add(90 * time.Second)
	for {
		got = h.target.Rows(job, connection)
		same := len(got) == len(want)
		for k, v := range want {
			same = same && got[k] == "v="+v+";"
		}
		if same {
			return
		}
		if time.Now().After(deadline) {
			h.t.Fatalf("%d rows of %s on %s, want %d:\n got %v\nwant %v", len(got), job, connection, len(want), got, want)
		}
		time.Sleep(5 * time.Millisecond) // a poll, not a synchronisation
	}
}

func (h *house) status(e *engine.Engine) *capturev1.PipelineStatus {
	h.t.Helper()
	s, err := e.Status(h.t.Context(), "")
	if err != nil {
		return &capturev1.PipelineStatus{}
	}
	return s
}

// ready waits until the recorder records and every lane runs.
func (h *house) ready(e *engine.Engine, lanes int) {
	h.t.Helper()
	eventually(h.t, fmt.Sprintf("%d lanes run", lanes), func() bool {
		s := h.status(e)
		n := 0
		for _, l := range s.Lanes {
			if l.State == capturev1.LaneState_LANE_STATE_RUNNING {
				n++
			}
		}
		return s.GetRecorder().GetConnected() && n == lanes && s.Generation == h.spec.Generation
	})
}

func TestLifeOfAPipeline(t *testing.T) {
	h := newHouse(t)
	h.spec.Jobs = []*pipelinev1.Job{job("emp", "target", "copy"), job("dept", "target")}
	e, stop := h.engine("one")
	if _, err := e.Status(t.Context(), "fleet"); err == nil {
		t.Error("a pipeline that was never deployed has a status")
	}
	h.deploy(true)
	h.ready(e, 6)

	h.set("emp:1", "a")
	h.set("emp:2", "b")
	h.set("dept:1", "c")
	h.set("other:1", "d")
	h.del("emp:2")
	h.equal("emp", "target", map[string]string{"emp:1": "a"})
	h.equal("emp", "copy", map[string]string{"emp:1": "a"})
	h.equal("dept", "target", map[string]string{"dept:1": "c"})

	// Stopped: lanes drain, recording goes on, and a start misses nothing.
	h.running(false)
	eventually(t, "all lanes are closed", func() bool {
		for _, l := range h.status(e).Lanes {
			if l.State != capturev1.LaneState_LANE_STATE_IDLE || l.Owner != "" {
				return false
			}
		}
		return true
	})
	h.set("emp:3", "later")
	eventually(t, "the backlog shows", func() bool {
		s := h.status(e)
		late := slices.ContainsFunc(s.Lanes, func(l *capturev1.LaneStatus) bool { return l.LagMs > 0 && l.LagMs == s.Jobs[0].LagMs })
		return len(s.Jobs) == 2 && s.Jobs[0].Backlog == 1 && s.Jobs[0].LagMs > 0 && late
	})
	h.running(true)
	h.equal("emp", "target", map[string]string{"emp:1": "a", "emp:3": "later"})

	// A new generation reaches the lanes; a job that is gone has none.
	h.spec.Jobs = h.spec.Jobs[:1]
	h.spec.Jobs[0].Source.OnExpire = pipelinev1.RemovalPolicy_REMOVAL_POLICY_DELETE
	h.deploy(true)
	h.ready(e, 4)
	h.del("emp:1")
	h.set("dept:2", "x")
	h.equal("emp", "target", map[string]string{"emp:3": "later"})
	opens := h.target.Opens()
	if g := opens[len(opens)-1].Generation; g != h.spec.Generation {
		t.Errorf("last lane opened with generation %d, want %d", g, h.spec.Generation)
	}
	h.equal("dept", "target", map[string]string{"dept:1": "c"})

	stop()
	if n, err := h.rdb.ZCard(t.Context(), keyspace.Instances("fleet")).Result(); err != nil || n != 0 {
		t.Errorf("%d instances alive after the end, %v", n, err)
	}
	if keys, err := h.rdb.Keys(t.Context(), keyspace.Lease("fleet", "lane:*")).Result(); err != nil || len(keys) != 0 {
		t.Errorf("leases left behind: %v, %v", keys, err)
	}
}

func TestStatusIsComplete(t *testing.T) {
	h := newHouse(t)
	e, _ := h.engine("one")
	h.deploy(true)
	h.ready(e, 2)
	want := map[string]string{}
	for i := range 50 {
		key := fmt.Sprint("emp:", i)
		h.set(key, "1")
		want[key] = "1"
	}
	if err := h.rdb.SAdd(t.Context(), "emp:set", "member").Err(); err != nil {
		t.Fatal(err)
	}
	h.equal("emp", "target", want)
	var s *capturev1.PipelineStatus
	eventually(t, "the counters are written", func() bool {
		s = h.status(e)
		return len(s.Jobs) == 1 && s.Jobs[0].Counts.Changes == 50 && s.Jobs[0].Backlog == 0
	})
	if s.Pipeline != "fleet" || s.Instance != "one" || !s.Running || s.Generation != 1 || s.ReadMs == 0 {
		t.Errorf("head: %v", s)
	}
	if !strings.Contains(s.SourceServer, " ") || s.SourceAddress != h.addr || len(s.Instances) != 1 {
		t.Errorf("source %q at %q, instances %v", s.SourceServer, s.SourceAddress, s.Instances)
	}
	r := s.Recorder
	if r.Method != capturev1.CaptureMethod_CAPTURE_METHOD_NOTIFICATIONS || r.Guarantee != capturev1.Guarantee_GUARANTEE_REPAIRED ||
		r.Owner != "one" || r.Recorded < 50 { // G9
		t.Errorf("recorder %v", r)
	}
	j := s.Jobs[0]
	if j.Job != "emp" || !j.Enabled || strings.Count(j.Stream, ",") != 1 || j.NotLoaded != -1 || j.LastArrivalMs == 0 || j.LagMs != 0 {
		t.Errorf("job %v", j)
	}
	var changes uint64
	for _, l := range s.Lanes {
		changes += l.Counts.GetChanges()
		if l.Owner != "one" || l.Epoch != 1 || l.Dialect != "fake" || l.Position.GetMain() == nil || l.LatencyP99Ms < l.LatencyP50Ms {
			t.Errorf("lane %v", l)
		}
	}
	if changes != 50 {
		t.Errorf("lanes count %d changes, want 50", changes)
	}
}

func TestInstancesShareLanes(t *testing.T) {
	h := newHouse(t)
	h.spec.Settings.Partitions = 8
	h.deploy(true)
	one, stopOne := h.engine("one")
	h.ready(one, 8)
	two, _ := h.engine("two")
	owners := func(e *engine.Engine) map[string]int {
		m := map[string]int{}
		for _, l := range h.status(e).Lanes {
			m[l.Owner]++
		}
		return m
	}
	eventually(t, "both have lanes", func() bool {
		m := owners(two)
		return m["one"] > 0 && m["two"] > 0 && m["one"]+m["two"] == 8
	})
	want := map[string]string{}
	for i := range 100 {
		key := fmt.Sprint("emp:", i)
		h.set(key, "1")
		want[key] = "1"
	}
	h.equal("emp", "target", want)
	stopOne()
	eventually(t, "the other takes all lanes over", func() bool { return owners(two)["two"] == 8 })
	h.set("emp:0", "2")
	want["emp:0"] = "2"
	h.equal("emp", "target", want)
}

// A lane that has run for its age opens anew, again and again, at batch borders: the target follows all the same.
func TestLanesOpenAnewWithAge(t *testing.T) {
	h := newHouse(t)
	h.deploy(true)
	e, _ := h.engine("one", func(o *engine.Options) { o.LaneAge = 30 * time.Millisecond })
	h.ready(e, 2)
	want := map[string]string{}
	for i := 0; len(h.target.Opens()) < 12; i++ {
		key := fmt.Sprint("emp:", i%100)
		h.set(key, fmt.Sprint(i))
		want[key] = fmt.Sprint(i)
	}
	h.equal("emp", "target", want)
}

// A lane whose lease another instance has stops at once; when that one is gone it is taken back.
func TestLostLeaseStopsTheLane(t *testing.T) {
	h := newHouse(t)
	h.spec.Settings.Partitions = 1
	h.deploy(true)
	e, _ := h.engine("one")
	h.ready(e, 1)
	key := keyspace.Lease("fleet", "lane:emp:target:0of1")
	if n, err := h.rdb.Exists(t.Context(), key).Result(); err != nil || n != 1 {
		t.Fatalf("the lane's lease is not where this test thinks: %d, %v", n, err)
	}
	if err := h.rdb.Set(t.Context(), key, "thief/x", 300*time.Millisecond).Err(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the thief shows as owner", func() bool {
		s := h.status(e)
		return len(s.Lanes) == 1 && s.Lanes[0].Owner == "thief"
	})
	h.ready(e, 1)
	if n := len(h.target.Opens()); n != 2 {
		t.Errorf("opened %d times, want 2", n)
	}
	h.set("emp:1", "a")
	h.equal("emp", "target", map[string]string{"emp:1": "a"})
}

func TestStreamWrittenByTheApplication(t *testing.T) {
	h := newHouse(t)
	h.spec.Jobs[0].Source = &pipelinev1.Source{Stream: "outbox"}
	h.deploy(true)
	e, _ := h.engine("one")
	eventually(t, "the lane runs", func() bool {
		s := h.status(e)
		return len(s.Lanes) == 1 && s.Lanes[0].State == capturev1.LaneState_LANE_STATE_RUNNING
	})
	if err := h.rdb.XAdd(t.Context(), &redis.XAddArgs{
		Stream: "outbox", Values: []any{"key", "order:1", "op", "c", "after", `{"total":3}`},
	}).Err(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the row is there", func() bool { return h.target.Rows("emp", "target")["order:1"] == `{"total":3}` })
}

// Random writes while instances come and go: in the end the target equals Redis (G1, G3, G4).
func TestInstancesComeAndGo(t *testing.T) {
	h := newHouse(t)
	h.spec.Settings.Partitions = 4
	h.deploy(true)
	stops := make([]func(), 2)
	var e *engine.Engine
	e, stops[0] = h.engine("i0")
	h.ready(e, 4)
	r := rand.New(rand.NewPCG(7, 7))
	want := map[string]string{}
	for i := range 2000 {
		key := fmt.Sprint("emp:", r.IntN(100))
		if r.IntN(5) == 0 {
			h.del(key)
			delete(want, key)
		} else {
			value := fmt.Sprint(i)
			h.set(key, value)
			want[key] = value
		}
		switch i {
		case 400:
			_, stops[1] = h.engine("i1")
		case 900: // i1 is not the recorder: no gap comes of it
			stops[1]()
		case 1300:
			_, stops[1] = h.engine("i2")
		}
	}
	h.equal("emp", "target", want)
}
