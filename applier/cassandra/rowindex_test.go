package cassandra

import (
	"fmt"
	"slices"
	"testing"

	"slipstream/applier"
)

// TestRowIndex is golden: what is new is written before the rows, what is gone behind them, and an owner counts only where
// the first table agrees (design D8).
func TestRowIndex(t *testing.T) {
	l := openLine(t)
	table := l.table("pump", "*serial", "psi")
	const output = `"pipeline" = 'p' AND "job" = 'j' AND "connection" = 'cass' AND "output" = 'ops.pump'`
	owner := func(key string, rows ...string) {
		var found [][]wire
		for _, r := range rows {
			found = append(found, []wire{wire(r)})
		}
		l.c.data[fmt.Sprintf(`SELECT "row_key" FROM "ops"."slipstream_row_owner" WHERE %s AND "redis_key" = '%s'`, output, key)] = found
	}
	row := func(key, owner string) {
		l.c.data[fmt.Sprintf(`SELECT "redis_key", "last_ms", "last_seq" FROM "ops"."slipstream_row" WHERE %s AND "row_key" = '%s'`, output, key)] = [][]wire{{wire(owner), bigint(5), bigint(1)}}
	}
	owner("pump:1", "old", "stale")
	row("old", "pump:1")
	row("stale", "pump:9") // taken over meanwhile
	row("new", "pump:2")

	l.begin(0, 9)
	entries, err := l.x.Owned(t.Context(), "ops.pump", [][]byte{[]byte("pump:1")}, [][]byte{[]byte("new"), []byte("fresh")})
	l.ok(err)
	got := ""
	for _, e := range entries {
		got += fmt.Sprintf("%s of %s at %d-%d;", e.Row, e.Owner, e.Ms, e.Seq)
	}
	if got != "new of pump:2 at 5-1;old of pump:1 at 5-1;" {
		t.Errorf("owned: %s", got)
	}
	l.ok(l.x.Write(t.Context(), write(t, table, applier.Upsert, []string{"new", "1"})))
	l.ok(l.x.Write(t.Context(), write(t, table, applier.Delete, []string{"old", "~"})))
	l.ok(l.x.Own(t.Context(), "ops.pump", []applier.Entry{{Row: []byte("new"), Owner: []byte("pump:1"), Ms: 9, Before: []byte(`{"a":1}`)}}, [][]byte{[]byte("old")}))
	l.ok(l.x.Commit(t.Context()))
	sent := stamped(l.c.take())
	slices.Sort(sent[0:2])
	slices.Sort(sent[2:4])
	slices.Sort(sent[4:7])
	want := []string{
		`[own] INSERT INTO "ops"."slipstream_row" ("pipeline", "job", "connection", "output", "row_key", "redis_key", "last_ms", "last_seq") VALUES ('p', 'j', 'cass', 'ops.pump', 'new', 'pump:1', 9, 0) USING TIMESTAMP <3>`,
		`[own] INSERT INTO "ops"."slipstream_row_owner" ("pipeline", "job", "connection", "output", "redis_key", "row_key", "last_ms", "last_seq", "before") VALUES ('p', 'j', 'cass', 'ops.pump', 'pump:1', 'new', 9, 0, '{"a":1}') USING TIMESTAMP <3>`,
		`DELETE FROM "ops"."pump" USING TIMESTAMP <2> WHERE "serial" = 'old'`,
		`UPDATE "ops"."pump" USING TIMESTAMP <1> SET "psi" = 1 WHERE "serial" = 'new'`,
		`[own] DELETE FROM "ops"."slipstream_row" USING TIMESTAMP <3> WHERE ` + output + ` AND "row_key" = 'old'`,
		`[own] DELETE FROM "ops"."slipstream_row_owner" USING TIMESTAMP <3> WHERE ` + output + ` AND "redis_key" = 'pump:1' AND "row_key" = 'old'`,
		`[own] DELETE FROM "ops"."slipstream_row_owner" USING TIMESTAMP <3> WHERE ` + output + ` AND "redis_key" = 'pump:2' AND "row_key" = 'new'`,
		moved,
	}
	for i := range want {
		if i >= len(sent) || sent[i] != want[i] {
			t.Errorf("sent %v\nwant %s", sent[min(i, len(sent)-1)], want[i])
		}
	}
}

// TestImages: the newest image of an owner counts.
func TestImages(t *testing.T) {
	l := openLine(t)
	l.c.data[`SELECT "last_ms", "last_seq", "before" FROM "ops"."slipstream_row_owner" WHERE "pipeline" = 'p' AND "job" = 'j' AND "connection" = 'cass' AND "output" = 'o' AND "redis_key" = 'k'`] = [][]wire{{bigint(2), bigint(0), wire("two")}, {bigint(3), bigint(0), nil}, {bigint(1), bigint(7), wire("one")}}
	images, err := l.s.Images(t.Context(), "o", [][]byte{[]byte("none"), []byte("k")})
	l.ok(err)
	if len(images) != 2 || images[0] != nil || string(images[1]) != "two" {
		t.Errorf("%q", images)
	}
}

// TestOpenIndex makes both tables.
func TestOpenIndex(t *testing.T) {
	l := openLine(t)
	l.ok(l.s.OpenIndex(t.Context()))
	wantSent(t, l.c,
		`[own] CREATE TABLE IF NOT EXISTS "ops"."slipstream_row" ( "pipeline" text, "job" text, "connection" text, "output" text, "row_key" blob, "redis_key" blob, "last_ms" bigint, "last_seq" bigint,`+
			` PRIMARY KEY (("pipeline", "job", "connection", "output", "row_key")))`,
		`[own] CREATE TABLE IF NOT EXISTS "ops"."slipstream_row_owner" ( "pipeline" text, "job" text, "connection" text, "output" text, "row_key" blob, "redis_key" blob, "last_ms" bigint, "last_seq" bigint, "before" blob,`+
			` PRIMARY KEY (("pipeline", "job", "connection", "output", "redis_key"), "row_key"))`)
}
