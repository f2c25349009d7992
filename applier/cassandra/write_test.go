package cassandra

import (
	"strings"
	"testing"

	"slipstream/applier"
	"slipstream/proto/fault"
	changev1 "slipstream/proto/slipstream/change/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
)

func at(ms uint64) *changev1.Position {
	return &changev1.Position{Main: &changev1.StreamId{Ms: ms}, Side: &changev1.StreamId{}}
}

// line is a session on a stand-in, its lane open and nothing sent since.
type line struct {
	*testing.T
	c *standin
	t *target
	s applier.Session
	x applier.Txn
}

func openLine(t *testing.T) *line {
	t.Helper()
	c := newStandin()
	l := &line{T: t, c: c, t: testTarget(c)}
	c.tables["ops.slipstream_position"] = nil
	s, _, err := l.t.OpenLane(t.Context(), testLane(), "me")
	if err != nil {
		t.Fatal(err)
	}
	l.s = s
	c.take()
	return l
}

func (l *line) table(name string, columns ...string) *applier.Table {
	l.Helper()
	table, err := l.t.bindTable(l.Context(), output(name, columns...), false)
	if err != nil {
		l.Fatal(err)
	}
	return table
}

func (l *line) begin(prev, next uint64) {
	l.Helper()
	x, err := l.s.Begin(l.Context(), at(prev), at(next), nil)
	if err != nil {
		l.Fatal(err)
	}
	l.x = x
}

func (l *line) ok(err error) {
	l.Helper()
	if err != nil {
		l.Fatalf("%v", err)
	}
}

const moved = `UPDATE "ops"."slipstream_position" SET "last_id" = '9-0', "last_side_id" = '0-0', "write_at" = <1999>, "updated_at" = 1900000000000` +
	` WHERE "pipeline" = 'p' AND "job" = 'j' AND "connection" = 'cass' AND "layout" = 4 AND "shard" = '' AND "partition" = 2` +
	` IF "source" = 'src' AND "epoch" = 1 AND "last_id" = '0-0' AND "last_side_id" = '0-0'`

// TestStatements is golden: what is sent for every verb, with its write timestamps (spec 5.4).
func TestStatements(t *testing.T) {
	for name, c := range map[string]struct {
		table string
		cols  []string
		do    func(l *line, table *applier.Table) []*applier.Write
		want  []string
	}{
		"upsert": {"pump", []string{"*serial", "site", "psi"}, func(l *line, table *applier.Table) []*applier.Write {
			return []*applier.Write{write(l.T, table, applier.Upsert, []string{"p1", "north", "5"})}
		}, []string{`UPDATE "ops"."pump" USING TIMESTAMP <1> SET "site" = 'north', "psi" = 5 WHERE "serial" = 'p1'`}},
		"upsert of names in any case": {"PUMP", []string{"*Serial", "PSI"}, func(l *line, table *applier.Table) []*applier.Write {
			return []*applier.Write{write(l.T, table, applier.Upsert, []string{"p1", "5"})}
		}, []string{`UPDATE "ops"."pump" USING TIMESTAMP <1> SET "psi" = 5 WHERE "serial" = 'p1'`}},
		"nulls beside a value": {"pump", []string{"*serial", "site", "psi"}, func(l *line, table *applier.Table) []*applier.Write {
			return []*applier.Write{write(l.T, table, applier.Upsert, []string{"p1", "~", "5"})}
		}, []string{`UPDATE "ops"."pump" USING TIMESTAMP <1> SET "site" = null, "psi" = 5 WHERE "serial" = 'p1'`}},
		"nulls alone still are a row": {"pump", []string{"*serial", "site", "psi"}, func(l *line, table *applier.Table) []*applier.Write {
			return []*applier.Write{write(l.T, table, applier.Upsert, []string{"p1", "~", "~"})}
		}, []string{`INSERT INTO "ops"."pump" ("serial", "site", "psi") VALUES ('p1', null, null) USING TIMESTAMP <1>`}},
		"keys alone": {"pump", []string{"*serial"}, func(l *line, table *applier.Table) []*applier.Write {
			return []*applier.Write{write(l.T, table, applier.Upsert, []string{"p1"})}
		}, []string{`INSERT INTO "ops"."pump" ("serial") VALUES ('p1') USING TIMESTAMP <1>`}},
		"what a row does not touch is unset": {"pump", []string{"*serial", "site", "psi"}, func(l *line, table *applier.Table) []*applier.Write {
			return []*applier.Write{write(l.T, table, applier.Upsert, []string{"p1", absent, "5"})}
		}, []string{`UPDATE "ops"."pump" USING TIMESTAMP <1> SET "site" = UNSET, "psi" = 5 WHERE "serial" = 'p1'`}},
		"static columns alone": {"reading", []string{"*site", "*year", "*at", "head"}, func(l *line, table *applier.Table) []*applier.Write {
			return []*applier.Write{write(l.T, table, applier.Upsert, []string{"s", "2030", "2030-01-01", "h"})}
		}, []string{`INSERT INTO "ops"."reading" ("Site", "year", "at", "head") VALUES ('s', 2030, 1893456000000, 'h') USING TIMESTAMP <1>`}},
		"a list": {"reading", []string{"*site", "*year", "*at", "v"}, func(l *line, table *applier.Table) []*applier.Write {
			return []*applier.Write{write(l.T, table, applier.Upsert, []string{"s", "2030", "2030-01-01", "[1]"})}
		}, []string{`UPDATE "ops"."reading" USING TIMESTAMP <1> SET "v" = 0x000000010000000400000001 WHERE "Site" = 's' AND "year" = 2030 AND "at" = 1893456000000`}},
		"delete": {"part", []string{"*no", "*sku", "qty"}, func(l *line, table *applier.Table) []*applier.Write {
			return []*applier.Write{write(l.T, table, applier.Delete, []string{"7", "a", "~"})}
		}, []string{`DELETE FROM "ops"."part" USING TIMESTAMP <1> WHERE "no" = 7 AND "sku" = 'a'`}},
		"replace: the insert is later than the delete": {"pump", []string{"*serial", "site"}, func(l *line, table *applier.Table) []*applier.Write {
			return []*applier.Write{
				write(l.T, table, applier.Delete, []string{"p1", "~"}), write(l.T, table, applier.Insert, []string{"p1", "north"}),
			}
		}, []string{`DELETE FROM "ops"."pump" USING TIMESTAMP <1> WHERE "serial" = 'p1'` + "\n" +
			`  + INSERT INTO "ops"."pump" ("serial", "site") VALUES ('p1', 'north') USING TIMESTAMP <2>`}},
		"one partition in one batch": {"part", []string{"*no", "*sku", "qty"}, func(l *line, table *applier.Table) []*applier.Write {
			return []*applier.Write{write(l.T, table, applier.Upsert, []string{"7", "a", "1"}, []string{"7", "b", "2"})}
		}, []string{`UPDATE "ops"."part" USING TIMESTAMP <1> SET "qty" = 1 WHERE "no" = 7 AND "sku" = 'a'` + "\n" +
			`  + UPDATE "ops"."part" USING TIMESTAMP <1> SET "qty" = 2 WHERE "no" = 7 AND "sku" = 'b'`}},
		"prune of rows written whole": {"part", []string{"**no", "*sku", "qty", "note"}, func(l *line, table *applier.Table) []*applier.Write {
			w := write(l.T, table, applier.Upsert, []string{"7", "a", "1", "~"})
			prune := write(l.T, table, applier.Prune, []string{"7", "a", "1", "~"})
			prune.Keep = prune.Rows
			return []*applier.Write{w, prune}
		}, []string{`UPDATE "ops"."part" USING TIMESTAMP <1> SET "qty" = 1, "note" = null WHERE "no" = 7 AND "sku" = 'a'` + "\n" +
			`  + DELETE FROM "ops"."part" USING TIMESTAMP <0> WHERE "no" = 7`}},
		"prune of rows with columns of others": {"part", []string{"**no", "*sku", "qty"}, func(l *line, table *applier.Table) []*applier.Write {
			l.c.data[`SELECT "no", "sku" FROM "ops"."part" WHERE "no" = 7`] = [][]wire{
				{wire{0, 0, 0, 7}, wire("a")}, {wire{0, 0, 0, 7}, wire("gone")},
			}
			w := write(l.T, table, applier.Upsert, []string{"7", "a", "1"})
			prune := write(l.T, table, applier.Prune, []string{"7", "a", "1"})
			prune.Keep = prune.Rows
			return []*applier.Write{w, prune}
		}, []string{`UPDATE "ops"."part" USING TIMESTAMP <1> SET "qty" = 1 WHERE "no" = 7 AND "sku" = 'a'` + "\n" +
			`  + DELETE FROM "ops"."part" USING TIMESTAMP <2> WHERE "no" = 7 AND "sku" = 'gone'`}},
	} {
		t.Run(name, func(t *testing.T) {
			l := openLine(t)
			table := l.table(c.table, c.cols...)
			l.begin(0, 9)
			for _, w := range c.do(l, table) {
				l.ok(l.x.Write(t.Context(), w))
			}
			wantSent(t, l.c) // nothing is visible before Commit
			l.ok(l.x.Commit(t.Context()))
			wantSent(t, l.c, append(c.want, moved)...)
		})
	}
}

// TestTimestampsOfBatches: each batch is written later than the one before it, also where it has more writes than a range
// has room for (G4).
func TestTimestampsOfBatches(t *testing.T) {
	l := openLine(t)
	table := l.table("pump", "*serial", "psi")
	l.begin(0, 9)
	for range width + 5 {
		l.ok(l.x.Write(t.Context(), write(t, table, applier.Upsert, []string{"p", "1"})))
	}
	l.ok(l.x.Commit(t.Context()))
	sent := stamped(l.c.take())
	if !strings.HasPrefix(sent[0], `UPDATE "ops"."slipstream_position" SET "write_at" = <2005>`) {
		t.Errorf("the range was not extended: %s", sent[0])
	}
	all := strings.Join(sent, "\n")
	if !strings.Contains(all, "USING TIMESTAMP <1005>") {
		t.Errorf("the last write has another timestamp than its place: %s", all)
	}
	if last := sent[len(sent)-1]; !strings.Contains(last, `"write_at" = <3005>`) {
		t.Errorf("the next range does not lie above this one: %s", last)
	}
	l.begin(9, 10)
	l.ok(l.x.Write(t.Context(), write(t, table, applier.Delete, []string{"p", "~"})))
	l.ok(l.x.Commit(t.Context()))
	if sent := stamped(l.c.take()); !strings.Contains(sent[0], "USING TIMESTAMP <2007>") {
		t.Errorf("the delete of the next batch is not later: %s", sent[0])
	}
}

// TestUnfitRows: a value that does not fit is found before anything is sent, and only its row is left out (G5).
func TestUnfitRows(t *testing.T) {
	l := openLine(t)
	table := l.table("reading", "*site", "*year", "*at", "v")
	l.begin(0, 9)
	bad := write(t, table, applier.Upsert, []string{"s", "1", "2030-01-01", "[1]"}, []string{"s", "2", "2030-01-01", "[x]"})
	err := l.x.Try(t.Context(), func() error { return l.x.Write(t.Context(), bad) })
	if fault.Class(err) != flowv1.FaultClass_FAULT_CLASS_DATA || !strings.Contains(err.Error(), "cannot convert '[x]' to list<int> for column v: ") {
		t.Fatalf("%v", err)
	}
	l.ok(l.x.Try(t.Context(), func() error { return l.x.Write(t.Context(), bad.Slice(0, 1)) }))
	wantSent(t, l.c)
	long := strings.Repeat("k", 70000)
	for _, c := range []struct{ key, why string }{{"", "may not be empty"}, {long, "65535 bytes at most"}} {
		pump := l.table("pump", "*serial")
		err := l.x.Try(t.Context(), func() error { return l.x.Write(t.Context(), write(t, pump, applier.Upsert, []string{c.key})) })
		if fault.Class(err) != flowv1.FaultClass_FAULT_CLASS_DATA || !strings.Contains(err.Error(), c.why) || len(err.Error()) > 300 {
			t.Errorf("%v", err)
		}
	}
	null := write(t, l.table("pump", "*serial"), applier.Delete, []string{"~"})
	if err := l.x.Write(t.Context(), null); fault.Class(err) != flowv1.FaultClass_FAULT_CLASS_DATA { // G7
		t.Errorf("a delete with a null key: %v", err)
	}
	l.ok(l.x.Rollback())
	wantSent(t, l.c)
}
