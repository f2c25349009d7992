package oracle

import (
	"database/sql/driver"
	"errors"
	"strings"
	"testing"

	"slipstream/proto/fault"
	changev1 "slipstream/proto/slipstream/change/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
)

const (
	lockLane = `SELECT "SOURCE", TO_CHAR("EPOCH"), "LAST_ID", "LAST_SIDE_ID", "INCARNATION", "STATE" FROM "SLIPSTREAM_POSITION"` +
		` WHERE "PIPELINE" = :1 AND "JOB" = :2 AND "CONNECTION" = :3 AND "LAYOUT" = :4 AND "SHARD" = :5 AND "PARTITION" = :6 FOR UPDATE WAIT 15 <- 'p', 'j', 'ora', 4, '-', 2`
	insertLane = `INSERT INTO "SLIPSTREAM_POSITION" ("PIPELINE", "JOB", "CONNECTION", "LAYOUT", "SHARD", "PARTITION", "SOURCE", "OWNER", "EPOCH")` +
		` VALUES (:1, :2, :3, :4, :5, :6, :7, :8, 1) <- 'p', 'j', 'ora', 4, '-', 2, 'src', 'me'`
)

// TestOpenLane: the row is locked, made or raised, in a transaction of its own (design D4).
func TestOpenLane(t *testing.T) {
	s := newStandin()
	target := testTarget(t, s)
	missing := true
	s.fails = func(text string) error {
		if missing && strings.HasPrefix(text, `SELECT "SOURCE"`) {
			missing = false
			return ora(oraNoTable)
		}
		return nil
	}
	_, opened, err := target.OpenLane(t.Context(), testLane(), "me")
	if err != nil {
		t.Fatal(err)
	}
	if opened.Epoch != 1 || opened.State != nil || opened.Delivery != flowv1.Delivery_DELIVERY_EXACTLY_ONCE {
		t.Errorf("%v", opened)
	}
	sent := s.take()
	if len(sent) != 7 || !strings.HasPrefix(sent[2], `CREATE TABLE "SLIPSTREAM_POSITION" ( "SOURCE" VARCHAR2(200) NOT NULL,`) || strings.HasSuffix(sent[2], ";") {
		t.Fatalf("%s", strings.Join(sent, "\n"))
	}
	for i, want := range map[int]string{0: "BEGIN", 1: "ROLLBACK", 3: "BEGIN", 4: lockLane, 5: insertLane, 6: "COMMIT"} {
		if sent[i] != want {
			t.Errorf("%d: %s\nwant %s", i, sent[i], want)
		}
	}

	s.rows[`SELECT "SOURCE"`] = [][]driver.Value{{"src", "4", "7-1", "5-0", "inc", "live"}}
	session, opened, err := target.OpenLane(t.Context(), testLane(), "me")
	if err != nil {
		t.Fatal(err)
	}
	if opened.Epoch != 5 || opened.Position.Main.Ms != 7 || opened.Position.Side.Ms != 5 || opened.State.GetIncarnation() != "inc" || opened.State.GetPhase() != "live" {
		t.Errorf("%v", opened)
	}
	wantSent(t, s, "BEGIN", lockLane, `UPDATE "SLIPSTREAM_POSITION" SET "EPOCH" = "EPOCH" + 1, "OWNER" = :1, "UPDATED_AT" = SYSTIMESTAMP`+
		` WHERE "PIPELINE" = :2 AND "JOB" = :3 AND "CONNECTION" = :4 AND "LAYOUT" = :5 AND "SHARD" = :6 AND "PARTITION" = :7 <- 'me', 'p', 'j', 'ora', 4, '-', 2`, "COMMIT")

	x, err := session.Begin(t.Context(), at(7), at(9), &changev1.LaneState{Incarnation: "inc2", Phase: "live"})
	if err != nil {
		t.Fatal(err)
	}
	if err := x.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantSent(t, s, "BEGIN", `UPDATE "SLIPSTREAM_POSITION" SET "LAST_ID" = :1, "LAST_SIDE_ID" = :2, "INCARNATION" = NVL(:3, "INCARNATION"), "STATE" = NVL(:4, "STATE"), "UPDATED_AT" = SYSTIMESTAMP`+
		` WHERE "PIPELINE" = :5 AND "JOB" = :6 AND "CONNECTION" = :7 AND "LAYOUT" = :8 AND "SHARD" = :9 AND "PARTITION" = :10`+
		` AND "SOURCE" = :11 AND "EPOCH" = :12 AND "LAST_ID" = :13 AND "LAST_SIDE_ID" = :14`+
		` <- '9-0', '0-0', 'inc2', 'live', 'p', 'j', 'ora', 4, '-', 2, 'src', 5, '7-0', '0-0'`, "COMMIT")
}

// TestFence: a lane that lost its fence writes nothing (G4).
func TestFence(t *testing.T) {
	s := newStandin()
	session := &session{target: testTarget(t, s), lane: testLane(), epoch: 7}
	s.missed = true
	x, err := session.Begin(t.Context(), at(3), at(9), nil)
	if fault.Class(err) != flowv1.FaultClass_FAULT_CLASS_FENCED || x != nil {
		t.Fatalf("%v", err)
	}
	if sent := s.take(); len(sent) != 3 || sent[2] != "ROLLBACK" {
		t.Errorf("%v", sent)
	}
	s.missed = false
	x, err = session.Begin(t.Context(), at(3), at(9), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := session.Begin(t.Context(), at(3), at(9), nil); err == nil {
		t.Error("two transactions under way")
	}
	s.fails = when("COMMIT", ora(3113))
	if err := x.Commit(t.Context()); fault.Class(err) != flowv1.FaultClass_FAULT_CLASS_CONNECTION {
		t.Errorf("%v", err)
	}
	if err := x.Rollback(); err != nil {
		t.Errorf("%v", err)
	}
	if err := session.Close(); err != nil {
		t.Error(err)
	}
}

// TestPositionFaults: what is wrong with the position table has a class and a fix.
func TestPositionFaults(t *testing.T) {
	for name, c := range map[string]struct {
		arrange func(s *standin)
		class   flowv1.FaultClass
		fix     string
	}{
		"another source": {func(s *standin) {
			s.rows[`SELECT "SOURCE"`] = [][]driver.Value{{"elsewhere", "4", "7-1", "5-0", nil, nil}}
		}, flowv1.FaultClass_FAULT_CLASS_SCHEMA, `DELETE FROM "SLIPSTREAM_POSITION" WHERE "PIPELINE" = 'p'`},
		"may not create": {func(s *standin) {
			s.fails = func(text string) error {
				return errors.Join(when(`SELECT "SOURCE"`, ora(oraNoTable))(text), when("CREATE TABLE", ora(oraNoPrivilege))(text))
			}
		}, flowv1.FaultClass_FAULT_CLASS_PERMISSION, `CREATE TABLE "APP"."SLIPSTREAM_POSITION" (`},
		"may not update": {
			func(s *standin) { s.fails = when("INSERT INTO", ora(oraNoPrivilege)) }, flowv1.FaultClass_FAULT_CLASS_PERMISSION,
			`GRANT SELECT, INSERT, UPDATE ON "SLIPSTREAM_POSITION" TO "APP";`,
		},
		"not one of ours": {func(s *standin) { s.fails = when(`SELECT "SOURCE"`, ora(oraNoColumn)) }, flowv1.FaultClass_FAULT_CLASS_SCHEMA, "applier.position_table"},
		"somebody hangs":  {func(s *standin) { s.fails = when(`SELECT "SOURCE"`, ora(oraWaited)) }, flowv1.FaultClass_FAULT_CLASS_CONFLICT, "MAX_IDLE_BLOCKER_TIME"},
		"wrong password":  {func(s *standin) { s.fails = when("connect", ora(oraWrongPassword)) }, flowv1.FaultClass_FAULT_CLASS_PERMISSION, `ALTER USER "APP" IDENTIFIED BY`},
		"no listener":     {func(s *standin) { s.fails = when("connect", ora(oraNoListener)) }, flowv1.FaultClass_FAULT_CLASS_CONNECTION, "lsnrctl start"},
		"network":         {func(s *standin) { s.fails = when("connect", errors.New("refused")) }, flowv1.FaultClass_FAULT_CLASS_CONNECTION, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStandin()
			c.arrange(s)
			_, _, err := testTarget(t, s).OpenLane(t.Context(), testLane(), "me")
			f := fault.Of(err)
			if f == nil || f.Class != c.class || !strings.Contains(f.Fix, c.fix) {
				t.Errorf("%v, class %s, fix %q", err, fault.ClassName(fault.Class(err)), fault.Of(err).Fix)
			}
		})
	}
}

// TestNames: a name from the settings means what the server would take it for.
func TestNames(t *testing.T) {
	for name, want := range map[string]string{
		"": `"SLIPSTREAM_POSITION"`, "pos": `"POS"`, "ops.pos": `"OPS"."POS"`, "Ops.Pos": `"Ops"."Pos"`, "POS": `"POS"`,
	} {
		if got := newPositionTable(name).quoted; got != want {
			t.Errorf("%q is %s, want %s", name, got, want)
		}
	}
}
