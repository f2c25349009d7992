package recorder_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"slipstream/capture/recorder"
	"slipstream/capture/stream"
	"slipstream/deploy/dev/devserver"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

func (r *rig) header(jobName string, partition int) stream.Header {
	r.t.Helper()
	h, err := r.store.Header(r.t.Context(), stream.Recorded("p", jobName, partition, 2))
	if err != nil {
		r.t.Fatal(err)
	}
	return h
}

// expectCauses waits for exactly these gaps.
func (r *rig) expectCauses(want ...string) {
	r.t.Helper()
	r.eventually("gaps "+strings.Join(want, ", "), func() bool {
		got := r.causes()
		slices.Sort(got)
		slices.Sort(want)
		if len(got) > len(want) {
			r.t.Fatalf("gaps %q, want %q", got, want)
		}
		return slices.Equal(got, want)
	})
}

// TestRestart: a recorder that comes back reports the time in which nobody recorded, from the last sign of life on; a job
// that is recorded for the first time has no gap.
func TestRestart(t *testing.T) {
	r := newRig(t, devserver.RedisOptions{}, job("a", "a:*"), job("b", "b:*"))
	n := r.started()
	r.do("HSET", "a:1", "f", "1")
	r.expect("a", "u hset a:1")
	before := r.header("a", 0)
	if before.Since.IsZero() || before.Incarnation == "" || before.Lost {
		t.Fatalf("header %+v", before)
	}
	n.stop()
	stopped := time.Now()
	if got := r.causes(); len(got) != 0 {
		t.Fatalf("gaps before the restart: %q", got)
	}
	r.do("HSET", "a:2", "f", "1") // missed
	r.spec.Jobs = append(r.spec.Jobs, job("c", "c:*"))
	started := time.Now()
	r.started()
	r.do("HSET", "a:3", "f", "1")
	r.expect("a", "u hset a:1", "u hset a:3")
	r.expectCauses("connect a", "connect b")
	gaps, err := r.gaps.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range gaps {
		if g.Began.After(stopped) || g.Began.Before(stopped.Add(-5*time.Second)) || g.Ended.Before(started.Add(-time.Second)) {
			t.Errorf("the gap lasts from %v to %v; recorded until %v, again from %v", g.Began, g.Ended, stopped, started)
		}
	}
	if after := r.header("a", 0); after.Incarnation != before.Incarnation || after.Since != before.Since {
		t.Errorf("the stream began anew: %+v, before %+v", after, before)
	}
	if h := r.header("c", 0); h.Since.Ms < uint64(started.UnixMilli())-1000 {
		t.Errorf("the new job is complete since %v", h.Since)
	}
}

// TestOneGapForAll: where every job was recorded before, the gap is one for all.
func TestOneGapForAll(t *testing.T) {
	r := newRig(t, devserver.RedisOptions{}, job("a", "a:*"), job("b", "b:*"))
	r.started().stop()
	r.started()
	r.expectCauses("connect")
}

// TestCutOff: a subscriber that the server throws out loses events; that is a gap, and recording goes on.
func TestCutOff(t *testing.T) {
	r := newRig(t, devserver.RedisOptions{}, job("a", "a:*"))
	n := r.started()
	r.do("HSET", "a:1", "f", "1")
	r.expect("a", "u hset a:1")
	r.do("CLIENT", "KILL", "TYPE", "pubsub")
	r.expectCauses("reconnect a")
	r.eventually("connected again", func() bool { return n.Status().GetConnected() })
	r.do("HSET", "a:2", "f", "1")
	r.expect("a", "u hset a:1", "u hset a:2")
	r.eventually("both are counted, and the gap", func() bool { // a moment after they are written
		s := n.Status()
		return s.GetGaps() == 1 && s.GetRecorded() == 2 && s.GetOwner() == "one"
	})
}

// TestOutputBufferLimit: a real overrun of client-output-buffer-limit is noticed.
func TestOutputBufferLimit(t *testing.T) {
	r := newRig(t, devserver.RedisOptions{Args: []string{"--client-output-buffer-limit", "pubsub 64kb 64kb 1"}}, job("a", "a:*"))
	n := r.started()
	// One script makes more events at once than the buffer holds.
	r.do("EVAL", "for i = 1, 20000 do redis.call('HSET', 'a:' .. i, 'f', i) end", "0")
	r.expectCauses("reconnect a")
	r.eventually("connected again", func() bool { return n.Status().GetConnected() })
	before := len(r.entries("a"))
	if before >= 20000 {
		t.Errorf("%d entries: nothing was cut off", before)
	}
	r.do("HSET", "b", "f", "1")
	r.do("HSET", "a:last", "f", "1")
	r.eventually("recording goes on", func() bool {
		e := r.entries("a")
		return len(e) > 0 && e[len(e)-1] == "u hset a:last"
	})
}

// TestConnectionsKilled: whatever connection breaks, every event received is recorded once, and in order.
func TestConnectionsKilled(t *testing.T) {
	r := newRig(t, devserver.RedisOptions{}, job("a", "a:*"))
	r.started()
	stop := make(chan struct{})
	killed := make(chan int)
	go func() {
		kills := 0
		for {
			select {
			case <-stop:
				killed <- kills
				return
			case <-time.After(20 * time.Millisecond):
				// The writer's connection only: the subscription is of type pubsub.
				kills++
				_ = r.rdb.Do(t.Context(), "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes").Err()
			}
		}
	}()
	var want []string
	for i := range 3000 {
		for r.rdb.HSet(t.Context(), fmt.Sprintf("a:%d", i), "f", "1").Err() != nil {
			// our own connection was killed; whether the command took place is not known, but it may be sent again
			want = append(want, "")
		}
		want = append(want, fmt.Sprintf("u hset a:%d", i))
	}
	close(stop)
	if kills := <-killed; kills < 3 {
		t.Logf("only %d kills", kills)
	}
	want = slices.DeleteFunc(want, func(s string) bool { return s == "" })
	var got []string
	r.eventually("all is recorded", func() bool {
		got = slices.Compact(r.entries("a"))
		return len(got) > 0 && got[len(got)-1] == want[len(want)-1]
	})
	if !slices.Equal(got, want) {
		t.Errorf("%d entries recorded in another order or more than once, want %d", len(got), len(want))
	}
}

// TestFlush: FLUSHALL takes headers, streams and lease away under a recorder. It begins new incarnations, reports the
// gap, and goes on; nothing becomes a delete (G7).
func TestFlush(t *testing.T) {
	r := newRig(t, devserver.RedisOptions{}, job("a", "a:*"))
	n := r.started()
	r.do("HSET", "a:1", "f", "1")
	r.expect("a", "u hset a:1")
	before := r.header("a", 0)
	r.do("FLUSHALL")
	r.do("HSET", "a:2", "f", "1")
	r.expect("a", "u hset a:2")
	after := r.header("a", 0)
	if !after.Exists || after.Incarnation == before.Incarnation {
		t.Errorf("incarnation %q after FLUSHALL, %q before", after.Incarnation, before.Incarnation)
	}
	if before.Continuity(before.Incarnation, stream.Position{Main: before.Last, Side: before.SideLast}) != stream.Continuous {
		t.Error("the position was not continuous before")
	}
	if v := after.Continuity(before.Incarnation, stream.Position{Main: before.Last}); v != stream.Replaced {
		t.Errorf("a lane of before finds the stream %v", v)
	}
	r.eventually("both the loss and the flush are gaps", func() bool {
		causes := r.causes()
		return slices.Contains(causes, "incarnation a") && slices.Contains(causes, "flush")
	})
	if !n.Status().GetConnected() {
		t.Errorf("status %v", n.Status())
	}
	for _, e := range r.entries("a") {
		if strings.HasPrefix(e, "d ") {
			t.Errorf("recorded %q", e)
		}
	}
}

// TestServerLostData: a server that comes back empty.
func TestServerLostData(t *testing.T) {
	r := newRig(t, devserver.RedisOptions{}, job("a", "a:*"))
	n := r.started()
	r.do("HSET", "a:1", "f", "1")
	r.expect("a", "u hset a:1")
	// An entry whose answer was lost is recorded anew: wait for the answer, or a:1 may rightly be there twice.
	r.eventually("the recorder knows that it recorded", func() bool { return n.Status().GetRecorded() == 1 })
	if err := r.server.Kill(); err != nil {
		t.Fatal(err)
	}
	r.eventually("it says that it is not connected", func() bool { return !n.Status().GetConnected() && n.Status().GetReason() != "" })
	if err := r.server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.eventually("connected again", func() bool { return n.Status().GetConnected() })
	r.do("HSET", "a:2", "f", "1")
	r.expect("a", "u hset a:2")
	r.expectCauses("incarnation a")
}

// TestServerRestarted: a server that comes back with its data: the stream goes on, with a gap.
func TestServerRestarted(t *testing.T) {
	r := newRig(t, devserver.RedisOptions{Persist: true, Args: []string{"--appendfsync", "always"}}, job("a", "a:*"))
	n := r.started()
	r.do("HSET", "a:1", "f", "1")
	r.expect("a", "u hset a:1")
	before := r.header("a", 0)
	if err := r.server.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := r.server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.expectCauses("reconnect a")
	r.eventually("connected again", func() bool { return n.Status().GetConnected() })
	r.do("HSET", "a:2", "f", "1")
	r.expect("a", "u hset a:1", "u hset a:2")
	if after := r.header("a", 0); after.Incarnation != before.Incarnation {
		t.Error("the stream began anew though nothing was lost")
	}
}

// TestStreamDeleted: what somebody does to a stream is noticed, the stream begins anew, and no entry is written nowhere.
func TestStreamDeleted(t *testing.T) {
	keys := stream.Recorded("p", "a", 0, 2)
	cases := []struct {
		name   string
		damage []any
	}{
		{"main deleted", []any{"DEL", keys.Main}},
		{"main of another type", []any{"SET", keys.Main, "x"}},
		{"higher IDs than ours", []any{"XADD", keys.Main, "99999999999999-0", "key", "a:x", "op", "u", "command", "hset"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, devserver.RedisOptions{}, job("a", "a:*"))
			r.started()
			before := r.header("a", 0)
			r.do(c.damage...)
			for i := range 20 { // some of them fall into partition 0
				r.do("HSET", fmt.Sprintf("a:%d", i), "f", "1")
			}
			r.eventually("all 20 are recorded", func() bool {
				if h := r.rdb.Type(t.Context(), keys.Main).Val(); h != "stream" {
					return false
				}
				return len(slices.DeleteFunc(r.entries("a"), func(e string) bool { return strings.HasSuffix(e, ":x") })) == 20
			})
			if c.name == "higher IDs than ours" {
				return
			}
			r.expectCauses("incarnation a")
			if after := r.header("a", 0); after.Incarnation == before.Incarnation || after.Lost {
				t.Errorf("header %+v, before %+v", after, before)
			}
		})
	}
}

// TestHeaderDeleted: the loss of a header alone is found by looking.
func TestHeaderDeleted(t *testing.T) {
	r := newRig(t, devserver.RedisOptions{}, job("a", "a:*"))
	r.started()
	r.do("DEL", stream.Recorded("p", "a", 1, 2).Header)
	r.expectCauses("incarnation a")
	r.eventually("there is a header again", func() bool { return r.header("a", 1).Exists })
}

// TestOutOfMemory: while Redis has no room the recorder waits, says why, and writes all that it received.
func TestOutOfMemory(t *testing.T) {
	r := newRig(t, devserver.RedisOptions{}, job("a", "a:*"))
	n := r.started()
	for i := range 200 {
		r.do("HSET", fmt.Sprintf("a:%d", i), "f", "1")
	}
	r.eventually("all is recorded", func() bool { return len(r.entries("a")) == 200 })
	r.do("CONFIG", "SET", "maxmemory", "1")
	for i := range 100 {
		r.do("DEL", fmt.Sprintf("a:%d", i)) // DEL needs no memory
	}
	r.eventually("it says why it waits", func() bool { return strings.Contains(n.Status().GetReason(), "OOM") })
	lease := func() string { return r.rdb.Get(t.Context(), "slipstream:{p}:lease:recorder").Val() }
	held := lease()
	r.eventually("the lease is prolonged", func() bool { return lease() != held })
	if got := len(r.entries("a")); got != 200 {
		t.Errorf("%d entries without memory", got)
	}
	r.do("CONFIG", "SET", "maxmemory", "0")
	r.eventually("all is recorded", func() bool { return len(r.entries("a")) == 300 })
	r.eventually("it says that it waits no more", func() bool { return n.Status().GetReason() == "" })
	if got := r.causes(); len(got) != 0 {
		t.Errorf("gaps %q though nothing was dropped", got)
	}
}

// TestOutOfMemoryOverrun: when the events that wait exceed the memory, reading stops, the server cuts the subscription
// off, and that is a gap.
func TestOutOfMemoryOverrun(t *testing.T) {
	r := newRig(t, devserver.RedisOptions{Args: []string{"--client-output-buffer-limit", "pubsub 100kb 100kb 1"}}, job("a", "a:*"))
	r.do("EVAL", "for i = 1, 60000 do redis.call('HSET', 'a:' .. i, 'f', i) end", "0")
	n := r.started(func(c *recorder.Config) { c.Memory = 64 << 10 })
	r.do("CONFIG", "SET", "maxmemory", "1")
	for i := range 60000 / 1000 {
		var keys []any
		for k := range 1000 {
			keys = append(keys, fmt.Sprintf("a:%d", i*1000+k))
		}
		r.do(append([]any{"DEL"}, keys...)...)
	}
	r.do("CONFIG", "SET", "maxmemory", "0")
	r.eventually("the gap is recorded", func() bool { return slices.Contains(r.causes(), "reconnect a") })
	r.eventually("connected again", func() bool { return n.Status().GetConnected() && n.Status().GetReason() == "" })
}

// TestLease: one instance records, another takes over when it stops.
func TestLease(t *testing.T) {
	r := newRig(t, devserver.RedisOptions{}, job("a", "a:*"))
	one := r.started()
	two := r.start(func(c *recorder.Config) { c.Instance = "two" })
	r.eventually("two waits for one", func() bool { return two.Status().GetOwner() == "one" && !two.Status().GetConnected() })
	r.do("HSET", "a:1", "f", "1")
	r.expect("a", "u hset a:1")
	one.stop()
	r.eventually("two records", func() bool { return two.Status().GetConnected() && two.Status().GetOwner() == "two" })
	r.do("HSET", "a:2", "f", "1")
	r.expect("a", "u hset a:1", "u hset a:2")
	r.expectCauses("connect a")
}

// TestFenced: a recorder whose lease went to another while it was paused writes nothing when it wakes (D3).
func TestFenced(t *testing.T) {
	r := newRig(t, devserver.RedisOptions{}, job("a", "a:*"))
	one := r.started()
	r.do("HSET", "a:1", "f", "1")
	r.expect("a", "u hset a:1")
	// What a pause looks like from outside: the lease belongs to somebody else, and events are waiting.
	pipe := r.rdb.TxPipeline()
	pipe.Set(t.Context(), "slipstream:{p}:lease:recorder", "two/x", 3*time.Second)
	pipe.HSet(t.Context(), "a:2", "f", "1")
	if _, err := pipe.Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.eventually("one gives way", func() bool { return one.Status().GetOwner() == "two" })
	if got := r.entries("a"); len(got) != 1 {
		t.Errorf("recorded %q", got)
	}
	r.eventually("it records again when the lease has run out", func() bool { return one.Status().GetConnected() })
	r.expectCauses("reconnect a")
}

// TestConfigure: a new plan takes effect without a new connection, and without a gap for the jobs that stay.
func TestConfigure(t *testing.T) {
	r := newRig(t, devserver.RedisOptions{}, job("a", "a:*"), job("b", "b:*"))
	n := r.started()
	r.do("HSET", "a:1", "f", "1")
	r.expect("a", "u hset a:1")
	b := r.header("b", 0)
	r.spec.Jobs = []*pipelinev1.Job{
		job("a", "a:*", func(j *pipelinev1.Job) { j.Source.ExcludeCommands = []string{"hset"} }),
		job("b", "bb:*"),
		job("c", "c:*"),
	}
	n.Configure(r.plan())
	r.eventually("the new job has a header", func() bool { return r.header("c", 1).Exists && r.header("b", 0).Selection == "0/bb:*" })
	r.do("HSET", "a:2", "f", "1")
	r.do("DEL", "a:2")
	r.do("HSET", "b:1", "f", "1")
	r.do("HSET", "bb:1", "f", "1")
	r.do("HSET", "c:1", "f", "1")
	r.expect("c", "u hset c:1")
	r.expect("b", "u hset bb:1")
	r.expect("a", "u hset a:1", "d del a:2")
	if after := r.header("b", 0); after.Incarnation == b.Incarnation {
		t.Error("a job with another pattern goes on with the same stream")
	}
	if got := r.causes(); len(got) != 0 {
		t.Errorf("gaps %q", got)
	}
	// A job that was off for a while has missed something.
	jobs := r.spec.Jobs
	r.spec.Jobs = jobs[:2]
	n.Configure(r.plan())
	r.do("HSET", "a:3", "f", "1")
	r.do("DEL", "a:3")
	r.expect("a", "u hset a:1", "d del a:2", "d del a:3")
	r.spec.Jobs = jobs
	n.Configure(r.plan())
	r.expectCauses("connect c")
}

// TestEventsTurnedOff: somebody turns the events off; that is a gap, not silence, and they are turned on again.
func TestEventsTurnedOff(t *testing.T) {
	r := newRig(t, devserver.RedisOptions{Args: []string{"--notify-keyspace-events", "Elz"}}, job("a", "a:*"))
	n := r.started()
	setting := r.rdb.ConfigGet(t.Context(), "notify-keyspace-events").Val()["notify-keyspace-events"]
	for _, c := range "KElzghx$ed" {
		if !strings.ContainsRune(setting, c) {
			t.Errorf("notify-keyspace-events is %q, which lacks %c", setting, c)
		}
	}
	r.do("CONFIG", "SET", "notify-keyspace-events", "")
	r.expectCauses("reconnect a")
	r.eventually("connected again", func() bool { return n.Status().GetConnected() })
	r.do("HSET", "a:2", "f", "1")
	r.expect("a", "u hset a:2")
}

// TestConfigRefused: where CONFIG is refused the recorder works if the events come, and else says the line to set.
func TestConfigRefused(t *testing.T) {
	for _, c := range []struct {
		name, setting string
		works         bool
	}{
		{"events on", "KEA", true},
		{"events off", "", false},
		{"hash events only", "Kh", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, devserver.RedisOptions{Args: []string{
				"--notify-keyspace-events", c.setting, "--rename-command", "CONFIG", "",
			}}, job("a", "a:*"))
			n := r.start()
			if c.works {
				r.eventually("connected", func() bool { return n.Status().GetConnected() })
				r.do("HSET", "a:1", "f", "1")
				r.expect("a", "u hset a:1")
				return
			}
			r.eventually("it says what to set", func() bool {
				return strings.Contains(n.Status().GetReason(), `notify-keyspace-events "Kghdxe$"`)
			})
			if n.Status().GetConnected() {
				t.Error("it says that it is connected")
			}
		})
	}
}

// TestStuckServer: a server that stops answering is noticed.
func TestStuckServer(t *testing.T) {
	r := newRig(t, devserver.RedisOptions{}, job("a", "a:*"))
	r.config.Timeout = 300 * time.Millisecond
	n := r.started()
	process, err := os.FindProcess(r.server.Pid())
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	r.eventually("it is not connected", func() bool { return !n.Status().GetConnected() })
	if err := process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	r.eventually("connected again", func() bool { return n.Status().GetConnected() })
	r.expectCauses("reconnect a")
}
