package cassandra

import (
	"errors"
	"strings"
	"testing"

	"slipstream/applier"
	"slipstream/proto/fault"
	changev1 "slipstream/proto/slipstream/change/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
)

// TestOpenLane: the epoch and the write timestamps rise together, by a condition on what was read.
func TestOpenLane(t *testing.T) {
	c := newStandin()
	target := testTarget(c)
	c.asks = func(q cql) error {
		if _, there := c.tables["ops.slipstream_position"]; !there && q.text == target.position.read {
			return said(codeInvalid)
		}
		return nil
	}
	c.runs = func(group []cql) error {
		c.tables["ops.slipstream_position"] = nil
		return nil
	}
	_, opened, err := target.OpenLane(t.Context(), testLane(), "me")
	if err != nil {
		t.Fatal(err)
	}
	if opened.Epoch != 1 || opened.State != nil || opened.Delivery != flowv1.Delivery_DELIVERY_AT_LEAST_ONCE {
		t.Errorf("%v", opened)
	}
	s, opened, err := target.OpenLane(t.Context(), testLane(), "you")
	if err != nil || opened.Epoch != 2 {
		t.Fatalf("%v %v", opened, err)
	}
	const lane = `WHERE "pipeline" = 'p' AND "job" = 'j' AND "connection" = 'cass' AND "layout" = 4 AND "shard" = '' AND "partition" = 2`
	wantSent(t, c,
		`[own] CREATE TABLE IF NOT EXISTS "ops"."slipstream_position" ( "pipeline" text, "job" text, "connection" text, "layout" bigint, "shard" text, "partition" bigint,`+
			` "source" text, "incarnation" text, "last_id" text, "last_side_id" text, "epoch" bigint, "state" text, "owner" text,`+
			` "write_at" bigint, "updated_at" timestamp, PRIMARY KEY (("pipeline", "job", "connection", "layout", "shard", "partition")))`,
		`INSERT INTO "ops"."slipstream_position" ("pipeline", "job", "connection", "layout", "shard", "partition", "source", "last_id", "last_side_id", "epoch", "owner", "write_at", "updated_at")`+
			` VALUES ('p', 'j', 'cass', 4, '', 2, 'src', '0-0', '0-0', 1, 'me', <999>, 1900000000000) IF NOT EXISTS`,
		`UPDATE "ops"."slipstream_position" SET "epoch" = 2, "owner" = 'you', "write_at" = <1999>, "updated_at" = 1900000000000 `+lane+
			` IF "source" = 'src' AND "epoch" = 1 AND "last_id" = '0-0' AND "last_side_id" = '0-0' AND "write_at" = <999>`)

	x, err := s.Begin(t.Context(), at(0), at(5), &changev1.LaneState{Incarnation: "inc", Phase: "live"})
	if err != nil {
		t.Fatal(err)
	}
	if err := x.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantSent(t, c, `UPDATE "ops"."slipstream_position" SET "last_id" = '5-0', "last_side_id" = '0-0', "write_at" = <2999>, "updated_at" = 1900000000000,`+
		` "incarnation" = 'inc', "state" = 'live' `+lane+` IF "source" = 'src' AND "epoch" = 2 AND "last_id" = '0-0' AND "last_side_id" = '0-0'`)
	_, opened, err = target.OpenLane(t.Context(), testLane(), "me")
	if err != nil || opened.Position.Main.Ms != 5 || opened.State.GetPhase() != "live" || opened.State.GetIncarnation() != "inc" {
		t.Errorf("%v %v", opened, err)
	}
}

// TestFence: a lane that lost its fence writes nothing, and one that loses it while it writes does so with timestamps
// that those of the new owner lie above (G4).
func TestFence(t *testing.T) {
	l := openLine(t)
	table := l.table("pump", "*serial", "psi")
	l.begin(0, 9)
	l.ok(l.x.Write(t.Context(), write(t, table, applier.Upsert, []string{"p", "1"})))
	second, opened, err := l.t.OpenLane(t.Context(), testLane(), "other")
	l.ok(err)
	if opened.Epoch != 2 {
		t.Fatalf("epoch %d", opened.Epoch)
	}
	l.c.take()
	if err := l.x.Commit(t.Context()); fault.Class(err) != flowv1.FaultClass_FAULT_CLASS_FENCED {
		t.Fatalf("%v", err)
	}
	l.ok(l.x.Rollback())
	wantSent(t, l.c)

	// The fence falls between the look at it and the write.
	first := second
	x, err := first.Begin(t.Context(), at(0), at(9), nil)
	l.ok(err)
	l.ok(x.Write(t.Context(), write(t, table, applier.Upsert, []string{"p", "1"})))
	l.c.runs = func([]cql) error {
		l.c.row[1], l.c.row[6] = bigint(3), bigint(clock+2*width+500) // another opens
		l.c.runs = nil
		return nil
	}
	if err := x.Commit(t.Context()); fault.Class(err) != flowv1.FaultClass_FAULT_CLASS_FENCED {
		t.Fatalf("%v", err)
	}
	sent := stamped(l.c.take())
	if len(sent) != 2 || !strings.Contains(sent[0], "USING TIMESTAMP <1001>") {
		t.Errorf("%v", sent)
	}
	l.ok(x.Rollback())
	third, _, err := l.t.OpenLane(t.Context(), testLane(), "third")
	l.ok(err)
	if from := third.(*session).from; from <= clock+1+1001 {
		t.Errorf("the new owner's timestamps begin at %d, not above the old owner's", from)
	}
}

// TestPositionFaults: what is wrong with the position table has a class and a fix.
func TestPositionFaults(t *testing.T) {
	other := []wire{wire("elsewhere"), bigint(3), wire("7-0"), wire("0-0"), nil, nil, bigint(1)}
	for name, c := range map[string]struct {
		arrange func(c *standin, t *target)
		class   flowv1.FaultClass
		fix     string
	}{
		"another source": {func(c *standin, _ *target) { c.row = other }, flowv1.FaultClass_FAULT_CLASS_SCHEMA, `DELETE FROM "ops"."slipstream_position" WHERE`},
		"no keyspace named": {
			func(_ *standin, t *target) { t.position = newPositionTable("", "") }, flowv1.FaultClass_FAULT_CLASS_SCHEMA,
			"write database: <keyspace> in connections.cass",
		},
		"keyspace missing": {func(c *standin, t *target) {
			t.position = newPositionTable("elsewhere.pos", "")
			c.asks = func(q cql) error { return when(q.text == t.position.read, said(codeInvalid)) }
		}, flowv1.FaultClass_FAULT_CLASS_SCHEMA, `CREATE KEYSPACE "elsewhere"`},
		"may not create": {func(c *standin, t *target) {
			c.asks = func(q cql) error { return when(q.text == t.position.read, said(codeInvalid)) }
			c.runs = func([]cql) error { return said(codeUnauthorized) }
		}, flowv1.FaultClass_FAULT_CLASS_PERMISSION, `GRANT MODIFY ON TABLE "ops"."slipstream_position" TO "app";`},
		"may not read": {func(c *standin, t *target) {
			c.asks = func(q cql) error { return when(q.text == t.position.read, said(codeUnauthorized)) }
		}, flowv1.FaultClass_FAULT_CLASS_PERMISSION, `GRANT SELECT ON TABLE "ops"."slipstream_position"`},
		"not one of ours": {func(c *standin, t *target) {
			c.tables["ops.slipstream_position"] = [][4]string{{"id", "int", "partition_key", "0"}}
			c.asks = func(q cql) error { return when(q.text == t.position.read, said(codeInvalid)) }
		}, flowv1.FaultClass_FAULT_CLASS_SCHEMA, "applier.position_table"},
		"an answer that did not come": {func(c *standin, _ *target) {
			c.swaps = func(cql) (bool, error) { return false, errors.New("no response") }
		}, flowv1.FaultClass_FAULT_CLASS_CONNECTION, ""},
		"others all the time": {func(c *standin, _ *target) { c.swaps = func(cql) (bool, error) { return false, nil } }, flowv1.FaultClass_FAULT_CLASS_CONFLICT, ""},
	} {
		t.Run(name, func(t *testing.T) {
			stand := newStandin()
			target := testTarget(stand)
			c.arrange(stand, target)
			_, _, err := target.OpenLane(t.Context(), testLane(), "me")
			f := fault.Of(err)
			if f == nil || f.Class != c.class || !strings.Contains(f.Fix, c.fix) {
				t.Errorf("%v, class %s, fix %q", err, fault.ClassName(fault.Class(err)), fault.Of(err).Fix)
			}
		})
	}
}

func when(is bool, err error) error {
	if is {
		return err
	}
	return nil
}
