package applytest

import (
	"errors"
	"fmt"
	"testing"

	"slipstream/proto/fault"
	flowv1 "slipstream/proto/slipstream/flow/v1"
)

// Every class of design D9, whenever it comes: what the engine must do about it is the same for every dialect, and what
// the database really holds afterwards too. Where the fault comes from is the business of other cases and of the tests of
// a dialect's errors.go.
var classCases = []testCase{
	{"faults that wait, and say why with the fix", waitingClassCase},
	{"conflicts pass in silence, and are said after ten", conflictClassCase},
	{"a fault of the data that no row has alone is waited for", dataAtCommitCase},
	{"a reference that fails at the commit finds its row", referenceAtCommitCase},
	{"fenced ends the stream and writes nothing", fencedClassCase},
	{"a lane that cannot be opened says why until it can", openClassCase},
}

const suiteFix = "GRANT everything ON everything TO the_suite;"

// trouble is a fault of a class as a dialect makes it.
func trouble(class flowv1.FaultClass) error {
	return fault.New(class, errors.New("the suite made trouble")).WithFix(suiteFix).WithCode("S1")
}

// waitingClasses are those that are waited for, by opening the lane again.
var waitingClasses = []flowv1.FaultClass{
	flowv1.FaultClass_FAULT_CLASS_CONNECTION, flowv1.FaultClass_FAULT_CLASS_UNSPECIFIED, flowv1.FaultClass_FAULT_CLASS_CAPACITY,
	flowv1.FaultClass_FAULT_CLASS_PERMISSION, flowv1.FaultClass_FAULT_CLASS_SCHEMA,
}

// until fails calls from..to.
func until(from, to int32, err func() error) func(int32) error {
	return func(n int32) error {
		if n >= from && n <= to {
			return err()
		}
		return nil
	}
}

func waitingClassCase(t *testing.T, f *fixture) {
	for _, class := range waitingClasses {
		for _, at := range []string{"begin", "write", "commit"} {
			t.Run(fault.ClassName(class)+" at "+at, func(t *testing.T) {
				db := f.pairs(t)
				hook := until(2, 4, func() error { return trouble(class) })
				d := &faulty{Dialect: f.Dialect}
				switch at {
				case "begin":
					d.beforeBegin = hook
				case "write":
					d.beforeWrite = hook
				case "commit":
					d.beforeCommit = hook
				}
				c := f.openWith(t, db, d, job(out("t", "*id", "v")), 0)
				c.apply(batch(1, table(0).upsert(0, "a", "1").upsert(1, "gone", "1")))
				c.send(batch(2, table(0).upsert(0, "a", "2").upsert(1, "b", "2").del(2, "gone", nil)), batch(3, table(0).upsert(0, "c", "3")))
				got := c.waits(class)
				if got.Fix != suiteFix || got.Code != "S1" || got.Message != "the suite made trouble" || got.Stage != "applier-"+f.Dialect.Name() {
					t.Errorf("waits for %v", got)
				}
				c.resumes()
				c.settle(3)
				c.none() // G6
				f.wantRows(t, db, "t", []string{"id", "v"}, "a|2", "b|2", "c|3")
				if n := d.opens.Load(); n != 4 {
					t.Errorf("the lane was opened %d times, want once and after each of three faults", n)
				}
			})
		}
	}
}

func conflictClassCase(t *testing.T, f *fixture) {
	for _, n := range []int32{3, 10, 12} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			db := f.pairs(t)
			d := &faulty{Dialect: f.Dialect, beforeWrite: until(1, n, func() error { return trouble(flowv1.FaultClass_FAULT_CLASS_CONFLICT) })}
			c := f.openWith(t, db, d, job(out("t", "*id", "v")), 0)
			c.apply(batch(1, table(0).upsert(0, "a", "1")))
			c.none()
			f.wantRows(t, db, "t", []string{"id", "v"}, "a|1")
			said := false
			select {
			case w := <-c.waiting:
				said = w.Fault.GetClass() == flowv1.FaultClass_FAULT_CLASS_CONFLICT
			default:
			}
			if said != (n > 10) {
				t.Errorf("after %d conflicts it was said: %v", n, said)
			}
			if got := d.begins.Load(); got != n+1 {
				t.Errorf("%d transactions for %d conflicts", got, n)
			}
			if got := d.opens.Load(); got != 1 {
				t.Errorf("the lane was opened %d times: a conflict is no reason to", got)
			}
		})
	}
}

// dataAtCommitCase: the commit says that the data are bad, each row alone is not. Nothing may be lost or rejected for it.
func dataAtCommitCase(t *testing.T, f *fixture) {
	db := f.pairs(t)
	d := &faulty{Dialect: f.Dialect, beforeCommit: until(1, 3, func() error { return trouble(flowv1.FaultClass_FAULT_CLASS_DATA) })}
	c := f.openWith(t, db, d, job(out("t", "*id", "v")), 0)
	c.send(batch(1, table(0).upsert(0, "a", "1").upsert(1, "b", "1")))
	c.waits(flowv1.FaultClass_FAULT_CLASS_DATA)
	c.settle(1)
	c.none()
	f.wantRows(t, db, "t", []string{"id", "v"}, "a|1", "b|1")
}

// referenceAtCommitCase: the writes fail together for want of another row, then one by one for one of them alone.
func referenceAtCommitCase(t *testing.T, f *fixture) {
	db := f.pairs(t)
	calls := int32(0)
	d := &faulty{Dialect: f.Dialect}
	d.beforeCommit = func(n int32) error {
		calls = n
		if n == 1 {
			return trouble(flowv1.FaultClass_FAULT_CLASS_REFERENCE)
		}
		return nil
	}
	c := f.openWith(t, db, d, job(out("t", "*id", "v")), 0)
	c.apply(batch(1, table(0).upsert(0, "a", "1").upsert(1, "b", "1")))
	c.none()
	f.wantRows(t, db, "t", []string{"id", "v"}, "a|1", "b|1")
	if calls != 2 {
		t.Errorf("%d commits", calls)
	}
}

func fencedClassCase(t *testing.T, f *fixture) {
	for _, at := range []string{"begin", "write", "commit"} {
		t.Run(at, func(t *testing.T) {
			db := f.pairs(t)
			hook := until(2, 2, func() error { return trouble(flowv1.FaultClass_FAULT_CLASS_FENCED) })
			d := &faulty{Dialect: f.Dialect}
			switch at {
			case "begin":
				d.beforeBegin = hook
			case "write":
				d.beforeWrite = hook
			case "commit":
				d.beforeCommit = hook
			}
			c := f.openWith(t, db, d, job(out("t", "*id", "v")), 0)
			c.apply(batch(1, table(0).upsert(0, "a", "1")))
			c.send(batch(2, table(0).upsert(0, "a", "2")))
			wantClass(t, c.ends(), flowv1.FaultClass_FAULT_CLASS_FENCED)
			c.none()
			f.wantRows(t, db, "t", []string{"id", "v"}, "a|1")
		})
	}
}

func openClassCase(t *testing.T, f *fixture) {
	for _, class := range waitingClasses {
		t.Run(fault.ClassName(class), func(t *testing.T) {
			db := f.pairs(t)
			d := &faulty{Dialect: f.Dialect, beforeOpen: until(1, 2, func() error { return trouble(class) })}
			c := f.dial(t, f.engine(t, d), db, job(out("t", "*id", "v")), 0)
			if got := c.waits(class); got.Fix != suiteFix {
				t.Errorf("waits for %v", got)
			}
			c.await()
			c.apply(batch(1, table(0).upsert(0, "a", "1")))
			f.wantRows(t, db, "t", []string{"id", "v"}, "a|1")
		})
	}
}
