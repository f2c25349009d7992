package sweep_test

import (
	"testing"

	"slipstream/capture/sweep"
)

func (r *rig) ask(q sweep.Request) string {
	r.t.Helper()
	q.Job = "a"
	id, err := r.book.Request(r.t.Context(), q)
	if err != nil {
		r.t.Fatal(err)
	}
	return id
}

// TestQueued: a sweep that is queued serves whoever asks for no more than it does, and for a later generation it waits for that
// one; what has begun serves nobody else, and what waits for a generation holds up no repair.
func TestQueued(t *testing.T) {
	resync := func(after, known uint64) sweep.Request {
		return sweep.Request{Cause: sweep.Resync, After: after, Known: known}
	}
	load, repair := sweep.Request{Cause: sweep.InitialLoad}, sweep.Request{Cause: sweep.Repair}
	for _, c := range []struct {
		name         string
		first, other sweep.Request
		same         bool
		after        uint64 // what the first comes after then
	}{
		{"the same generation", resync(7, 7), resync(7, 7), true, 7},
		{"a later generation", resync(7, 7), resync(9, 9), true, 9},
		{"any generation, then one", resync(0, 7), resync(8, 8), true, 8},
		{"one generation, then any", resync(7, 7), resync(0, 7), true, 7},
		{"a deploy this moment", resync(8, 8), resync(0, 7), false, 8},
		{"a generation that is lost", resync(99, 99), resync(2, 2), false, 99},
		{"a generation before the one that runs", resync(7, 7), resync(6, 7), true, 7},
		{"resync by a repair", repair, resync(0, 7), true, 0},
		{"resync by an initial load", load, resync(0, 7), true, 0},
		{"resync of a generation beside a repair", repair, resync(7, 7), false, 0},
		{"repair beside a resync", resync(0, 7), repair, false, 0},
		{"repair beside a resync that waits", resync(7, 7), repair, false, 7},
		{"repair beside a load", load, repair, false, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, 0, "a:*")
			first := r.ask(c.first)
			other := r.ask(c.other)
			if (first == other) != c.same {
				t.Errorf("the same sweep: %t", first == other)
			}
			if s := r.found(first); s.GetAfter() != c.after {
				t.Errorf("it comes after %d, not %d", s.GetAfter(), c.after)
			}
			if all, err := r.book.List(t.Context()); err != nil || len(all) > 1 == c.same {
				t.Errorf("%v, %v", all, err)
			}
		})
	}
	t.Run("another job", func(t *testing.T) {
		r := newRig(t, 0, "a:*")
		if other, err := r.book.Request(t.Context(), sweep.Request{Job: "b", Cause: sweep.Repair}); err != nil || other == r.request() {
			t.Errorf("the sweep of one job serves another: %v", err)
		}
	})
	t.Run("begun", func(t *testing.T) {
		r := newRig(t, 0, "a:*")
		r.fill(3)
		r.create()
		id := r.ask(resync(0, 1))
		if err := r.step(t.Context()); err != nil {
			t.Fatal(err)
		}
		if other := r.ask(resync(0, 1)); other == id {
			t.Error("a sweep that has begun serves who asks later")
		}
	})
}

// TestQueuedWhileBegun: whoever asks while a sweep begins gets one that comes after the generation that he wants.
func TestQueuedWhileBegun(t *testing.T) {
	r := newRig(t, 0, "a:*")
	r.fill(3)
	r.create()
	const beyond, enough = 1 << 30, 5
	r.generation(beyond)
	r.take(beyond)
	steps := make(chan struct{}) // closed by the one who steps
	asked := make(chan map[string]uint64, 1)
	go func() {
		most := map[string]uint64{} // the latest generation that somebody wants, by sweep
		defer func() { asked <- most }()
		n := uint64(0)
		for range steps { // once a step, at any moment of it
			n++
			id, err := r.book.Request(t.Context(), sweep.Request{Job: "a", Cause: sweep.Resync, After: n, Known: n})
			if err != nil {
				t.Error(err)
				continue
			}
			most[id] = n
		}
	}()
	for begun := 0; begun < enough; {
		steps <- struct{}{}
		ran, err := r.sweeper.Step(t.Context())
		if err != nil {
			t.Error(err)
			break
		}
		if ran {
			begun++
		}
	}
	close(steps)
	most := <-asked
	sweeps, err := r.book.List(t.Context())
	if err != nil || len(sweeps) < enough {
		t.Fatalf("%v, %v", sweeps, err)
	}
	for _, s := range sweeps {
		if n := most[s.GetId()]; s.GetAfter() != n || n == 0 {
			t.Errorf("wanted after %d, it is %v", n, s)
		}
	}
}
