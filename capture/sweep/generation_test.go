package sweep_test

import (
	"strings"
	"testing"
	"time"

	"slipstream/capture/stream"
	"slipstream/capture/sweep"
	capturev1 "slipstream/proto/slipstream/capture/v1"
)

func (r *rig) take(generation uint64) {
	r.t.Helper()
	if err := r.store.Take(r.t.Context(), r.s, "pg", generation); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) found(id string) *capturev1.Sweep {
	r.t.Helper()
	s, err := r.book.Find(r.t.Context(), id)
	if err != nil || s == nil {
		r.t.Fatalf("sweep %s: %v, %v", id, s, err)
	}
	return s
}

// until steps until a sweep is as wanted.
func (r *rig) until(id, what string, ok func(*capturev1.Sweep) bool) *capturev1.Sweep {
	r.t.Helper()
	for deadline := time.Now().Add(90 * time.Second); ; {
		if _, err := r.sweeper.Step(r.t.Context()); err != nil {
			r.t.Fatal(err)
		}
		s := r.found(id)
		if ok(s) {
			return s
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("%s: %v", what, s)
		}
		time.Sleep(5 * time.Millisecond) // a poll, not a synchronisation
	}
}

// settle publishes that the lane has settled everything.
func (r *rig) settle() {
	r.t.Helper()
	h, err := r.store.Header(r.t.Context(), r.s)
	if err != nil {
		r.t.Fatal(err)
	}
	if _, err := r.store.Cursor(r.t.Context(), r.s, "pg", stream.Position{Main: h.Last, Side: h.SideLast}); err != nil {
		r.t.Fatal(err)
	}
}

// TestAfterGeneration: a sweep that brings rows in line with a generation begins when the lanes have taken it up, says what
// it waits for, holds up no other sweep, and is done again where an older generation may have read some of it.
func TestAfterGeneration(t *testing.T) {
	r := newRig(t, 0, "a:*")
	r.fill(10)
	r.create()
	r.generation(7)
	r.take(6)
	id, err := r.book.Request(t.Context(), sweep.Request{Job: "a", Cause: sweep.Resync, After: 7})
	if err != nil {
		t.Fatal(err)
	}
	if again, err := r.book.Request(t.Context(), sweep.Request{Job: "a", Cause: sweep.Resync, After: 7}); err != nil || again != id {
		t.Errorf("the same request again is %q, %v, not %q", again, err, id)
	}
	r.until(id, "it says what it waits for", func(s *capturev1.Sweep) bool {
		return strings.Contains(s.GetWaits(), "lane to pg of partition 0 of 1 has not taken up generation 7") && s.GetStartedMs() == 0
	})
	repair := r.request()
	if s := r.until(repair, "a repair is not held up", func(s *capturev1.Sweep) bool { return s.GetEndedMs() != 0 }); s.GetGeneration() != 6 {
		t.Errorf("the repair is of generation %d, not 6", s.GetGeneration())
	}

	r.take(7)
	if s := r.until(id, "the scan ends", func(s *capturev1.Sweep) bool { return s.GetEndedMs() != 0 }); s.GetGeneration() != 7 || s.GetWaits() != "" {
		t.Errorf("it is %v, not of generation 7", s)
	}
	r.take(6) // an instance that does not see the newer generation
	r.settle()
	r.until(id, "it begins again", func(s *capturev1.Sweep) bool { return s.GetEndedMs() == 0 && s.GetWaits() != "" })
	if s := r.found(repair); s.GetSettledMs() == 0 || s.GetGeneration() != 0 {
		t.Errorf("the repair is %v, not settled without a generation", s)
	}
	r.take(7)
	r.until(id, "the scan ends again", func(s *capturev1.Sweep) bool { return s.GetEndedMs() != 0 })
	r.take(9) // a later generation does no harm
	r.settle()
	if s := r.until(id, "it is settled", func(s *capturev1.Sweep) bool { return s.GetSettledMs() != 0 }); s.GetGeneration() != 7 {
		t.Errorf("settled: %v", s)
	}
}

// TestTakeNothing: what was no stream gets no header by a generation.
func TestTakeNothing(t *testing.T) {
	r := newRig(t, 0, "a:*")
	r.take(3)
	if h, err := r.store.Header(t.Context(), r.s); err != nil || h.Exists || r.rdb.Exists(t.Context(), r.s.Header).Val() != 0 {
		t.Errorf("%v, %v", h, err)
	}
}
