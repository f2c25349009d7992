package applytest

import (
	"testing"
	"time"

	"slipstream/applier"
	flowv1 "slipstream/proto/slipstream/flow/v1"
)

// A real server behind a network that loses things in the worst moment (G3, G4, design D4). A database that is a file has
// no network: its runs end with the process, which services/e2e kills.
var networkCases = []testCase{
	{"a commit that arrived and whose answer the network lost", answerLostCase},
	{"a commit that the network lost", commitLostCase},
	{"rows that the network lost", rowsLostCase},
	{"a server that is away for a while", awayCase},
	{"what a former owner sent arrives after its successor's commit", lateCase},
}

// lane opens a lane through a relay, with a dialect whose hooks see the relay.
func (f *fixture) relayed(t *testing.T, hook func(d *faulty, r *relay)) (Database, *relay, *faulty, *client) {
	t.Helper()
	direct := f.pairs(t)
	db, r := f.through(t, direct)
	d := &faulty{Dialect: f.Dialect}
	hook(d, r)
	c := f.openWith(t, db, d, job(out("t", "*id", "v")), 0)
	c.apply(batch(1, table(0).upsert(0, "a", "1").upsert(1, "b", "1")))
	return direct, r, d, c
}

// eventually polls the database by the harness's own connection.
func (f *fixture) eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s did not happen", what)
		}
	}
}

// second is the batch that meets the trouble, and what the table holds after it.
func second() (*rowsOf, []string) {
	return table(0).upsert(0, "a", "2").del(1, "b", nil).upsert(2, "c", "2"), []string{"a|2", "c|2"}
}

func answerLostCase(t *testing.T, f *fixture) {
	db, r, d, c := f.relayed(t, func(d *faulty, r *relay) {
		d.beforeCommit = func(n int32) error {
			if n == 2 {
				r.deaf.Store(true)
			}
			return nil
		}
	})
	rows, want := second()
	c.send(batch(2, rows))
	f.eventually(t, "the commit", func() bool {
		got := f.rows(t, db, "t", []string{"id", "v"})
		return len(got) == 2 && got[0] == want[0]
	})
	f.eventually(t, "the answer", func() bool { return r.dropped.Load() > 0 })
	r.cut()
	c.waits(flowv1.FaultClass_FAULT_CLASS_CONNECTION)
	c.settle(2)
	c.none()
	f.wantRows(t, db, "t", []string{"id", "v"}, want...)
	if n := d.begins.Load(); n != 2 {
		t.Errorf("%d transactions for two batches: a batch was made twice", n)
	}
	c.apply(batch(3, table(0).upsert(0, "d", "3")))
	f.wantRows(t, db, "t", []string{"id", "v"}, append(want, "d|3")...)
}

func commitLostCase(t *testing.T, f *fixture) {
	db, r, d, c := f.relayed(t, func(d *faulty, r *relay) {
		d.beforeCommit = func(n int32) error {
			if n == 2 {
				r.dumb.Store(true)
			}
			return nil
		}
	})
	rows, want := second()
	c.send(batch(2, rows))
	f.eventually(t, "the loss of the commit", func() bool { return r.dropped.Load() > 0 })
	f.wantRows(t, db, "t", []string{"id", "v"}, "a|1", "b|1")
	r.cut()
	c.waits(flowv1.FaultClass_FAULT_CLASS_CONNECTION)
	c.settle(2)
	c.none()
	f.wantRows(t, db, "t", []string{"id", "v"}, want...)
	if n := d.begins.Load(); n != 3 {
		t.Errorf("%d transactions for two batches and a loss", n)
	}
}

func rowsLostCase(t *testing.T, f *fixture) {
	db, r, d, c := f.relayed(t, func(d *faulty, r *relay) {
		d.beforeBegin = func(n int32) error {
			if n == 2 {
				r.dumb.Store(true)
			}
			return nil
		}
	})
	rows, want := second()
	c.send(batch(2, rows))
	f.eventually(t, "the loss of the rows", func() bool { return r.dropped.Load() > 0 })
	r.cut()
	c.waits(flowv1.FaultClass_FAULT_CLASS_CONNECTION)
	c.settle(2)
	c.none()
	f.wantRows(t, db, "t", []string{"id", "v"}, want...)
	if n := d.opens.Load(); n < 2 {
		t.Errorf("the lane was opened %d times", n)
	}
}

func awayCase(t *testing.T, f *fixture) {
	db, r, d, c := f.relayed(t, func(*faulty, *relay) {})
	r.away.Store(true)
	r.cut()
	rows, want := second()
	c.send(batch(2, rows))
	for range 3 { // it goes on trying
		c.waits(flowv1.FaultClass_FAULT_CLASS_CONNECTION)
	}
	f.wantRows(t, db, "t", []string{"id", "v"}, "a|1", "b|1")
	asked := f.check(t, r.before(t, db), job(out("t", "*id", "v"))) // a deploy meanwhile
	if asked.GetFault() != flowv1.FaultClass_FAULT_CLASS_CONNECTION || len(asked.GetProblems()) == 0 {
		t.Errorf("checked while it is away: %v", asked)
	}
	r.away.Store(false)
	c.resumes()
	if asked := f.check(t, r.before(t, db), job(out("t", "*id", "v"))); asked.GetFault() != 0 {
		t.Errorf("checked when it is back: %v", asked)
	}
	c.settle(2)
	c.none()
	f.wantRows(t, db, "t", []string{"id", "v"}, want...)
	if n := d.opens.Load(); n < 2 {
		t.Errorf("the lane was opened %d times", n)
	}
}

func lateCase(t *testing.T, f *fixture) {
	db, r, _, first := f.relayed(t, func(d *faulty, r *relay) {
		d.beforeBegin = func(n int32) error {
			if n == 2 {
				r.hold()
			}
			return nil
		}
	})
	first.send(batch(2, table(0).upsert(0, "a", "stale").upsert(1, "stale", "2")))
	f.eventually(t, "the hold", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.held
	})
	successor := f.open(t, db, job(out("t", "*id", "v")))
	if !applier.SamePosition(successor.opened.Position, at(1)) || successor.opened.Epoch != 2 {
		t.Errorf("the successor opened %v", successor.opened)
	}
	b := batch(1, table(0).upsert(0, "a", "new"))
	b.Position = at(2)
	successor.apply(b)
	r.release()
	wantClass(t, first.ends(), flowv1.FaultClass_FAULT_CLASS_FENCED)
	f.wantRows(t, db, "t", []string{"id", "v"}, "a|new", "b|1")
}
