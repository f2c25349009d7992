package applytest

import (
	"testing"

	applierv1 "slipstream/proto/slipstream/applier/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// load_strategy (spec 5.2).
var strategyCases = []testCase{
	{"APPEND keeps every row in order", appendCase},
	{"APPEND without keys", appendKeylessCase},
	{"APPEND rejects one record and keeps the others", appendRejectCase},
	{"APPEND once, though commits are lost", appendRetryCase},
	{"REPLACE resets what is not mapped", replaceCase},
	{"TYPE2 closes the active row and inserts the next", type2Case},
	{"TYPE2 rejects one record and keeps the history", type2RejectCase},
}

func (r *rowsOf) insert(change uint32, values ...any) *rowsOf {
	return r.add(applierv1.RowOp_ROW_OP_INSERT, change, values)
}

func (r *rowsOf) replace(change uint32, values ...any) *rowsOf {
	return r.add(applierv1.RowOp_ROW_OP_REPLACE, change, values)
}

func (r *rowsOf) supersede(change uint32, values ...any) *rowsOf {
	return r.add(applierv1.RowOp_ROW_OP_SUPERSEDE, change, values)
}

func (r *rowsOf) close(change uint32, values ...any) *rowsOf {
	return r.add(applierv1.RowOp_ROW_OP_CLOSE, change, values)
}

// history makes a table without any key, and opens a lane of an output with a strategy.
func (f *fixture) history(t *testing.T, strategy pipelinev1.LoadStrategy, d *faulty, columns ...string) (Database, *client) {
	t.Helper()
	db := f.database(t)
	db.Exec(t, "CREATE TABLE "+f.Quote("h")+" ("+f.Quote("id")+" "+f.Types.Key+", "+f.Quote("v")+" "+f.Types.Integer+", "+f.Quote("ended")+" "+f.Types.Integer+")")
	o := out("h", columns...)
	w := o.GetRelational()
	w.LoadStrategy = strategy
	if strategy == pipelinev1.LoadStrategy_LOAD_STRATEGY_TYPE2 {
		w.ActiveRecordIndicator = f.Quote("ended") + " IS NULL"
		w.InactiveRecordMapping = []*pipelinev1.InactiveRecordMapping{{Source: f.Quote("v") + " * 10", Target: "ended"}}
	}
	if d == nil {
		return db, f.open(t, db, job(o))
	}
	return db, f.openWith(t, db, d, job(o), 0)
}

const (
	appending   = pipelinev1.LoadStrategy_LOAD_STRATEGY_APPEND
	superseding = pipelinev1.LoadStrategy_LOAD_STRATEGY_TYPE2
)

var historyColumns = []string{"id", "v", "ended"}

func appendCase(t *testing.T, f *fixture) {
	db, c := f.history(t, appending, nil, "*id", "v")
	s := c.apply(batch(1, table(0).insert(0, "a", "1").insert(1, "b", "1").insert(2, "a", "2").insert(3, "a", "1")))
	if s.Counts.Rows != 4 {
		t.Errorf("%d rows, want 4", s.Counts.Rows)
	}
	f.wantRows(t, db, "h", historyColumns, "a|1|<null>", "a|1|<null>", "a|2|<null>", "b|1|<null>")
}

func appendKeylessCase(t *testing.T, f *fixture) {
	db, c := f.history(t, appending, nil, "id", "v")
	c.apply(batch(1, table(0).insert(0, "a", "1").insert(1, nil, "2").insert(2, "a", absent{})))
	f.wantRows(t, db, "h", []string{"v"}, f.sortedNulls("1", "2")...)
}

// sortedNulls puts the one NULL of a column where the database sorts it: what the case is about is that it is there.
func (f *fixture) sortedNulls(values ...string) []string {
	if f.NullsFirst {
		return append([]string{Null}, values...)
	}
	return append(values, Null)
}

func appendRejectCase(t *testing.T, f *fixture) {
	db, c := f.history(t, appending, nil, "*id", "v")
	db.Exec(t, "CREATE UNIQUE INDEX h_v ON "+f.Quote("h")+" ("+f.Quote("v")+")")
	c.apply(batch(1, table(0).insert(0, "a", "1").insert(1, "b", "one").insert(2, "c", "1").insert(3, "d", "4")))
	f.wantRows(t, db, "h", historyColumns, "a|1|<null>", "d|4|<null>")
	if r := c.refused(); len(r) != 2 {
		t.Errorf("rejects: %v", r)
	}
}

func appendRetryCase(t *testing.T, f *fixture) {
	d := &faulty{Dialect: f.Dialect, beforeCommit: once(), afterCommit: func(n int32) error {
		if n == 2 || n == 4 {
			return lost()
		}
		return nil
	}}
	db, c := f.history(t, appending, d, "*id", "v")
	for n := uint64(1); n <= 4; n++ {
		c.apply(batch(n, table(0).insert(0, "a", string(rune(48+n)))))
	}
	f.wantRows(t, db, "h", historyColumns, "a|1|<null>", "a|2|<null>", "a|3|<null>", "a|4|<null>")
}

func replaceCase(t *testing.T, f *fixture) {
	db := f.database(t)
	f.create(t, db, "r", [][2]string{{"id", f.Types.Key}, {"v", f.Types.Integer}, {"other", f.Types.Integer + " DEFAULT 7"}}, "id")
	o := out("r", "*id", "v")
	o.GetRelational().LoadStrategy = pipelinev1.LoadStrategy_LOAD_STRATEGY_REPLACE
	c := f.open(t, db, job(o))
	c.apply(batch(1, table(0).replace(0, "a", "1").replace(1, "b", "1")))
	db.Exec(t, "UPDATE "+f.Quote("r")+" SET "+f.Quote("other")+" = 1")
	c.apply(batch(2, table(0).replace(0, "a", "2").replace(1, "a", "3").del(2, "c", nil)))
	f.wantRows(t, db, "r", []string{"id", "v", "other"}, "a|3|7", "b|1|1")
	c.apply(batch(3, table(0).replace(0, "a", "4").del(1, "a", nil).del(2, "b", nil).replace(3, "b", "5")))
	f.wantRows(t, db, "r", []string{"id", "v", "other"}, "b|5|7")
}

func type2Case(t *testing.T, f *fixture) {
	db, c := f.history(t, superseding, nil, "*id", "v")
	c.apply(batch(1, table(0).supersede(0, "a", "1").supersede(1, "b", "2")))
	c.apply(batch(2, table(0).supersede(0, "a", "3").supersede(1, "a", "4").close(2, "b", nil).supersede(3, "a", "5")))
	f.wantRows(t, db, "h", []string{"id", "v"}, "a|1", "a|3", "a|4", "a|5", "b|2")
	var open []string
	for _, row := range db.Query(t, "SELECT "+f.Quote("v")+" FROM "+f.Quote("h")+" WHERE "+f.Quote("ended")+" IS NULL") {
		open = append(open, row[0])
	}
	if len(open) != 1 || open[0] != "5" {
		t.Errorf("active rows %q, want 5 alone", open)
	}
	for _, row := range db.Query(t, "SELECT "+f.Quote("v")+", "+f.Quote("ended")+" FROM "+f.Quote("h")+" WHERE "+f.Quote("ended")+" IS NOT NULL") {
		if row[1] != row[0]+"0" {
			t.Errorf("row %s was closed with %s", row[0], row[1])
		}
	}
}

func type2RejectCase(t *testing.T, f *fixture) {
	db, c := f.history(t, superseding, nil, "*id", "v")
	db.Exec(t, "CREATE UNIQUE INDEX h_v ON "+f.Quote("h")+" ("+f.Quote("v")+")")
	c.apply(batch(1, table(0).supersede(0, "a", "1").supersede(1, "b", "1").supersede(2, "a", "x").supersede(3, "a", "2")))
	f.wantRows(t, db, "h", []string{"id", "v"}, "a|1", "a|2")
	if r := c.refused(); len(r) != 2 {
		t.Errorf("rejects: %v", r)
	}
}
