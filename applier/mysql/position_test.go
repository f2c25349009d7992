package mysql_test

import (
	"context"
	"fmt"
	"testing"

	"slipstream/applier"
	"slipstream/proto/fault"
	changev1 "slipstream/proto/slipstream/change/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// A session that lost its fence begins nothing, and a position that is not the one expected is as bad (G4).
func TestFence(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	db.exec(t, "CREATE TABLE t (id int PRIMARY KEY)")
	target := db.connect(t)
	table := bind(t, target, output("t", "*id"))
	old, _ := open(t, target, lane(0))
	commit(t, old, at(0), at(1), write(table, applier.Upsert, values(t, table, []any{"1"})))
	young, opened := open(t, target, lane(0))
	if opened.Epoch != 2 || !applier.SamePosition(opened.Position, at(1)) {
		t.Fatalf("opened %v", opened)
	}
	_, err := old.Begin(t.Context(), at(1), at(2), nil)
	wantFault(t, err, flowv1.FaultClass_FAULT_CLASS_FENCED, "another owner", "")
	_, err = young.Begin(t.Context(), at(7), at(8), nil)
	wantFault(t, err, flowv1.FaultClass_FAULT_CLASS_FENCED, "moved its position", "")
	db.want(t, "SELECT last_id, epoch FROM slipstream_position", "1-1|2")
	commit(t, young, at(1), at(1)) // a position that stays where it is moves too
	commit(t, young, at(1), at(2))
	db.want(t, "SELECT last_id, epoch FROM slipstream_position", "2-1|2")
}

// Opening waits for a commit that is under way, and sees it.
func TestOpenWaitsForTheCommit(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	db.exec(t, "CREATE TABLE t (id int PRIMARY KEY)")
	target := db.connect(t)
	table := bind(t, target, output("t", "*id"))
	old, _ := open(t, target, lane(0))
	x := begin(t, old, at(0), at(1))
	if err := x.Write(t.Context(), write(table, applier.Upsert, values(t, table, []any{"1"}))); err != nil {
		t.Fatal(err)
	}
	done := opens(t, target)
	awaitLock(t, db)
	select {
	case r := <-done:
		t.Fatalf("opened %v, %v before the commit", r.opened, r.err)
	default:
	}
	if err := x.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	r := <-done
	if r.err != nil || r.opened.Epoch != 2 || !applier.SamePosition(r.opened.Position, at(1)) {
		t.Fatalf("opened %v, %v", r.opened, r.err)
	}
}

type openedLane struct {
	opened *flowv1.Opened
	err    error
}

// opens opens lane 0 for another owner.
func opens(t *testing.T, target applier.Target) <-chan openedLane {
	done := make(chan openedLane, 1)
	go func() {
		s, opened, err := target.OpenLane(context.WithoutCancel(t.Context()), lane(0), "new")
		if err == nil {
			err = s.Close()
		}
		done <- openedLane{opened, err}
	}()
	return done
}

// An owner that stops in the middle of a transaction is ended by the server, and nothing it wrote remains.
func TestOwnerThatStops(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	db.exec(t, "CREATE TABLE t (id int PRIMARY KEY)")
	target := db.connect(t)
	table := bind(t, target, output("t", "*id"))
	old, _ := open(t, target, lane(0))
	x := begin(t, old, at(0), at(1))
	if err := x.Write(t.Context(), write(table, applier.Upsert, values(t, table, []any{"1"}))); err != nil {
		t.Fatal(err)
	}
	r := <-opens(t, target)
	if r.err != nil || r.opened.Epoch != 2 || !applier.SamePosition(r.opened.Position, at(0)) {
		t.Fatalf("opened %v, %v", r.opened, r.err)
	}
	wantFault(t, x.Commit(t.Context()), flowv1.FaultClass_FAULT_CLASS_CONNECTION, "committing", "")
	if err := x.Rollback(); err != nil {
		t.Fatal(err)
	}
	db.want(t, "SELECT count(*) FROM t", "0")
}

func TestState(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	target := db.connect(t)
	s, _ := open(t, target, lane(3))
	x, err := s.Begin(t.Context(), nil, at(1), &changev1.LaneState{Incarnation: "i-1", Phase: "loading:7"})
	if err != nil {
		t.Fatal(err)
	}
	if err := x.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	commit(t, s, at(1), at(2)) // nothing said about the state: it stays
	_, opened := open(t, target, lane(3))
	if opened.State.GetIncarnation() != "i-1" || opened.State.GetPhase() != "loading:7" {
		t.Fatalf("state is %v", opened.State)
	}
	_, opened = open(t, target, lane(2))
	if opened.Epoch != 1 || opened.State != nil {
		t.Fatalf("another lane opened as %v", opened)
	}
	db.want(t, "SELECT source, pipeline, job, connection, layout, shard, `partition`, owner, updated_at > now() - interval 1 minute"+
		" FROM slipstream_position ORDER BY `partition`", "source-1|p|j|db|4||2|test|1", "source-1|p|j|db|4||3|test|1")
}

func TestAnotherSourceIsNoStart(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	target := db.connect(t)
	open(t, target, lane(0))
	other := lane(0)
	other.Source = "source-2"
	_, _, err := target.OpenLane(t.Context(), other, "x")
	wantFault(t, err, flowv1.FaultClass_FAULT_CLASS_SCHEMA, "belongs to source source-1; this is source source-2", "DELETE FROM")
	db.want(t, "SELECT epoch, owner FROM slipstream_position", "1|test")
	db.exec(t, fault.Of(err).Fix) // the fix is ready to be copied
	if _, opened := open(t, target, other); opened.Epoch != 1 {
		t.Fatalf("opened %v", opened)
	}
}

// An account that may not create the table gets the statements that somebody else has to run.
func TestPositionTableThatMayNotBeCreated(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	db.exec(t, "CREATE TABLE known (id int PRIMARY KEY)")
	target := db.connectWith(t, db.account(t, "weak", "SELECT ON "+quote(db.name)+".known"))
	_, _, err := target.OpenLane(t.Context(), lane(0), "x")
	// Without a right on the table the server does not tell whether it is there.
	wantFault(t, err, flowv1.FaultClass_FAULT_CLASS_PERMISSION, "position table `slipstream_position`", "GRANT SELECT, INSERT, UPDATE ON "+quote(db.name)+".`slipstream_position` TO 'weak_")
	problems := target.Check(t.Context(), nil).Problems
	if len(problems) != 1 {
		t.Fatalf("check says %v", problems)
	}
	db.exec(t, problems[0].Fix)
	if problems := target.Check(t.Context(), nil).Problems; len(problems) != 0 {
		t.Fatalf("check still says %v", problems)
	}
	s, _ := open(t, target, lane(0))
	commit(t, s, at(0), at(1))
}

func TestPositionTableOfAnotherName(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	named := func(name string) applier.Target {
		return target(t, connection(t, db.addr, db.name), &pipelinev1.Settings{PositionTable: name})
	}
	other := db.name + "_other"
	db.exec(t, "CREATE DATABASE "+other)
	t.Cleanup(func() { _, _ = db.admin.ExecContext(context.WithoutCancel(t.Context()), "DROP DATABASE "+other) })
	open(t, named(other+".My positions"), lane(0))
	db.want(t, "SELECT epoch FROM "+other+".`My positions`", "1")
	_, _, err := named("nowhere.positions").OpenLane(t.Context(), lane(0), "x")
	wantFault(t, err, flowv1.FaultClass_FAULT_CLASS_PERMISSION, "Unknown database", "CREATE TABLE IF NOT EXISTS `nowhere`.`positions`")
	db.exec(t, "CREATE TABLE other (a int)")
	taken := named("other")
	if p := taken.Check(t.Context(), nil).Problems; len(p) != 1 || p[0].Message == "" || p[0].Fix == "" {
		t.Fatalf("check says %v", p)
	}
	_, _, err = taken.OpenLane(t.Context(), lane(0), "x")
	wantFault(t, err, flowv1.FaultClass_FAULT_CLASS_SCHEMA, "Unknown column", "another name")
	db.exec(t, "CREATE TABLE plain (a int) ENGINE=Aria")
	if p := named("plain").Check(t.Context(), nil).Problems; len(p) != 1 {
		t.Fatalf("check says %v", p)
	}
}

// Many lanes open on a fresh database at once, from two processes.
func TestLanesThatOpenTogether(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	targets := []applier.Target{db.connect(t), db.connect(t)}
	errs := make(chan error)
	const lanes = 24
	for i := range uint32(lanes) {
		go func() {
			for {
				s, _, err := targets[i%2].OpenLane(t.Context(), lane(i), "x")
				if err == nil {
					err = s.Close()
				} else if fault.Class(err) == flowv1.FaultClass_FAULT_CLASS_CONFLICT {
					continue // as the engine does
				}
				errs <- err
				return
			}
		}()
	}
	for range lanes {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	db.want(t, "SELECT count(*), max(epoch) FROM slipstream_position", fmt.Sprint(lanes, "|1"))
}
