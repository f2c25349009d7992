package applytest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	flowv1 "slipstream/proto/slipstream/flow/v1"
)

// Lanes that meet: in the locks of the database, and in unique values that move from row to row.
var lanesCases = []testCase{
	{"a deadlock between two lanes", deadlockCase},
	{"a unique value moves by another lane", uniqueBetweenLanesCase},
	{"a chain of unique values moves in one batch", uniqueChainCase},
	{"unique values are swapped in one batch", uniqueSwapCase},
	{"a swap of unique values that must be, and one that cannot be", uniqueSwapPartCase},
	{"a unique value that is taken for good rejects its record alone", uniqueTakenCase},
	{"a batch is rolled back and split around every bad row", splitCase},
}

// deadlockCase: each lane holds the rows of one table and wants those of the other's. A database with one writer at a time
// cannot come there: then the second lane waits for its turn.
func deadlockCase(t *testing.T, f *fixture) {
	db := f.database(t)
	for _, name := range []string{"a", "b"} {
		f.create(t, db, name, [][2]string{{"id", f.Types.Key}, {"v", f.Types.Integer}}, "id")
	}
	const rows = 20
	fill := func(n uint64, v string) (r [2]*rowsOf) {
		for o := range r {
			r[o] = table(uint32(o))
			for i := range rows {
				r[o].upsert(uint32(i), fmt.Sprintf("%02d", i), v)
			}
		}
		return r
	}
	seed := f.openWith(t, db, f.Dialect, job(out("a", "*id", "v"), out("b", "*id", "v")), 9)
	r := fill(1, "0")
	seed.apply(batch(1, r[0], r[1]))

	met := make(chan struct{}, 2)
	both := func(n int32) error { // before its second write, each waits until the other has made its first
		if n != 2 {
			return nil
		}
		met <- struct{}{}
		for end := time.Now().Add(time.Second); len(met) < 2 && time.Now().Before(end); time.Sleep(time.Millisecond) {
		}
		return nil
	}
	var lanes [2]*client
	var dialects [2]*faulty
	for i, order := range [][2]string{{"a", "b"}, {"b", "a"}} {
		dialects[i] = &faulty{Dialect: f.Dialect, beforeWrite: both}
		lanes[i] = f.openWith(t, db, dialects[i], job(out(order[0], "*id", "v"), out(order[1], "*id", "v")), uint32(i))
	}
	for i, c := range lanes {
		r := fill(1, fmt.Sprint(i+1))
		c.send(batch(1, r[0], r[1]))
	}
	for _, c := range lanes {
		c.settle(1)
		c.none()
	}
	a, b := f.rows(t, db, "a", []string{"id", "v"}), f.rows(t, db, "b", []string{"id", "v"})
	if strings.Join(a, ",") != strings.Join(b, ",") || len(a) != rows || strings.HasSuffix(a[0], "|0") {
		t.Errorf("two transactions are mixed: a holds %q, b %q", a, b)
	}
}

// unique makes a table with a unique value beside its key.
func (f *fixture) unique(t *testing.T) Database {
	t.Helper()
	db := f.database(t)
	f.create(t, db, "t", [][2]string{{"id", f.Types.Key}, {"mail", f.Types.Key + " UNIQUE"}}, "id")
	return db
}

func uniqueBetweenLanesCase(t *testing.T, f *fixture) {
	db := f.unique(t)
	j := job(out("t", "*id", "mail"))
	first, second := f.openWith(t, db, f.Dialect, j, 0), f.openPatient(t, db, j, 1)
	first.apply(batch(1, table(0).upsert(0, "a", "x")))
	second.send(batch(1, table(0).upsert(0, "b", "x"))) // ahead of the change that frees it
	got := second.waits(flowv1.FaultClass_FAULT_CLASS_REFERENCE)
	if got.Message == "" || got.Code == "" {
		t.Errorf("waits for %v", got)
	}
	first.apply(batch(2, table(0).upsert(0, "a", "y")))
	second.settle(1)
	second.none()
	f.wantRows(t, db, "t", []string{"id", "mail"}, "a|y", "b|x")
}

// uniqueChainCase: each row takes the value of the next, which passes in the order of events alone, against that of keys.
func uniqueChainCase(t *testing.T, f *fixture) {
	db := f.unique(t)
	c := f.open(t, db, job(out("t", "*id", "mail")))
	const n = 30
	first, moved := table(0), table(0)
	var want []string
	for i := range n {
		first.upsert(uint32(i), fmt.Sprintf("r%02d", i), fmt.Sprintf("m%02d", i))
		want = append(want, fmt.Sprintf("r%02d|m%02d", i, i+1))
	}
	for i := range n { // the last row moves first, to a value that is free
		k := n - 1 - i
		moved.upsert(uint32(i), fmt.Sprintf("r%02d", k), fmt.Sprintf("m%02d", k+1))
	}
	c.apply(batch(1, first))
	c.apply(batch(2, moved))
	c.none()
	f.wantRows(t, db, "t", []string{"id", "mail"}, want...)
	// And back, where the order of keys is the right one.
	back := table(0)
	for i := range n {
		back.upsert(uint32(i), fmt.Sprintf("r%02d", i), fmt.Sprintf("m%02d", i))
		want[i] = fmt.Sprintf("r%02d|m%02d", i, i)
	}
	c.apply(batch(3, back))
	c.none()
	f.wantRows(t, db, "t", []string{"id", "mail"}, want...)
}

func uniqueTakenCase(t *testing.T, f *fixture) {
	db := f.unique(t)
	c := f.open(t, db, job(out("t", "*id", "mail")))
	c.apply(batch(1, table(0).upsert(0, "a", "x").upsert(1, "b", "y")))
	c.send(batch(2, table(0).upsert(0, "n1", "n1").upsert(1, "c", "x").upsert(2, "n2", "n2")))
	c.settle(2)
	if r := c.refused(); len(r) != 1 || r[0].Change != 1 || r[0].ErrorClass != "target" || r[0].Code == "" {
		t.Errorf("rejects: %v", r)
	}
	f.wantRows(t, db, "t", []string{"id", "mail"}, "a|x", "b|y", "n1|n1", "n2|n2")
}

// splitCase: bad rows of every kind at the borders of the halves; a delete and a second output in the same batch.
func splitCase(t *testing.T, f *fixture) {
	db := f.database(t)
	f.create(t, db, "a", [][2]string{{"id", f.Types.Integer}, {"v", f.Types.Integer + " CHECK (" + f.Quote("v") + " >= 0)"}}, "id")
	f.create(t, db, "b", [][2]string{{"id", f.Types.Integer}, {"v", f.Types.Key + " NOT NULL"}}, "id")
	c := f.open(t, db, job(out("a", "*id", "v"), out("b", "*id", "v")))
	c.apply(batch(1, table(0).upsert(0, "900", "1").upsert(1, "901", "1")))
	const n = 64
	bad := map[int]bool{0: true, 1: true, 31: true, 32: true, 62: true, 63: true}
	a, b := table(0), table(1)
	for i := range n {
		v, w := "1", any("fits")
		if bad[i] {
			v, w = "-1", nil
			f.unfit(t, db, "a", fmt.Sprint(i))
			f.unfit(t, db, "b", fmt.Sprint(i))
		}
		a.upsert(uint32(i), fmt.Sprint(i), v)
		b.upsert(uint32(i), fmt.Sprint(i), w)
	}
	a.del(n, "900", nil)
	s := c.apply(batch(2, a, b))
	if got := len(c.refused()); got != 2*len(bad) || s.Counts.GetRejected() != uint64(got) {
		t.Errorf("%d rejects, counted %v, want %d", got, s.Counts, 2*len(bad))
	}
	for _, name := range []string{"a", "b"} {
		got := f.rows(t, db, name, []string{"id"})
		want := n - len(bad)
		if name == "a" {
			want++ // 901
		}
		if len(got) != want {
			t.Errorf("table %s has %d rows, want %d", name, len(got), want)
		}
	}
}
