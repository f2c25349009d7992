package applytest

import (
	"fmt"
	"strconv"
	"testing"

	applierv1 "slipstream/proto/slipstream/applier/v1"
)

var writeCases = []testCase{
	{"upsert inserts and updates", upsertCase},
	{"columns not mapped keep their value and take their default", unmappedCase},
	{"delete", deleteCase},
	{"delete and recreate in one batch", recreateCase},
	{"the last of several rows with one key counts", duplicateCase},
	{"keys are one when their values are", canonicalKeyCase},
	{"composite keys", compositeCase},
	{"a table of keys only", keysOnlyCase},
	{"columns a row does not touch", absentCase},
	{"outputs in order", outputsCase},
	{"two outputs to one table", sharedTableCase},
	{"names with blanks, quotes and other case", namesCase},
	{"five thousand rows in a batch", bigBatchCase},
	{"many columns", manyColumnsCase},
}

// people makes a table with a text key and opens a lane to it.
func (f *fixture) people(t *testing.T) (Database, *client) {
	t.Helper()
	db := f.database(t)
	f.create(t, db, "people", [][2]string{{"id", f.Types.Key}, {"name", f.Types.Text}, {"age", f.Types.Integer}}, "id")
	return db, f.open(t, db, job(out("people", "*id", "name", "age")))
}

var personColumns = []string{"id", "name", "age"}

func upsertCase(t *testing.T, f *fixture) {
	db, c := f.people(t)
	s := c.apply(batch(1, table(0).upsert(0, "b", "Bob", "41").upsert(1, "a", "Ann", number("30"))))
	if s.Counts.GetRows() != 2 || s.CommitNs <= 0 {
		t.Errorf("settled with %v and %d ns", s.Counts, s.CommitNs)
	}
	f.wantRows(t, db, "people", personColumns, "a|Ann|30", "b|Bob|41")
	c.apply(batch(2, table(0).upsert(0, "a", "Anna", "31").upsert(1, "c", "Cid", nil)))
	f.wantRows(t, db, "people", personColumns, "a|Anna|31", "b|Bob|41", "c|Cid|<null>")
	c.none()
}

func unmappedCase(t *testing.T, f *fixture) {
	db := f.database(t)
	f.create(t, db, "t", [][2]string{{"id", f.Types.Key}, {"v", f.Types.Text}, {"more", f.Types.Integer + " DEFAULT 7"}}, "id")
	c := f.open(t, db, job(out("t", "*id", "v")))
	c.apply(batch(1, table(0).upsert(0, "a", "1")))
	db.Exec(t, "UPDATE "+f.Quote("t")+" SET "+f.Quote("more")+" = 8")
	c.apply(batch(2, table(0).upsert(0, "a", "2").upsert(1, "b", "3")))
	f.wantRows(t, db, "t", []string{"id", "v", "more"}, "a|2|8", "b|3|7")
}

func deleteCase(t *testing.T, f *fixture) {
	db, c := f.people(t)
	c.apply(batch(1, table(0).upsert(0, "a", "A", "1").upsert(1, "b", "B", "2").upsert(2, "c", "C", "3")))
	s := c.apply(batch(2, table(0).del(0, "b", nil, nil).del(1, "not there", nil, nil)))
	if s.Counts.GetRows() != 2 {
		t.Errorf("settled with %v", s.Counts)
	}
	f.wantRows(t, db, "people", personColumns, "a|A|1", "c|C|3")
	c.none()
}

func recreateCase(t *testing.T, f *fixture) {
	db, c := f.people(t)
	c.apply(batch(1, table(0).upsert(0, "a", "A", "1").upsert(1, "b", "B", "2")))
	c.apply(batch(2, table(0).
		del(0, "a", nil, nil).upsert(1, "a", "again", "2").
		upsert(2, "b", "gone", "3").del(3, "b", nil, nil).
		upsert(4, "n", "never", "4").del(5, "n", nil, nil)))
	f.wantRows(t, db, "people", personColumns, "a|again|2")
}

func duplicateCase(t *testing.T, f *fixture) {
	db, c := f.people(t)
	s := c.apply(batch(1, table(0).upsert(0, "a", "1", "1").upsert(1, "b", "x", "9").upsert(2, "a", "2", "2").upsert(3, "a", "3", nil)))
	if s.Counts.GetRows() != 2 {
		t.Errorf("%d rows went to the target, not 2", s.Counts.GetRows())
	}
	f.wantRows(t, db, "people", personColumns, "a|3|<null>", "b|x|9")
}

func canonicalKeyCase(t *testing.T, f *fixture) {
	db := f.database(t)
	f.create(t, db, "t", [][2]string{{"id", f.Types.Integer}, {"v", f.Types.Text}}, "id")
	c := f.open(t, db, job(out("t", "*id", "v")))
	c.apply(batch(1, table(0).upsert(0, "1", "a").upsert(1, "01", "b").upsert(2, number("1.0"), "c").upsert(3, " -5 ", "d").upsert(4, "10", "e").upsert(5, "9", "f")))
	f.wantRows(t, db, "t", []string{"id", "v"}, "-5|d", "1|c", "9|f", "10|e")
	c.apply(batch(2, table(0).del(0, "+1", nil).del(1, number("1e1"), nil)))
	f.wantRows(t, db, "t", []string{"id", "v"}, "-5|d", "9|f")
}

func compositeCase(t *testing.T, f *fixture) {
	db := f.database(t)
	f.create(t, db, "t", [][2]string{{"region", f.Types.Key}, {"no", f.Types.Integer}, {"v", f.Types.Text}}, "region", "no")
	c := f.open(t, db, job(out("t", "*region", "*no", "v")))
	c.apply(batch(1, table(0).upsert(0, "eu", "1", "a").upsert(1, "eu", "2", "b").upsert(2, "us", "1", "c").upsert(3, "e", "u1", "bad")))
	if got := len(c.refused()); got != 1 {
		t.Errorf("%d rejects", got)
	}
	c.apply(batch(2, table(0).del(0, "eu", "1", nil).upsert(1, "us", "1", "d").del(2, "us", "2", nil)))
	f.wantRows(t, db, "t", []string{"region", "no", "v"}, "eu|2|b", "us|1|d")
	c.apply(batch(3, table(0).del(0, "eu", "2", nil).del(1, "us", "1", nil)))
	f.wantRows(t, db, "t", []string{"region", "no", "v"})
}

func keysOnlyCase(t *testing.T, f *fixture) {
	db := f.database(t)
	f.create(t, db, "t", [][2]string{{"a", f.Types.Key}, {"b", f.Types.Key}, {"rest", f.Types.Text}}, "a", "b")
	c := f.open(t, db, job(out("t", "*a", "*b")))
	c.apply(batch(1, table(0).upsert(0, "x", "y").upsert(1, "x", "z")))
	db.Exec(t, "UPDATE "+f.Quote("t")+" SET "+f.Quote("rest")+" = 'kept'")
	c.apply(batch(2, table(0).upsert(0, "x", "y").upsert(1, "v", "w").del(2, "x", "z")))
	f.wantRows(t, db, "t", []string{"a", "b", "rest"}, "v|w|<null>", "x|y|kept")
}

func absentCase(t *testing.T, f *fixture) {
	db := f.database(t)
	f.create(t, db, "t", [][2]string{{"id", f.Types.Key}, {"x", f.Types.Integer + " DEFAULT 5"}, {"y", f.Types.Text}}, "id")
	c := f.open(t, db, job(out("t", "*id", "x", "y")))
	c.apply(batch(1, table(0).
		upsert(0, "a", "1", "one").
		upsert(1, "b", absent{}, "two").
		upsert(2, "c", absent{}, absent{}).
		upsert(3, "d", nil, absent{})))
	f.wantRows(t, db, "t", []string{"id", "x", "y"}, "a|1|one", "b|5|two", "c|5|<null>", "d|<null>|<null>")
	c.apply(batch(2, table(0).
		upsert(0, "a", absent{}, "uno").
		upsert(1, "b", "2", absent{}).
		upsert(2, "c", "3", absent{}).upsert(3, "c", absent{}, "drei").
		upsert(4, "d", "4", "vier").upsert(5, "d", absent{}, absent{})))
	f.wantRows(t, db, "t", []string{"id", "x", "y"}, "a|1|uno", "b|2|two", "c|3|drei", "d|4|vier")
}

func outputsCase(t *testing.T, f *fixture) {
	db := f.database(t)
	f.create(t, db, "parent", [][2]string{{"id", f.Types.Key}}, "id")
	f.create(t, db, "child", [][2]string{
		{"id", f.Types.Key},
		{"of", f.Types.Key + " REFERENCES " + f.Quote("parent") + " (" + f.Quote("id") + ")"},
	}, "id")
	c := f.open(t, db, job(out("parent", "*id"), out("child", "*id", "of")))
	c.apply(batch(1, table(0).upsert(0, "p").upsert(1, "q"), table(1).upsert(0, "c", "p").upsert(1, "d", "q")))
	f.wantRows(t, db, "child", []string{"id", "of"}, "c|p", "d|q")
	c.apply(batch(2, table(0).del(0, "p"), table(1).del(0, "c", nil)))
	f.wantRows(t, db, "parent", []string{"id"}, "q")
	f.wantRows(t, db, "child", []string{"id", "of"}, "d|q")
	c.none()
}

func sharedTableCase(t *testing.T, f *fixture) {
	db := f.database(t)
	f.create(t, db, "t", [][2]string{{"id", f.Types.Key}, {"x", f.Types.Text}, {"y", f.Types.Text}}, "id")
	c := f.open(t, db, job(f.merged(out("t", "*id", "x")), f.merged(out("T", "*id", "y"))))
	c.apply(batch(1,
		table(0).upsert(0, "a", "x0").del(1, "b", nil).upsert(3, "c", "x3"),
		table(1).upsert(0, "a", "y0").upsert(2, "b", "y2").del(4, "c", nil)))
	f.wantRows(t, db, "t", []string{"id", "x", "y"}, "a|x0|y0", "b|<null>|y2")
}

func namesCase(t *testing.T, f *fixture) {
	db := f.database(t)
	f.create(t, db, "Order Lines", [][2]string{{"Order", f.Types.Key}, {`the "note"`, f.Types.Text}, {"select", f.Types.Text}, {"größe", f.Types.Text}}, "Order")
	c := f.open(t, db, job(out("order lines", "*order", `The "Note"`, "SELECT", "größe")))
	c.apply(batch(1, table(0).upsert(0, "1", "n", "s", "g").upsert(1, "2", "n", "s", "g")))
	c.apply(batch(2, table(0).upsert(0, "1", "m", "t", "h").del(1, "2", nil, nil, nil)))
	f.wantRows(t, db, "Order Lines", []string{"Order", `the "note"`, "select", "größe"}, "1|m|t|h")
}

func bigBatchCase(t *testing.T, f *fixture) {
	db, c := f.people(t)
	const n = 5000
	fill := func(sequence uint64, name string) *applierv1.RowBatch {
		r := table(0)
		for i := range n {
			r.upsert(uint32(i), fmt.Sprintf("k%05d", (i*7919)%n), name+strconv.Itoa(i), strconv.Itoa(i))
		}
		return batch(sequence, r)
	}
	s := c.apply(fill(1, "first"))
	if s.Counts.GetRows() != n {
		t.Errorf("%d rows", s.Counts.GetRows())
	}
	c.apply(fill(2, "second"))
	got := f.rows(t, db, "people", personColumns)
	if len(got) != n {
		t.Fatalf("%d rows in the table", len(got))
	}
	for i, row := range got {
		at := 0
		for at = range n {
			if (at*7919)%n == i {
				break
			}
		}
		if want := fmt.Sprintf("k%05d|second%d|%d", i, at, at); row != want {
			t.Fatalf("row %d is %s, want %s", i, row, want)
		}
	}
	r := table(0)
	for i := range n {
		if i%5 != 0 {
			r.del(uint32(i), fmt.Sprintf("k%05d", i), nil, nil)
		}
	}
	c.apply(batch(3, r))
	if got := len(f.rows(t, db, "people", personColumns)); got != n/5 {
		t.Errorf("%d rows are left of %d", got, n/5)
	}
}

func manyColumnsCase(t *testing.T, f *fixture) {
	db := f.database(t)
	const n = 120
	columns, mapped := [][2]string{{"id", f.Types.Key}}, []string{"*id"}
	for i := range n {
		name := fmt.Sprintf("c%03d", i)
		columns, mapped = append(columns, [2]string{name, f.Types.Text}), append(mapped, name)
	}
	f.create(t, db, "wide", columns, "id")
	c := f.open(t, db, job(out("wide", mapped...)))
	r := table(0)
	for i := range 700 {
		values := []any{fmt.Sprintf("%04d", i)}
		for k := range n {
			values = append(values, strconv.Itoa(i*k))
		}
		r.upsert(uint32(i), values...)
	}
	c.apply(batch(1, r))
	got := f.rows(t, db, "wide", []string{"id", "c001", "c119"})
	if len(got) != 700 || got[699] != "0699|699|83181" {
		t.Errorf("%d rows, the last is %q", len(got), got[len(got)-1])
	}
}
