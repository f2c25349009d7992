package engine_test

import (
	"fmt"
	"slices"
	"testing"

	"slipstream/capture/engine"
	capturev1 "slipstream/proto/slipstream/capture/v1"
)

// stopped stops the pipeline and waits until nobody has its lanes; it is recorded as before.
func (h *house) stopped(e *engine.Engine, lanes int) {
	h.t.Helper()
	h.running(false)
	eventually(h.t, "the lanes are closed", func() bool {
		all := h.status(e).Lanes
		return len(all) == lanes && !slices.ContainsFunc(all, func(l *capturev1.LaneStatus) bool { return l.Owner != "" })
	})
}

// A new number of partitions: the old streams are read to their end before the new lanes open (D2).
func TestLayoutChange(t *testing.T) {
	h := newHouse(t)
	h.deploy(true)
	e, _ := h.engine("one")
	h.ready(e, 2)
	h.stopped(e, 2)
	want := map[string]string{}
	for i := range 60 {
		key := fmt.Sprint("emp:", i)
		h.set(key, "old")
		want[key] = "old"
	}
	h.del("emp:7") // stands only in the old layout: without it the row would stay
	delete(want, "emp:7")
	eventually(t, "all is recorded", func() bool { return h.status(e).Jobs[0].Backlog >= 61 })
	h.spec.Settings.Partitions = 3
	h.deploy(true)
	h.set("emp:1", "new")
	want["emp:1"] = "new"
	h.equal("emp", "target", want)
	h.ready(e, 3)
	old, err := h.rdb.Keys(t.Context(), "slipstream:{fleet:*of2}:emp*").Result()
	if err != nil || len(old) != 0 {
		t.Errorf("streams of the old layout: %v, %v", old, err)
	}
	h.set("emp:2", "new")
	want["emp:2"] = "new"
	h.equal("emp", "target", want)
}

// Two changes of the number of partitions before the first is through, once to a third number and once back: the recorder
// stays in the second layout until the first one is read to its end, and no lanes of two layouts run at once (D2, G4).
func TestLayoutChangesTwice(t *testing.T) {
	for name, third := range map[string]uint32{"to a third": 4, "and back": 2} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			h.deploy(true)
			e, _ := h.engine("one")
			h.ready(e, 2)
			h.stopped(e, 2)
			want := map[string]string{}
			write := func(value string) {
				t.Helper()
				before := h.status(e).GetRecorder().GetRecorded()
				for i := range 40 {
					key := fmt.Sprint("emp:", i)
					h.set(key, value)
					want[key] = value
				}
				eventually(t, "all is recorded", func() bool { return h.status(e).GetRecorder().GetRecorded() >= before+40 })
			}
			streams := func(partitions uint32) int {
				t.Helper()
				keys, err := h.rdb.Keys(t.Context(), fmt.Sprintf("slipstream:{fleet:*of%d}:emp", partitions)).Result()
				if err != nil {
					t.Fatal(err)
				}
				return len(keys)
			}
			layout := func() uint32 {
				t.Helper()
				first := uint32(0)
				for i, l := range h.status(e).Lanes {
					if i == 0 {
						first = l.Lane.GetLayout()
					}
					if l.Lane.GetLayout() != first {
						t.Fatalf("lanes of %d and of %d partitions at once", first, l.Lane.GetLayout())
					}
				}
				return first
			}
			write("a")
			h.spec.Settings.Partitions = 3
			h.deploy(false)
			eventually(t, "the second layout is recorded", func() bool { return streams(3) == 3 })
			write("b")
			h.spec.Settings.Partitions = third
			h.deploy(false)
			eventually(t, "the third is known", func() bool { return h.status(e).Generation == h.spec.Generation })
			write("c")
			if n := layout(); n != 2 {
				t.Errorf("lanes of %d partitions are to run", n)
			}
			if n := streams(4); n != 0 {
				t.Errorf("%d streams of a third layout while the first is not at its end", n)
			}
			h.running(true)
			h.equal("emp", "target", want)
			eventually(t, "the third layout is read", func() bool {
				n := layout()
				return n == third && streams(3) == 0 && streams(third) == int(third)
			})
			h.ready(e, int(third))
			write("d")
			h.equal("emp", "target", want)
			if left := h.rdb.SMembers(t.Context(), "slipstream:{fleet}:counts:emp:layouts:"+fmt.Sprint(third)+":ended").Val(); len(left) > 0 {
				t.Errorf("lanes that run are noted to have ended: %v", left)
			}
		})
	}
}

// The number of partitions is changed while no instance runs: what nobody recorded is a gap, and repaired (G1).
func TestLayoutChangesWhileNobodyRecords(t *testing.T) {
	h := newHouse(t)
	h.deploy(true)
	e, stop := h.engine("one")
	h.ready(e, 2)
	h.set("emp:1", "a")
	want := map[string]string{"emp:1": "a"}
	h.equal("emp", "target", want)
	stop()
	h.set("emp:1", "b")
	h.set("emp:2", "b")
	want["emp:1"], want["emp:2"] = "b", "b"
	h.spec.Settings.Partitions = 3
	h.deploy(true)
	e, _ = h.engine("two")
	h.equal("emp", "target", want)
	h.ready(e, 3)
	eventually(t, "one gap is known, and repaired", func() bool {
		gaps := h.status(e).Gaps
		return len(gaps) == 1 && gaps[0].RepairedMs > 0
	})
}

// Another setting of the source: every lane drains, and goes on with it.
func TestSourceChanges(t *testing.T) {
	h := newHouse(t)
	h.spec.Settings.Partitions = 16
	h.deploy(true)
	e, _ := h.engine("one")
	h.ready(e, 16)
	opened := len(h.target.Opens())
	h.spec.Connections["source"].Options = map[string]string{"socket_timeout": "7"}
	h.deploy(true)
	eventually(t, "every lane was opened anew", func() bool { return len(h.target.Opens())-opened >= 16 })
	h.ready(e, 16)
	h.set("emp:1", "a")
	h.equal("emp", "target", map[string]string{"emp:1": "a"})
	if n := len(h.target.Opens()) - opened; n != 16 {
		t.Errorf("16 lanes were opened %d times", n)
	}
}
