package postgres_test

import (
	"context"
	"testing"
	"time"

	"slipstream/applier"
	"slipstream/proto/fault"
	changev1 "slipstream/proto/slipstream/change/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// A session that lost its fence changes nothing, wherever its transaction stands (G4).
func TestFence(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	db.exec(t, `CREATE TABLE t (id int PRIMARY KEY)`)
	target := db.connect(t)
	table := bind(t, target, output("t", "*id"))
	one := write(table, applier.Upsert, values(t, table, []any{"1"}))
	old, _ := open(t, target, lane(0))
	commit(t, old, at(0), at(1), one)

	idle := begin(t, old, at(1), at(2)) // nothing sent before the new owner comes
	young, opened := open(t, target, lane(0))
	if opened.Epoch != 2 || !applier.SamePosition(opened.Position, at(1)) {
		t.Fatalf("opened %v", opened)
	}
	wantFault(t, idle.Write(t.Context(), one), flowv1.FaultClass_FAULT_CLASS_FENCED, "another owner", "")
	if err := idle.Rollback(); err != nil {
		t.Fatal(err)
	}
	// The wrong position is as bad as the wrong epoch, and an empty batch is no way around it.
	wantFault(t, begin(t, young, at(7), at(8)).Commit(t.Context()), flowv1.FaultClass_FAULT_CLASS_FENCED, "moved its position", "")
	if err := young.Close(); err != nil {
		t.Fatal(err)
	}
	db.want(t, `SELECT count(*) FROM t`, "1")
	db.want(t, `SELECT last_id, epoch FROM slipstream_position`, "1-1|2")
}

// Opening waits for a commit that is under way, and sees it.
func TestOpenWaitsForTheCommit(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	db.exec(t, `CREATE TABLE t (id int PRIMARY KEY)`)
	target := db.connect(t)
	table := bind(t, target, output("t", "*id"))
	old, _ := open(t, target, lane(0))
	x := begin(t, old, at(0), at(1))
	if err := x.Write(t.Context(), write(table, applier.Upsert, values(t, table, []any{"1"}))); err != nil {
		t.Fatal(err)
	}
	type result struct {
		opened *flowv1.Opened
		err    error
	}
	done := make(chan result, 1)
	go func() {
		s, opened, err := target.OpenLane(context.WithoutCancel(t.Context()), lane(0), "new")
		if err == nil {
			err = s.Close()
		}
		done <- result{opened, err}
	}()
	db.waitFor(t, `SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()`, "1")
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

// waitFor polls a query of the test's own connection.
func (d *database) waitFor(t testing.TB, sql, want string) {
	t.Helper()
	deadline := time.Now().Add(90 * time.Second)
	for {
		got := d.rows(t, sql)
		if len(got) == 1 && got[0] == want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s gives %v, want %s", sql, got, want)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func TestState(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	target := db.connectWith(t, func(c *pipelinev1.Connection) { c.Args["search_path"] = "public" })
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
	db.want(t, `SELECT source, pipeline, job, connection, layout, shard, partition, owner, updated_at > now() - interval '1 minute'
		FROM slipstream_position ORDER BY partition`,
		"source-1|p|j|db|4||2|test|t", "source-1|p|j|db|4||3|test|t")
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
	db.want(t, `SELECT epoch FROM slipstream_position`, "1")
	db.exec(t, fault.Of(err).Fix) // the fix is ready to be copied
	if _, opened := open(t, target, other); opened.Epoch != 1 {
		t.Fatalf("opened %v", opened)
	}
}

// An account that may not create the table gets the statements that somebody else has to run.
func TestPositionTableThatMayNotBeCreated(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	db.exec(t, `DROP ROLE IF EXISTS "no creator"; CREATE ROLE "no creator" LOGIN; REVOKE CREATE ON SCHEMA public FROM PUBLIC`)
	target := db.connectWith(t, func(c *pipelinev1.Connection) { c.User = "no creator" })
	_, _, err := target.OpenLane(t.Context(), lane(0), "x")
	wantFault(t, err, flowv1.FaultClass_FAULT_CLASS_PERMISSION, `creating the position table "slipstream_position"`, "CREATE TABLE")
	problems := target.Check(t.Context(), nil).Problems
	if len(problems) != 1 || problems[0].Fix != fault.Of(err).Fix {
		t.Fatalf("check says %v", problems)
	}
	db.exec(t, problems[0].Fix)
	if problems := target.Check(t.Context(), nil).Problems; len(problems) != 0 {
		t.Fatalf("check still says %v", problems)
	}
	s, _ := open(t, target, lane(0))
	commit(t, s, at(0), at(1))
	db.exec(t, `REVOKE UPDATE ON slipstream_position FROM "no creator"`)
	err = begin(t, s, at(1), at(2)).Commit(t.Context())
	wantFault(t, err, flowv1.FaultClass_FAULT_CLASS_PERMISSION, "permission denied", `GRANT SELECT, INSERT, UPDATE ON "slipstream_position" TO "no creator";`)
}

func TestPositionTableOfAnotherName(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	db.exec(t, `CREATE SCHEMA "Our Own"`)
	target := db.connectNamed(t, "Our Own.My positions")
	open(t, target, lane(0))
	db.want(t, `SELECT epoch FROM "Our Own"."My positions"`, "1")
	missing := db.connectNamed(t, "nowhere.positions")
	_, _, err := missing.OpenLane(t.Context(), lane(0), "x")
	wantFault(t, err, flowv1.FaultClass_FAULT_CLASS_PERMISSION, "does not exist", `CREATE TABLE IF NOT EXISTS "nowhere"."positions"`)
	db.exec(t, `CREATE TABLE other (a int)`)
	taken := db.connectNamed(t, "other")
	if p := taken.Check(t.Context(), nil).Problems; len(p) != 1 || p[0].Message == "" || p[0].Fix == "" {
		t.Fatalf("check says %v", p)
	}
	_, _, err = taken.OpenLane(t.Context(), lane(0), "x")
	wantFault(t, err, flowv1.FaultClass_FAULT_CLASS_SCHEMA, `column "source"`, "another name")
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
			s, _, err := targets[i%2].OpenLane(t.Context(), lane(i), "x")
			if err == nil {
				err = s.Close()
			}
			errs <- err
		}()
	}
	for range lanes {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	db.want(t, `SELECT count(*) FROM slipstream_position`, "24")
}

// The timeouts are in force while a batch is written, and nothing of the session is relied on.
func TestTimeoutsAreOfTheTransaction(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	db.exec(t, `CREATE TABLE t (id int PRIMARY KEY, a text, b text, c int);
		CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			NEW.a := current_setting('statement_timeout'); NEW.b := current_setting('idle_in_transaction_session_timeout');
			NEW.c := (SELECT count(*) FROM pg_prepared_statements);
			RETURN NEW; END $$;
		CREATE TRIGGER note BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION note()`)
	target := db.connectWith(t, func(c *pipelinev1.Connection) {
		c.Options = map[string]string{"statement_timeout": "7", "db_connection_pool_size": "1"}
	})
	table := bind(t, target, output("t", "*id"))
	s, _ := open(t, target, lane(0))
	commit(t, s, at(0), at(1), write(table, applier.Upsert, values(t, table, []any{"1"})))
	// Named statements would be left behind on a pooler's connection.
	db.want(t, `SELECT a, b, c FROM t`, "7s|10s|0")
	// The connection went back to the pool outside any transaction.
	db.want(t, `SELECT count(*) FROM pg_stat_activity WHERE application_name = 'slipstream' AND datname = current_database() AND state = 'idle'`, "1")
}

func (d *database) connectNamed(t testing.TB, positions string) applier.Target {
	t.Helper()
	target, err := newTarget(t, connection(t, d.addr, d.name), positions)
	if err != nil {
		t.Fatal(err)
	}
	return target
}
