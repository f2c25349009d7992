package engine_test

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"slipstream/capture/engine"
	"slipstream/proto/keyspace"
	capturev1 "slipstream/proto/slipstream/capture/v1"
	changev1 "slipstream/proto/slipstream/change/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// settledSweep waits until a sweep is settled and returns it.
func (h *house) settledSweep(e *engine.Engine, id string) *capturev1.Sweep {
	h.t.Helper()
	var found *capturev1.Sweep
	eventually(h.t, "sweep "+id+" is settled", func() bool {
		for _, s := range h.status(e).Sweeps {
			if s.Id == id && s.SettledMs > 0 {
				found = s
				return true
			}
		}
		return false
	})
	return found
}

// TestResync: keys that nothing was recorded of reach the target, of the jobs that were named and no other; what has no keys to
// read says so.
func TestResync(t *testing.T) {
	h := newHouse(t)
	h.set("emp:1", "before")
	h.set("dept:1", "before")
	off := job("off", "target")
	off.Enabled = false
	outbox := job("outbox", "target")
	outbox.Source = &pipelinev1.Source{Stream: "app:outbox", Values: pipelinev1.Values_VALUES_EACH}
	h.spec.Jobs = []*pipelinev1.Job{job("dept", "target"), job("emp", "target", "copy"), off, outbox}
	e, _ := h.engine("one")
	h.deploy(true)
	h.ready(e, 2+4+1)
	h.set("emp:2", "after") // and nothing is loaded of what was there
	h.equal("emp", "target", map[string]string{"emp:2": "after"})

	out, err := e.Resync(t.Context(), &capturev1.ResyncRequest{Jobs: []string{"emp"}})
	if err != nil || len(out) != 1 || out[0].Job != "emp" || out[0].Id == "" {
		t.Fatalf("resync: %v, %v", out, err)
	}
	for _, connection := range []string{"target", "copy"} {
		h.equal("emp", connection, map[string]string{"emp:1": "before", "emp:2": "after"})
	}
	if s := h.settledSweep(e, out[0].Id); s.Cause != "resync" || s.Matched != 2 {
		t.Errorf("sweep %v", s)
	}
	if rows := h.target.Rows("dept", "target"); len(rows) != 0 {
		t.Errorf("a job that was not named was read: %v", rows)
	}

	out, err = e.Resync(t.Context(), &capturev1.ResyncRequest{})
	if err != nil || len(out) != 4 {
		t.Fatalf("resync of all: %v, %v", out, err)
	}
	for i, want := range []string{"", "", "disabled", "application writes"} {
		if (out[i].Id != "") != (want == "") || !strings.Contains(out[i].Reason, want) {
			t.Errorf("%s: %v", out[i].Job, out[i])
		}
	}
	h.equal("dept", "target", map[string]string{"dept:1": "before"})
	if _, err := e.Resync(t.Context(), &capturev1.ResyncRequest{Jobs: []string{"emp", "none"}}); !errors.Is(err, engine.ErrUnknownJob) {
		t.Errorf("an unknown job: %v", err)
	}
	if _, err := e.Reset(t.Context(), &capturev1.ResetRequest{Jobs: []string{"none"}}); !errors.Is(err, engine.ErrUnknownJob) {
		t.Errorf("an unknown job: %v", err)
	}
}

// TestReset: totals begin anew, dead letters stay, and existing keys are loaded again where the job has an initial load, also
// into a target that was emptied behind our back (spec 14, A16).
func TestReset(t *testing.T) {
	h := newHouse(t)
	history := job("history", "target")
	history.Source.InitialLoad = pipelinev1.InitialLoad_INITIAL_LOAD_IF_EMPTY
	history.Outputs[0].Writer = &pipelinev1.Output_Relational{Relational: &pipelinev1.RelationalWrite{
		LoadStrategy: pipelinev1.LoadStrategy_LOAD_STRATEGY_APPEND,
	}}
	emp, mirror := job("emp", "target"), job("mirror", "target")
	emp.Source.InitialLoad = pipelinev1.InitialLoad_INITIAL_LOAD_ALWAYS
	mirror.Source.InitialLoad = pipelinev1.InitialLoad_INITIAL_LOAD_IF_EMPTY
	h.spec.Jobs = []*pipelinev1.Job{job("dept", "target"), emp, history, mirror}
	h.target.Reject = func(c *changev1.Change) string {
		if string(c.Key) == "emp:bad" {
			return "does not fit"
		}
		return ""
	}
	e, _ := h.engine("one")
	h.deploy(true)
	h.ready(e, 8)
	eventually(t, "the first loads are settled", func() bool {
		sweeps := h.status(e).Sweeps
		for _, s := range sweeps {
			if s.SettledMs == 0 {
				return false
			}
		}
		return len(sweeps) > 0
	})
	h.set("emp:1", "1")
	h.set("emp:bad", "1")
	h.equal("emp", "target", map[string]string{"emp:1": "1"})
	h.letters(e, 1)
	counted := func() string {
		return h.rdb.HGet(t.Context(), keyspace.Counts("fleet", "emp"), "changes").Val()
	}
	eventually(t, "the changes are counted", func() bool { return counted() == "2" })
	epochs := h.status(e).Lanes[0].Epoch

	out, err := e.Reset(t.Context(), &capturev1.ResetRequest{})
	if err != nil || len(out) != 4 {
		t.Fatalf("reset: %v, %v", out, err)
	}
	for i, want := range []string{"no initial_load", "", "keeps history", ""} {
		if (out[i].Id != "") != (want == "") || !strings.Contains(out[i].Reason, want) {
			t.Errorf("%s: %v", out[i].Job, out[i])
		}
	}
	if s := h.settledSweep(e, out[1].Id); s.Cause != "initial_load" || s.Matched != 2 {
		t.Errorf("sweep %v", s)
	}
	eventually(t, "only the load is counted", func() bool { return counted() == "2" })
	got := h.letters(e, 2) // the one that was there, and its key rejected again
	if string(got[0].Reject.Key) != "emp:bad" || h.status(e).Lanes[0].Epoch != epochs {
		t.Errorf("dead letters %v; lanes were opened anew: %v", got, h.status(e).Lanes[0].Epoch != epochs)
	}
}

// TestDeadLetterStreams: every stream is listed with how many and since when, those of jobs that are gone too, and dead letters
// are read page by page.
func TestDeadLetterStreams(t *testing.T) {
	h := newHouse(t)
	var strict atomic.Bool
	strict.Store(true)
	h.target.Reject = func(*changev1.Change) string {
		if strict.Load() {
			return "does not fit"
		}
		return ""
	}
	e, _ := h.engine("one")
	h.deploy(true)
	h.ready(e, 2)
	list := func() []*capturev1.DeadLetterStream {
		t.Helper()
		streams, err := e.DeadLetterStreams(t.Context(), "fleet")
		if err != nil {
			t.Fatal(err)
		}
		return streams
	}
	if s := list(); len(s) != 1 || s[0].Length != 0 || s[0].OldestMs != 0 || s[0].Capacity != 100 || s[0].Orphaned {
		t.Errorf("before: %v", s)
	}
	for i := range 5 {
		h.set(fmt.Sprintf("emp:%d", i), "1")
		h.letters(e, i+1)
	}
	h.spec.Jobs = []*pipelinev1.Job{job("dept", "target")}
	h.deploy(true)
	h.ready(e, 2)
	s := list()
	if len(s) != 2 || s[0].Job != "dept" || s[0].Orphaned || s[1].Job != "emp" || !s[1].Orphaned || s[1].Length != 5 {
		t.Fatalf("after: %v", s)
	}
	if s[1].OldestMs == 0 || s[1].NewestMs < s[1].OldestMs {
		t.Errorf("oldest %d, newest %d", s[1].OldestMs, s[1].NewestMs)
	}
	page := func(r *capturev1.ListRejectedRequest) (keys []string) {
		t.Helper()
		r.DlqName = s[1].Name
		got, err := e.Rejected(t.Context(), r)
		if err != nil || len(got) != 1 || got[0].Length != 5 {
			t.Fatalf("%v, %v", got, err)
		}
		for _, d := range got[0].Entries {
			keys = append(keys, string(d.Reject.Key))
		}
		return keys
	}
	for want, r := range map[string]*capturev1.ListRejectedRequest{
		"emp:1 emp:2": {MaxRecords: 2, Offset: 1, Oldest: true},
		"emp:3 emp:2": {MaxRecords: 2, Offset: 1},
		"emp:4":       {Offset: 4, Oldest: true},
		"":            {Offset: 9},
	} {
		if got := strings.Join(page(r), " "); got != want {
			t.Errorf("%v: %q, want %q", r, got, want)
		}
	}
	for name, known := range map[string]bool{"dept": true, "emp": true, "none": false} { // dept has no letters, emp is not deployed
		got, err := e.Rejected(t.Context(), &capturev1.ListRejectedRequest{Job: name})
		if known != (err == nil && len(got) == 1) || !known && !errors.Is(err, engine.ErrUnknownJob) {
			t.Errorf("job %s: %v, %v", name, got, err)
		}
	}
}

// TestFollow: changes are followed through lanes that run, to their commit or their reject; one that a broken lane carries is
// followed again.
func TestFollow(t *testing.T) {
	h := newHouse(t)
	h.target.Reject = func(c *changev1.Change) string {
		if string(c.Key) == "emp:bad" {
			return "does not fit"
		}
		return ""
	}
	e, _ := h.engine("one")
	h.deploy(true)
	h.ready(e, 2)
	f, err := e.Follow(&capturev1.TraceRequest{MaxRecords: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	h.set("emp:good", "1")
	h.set("emp:bad", "2")
	keys, ends := map[uint64]string{}, map[string]*capturev1.TracedOutcome{}
	for len(ends) < 2 {
		got, err := f.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if c := got.GetChange(); c != nil {
			one := c.Batch.Changes[0]
			keys[c.Record] = string(one.Key)
			if c.Lane.Job != "emp" || !strings.HasSuffix(c.Stream, ":emp") || c.ReadMs < one.FirstTsMs || one.Command != "hset" {
				t.Errorf("change %v", c)
			}
		}
		if o := got.GetOutcome(); o != nil {
			ends[keys[o.Record]] = o
		}
	}
	if o := ends["emp:good"]; !o.GetSettled() || len(o.GetRejects()) != 0 {
		t.Errorf("emp:good: %v", o)
	}
	if o := ends["emp:bad"]; !o.GetSettled() || len(o.GetRejects()) != 1 || o.GetRejects()[0].Reason != "does not fit" {
		t.Errorf("emp:bad: %v", o)
	}
	for name, r := range map[string]*capturev1.TraceRequest{"job": {Job: "none"}, "pipeline": {Pipeline: "none"}, "number": {MaxRecords: 1 << 20}} {
		if _, err := e.Follow(r); err == nil {
			t.Errorf("an impossible %s is followed", name)
		}
	}
}
