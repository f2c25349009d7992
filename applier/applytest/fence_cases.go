package applytest

import (
	"errors"
	"testing"

	"slipstream/applier"
	"slipstream/applier/value"
	"slipstream/proto/fault"
	changev1 "slipstream/proto/slipstream/change/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
)

var fenceCases = []testCase{
	{"a second opener defeats the first", secondOpenerCase},
	{"an owner that stopped and wakes is refused", wakingOwnerCase},
	{"opening waits for a commit under way", openWaitsCase},
	{"a position that is not the one expected is refused", wrongPositionCase},
	{"a rolled back transaction leaves nothing", rollbackCase},
	{"savepoints", savepointCase},
	{"a lane that was taken over while it was cut off ends", takenOverCase},
}

// target opens the dialect's target for a database.
func (f *fixture) target(t *testing.T, db Database) applier.Target {
	t.Helper()
	target, err := f.Dialect.Connect(t.Context(), db.Connection, settings())
	if err != nil {
		t.Fatalf("connecting: %v", err)
	}
	t.Cleanup(func() {
		if err := target.Close(); err != nil {
			t.Errorf("closing the target: %v", err)
		}
	})
	return target
}

// session opens lane 0.
func session(t *testing.T, target applier.Target) (applier.Session, *flowv1.Opened) {
	t.Helper()
	s, o, err := target.OpenLane(t.Context(), laneOf(0), "suite")
	if err != nil {
		t.Fatalf("opening the lane: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("closing the session: %v", err)
		}
	})
	return s, o
}

// writeOne makes a write of one row with text columns.
func (f *fixture) writeOne(t *testing.T, target applier.Target, name string, values ...string) *applier.Write {
	t.Helper()
	o := out(name, "*id", "v")
	bound, err := target.Table(t.Context(), f.form(job(o)).Outputs[0])
	if err != nil {
		t.Fatalf("binding table %s: %v", name, err)
	}
	if f.Store != nil {
		for i, c := range f.Store.Columns(o, table(0).upsert(0, values[0], values[1]).rows) {
			values[i] = string(c.Text)
		}
	} else if bound.Columns[1].Type.Kind != value.Text {
		t.Fatalf("column v is of kind %v", bound.Columns[1].Type.Kind)
	}
	v := &applier.Values{Count: 1}
	for _, text := range values {
		v.Columns = append(v.Columns, applier.Column{
			Text: []byte(text), Start: []uint32{0}, End: []uint32{uint32(len(text))}, States: []applier.State{applier.Present},
		})
	}
	return &applier.Write{Table: bound, Verb: applier.Upsert, Columns: []int{0, 1}, Rows: []int32{0}, Values: v}
}

func (f *fixture) pairs(t *testing.T) Database {
	t.Helper()
	db := f.database(t)
	f.create(t, db, "t", [][2]string{{"id", f.Types.Key}, {"v", f.Types.Text}}, "id")
	return db
}

// commit makes one whole transaction, and gives the first error, wherever it came from.
func commit(t *testing.T, s applier.Session, prev, next *changev1.Position, writes ...*applier.Write) error {
	t.Helper()
	txn, err := s.Begin(t.Context(), prev, next, nil)
	if err != nil {
		return err
	}
	for _, w := range writes {
		if err = txn.Write(t.Context(), w); err != nil {
			break
		}
	}
	if err == nil {
		err = txn.Commit(t.Context())
	}
	if err != nil {
		return errors.Join(err, txn.Rollback())
	}
	return txn.Rollback() // nothing, after Commit
}

func wantClass(t *testing.T, err error, want flowv1.FaultClass) {
	t.Helper()
	if got := fault.Class(err); err == nil || got != want {
		t.Errorf("error is %v of class %s, want class %s", err, fault.ClassName(got), fault.ClassName(want))
	}
}

func secondOpenerCase(t *testing.T, f *fixture) {
	db := f.pairs(t)
	first := f.open(t, db, job(out("t", "*id", "v")))
	first.apply(batch(1, table(0).upsert(0, "a", "1")))
	second := f.open(t, db, job(out("t", "*id", "v")))
	if second.opened.Epoch != 2 || !applier.SamePosition(second.opened.Position, at(1)) {
		t.Errorf("second: %v", second.opened)
	}
	first.send(batch(2, table(0).upsert(0, "a", "stale")))
	wantClass(t, first.ends(), flowv1.FaultClass_FAULT_CLASS_FENCED)
	b := batch(1, table(0).upsert(0, "a", "2"))
	b.Position = at(2)
	second.apply(b)
	f.wantRows(t, db, "t", []string{"id", "v"}, "a|2")
}

func wakingOwnerCase(t *testing.T, f *fixture) {
	db := f.pairs(t)
	a, b := f.target(t, db), f.target(t, db)
	stopped, _ := session(t, a)
	w := f.writeOne(t, a, "t", "a", "stale")
	owner, o := session(t, b)
	if o.Epoch != 2 {
		t.Errorf("epoch is %d", o.Epoch)
	}
	wantClass(t, commit(t, stopped, nil, at(1), w), flowv1.FaultClass_FAULT_CLASS_FENCED)
	f.wantRows(t, db, "t", []string{"id", "v"})
	if err := commit(t, owner, nil, at(1), f.writeOne(t, b, "t", "a", "new")); err != nil {
		t.Errorf("the owner: %v", err)
	}
	wantClass(t, commit(t, stopped, at(1), at(2), w), flowv1.FaultClass_FAULT_CLASS_FENCED)
	f.wantRows(t, db, "t", []string{"id", "v"}, "a|new")
}

func openWaitsCase(t *testing.T, f *fixture) {
	db := f.pairs(t)
	a, b := f.target(t, db), f.target(t, db)
	first, _ := session(t, a)
	w := f.writeOne(t, a, "t", "a", "in time")
	txn, err := first.Begin(t.Context(), nil, at(1), nil)
	if err != nil {
		t.Fatalf("beginning: %v", err)
	}
	if err := txn.Write(t.Context(), w); err != nil {
		t.Fatalf("writing: %v", err)
	}
	opened := make(chan *flowv1.Opened, 1)
	go func() {
		s, o, err := b.OpenLane(t.Context(), laneOf(0), "second")
		if err != nil {
			t.Errorf("opening: %v", err)
			o = &flowv1.Opened{}
		} else if err := s.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
		opened <- o
	}()
	err = txn.Commit(t.Context())
	o := receive(t, opened, "the second lane")
	switch { // either order is right, but both must agree on it
	case err == nil && applier.SamePosition(o.Position, at(1)):
		f.wantRows(t, db, "t", []string{"id", "v"}, "a|in time")
	case err != nil && applier.SamePosition(o.Position, nil):
		wantClass(t, err, flowv1.FaultClass_FAULT_CLASS_FENCED)
		f.wantRows(t, db, "t", []string{"id", "v"})
	default:
		t.Errorf("commit said %v, the second lane found %v", err, o.Position)
	}
	if o.Epoch != 2 {
		t.Errorf("epoch is %d", o.Epoch)
	}
	if err := txn.Rollback(); err != nil {
		t.Errorf("rolling back: %v", err)
	}
}

func wrongPositionCase(t *testing.T, f *fixture) {
	db := f.pairs(t)
	target := f.target(t, db)
	s, _ := session(t, target)
	w := f.writeOne(t, target, "t", "a", "1")
	if err := commit(t, s, nil, at(1), w); err != nil {
		t.Fatalf("committing: %v", err)
	}
	for name, prev := range map[string]*changev1.Position{
		"before": nil, "after": at(2), "other side": {Main: at(1).Main},
	} {
		wantClass(t, commit(t, s, prev, at(3), f.writeOne(t, target, "t", "a", name)), flowv1.FaultClass_FAULT_CLASS_FENCED)
	}
	f.wantRows(t, db, "t", []string{"id", "v"}, "a|1")
	if err := commit(t, s, at(1), at(2)); err != nil {
		t.Errorf("the session after a refusal: %v", err)
	}
}

func rollbackCase(t *testing.T, f *fixture) {
	db := f.pairs(t)
	target := f.target(t, db)
	s, _ := session(t, target)
	txn, err := s.Begin(t.Context(), nil, at(1), nil)
	if err != nil {
		t.Fatalf("beginning: %v", err)
	}
	if err := txn.Write(t.Context(), f.writeOne(t, target, "t", "a", "1")); err != nil {
		t.Fatalf("writing: %v", err)
	}
	for range 2 {
		if err := txn.Rollback(); err != nil {
			t.Errorf("rolling back: %v", err)
		}
	}
	f.wantRows(t, db, "t", []string{"id", "v"})
	if err := commit(t, s, nil, at(1), f.writeOne(t, target, "t", "b", "1")); err != nil {
		t.Errorf("the session after a rollback: %v", err)
	}
	f.wantRows(t, db, "t", []string{"id", "v"}, "b|1")
}

func savepointCase(t *testing.T, f *fixture) {
	db := f.pairs(t)
	target := f.target(t, db)
	s, _ := session(t, target)
	txn, err := s.Begin(t.Context(), nil, at(1), nil)
	if err != nil {
		t.Fatalf("beginning: %v", err)
	}
	write := func(id string, then error) error {
		return txn.Try(t.Context(), func() error {
			if err := txn.Write(t.Context(), f.writeOne(t, target, "t", id, "v")); err != nil {
				return err
			}
			return then
		})
	}
	refuse := errors.New("refused by the case")
	if err := write("a", nil); err != nil {
		t.Errorf("a: %v", err)
	}
	if err := write("b", refuse); !errors.Is(err, refuse) {
		t.Errorf("b: %v", err)
	}
	if err := write("c", nil); err != nil {
		t.Errorf("c: %v", err)
	}
	if err := txn.Commit(t.Context()); err != nil {
		t.Errorf("committing: %v", err)
	}
	f.wantRows(t, db, "t", []string{"id", "v"}, "a|v", "c|v")
}

func takenOverCase(t *testing.T, f *fixture) {
	db := f.pairs(t)
	target := f.target(t, db)
	d := &faulty{Dialect: f.Dialect}
	d.onRollback = func() { // between the rollback and the moment the first opens again
		session(t, target)
	}
	d.beforeCommit = func(n int32) error {
		if n == 2 {
			return lost()
		}
		return nil
	}
	first := f.openWith(t, db, d, job(out("t", "*id", "v")), 0)
	first.apply(batch(1, table(0).upsert(0, "a", "1")))
	first.send(batch(2, table(0).upsert(0, "a", "2")))
	wantClass(t, first.ends(), flowv1.FaultClass_FAULT_CLASS_FENCED)
	f.wantRows(t, db, "t", []string{"id", "v"}, "a|1")
}
