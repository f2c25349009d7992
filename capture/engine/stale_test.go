package engine_test

import (
	"testing"

	"google.golang.org/protobuf/proto"

	"slipstream/capture/engine"
	"slipstream/proto/keyspace"
	capturev1 "slipstream/proto/slipstream/capture/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// makeStale notes a stale job as a deploy does.
func (h *house) makeStale(s *pipelinev1.StaleJob) {
	h.t.Helper()
	text, err := proto.Marshal(s)
	if err != nil {
		h.t.Fatal(err)
	}
	if err := h.rdb.HSet(h.t.Context(), keyspace.Stale("fleet"), s.GetJob(), text).Err(); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) stale(job string) bool {
	return h.rdb.HExists(h.t.Context(), keyspace.Stale("fleet"), job).Val()
}

// resyncs are the sweeps of a job that were asked for by a resync.
func (h *house) resyncs(e *engine.Engine, job string) (out []*capturev1.Sweep) {
	for _, s := range h.status(e).Sweeps {
		if s.GetJob() == job && s.GetCause() == "resync" {
			out = append(out, s)
		}
	}
	return out
}

// TestStale: a deploy that wants a resync gets one, once, that comes after its generation; a job that is stale stays so,
// over restarts, until a sweep of its generation is settled, whoever asked for it.
func TestStale(t *testing.T) {
	h := newHouse(t)
	h.spec.Jobs = []*pipelinev1.Job{job("dept", "target"), job("emp", "target", "copy")}
	h.set("emp:1", "1")
	h.set("dept:1", "1")
	e, stop := h.engine("one")
	h.deploy(true)
	h.ready(e, 2+4)

	h.makeStale(&pipelinev1.StaleJob{Job: "emp", Generation: 2, Resync: true})
	h.makeStale(&pipelinev1.StaleJob{Job: "dept", Generation: 2})
	h.makeStale(&pipelinev1.StaleJob{Job: "gone", Generation: 2, Resync: true})
	if sweeps := h.resyncs(e, "emp"); len(sweeps) > 0 {
		t.Errorf("resynced before the generation is there: %v", sweeps)
	}
	h.deploy(true)
	for _, connection := range []string{"target", "copy"} {
		h.equal("emp", connection, map[string]string{"emp:1": "1"})
	}
	eventually(t, "the job is stale no longer", func() bool { return !h.stale("emp") })
	if sweeps := h.resyncs(e, "emp"); len(sweeps) != 1 || sweeps[0].GetGeneration() < 2 || sweeps[0].GetAfter() != 2 || sweeps[0].GetSettledMs() == 0 {
		t.Errorf("sweeps of emp: %v", sweeps)
	}

	stop()
	e, _ = h.engine("two")
	h.deploy(true)
	h.ready(e, 2+4)
	if !h.stale("dept") || len(h.resyncs(e, "dept")) > 0 {
		t.Errorf("nobody asked for a resync, and the job is stale: %t, sweeps %v", h.stale("dept"), h.resyncs(e, "dept"))
	}
	if _, err := e.Resync(t.Context(), &capturev1.ResyncRequest{Jobs: []string{"dept"}}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a resync by hand counts", func() bool { return !h.stale("dept") })
	h.equal("dept", "target", map[string]string{"dept:1": "1"})
	if !h.stale("gone") {
		t.Error("a job that this generation does not have is no longer stale")
	}

	// A flush of everything takes neither the generation nor what is stale.
	h.makeStale(&pipelinev1.StaleJob{Job: "dept", Generation: 99})
	eventually(t, "the engine has seen it", func() bool { return e.Stale("fleet") == 2 })
	if err := h.rdb.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "what is stale is put back", func() bool { return h.stale("dept") })
}
