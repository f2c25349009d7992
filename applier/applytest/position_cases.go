package applytest

import (
	"testing"

	"google.golang.org/protobuf/proto"

	"slipstream/applier"
	changev1 "slipstream/proto/slipstream/change/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
)

var positionCases = []testCase{
	{"a new lane begins at the beginning", newLaneCase},
	{"a lane continues where it was", continueCase},
	{"an empty batch moves the position", emptyBatchCase},
	{"state is kept until it changes", stateCase},
	{"lanes have positions of their own", ownPositionCase},
	{"another installation's position is an error", foreignSourceCase},
	{"drain settles what was sent", drainCase},
}

func newLaneCase(t *testing.T, f *fixture) {
	_, c := f.people(t)
	o := c.opened
	if o.Epoch != 1 || !applier.SamePosition(o.Position, nil) || o.State != nil ||
		o.Dialect != f.Dialect.Name() || o.Delivery != flowv1.Delivery_DELIVERY_EXACTLY_ONCE {
		t.Errorf("opened: %v", o)
	}
}

func continueCase(t *testing.T, f *fixture) {
	db, c := f.people(t)
	c.apply(batch(1, table(0).upsert(0, "a", "A", "1")))
	c.send(batch(2, table(0).upsert(0, "a", "B", "1")), batch(3, table(0).upsert(0, "a", "C", "1")))
	if s := c.settle(3); !applier.SamePosition(s.Position, at(3)) {
		t.Errorf("settled at %v", s.Position)
	}
	c.cut()
	c = f.open(t, db, job(out("people", "*id", "name", "age")))
	if c.opened.Epoch != 2 || !applier.SamePosition(c.opened.Position, at(3)) {
		t.Errorf("opened: %v", c.opened)
	}
	b := batch(1, table(0).upsert(0, "a", "D", "1"))
	b.Position = &changev1.Position{Main: &changev1.StreamId{Ms: 1<<63 - 1, Seq: 1<<64 - 1}}
	c.apply(b)
	c.cut()
	c = f.open(t, db, job(out("people", "*id", "name", "age")))
	if c.opened.Epoch != 3 || !applier.SamePosition(c.opened.Position, b.Position) {
		t.Errorf("opened: %v", c.opened)
	}
}

func emptyBatchCase(t *testing.T, f *fixture) {
	db, c := f.people(t)
	if s := c.apply(batch(1)); s.Counts.GetRows() != 0 {
		t.Errorf("settled with %v", s.Counts)
	}
	c.cut()
	if c = f.open(t, db, job(out("people", "*id"))); !applier.SamePosition(c.opened.Position, at(1)) {
		t.Errorf("opened: %v", c.opened)
	}
}

func stateCase(t *testing.T, f *fixture) {
	db, c := f.people(t)
	state := &changev1.LaneState{Incarnation: "i-1", Phase: "loading:42"}
	b := batch(1)
	b.State = state
	c.apply(b)
	c.apply(batch(2))
	c.cut()
	c = f.open(t, db, job(out("people", "*id")))
	if !proto.Equal(c.opened.State, state) {
		t.Errorf("state is %v", c.opened.State)
	}
	b = batch(1) // the same place with another state
	b.Position, b.State = at(2), &changev1.LaneState{Incarnation: "i-1", Phase: "live"}
	c.apply(b)
	c.cut()
	c = f.open(t, db, job(out("people", "*id")))
	if c.opened.State.GetPhase() != "live" || !applier.SamePosition(c.opened.Position, at(2)) {
		t.Errorf("opened: %v", c.opened)
	}
}

func ownPositionCase(t *testing.T, f *fixture) {
	db, c := f.people(t)
	other := f.openWith(t, db, f.Dialect, job(out("people", "*id")), 3)
	c.apply(batch(1))
	other.apply(batch(1))
	other.apply(batch(2))
	c.cut()
	other.cut()
	if c = f.open(t, db, job(out("people", "*id"))); !applier.SamePosition(c.opened.Position, at(1)) {
		t.Errorf("opened: %v", c.opened)
	}
	if c = f.openWith(t, db, f.Dialect, job(out("people", "*id")), 3); !applier.SamePosition(c.opened.Position, at(2)) {
		t.Errorf("opened: %v", c.opened)
	}
}

func foreignSourceCase(t *testing.T, f *fixture) {
	db, c := f.people(t)
	c.apply(batch(1))
	c.cut()
	target := f.target(t, db)
	lane := laneOf(0)
	lane.Source = "another"
	_, _, err := target.OpenLane(t.Context(), lane, "suite")
	wantClass(t, err, flowv1.FaultClass_FAULT_CLASS_SCHEMA)
	_, o, err := target.OpenLane(t.Context(), laneOf(0), "suite")
	if err != nil || o.Epoch != 2 {
		t.Errorf("the owner's lane: %v, %v", o, err)
	}
}

func drainCase(t *testing.T, f *fixture) {
	db, c := f.people(t)
	f.unfit(t, db, "people", "b")
	c.send(batch(1, table(0).upsert(0, "a", "A", "1").upsert(1, "b", "B", "x")), batch(2, table(0).upsert(0, "a", "B", "2")))
	p, err := c.sender.Drain(t.Context())
	if err != nil || !applier.SamePosition(p, at(2)) {
		t.Errorf("drained at %v: %v", p, err)
	}
	f.wantRows(t, db, "people", personColumns, "a|B|2")
	if err := c.sender.Close(); err != nil {
		t.Errorf("closing: %v", err)
	}
	if err := c.ends(); err != nil {
		t.Errorf("the lane ended with %v", err)
	}
}
