package applytest

import (
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
)

var rejectCases = []testCase{
	{"values that do not fit", badValueCase},
	{"missing keys", missingKeyCase},
	{"rows the database refuses are isolated", isolateCase},
	{"an older change stands when the newer is refused", olderStandsCase},
	{"each output on its own", perOutputCase},
	{"commit follows Stored", holdCase},
	{"a held batch without rejects of ours", heldEmptyCase},
	{"rejects that take long to store hold nobody up", slowStoreCase},
	{"a stream that ends before Stored wrote nothing", crashBeforeStoredCase},
	{"a commit lost after Stored is made again without asking again", lostAfterStoredCase},
}

func badValueCase(t *testing.T, f *fixture) {
	db, c := f.people(t)
	long := strings.Repeat("x", 100)
	s := c.apply(batch(1, table(0).upsert(0, "a", "A", "abc").upsert(1, "b", "B", "2").upsert(2, "c", "C", "9223372036854775808").upsert(3, "d", "D", long)))
	if s.Counts.GetRejected() != 3 || s.Counts.GetRows() != 1 {
		t.Errorf("settled with %v", s.Counts)
	}
	r := c.refused()
	if len(r) != 3 {
		t.Fatalf("rejects: %v", r)
	}
	for i, want := range []string{"cannot convert 'abc' to ", "cannot convert '9223372036854775808' to ", "cannot convert '" + long[:64] + "…' to "} {
		if !strings.HasPrefix(r[i].Reason, want) || !strings.Contains(r[i].Reason, " for column age") {
			t.Errorf("reason %q, want %q … for column age", r[i].Reason, want)
		}
	}
	x := r[0]
	if x.Change != 0 || x.Output != 0 || x.Writer != "relational.write" || x.Connection != "db" || x.Table != "people" ||
		x.ErrorClass != "validation" || x.Column != "age" || x.Attempts == 0 || !strings.HasPrefix(x.Block, "output[0]") {
		t.Errorf("reject: %v", x)
	}
	f.wantRows(t, db, "people", personColumns, "b|B|2")
}

func missingKeyCase(t *testing.T, f *fixture) {
	db, c := f.people(t)
	c.apply(batch(1, table(0).upsert(0, "a", "A", "1").upsert(1, nil, "B", "2").upsert(2, absent{}, "C", "3")))
	if got := reasons(c.refused()); got != f.reason("missing key column id on upsert\nmissing key column id on upsert\n", "id") {
		t.Errorf("reasons: %s", got)
	}
	c.apply(batch(2, table(0).del(0, nil, nil, nil)))
	if got := reasons(c.refused()); got != f.reason("missing key column id on delete\n", "id") {
		t.Errorf("reasons: %s", got)
	}
	f.wantRows(t, db, "people", personColumns, "a|A|1")
}

// checked makes a table whose qty must not be negative.
func (f *fixture) checked(t *testing.T) (Database, *client) {
	t.Helper()
	db := f.database(t)
	f.create(t, db, "stock", [][2]string{
		{"id", f.Types.Integer},
		{"qty", f.Types.Integer + " NOT NULL CHECK (" + f.Quote("qty") + " >= 0)"},
	}, "id")
	return db, f.open(t, db, job(out("stock", "*id", "qty")))
}

func isolateCase(t *testing.T, f *fixture) {
	db, c := f.checked(t)
	r := table(0)
	bad := []uint32{0, 17, 18, 250, 999}
	for i := range uint32(1000) {
		qty := "1"
		if slices.Contains(bad, i) {
			f.unfit(t, db, "stock", strconv.Itoa(int(i)))
			qty = "-1"
		}
		r.upsert(i, strconv.Itoa(int(i)), qty)
	}
	f.unfit(t, db, "stock", "5000")
	r.upsert(1000, "5000", nil)
	s := c.apply(batch(1, r))
	if s.Counts.GetRejected() != 6 || s.Counts.GetRows() != 995 {
		t.Errorf("settled with %v", s.Counts)
	}
	var got []uint32
	for _, x := range c.refused() {
		got = append(got, x.Change)
		if x.Reason == "" || x.Code == "" || x.ErrorClass != "target" {
			t.Errorf("reject: %v", x)
		}
	}
	if !slices.Equal(got, append(bad, 1000)) {
		t.Errorf("rejected %v, want %v and 1000", got, bad)
	}
	if n := len(f.rows(t, db, "stock", []string{"id"})); n != 995 {
		t.Errorf("%d rows", n)
	}
}

func olderStandsCase(t *testing.T, f *fixture) {
	db, c := f.checked(t)
	c.apply(batch(1, table(0).upsert(0, "1", "5").upsert(1, "1", "-5").upsert(2, "2", "7").upsert(3, "2", "x")))
	if r := c.refused(); len(r) != 2 || r[0].Change != 1 || r[1].Change != 3 {
		t.Errorf("rejects: %v", r)
	}
	f.wantRows(t, db, "stock", []string{"id", "qty"}, "1|5", "2|7")
}

func perOutputCase(t *testing.T, f *fixture) {
	db := f.database(t)
	f.create(t, db, "a", [][2]string{{"id", f.Types.Key}, {"v", f.Types.Integer}}, "id")
	f.create(t, db, "b", [][2]string{{"id", f.Types.Key}, {"v", f.Types.Text}}, "id")
	f.unfit(t, db, "a", "k")
	c := f.open(t, db, job(out("a", "*id", "v"), out("b", "*id", "v")))
	c.apply(batch(1, table(0).upsert(0, "k", "word"), table(1).upsert(0, "k", "word")))
	if r := c.refused(); len(r) != 1 || r[0].Output != 0 {
		t.Errorf("rejects: %v", r)
	}
	f.wantRows(t, db, "a", []string{"id", "v"})
	f.wantRows(t, db, "b", []string{"id", "v"}, "k|word")
}

func holdCase(t *testing.T, f *fixture) {
	db := f.database(t)
	f.create(t, db, "people", [][2]string{{"id", f.Types.Key}, {"name", f.Types.Text}, {"age", f.Types.Integer}}, "id")
	f.unfit(t, db, "people", "a")
	var stored atomic.Bool
	d := &faulty{Dialect: f.Dialect, beforeCommit: func(int32) error {
		if !stored.Load() {
			t.Error("a commit came before Stored")
		}
		return nil
	}}
	c := f.openWith(t, db, d, job(out("people", "*id", "name", "age")), 0)
	c.manual = true
	c.send(batch(1, table(0).upsert(0, "a", "A", "abc").upsert(1, "b", "B", "2")),
		batch(2, table(0).upsert(0, "c", "C", "3")), batch(3), batch(4), batch(5))
	if r := c.refused(); len(r) != 1 {
		t.Fatalf("rejects: %v", r)
	}
	f.wantRows(t, db, "people", personColumns)
	stored.Store(true)
	c.store(1)
	c.settle(5)
	f.wantRows(t, db, "people", personColumns, "b|B|2", "c|C|3")
	c.none()
}

func heldEmptyCase(t *testing.T, f *fixture) {
	db, c := f.people(t)
	c.manual = true
	b := batch(1, table(0).upsert(0, "a", "A", "1"))
	b.Hold = true
	c.send(b)
	if r := c.refused(); len(r) != 0 {
		t.Errorf("rejects: %v", r)
	}
	f.wantRows(t, db, "people", personColumns)
	c.store(1)
	c.settle(1)
	f.wantRows(t, db, "people", personColumns, "a|A|1")
}

func slowStoreCase(t *testing.T, f *fixture) {
	db, slow := f.people(t)
	f.unfit(t, db, "people", "b")
	slow.manual = true
	slow.send(batch(1, table(0).upsert(0, "a", "of the slow", "1").upsert(1, "b", "B", "many")))
	if r := slow.refused(); len(r) != 1 {
		t.Fatalf("rejects: %v", r)
	}
	other := f.openWith(t, db, f.Dialect, job(out("people", "*id", "name", "age")), 1)
	other.apply(batch(1, table(0).upsert(0, "a", "of the other", "2")))
	f.wantRows(t, db, "people", personColumns, "a|of the other|2")
	slow.store(1)
	slow.settle(1)
	slow.none()
	f.wantRows(t, db, "people", personColumns, "a|of the slow|1")
	select {
	case w := <-slow.waiting:
		t.Errorf("waiting for Stored was taken for trouble with the target: %v", w)
	default:
	}
}

func crashBeforeStoredCase(t *testing.T, f *fixture) {
	db, c := f.people(t)
	c.manual = true
	f.unfit(t, db, "people", "a")
	b := batch(1, table(0).upsert(0, "a", "A", "abc").upsert(1, "b", "B", "2"))
	c.send(b)
	first := reasons(c.refused())
	c.cut()
	f.wantRows(t, db, "people", personColumns)

	c = f.open(t, db, job(out("people", "*id", "name", "age")))
	if p := c.opened.Position; p.GetMain().GetMs() != 0 {
		t.Errorf("position is %v", p)
	}
	c.send(b)
	if again := reasons(c.refused()); again != first {
		t.Errorf("the rejects were %q, now %q", first, again)
	}
	c.settle(1)
	f.wantRows(t, db, "people", personColumns, "b|B|2")
}

func lostAfterStoredCase(t *testing.T, f *fixture) {
	db := f.database(t)
	f.create(t, db, "people", [][2]string{{"id", f.Types.Key}, {"name", f.Types.Text}, {"age", f.Types.Integer}}, "id")
	f.unfit(t, db, "people", "a")
	d := &faulty{Dialect: f.Dialect, beforeCommit: once()}
	c := f.openWith(t, db, d, job(out("people", "*id", "name", "age")), 0)
	c.apply(batch(1, table(0).upsert(0, "a", "A", "abc").upsert(1, "b", "B", "2")))
	if r := c.refused(); len(r) != 1 {
		t.Errorf("rejects: %v", r)
	}
	c.none()
	f.wantRows(t, db, "people", personColumns, "b|B|2")
	if n := d.commits.Load(); n != 2 {
		t.Errorf("%d commits", n)
	}
}
