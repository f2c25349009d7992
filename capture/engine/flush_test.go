package engine_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"slipstream/capture/engine"
	capturev1 "slipstream/proto/slipstream/capture/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// lanes is what the lanes of a job are doing, sorted.
func (h *house) lanes(e *engine.Engine, job string) []string {
	var states []string
	for _, l := range h.status(e).Lanes {
		if l.Lane.Job == job {
			states = append(states, strings.TrimPrefix(l.State.String(), "LANE_STATE_"))
		}
	}
	return sorted(states)
}

// TestFlushStopsLanes: a flush stops the lanes of the jobs that do not ignore it, wherever they run, until it is
// acknowledged; nothing is deleted, what is written meanwhile waits, and a job that ignores it goes on (spec 1.5, G7).
func TestFlushStopsLanes(t *testing.T) {
	h := newHouse(t)
	ignoring := job("dept", "target")
	ignoring.Source.OnFlush = pipelinev1.FlushPolicy_FLUSH_POLICY_IGNORE
	h.spec.Jobs = append(h.spec.Jobs, ignoring)
	one, _ := h.engine("one")
	two, _ := h.engine("two")
	h.deploy(true)
	eventually(t, "every lane runs somewhere", func() bool {
		running := 0
		for _, e := range []*engine.Engine{one, two} {
			for _, l := range h.status(e).Lanes {
				if l.State == capturev1.LaneState_LANE_STATE_RUNNING {
					running++
				}
			}
		}
		return running == 4
	})
	h.set("emp:1", "1")
	h.set("dept:1", "1")
	h.equal("emp", "target", map[string]string{"emp:1": "1"})
	h.equal("dept", "target", map[string]string{"dept:1": "1"})

	if err := h.rdb.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	for _, e := range []*engine.Engine{one, two} {
		eventually(t, "the lanes stop", func() bool {
			return slices.Equal(h.lanes(e, "emp"), []string{"STOPPED", "STOPPED"})
		})
		for _, l := range h.status(e).Lanes {
			if l.Lane.Job == "emp" && (!strings.Contains(l.Fault.GetMessage(), "FLUSHALL") || l.Fault.GetFix() == "" || l.SinceMs == 0) {
				t.Errorf("a lane stopped by a flush says %v", l)
			}
		}
	}
	h.set("emp:2", "2")
	h.set("dept:2", "2")
	h.equal("dept", "target", map[string]string{"dept:1": "1", "dept:2": "2"})
	h.equal("emp", "target", map[string]string{"emp:1": "1"})

	jobs, err := two.AcknowledgeFlush(t.Context(), "fleet")
	if err != nil || fmt.Sprint(jobs) != "[emp]" {
		t.Errorf("acknowledged %v, %v", jobs, err)
	}
	h.equal("emp", "target", map[string]string{"emp:1": "1", "emp:2": "2"})
	if jobs, err := one.AcknowledgeFlush(t.Context(), ""); err != nil || len(jobs) != 0 {
		t.Errorf("acknowledged again: %v, %v", jobs, err)
	}
}

// TestFlushPolicyChanges: a job that is deployed anew to ignore flushes does not wait for an acknowledgement.
func TestFlushPolicyChanges(t *testing.T) {
	h := newHouse(t)
	e, _ := h.engine("one")
	h.deploy(true)
	h.ready(e, 2)
	if err := h.rdb.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the lanes stop", func() bool { return slices.Equal(h.lanes(e, "emp"), []string{"STOPPED", "STOPPED"}) })
	h.spec.Jobs[0].Source.OnFlush = pipelinev1.FlushPolicy_FLUSH_POLICY_IGNORE
	h.deploy(true)
	h.set("emp:2", "2")
	h.equal("emp", "target", map[string]string{"emp:2": "2"})
}

// TestEveryValue: with values: each a target sees every value in its turn, also those that were overwritten long before the
// lane came to them.
func TestEveryValue(t *testing.T) {
	h := newHouse(t)
	h.spec.Jobs[0].Source.Values = pipelinev1.Values_VALUES_EACH
	e, _ := h.engine("one")
	h.deploy(true)
	h.ready(e, 2)
	h.running(false)
	eventually(t, "the lanes end", func() bool { return slices.Equal(h.lanes(e, "emp"), []string{"IDLE", "IDLE"}) })
	var want []string
	recorded := h.status(e).Recorder.GetRecorded()
	for i := range 20 {
		h.set("emp:1", fmt.Sprint(i))
		want = append(want, fmt.Sprintf("update %d", i))
		eventually(t, "the change is recorded", func() bool { return h.status(e).Recorder.GetRecorded() == recorded+uint64(i)+1 })
	}
	h.del("emp:1")
	want = append(want, "delete")
	h.running(true)
	eventually(t, "all of them arrive", func() bool { return len(h.changes(0, "emp:1")) >= len(want) })
	if got := h.changes(0, "emp:1"); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestLookupsTravel: a lane brings along the connections that lookup blocks of its job read, each once, with their
// references as they were written (G10).
func TestLookupsTravel(t *testing.T) {
	t.Setenv("SLIPSTREAM_TEST_LOOKUP", "secret")
	h := newHouse(t)
	h.spec.Connections["depots"] = &pipelinev1.Connection{Name: "depots", Type: "redis", Host: "depots.example", Password: "${env:SLIPSTREAM_TEST_LOOKUP}"}
	h.spec.Connections["unused"] = &pipelinev1.Connection{Name: "unused", Type: "redis"}
	lookup := func(connection string) *pipelinev1.Block {
		return &pipelinev1.Block{Block: &pipelinev1.Block_RedisLookup{RedisLookup: &pipelinev1.RedisLookup{Connection: connection}}}
	}
	h.spec.Jobs[0].Transform = []*pipelinev1.Block{lookup("source"), lookup("depots"), lookup("source"), {}}
	h.spec.Jobs = append(h.spec.Jobs, job("dept", "target"))
	e, _ := h.engine("one")
	h.deploy(true)
	h.ready(e, 4)
	seen := 0
	for _, open := range h.target.Opens() {
		var names []string
		for _, c := range open.Lookups {
			names = append(names, c.Name)
			if strings.Contains(c.String(), "secret") {
				t.Errorf("a secret travels: %v", c)
			}
		}
		want := "[]"
		if open.Job.Name == "emp" {
			want = "[depots source]"
			seen++
		}
		if fmt.Sprint(names) != want {
			t.Errorf("lane of %s has %v, want %s", open.Job.Name, names, want)
		}
	}
	if seen == 0 {
		t.Error("no lane was opened")
	}
}
