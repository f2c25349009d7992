package applytest

import "testing"

var foreachCases = []testCase{
	{"rows of a parent that shrank go", pruneCase},
	{"a deleted parent takes its rows", pruneAllCase},
	{"two changes of one parent in a batch", pruneTwiceCase},
	{"a parent with thousands of rows", pruneManyCase},
	{"one bad element rejects the record's rows", pruneRejectCase},
}

// parts makes the table of a foreach: ticket is the parent.
func (f *fixture) parts(t *testing.T) (Database, *client) {
	t.Helper()
	db := f.database(t)
	f.create(t, db, "parts", [][2]string{{"ticket", f.Types.Integer}, {"sku", f.Types.Key}, {"qty", f.Types.Integer}, {"note", f.Types.Text}}, "ticket", "sku")
	return db, f.open(t, db, job(out("parts", "**ticket", "*sku", "qty")))
}

var partColumns = []string{"ticket", "sku", "qty", "note"}

func pruneCase(t *testing.T, f *fixture) {
	db, c := f.parts(t)
	c.apply(batch(1, table(0).
		prune(0, "1", nil, nil).upsert(0, "1", "a", "1").upsert(0, "1", "b", "2").
		prune(1, "2", nil, nil).upsert(1, "2", "a", "3")))
	db.Exec(t, "UPDATE "+f.Quote("parts")+" SET "+f.Quote("note")+" = 'kept'")
	c.apply(batch(2, table(0).prune(0, "01", nil, nil).upsert(0, "1", "b", "5").upsert(0, "1", "c", "6")))
	f.wantRows(t, db, "parts", partColumns, "1|b|5|kept", "1|c|6|<null>", "2|a|3|kept")
}

func pruneAllCase(t *testing.T, f *fixture) {
	db, c := f.parts(t)
	c.apply(batch(1, table(0).upsert(0, "1", "a", "1").upsert(0, "1", "b", "2").upsert(1, "2", "a", "3")))
	c.apply(batch(2, table(0).prune(0, "1", nil, nil).prune(1, "9", nil, nil)))
	f.wantRows(t, db, "parts", partColumns, "2|a|3|<null>")
	c.apply(batch(3, table(0).prune(0, nil, nil, nil)))
	if r := c.refused(); len(r) != 1 || r[0].Reason != "missing key column ticket on delete" {
		t.Errorf("rejects: %v", r)
	}
	f.wantRows(t, db, "parts", partColumns, "2|a|3|<null>")
}

func pruneTwiceCase(t *testing.T, f *fixture) {
	db, c := f.parts(t)
	c.apply(batch(1, table(0).upsert(0, "1", "old", "1").upsert(0, "2", "old", "1")))
	c.apply(batch(2, table(0).
		prune(0, "1", nil, nil).upsert(0, "1", "a", "1").upsert(0, "1", "b", "1").
		del(1, "2", "old", nil).
		prune(2, "1", nil, nil).upsert(2, "1", "b", "2").
		prune(3, "2", nil, nil).
		upsert(4, "2", "new", "4")))
	f.wantRows(t, db, "parts", partColumns, "1|b|2|<null>", "2|new|4|<null>")
}

func pruneManyCase(t *testing.T, f *fixture) {
	db, c := f.parts(t)
	const n = 12000
	sku := func(i int) string {
		return string([]rune{'A' + rune(i/10000), '0' + rune(i/1000%10), '0' + rune(i/100%10), '0' + rune(i/10%10), '0' + rune(i%10)})
	}
	first, second := table(0).prune(0, "1", nil, nil), table(0).prune(0, "1", nil, nil)
	for i := range n {
		first.upsert(0, "1", sku(i), "1")
		if i%2 == 0 {
			second.upsert(0, "1", sku(i), "2")
		}
	}
	c.apply(batch(1, first))
	c.apply(batch(2, second))
	got := f.rows(t, db, "parts", []string{"ticket", "sku", "qty"})
	if len(got) != n/2 || got[0] != "1|A0000|2" {
		t.Errorf("%d rows, want %d", len(got), n/2)
	}
}

func pruneRejectCase(t *testing.T, f *fixture) {
	db, c := f.parts(t)
	c.apply(batch(1, table(0).upsert(0, "1", "a", "1").upsert(1, "2", "a", "1")))
	c.apply(batch(2, table(0).
		prune(0, "1", nil, nil).upsert(0, "1", "b", "2").upsert(0, "1", "c", "many").
		prune(1, "2", nil, nil).upsert(1, "2", "b", "2")))
	if r := c.refused(); len(r) != 1 || r[0].Change != 0 || r[0].Column != "qty" {
		t.Errorf("rejects: %v", r)
	}
	f.wantRows(t, db, "parts", partColumns, "1|a|1|<null>", "2|b|2|<null>")
}
