package oracle

import (
	"database/sql/driver"
	"fmt"
	"strings"
	"testing"

	"slipstream/applier"
)

// TestRowIndex is golden: entries are locked in order, stored and removed in the transaction of the rows (design D8).
func TestRowIndex(t *testing.T) {
	l := beginLine(t)
	l.x.(*txn).session = &session{target: l.t, lane: testLane()}
	l.s.rows[`SELECT "ROW_KEY"`] = [][]driver.Value{{[]byte("b"), []byte("k"), "18446744073709551615", "2"}, {[]byte("a"), []byte("k"), "5", "1"}}
	entries, err := l.x.Owned(t.Context(), "PUMP", [][]byte{[]byte("k1"), []byte("k2"), []byte("k3")}, [][]byte{[]byte("a")})
	l.ok(err)
	got := ""
	for _, e := range entries {
		got += fmt.Sprintf("%s of %s at %d-%d;", e.Row, e.Owner, e.Ms, e.Seq)
	}
	if got != "a of k at 5-1;b of k at 18446744073709551615-2;" {
		t.Error(got)
	}
	const where = `"PIPELINE" = :1 AND "JOB" = :2 AND "CONNECTION" = :3 AND "OUTPUT" = :4`
	const read = `SELECT "ROW_KEY", "REDIS_KEY", TO_CHAR("LAST_MS"), TO_CHAR("LAST_SEQ") FROM "SLIPSTREAM_ROW" WHERE ` + where
	wantSent(t, l.s,
		read+` AND "REDIS_KEY" IN (:5, :6, :7, :8) ORDER BY "ROW_KEY" FOR UPDATE <- 'p', 'j', 'ora', 'PUMP', 0x6b31, 0x6b32, 0x6b33, 0x6b33`,
		read+` AND "ROW_KEY" IN (:5) ORDER BY "ROW_KEY" FOR UPDATE <- 'p', 'j', 'ora', 'PUMP', 0x61`)
	long := []byte(strings.Repeat("x", 3000))
	l.ok(l.x.Own(t.Context(), "PUMP", []applier.Entry{
		{Row: []byte("a"), Owner: []byte("k"), Ms: 9, Seq: 1}, {Row: []byte("b"), Owner: []byte("k"), Ms: 9, Before: long},
	}, [][]byte{[]byte("c"), []byte("d")}))
	const merge = `MERGE INTO "SLIPSTREAM_ROW" t USING (SELECT :1 a, :2 b, :3 c, :4 d, :5 e, :6 f, TO_NUMBER(:7) g, TO_NUMBER(:8) h, :9 i FROM DUAL) s` +
		` ON (t."PIPELINE" = s.a AND t."JOB" = s.b AND t."CONNECTION" = s.c AND t."OUTPUT" = s.d AND t."ROW_KEY" = s.e)` +
		` WHEN MATCHED THEN UPDATE SET t."REDIS_KEY" = s.f, t."LAST_MS" = s.g, t."LAST_SEQ" = s.h, t."BEFORE" = s.i` +
		` WHEN NOT MATCHED THEN INSERT ("PIPELINE", "JOB", "CONNECTION", "OUTPUT", "ROW_KEY", "REDIS_KEY", "LAST_MS", "LAST_SEQ", "BEFORE") VALUES (s.a, s.b, s.c, s.d, s.e, s.f, s.g, s.h, s.i)`
	wantSent(t, l.s,
		`DELETE FROM "SLIPSTREAM_ROW" WHERE `+where+` AND "ROW_KEY" = :5 <- ['p' 'p'], ['j' 'j'], ['ora' 'ora'], ['PUMP' 'PUMP'], [0x63 0x64]`,
		merge+` <- ['p'], ['j'], ['ora'], ['PUMP'], [0x61], [0x6b], ['9'], ['1'], [0x]`,
		merge+` <- ['p'], ['j'], ['ora'], ['PUMP'], [0x62], [0x6b], ['9'], ['0'], [blob(3000)]`)
	l.ok(l.x.Rollback())
}

// TestImages gives one an owner, in order.
func TestImages(t *testing.T) {
	s := newStandin()
	session := &session{target: testTarget(t, s), lane: testLane()}
	s.rows[`SELECT "REDIS_KEY"`] = [][]driver.Value{{[]byte("k"), []byte("old")}, {[]byte("k"), []byte("new")}}
	images, err := session.Images(t.Context(), "PUMP", [][]byte{[]byte("none"), []byte("k")})
	if err != nil || len(images) != 2 || images[0] != nil || string(images[1]) != "new" {
		t.Errorf("%q %v", images, err)
	}
}

// TestOpenIndex makes the table and its index where they are missing.
func TestOpenIndex(t *testing.T) {
	s := newStandin()
	session := &session{target: testTarget(t, s), lane: testLane()}
	s.fails = when("WHERE 1 = 0", ora(oraNoTable))
	if err := session.OpenIndex(t.Context()); err != nil {
		t.Fatal(err)
	}
	sent := s.take()
	if len(sent) != 2 || !strings.HasPrefix(sent[0], `CREATE TABLE "SLIPSTREAM_ROW" (`) || sent[1] != `CREATE INDEX "SLIPSTREAM_ROW_KEY" ON "SLIPSTREAM_ROW" ("REDIS_KEY")` {
		t.Errorf("%v", sent)
	}
}
