package oracle

import (
	"strings"
	"testing"

	"slipstream/applier"
	"slipstream/proto/fault"
	changev1 "slipstream/proto/slipstream/change/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

func at(ms uint64) *changev1.Position {
	return &changev1.Position{Main: &changev1.StreamId{Ms: ms}, Side: &changev1.StreamId{}}
}

// line is a transaction on a stand-in, with nothing sent since it began.
type line struct {
	*testing.T
	s *standin
	t *target
	x applier.Txn
}

func beginLine(t *testing.T) *line {
	t.Helper()
	s := newStandin()
	l := &line{T: t, s: s, t: testTarget(t, s)}
	x, err := (&session{target: l.t, lane: testLane(), epoch: 7}).Begin(t.Context(), at(3), at(9), nil)
	if err != nil {
		t.Fatal(err)
	}
	l.x = x
	s.take()
	return l
}

func (l *line) ok(err error) {
	l.Helper()
	if err != nil {
		l.Fatal(err)
	}
}

func (l *line) table(w *pipelinev1.RelationalWrite) *applier.Table {
	l.Helper()
	table, err := l.t.bindTable(l.Context(), w)
	l.ok(err)
	return table
}

// TestStatements is golden: what is sent for every verb (spec 5.2).
func TestStatements(t *testing.T) {
	history := output("hist", "*k", "v")
	history.LoadStrategy = pipelinev1.LoadStrategy_LOAD_STRATEGY_TYPE2
	history.ActiveRecordIndicator = "ended IS NULL"
	history.InactiveRecordMapping = []*pipelinev1.InactiveRecordMapping{{Source: "SYSDATE", Target: "ended"}}
	appended := output("hist", "k", "v")
	appended.LoadStrategy = pipelinev1.LoadStrategy_LOAD_STRATEGY_APPEND
	for name, c := range map[string]struct {
		w    *pipelinev1.RelationalWrite
		do   func(l *line, table *applier.Table) *applier.Write
		want []string
	}{
		"upsert": {output("pump", "*serial", "site", "psi"), func(l *line, table *applier.Table) *applier.Write {
			return write(l.T, table, applier.Upsert, []string{"a", "north", "5"}, []string{"b", "~", "~"})
		}, []string{`MERGE INTO "APP"."PUMP" t USING (SELECT :1 c0, :2 c1, TO_NUMBER(:3) c2 FROM DUAL) s ON (t."SERIAL" = s.c0)` +
			` WHEN MATCHED THEN UPDATE SET t."SITE" = s.c1, t."PSI" = s.c2 WHEN NOT MATCHED THEN INSERT ("SERIAL", "SITE", "PSI") VALUES (s.c0, s.c1, s.c2)` +
			` <- ['a' 'b'], ['north' null], ['5' null]`}},
		"keys alone": {output("pump", "*SERIAL"), func(l *line, table *applier.Table) *applier.Write {
			return write(l.T, table, applier.Upsert, []string{"a"})
		}, []string{`MERGE INTO "APP"."PUMP" t USING (SELECT :1 c0 FROM DUAL) s ON (t."SERIAL" = s.c0) WHEN NOT MATCHED THEN INSERT ("SERIAL") VALUES (s.c0) <- ['a']`}},
		"delete": {output("part", "*no", "*sku"), func(l *line, table *applier.Table) *applier.Write {
			return write(l.T, table, applier.Delete, []string{"1", "x"}, []string{"2", "y"})
		}, []string{`DELETE FROM "APP"."PART" t WHERE t."NO" = TO_NUMBER(:1) AND t."SKU" = :2 <- ['1' '2'], ['x' 'y']`}},
		"insert": {appended, func(l *line, table *applier.Table) *applier.Write {
			return write(l.T, table, applier.Insert, []string{"a", "1"}, []string{"a", "2"})
		}, []string{`INSERT INTO "APP"."HIST" ("K", "V") VALUES (:1, :2) <- ['a' 'a'], ['1' '2']`}},
		"close": {history, func(l *line, table *applier.Table) *applier.Write {
			return write(l.T, table, applier.Close, []string{"a", "~"})
		}, []string{`UPDATE "APP"."HIST" SET "ENDED" = (SYSDATE ) WHERE "K" = :1 AND (ended IS NULL ) <- ['a']`}},
		"prune": {output("part", "**no", "*sku", "qty"), func(l *line, table *applier.Table) *applier.Write {
			w := write(l.T, table, applier.Prune, []string{"7", "a", "1"}, []string{"7", "b", "1"}, []string{"7", "c", "1"}, []string{"8", "~", "~"})
			w.Keep, w.Rows = []int32{0, 1, 2}, []int32{0, 3}
			return w
		}, []string{`DELETE FROM "APP"."PART" t WHERE (t."NO") IN ((TO_NUMBER(:1)), (TO_NUMBER(:2))) AND NOT EXISTS (SELECT 1 FROM (` +
			`SELECT TO_NUMBER(:3) c0, :4 c1 FROM DUAL UNION ALL SELECT TO_NUMBER(:5) c0, :6 c1 FROM DUAL UNION ALL ` +
			`SELECT TO_NUMBER(:7) c0, :8 c1 FROM DUAL UNION ALL SELECT TO_NUMBER(:9) c0, :10 c1 FROM DUAL) k WHERE k.c0 = t."NO" AND k.c1 = t."SKU")` +
			` <- '7', '8', '7', 'a', '7', 'b', '7', 'c', '7', 'c'`}},
		"prune of all": {output("part", "**no", "*sku", "qty"), func(l *line, table *applier.Table) *applier.Write {
			w := write(l.T, table, applier.Prune, []string{"7", "~", "~"})
			return w
		}, []string{`DELETE FROM "APP"."PART" t WHERE (t."NO") IN ((TO_NUMBER(:1))) <- '7'`}},
	} {
		t.Run(name, func(t *testing.T) {
			l := beginLine(t)
			table := l.table(c.w)
			l.ok(l.x.Write(t.Context(), c.do(l, table)))
			l.ok(l.x.Commit(t.Context()))
			wantSent(t, l.s, append(c.want, "COMMIT")...)
		})
	}
}

// TestTypes is golden: how a value of every type travels (spec 10.3).
func TestTypes(t *testing.T) {
	l := beginLine(t)
	long := strings.Repeat("x", 5000)
	for _, c := range []struct{ column, value, expr, arg string }{
		{"n", "12.50", "TO_NUMBER(:2)", "'12.5'"},
		{"n", "1e-100", "TO_NUMBER(:2)", "'1e-100'"},
		{"n38", "-0.0000000001", "TO_NUMBER(:2)", "'-0.0000000001'"},
		{"whole", "5.0", "TO_NUMBER(:2)", "'5'"},
		{"f", "1e3", "TO_NUMBER(:2)", "'1000'"},
		{"bf", "0.1", "TO_BINARY_FLOAT(:2)", "'0.1'"},
		{"bd", "-inf", "TO_BINARY_DOUBLE(:2)", "'-INF'"},
		{"bd", "nan", "TO_BINARY_DOUBLE(:2)", "'NaN'"},
		{"vb", "Grü", ":2", "'Grü'"},
		{"vb", "", ":2", "null"},
		{"nv", "世界", ":2", "N'世界'"},
		{"nv", "~", ":2", "null"},
		{"c", "ab  ", "CAST(:2 AS CHAR(10 CHAR))", "'ab'"},
		{"cl", "short", ":2", "'short'"},
		{"cl", long, ":2", "clob(5000)"},
		{"ncl", long, ":2", "nclob(5000)"},
		{"bl", "aGVsbG8=", ":2", "0x68656c6c6f"},
		{"bl", "0x" + strings.Repeat("00", 3000), ":2", "blob(3000)"},
		{"r", "0x00ff", ":2", "0x00ff"},
		{"r", "~", ":2", "0x"},
		{"d", "2030-02-01", "TO_DATE(:2, 'YYYY-MM-DD HH24:MI:SS')", "'2030-02-01 00:00:00'"},
		{"d", "1896172245", "TO_DATE(:2, 'YYYY-MM-DD HH24:MI:SS')", "'2030-02-01 10:30:45'"},
		{"t", "2030-02-01T10:30:45.5", "TO_TIMESTAMP(:2, 'YYYY-MM-DD HH24:MI:SS.FF9')", "'2030-02-01 10:30:45.500000000'"},
		{"tz", "2030-02-01T12:30:45+02:00", "TO_TIMESTAMP_TZ(:2, 'YYYY-MM-DD HH24:MI:SS.FF9TZH:TZM')", "'2030-02-01 10:30:45.000000000+00:00'"},
		{"tl", "2030-02-01T10:30:45.123456789Z", "TO_TIMESTAMP_TZ(:2, 'YYYY-MM-DD HH24:MI:SS.FF9TZH:TZM')", "'2030-02-01 10:30:45.123456789+00:00'"},
		{"ym", "1-2", "TO_YMINTERVAL(:2)", "'1-2'"},
		{"ds", "P1DT2H", "TO_DSINTERVAL(:2)", "'P1DT2H'"},
		{"j", `{"a": 1}`, "JSON(:2)", `'{"a": 1}'`},
		{"b", "yes", "TO_BOOLEAN(:2)", "'1'"},
		{"x", "<a/>", "XMLPARSE(DOCUMENT :2)", "'<a/>'"},
	} {
		table := l.table(output("all_types", "*id", c.column))
		l.ok(l.x.Write(t.Context(), write(t, table, applier.Upsert, []string{"1", c.value})))
		name := strings.ToUpper(c.column)
		wantSent(t, l.s, `MERGE INTO "APP"."ALL_TYPES" t USING (SELECT TO_NUMBER(:1) c0, `+c.expr+` c1 FROM DUAL) s ON (t."ID" = s.c0)`+
			` WHEN MATCHED THEN UPDATE SET t."`+name+`" = s.c1 WHEN NOT MATCHED THEN INSERT ("ID", "`+name+`") VALUES (s.c0, s.c1) <- ['1'], [`+c.arg+`]`)
	}
	l.ok(l.x.Rollback())
}

// TestUnfit: what the server would round, cut or make zero of is found before it (G5).
func TestUnfit(t *testing.T) {
	l := beginLine(t)
	for _, c := range []struct{ column, value, why string }{
		{"n", strings.Repeat("1", 39), "more than 38 significant digits"},
		{"n", "1e-200", "too close to zero"},
		{"f", "0." + strings.Repeat("3", 39), "more than 38 significant digits"},
	} {
		table := l.table(output("all_types", "*id", c.column))
		err := l.x.Write(t.Context(), write(t, table, applier.Upsert, []string{"1", c.value}))
		if fault.Class(err) != flowv1.FaultClass_FAULT_CLASS_DATA || !strings.Contains(err.Error(), c.why) || !strings.Contains(err.Error(), "for column "+strings.ToUpper(c.column)) {
			t.Errorf("%v", err)
		}
	}
	pump := l.table(output("pump", "*serial"))
	for _, verb := range []applier.Verb{applier.Upsert, applier.Delete} { // G7: an empty string is NULL here
		err := l.x.Write(t.Context(), write(t, pump, verb, []string{""}))
		if fault.Class(err) != flowv1.FaultClass_FAULT_CLASS_DATA || !strings.Contains(err.Error(), "missing key column SERIAL") {
			t.Errorf("%v", err)
		}
	}
	part := l.table(output("all_types", "*id", "n"))
	ten := write(t, part, applier.Upsert, []string{"123456789012345678", "1"})
	l.ok(l.x.Write(t.Context(), ten))
	psi := l.table(output("pump", "*serial", "psi"))
	if err := l.x.Write(t.Context(), write(t, psi, applier.Upsert, []string{"a", "12345678901"})); !strings.Contains(err.Error(), "too many digits") {
		t.Errorf("%v", err)
	}
	l.ok(l.x.Rollback())
}

// TestWideRows: rows with large objects go by themselves, and a statement takes no more rows than it may.
func TestWideRows(t *testing.T) {
	l := beginLine(t)
	l.t.rowsPerStatement = 2
	table := l.table(output("all_types", "*id", "cl"))
	long := strings.Repeat("x", 4001)
	l.ok(l.x.Write(t.Context(), write(t, table, applier.Upsert,
		[]string{"1", "a"}, []string{"2", long}, []string{"3", "~"}, []string{"4", "b"}, []string{"5", long})))
	var args []string
	for _, line := range l.s.take() {
		_, after, _ := strings.Cut(line, " <- ")
		args = append(args, after)
	}
	if got := strings.Join(args, "; "); got != "['1' '3'], ['a' null]; ['4'], ['b']; ['2' '5'], [clob(4001) clob(4001)]" {
		t.Error(got)
	}
	l.ok(l.x.Rollback())
}

// TestTry: a savepoint, and what was deferred checked before it is left.
func TestTry(t *testing.T) {
	l := beginLine(t)
	l.ok(l.x.Try(t.Context(), func() error { return nil }))
	wantSent(t, l.s, "SAVEPOINT slipstream", "SET CONSTRAINTS ALL IMMEDIATE", "SET CONSTRAINTS ALL DEFERRED")
	l.s.fails = when("SET CONSTRAINTS ALL IMMEDIATE", ora(2291))
	if err := l.x.Try(t.Context(), func() error { return nil }); fault.Class(err) != flowv1.FaultClass_FAULT_CLASS_REFERENCE {
		t.Errorf("%v", err)
	}
	wantSent(t, l.s, "SAVEPOINT slipstream", "ROLLBACK TO SAVEPOINT slipstream")
	l.s.fails = when("MERGE", ora(1438))
	table := l.table(output("pump", "*serial"))
	err := l.x.Try(t.Context(), func() error { return l.x.Write(t.Context(), write(t, table, applier.Upsert, []string{"a"})) })
	if f := fault.Of(err); f.Class != flowv1.FaultClass_FAULT_CLASS_DATA || f.Code != "ORA-01438" || !strings.HasPrefix(f.Error(), "writing to PUMP: ") {
		t.Errorf("%v", err)
	}
	l.ok(l.x.Rollback())
	wantSent(t, l.s, "SAVEPOINT slipstream", "ROLLBACK TO SAVEPOINT slipstream", "ROLLBACK")
	l.ok(l.x.Rollback())
	wantSent(t, l.s)
}
