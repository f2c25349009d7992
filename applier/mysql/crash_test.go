package mysql_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"slipstream/applier"
	"slipstream/deploy/dev/devserver"
	"slipstream/proto/fault"
	flowv1 "slipstream/proto/slipstream/flow/v1"
)

// rowsOfBatch is how many rows the crash test writes in a batch, beside the one row that every batch updates.
const rowsOfBatch = 300

// The server is killed in the middle of batches, again and again. What is in the table afterwards is exactly what the
// position says (G3).
func TestKilledServer(t *testing.T) {
	t.Parallel()
	server := devserver.MariaDB(t, devserver.MariaDBOptions{})
	name := "killed"
	db := connectTo(t, server.Addr, "mysql")
	db.exec(t, "CREATE DATABASE "+name+"; CREATE TABLE killed.t (batch bigint, n int, v varchar(90), PRIMARY KEY (batch, n));"+
		"CREATE TABLE killed.last (no int AUTO_INCREMENT PRIMARY KEY, id int UNIQUE, batch bigint)")
	to := target(t, connection(t, server.Addr, name), nil)
	settled, unknown := uint64(0), 0
	for round := range 6 {
		s, opened := openWhenBack(t, to)
		reached := opened.Position.GetMain().GetMs()
		if reached < settled {
			t.Fatalf("round %d: position %d, but %d was settled", round, reached, settled)
		}
		if reached > settled {
			unknown++ // committed, and the answer was lost
		}
		db := connectTo(t, server.Addr, name)
		db.want(t, "SELECT count(*), count(DISTINCT batch), coalesce(max(batch), 0), coalesce(min(length(v)), 90) FROM t",
			fmt.Sprintf("%d|%d|%d|90", reached*rowsOfBatch, reached, reached))
		if reached > 0 {
			db.want(t, "SELECT batch FROM last", fmt.Sprint(reached))
		}
		settled = writeUntilKilled(t, server, to, s, reached)
		if err := s.Close(); err != nil {
			t.Log("closing:", err)
		}
		if err := server.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d batches settled, %d of the lost answers were commits", settled, unknown)
	if settled == 0 {
		t.Fatal("no batch was settled")
	}
}

// openWhenBack opens the lane, waiting for a server that recovers.
func openWhenBack(t *testing.T, target applier.Target) (applier.Session, *flowv1.Opened) {
	t.Helper()
	deadline := time.Now().Add(90 * time.Second)
	for {
		s, opened, err := target.OpenLane(t.Context(), lane(0), "test")
		if err == nil {
			return s, opened
		}
		if c := fault.Class(err); c != flowv1.FaultClass_FAULT_CLASS_CONNECTION || time.Now().After(deadline) {
			t.Fatalf("opening: %s %v", fault.ClassName(c), err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// writeUntilKilled commits batch after batch and kills the server at some moment within one of them. It returns the last
// batch whose commit was answered.
func writeUntilKilled(t *testing.T, server *devserver.MariaDBServer, target applier.Target, s applier.Session, reached uint64) uint64 {
	t.Helper()
	table := bind(t, target, output("t", "*batch", "*n", "v"))
	last := bind(t, target, output("last", "*id", "batch"))
	doomed := reached + 3 + rand.Uint64N(5)
	killed := make(chan error, 1)
	for n := reached + 1; ; n++ {
		var rows [][]any
		for i := range rowsOfBatch {
			rows = append(rows, []any{fmt.Sprint(n), fmt.Sprint(i), fmt.Sprintf("%090d", i)})
		}
		w := write(table, applier.Upsert, values(t, table, rows...))
		mark := write(last, applier.Upsert, values(t, last, []any{"1", fmt.Sprint(n)}))
		if n == doomed {
			delay := time.Duration(rand.IntN(6000)) * time.Microsecond
			go func() {
				time.Sleep(delay) // any moment of the batch will do
				killed <- server.Kill()
			}()
		}
		if err := wholeBatch(t.Context(), s, n, w, mark); err != nil {
			if c := fault.Class(err); c != flowv1.FaultClass_FAULT_CLASS_CONNECTION {
				t.Fatalf("batch %d failed with %s: %v", n, fault.ClassName(c), err)
			}
			if n < doomed {
				t.Fatalf("batch %d failed before the server was killed: %v", n, err)
			}
			if err := <-killed; err != nil {
				t.Fatal(err)
			}
			return n - 1
		}
	}
}

func wholeBatch(ctx context.Context, s applier.Session, n uint64, writes ...*applier.Write) error {
	x, err := s.Begin(ctx, at(n-1), at(n), nil)
	if err != nil {
		return err
	}
	for _, w := range writes {
		if err := x.Write(ctx, w); err != nil {
			_ = x.Rollback()
			return err
		}
	}
	if err := x.Commit(ctx); err != nil {
		_ = x.Rollback()
		return err
	}
	return nil
}

// A connection that is cut costs the transaction, not the session.
func TestConnectionThatIsCut(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	db.exec(t, "CREATE TABLE t (id int PRIMARY KEY)")
	target := db.connect(t)
	table := bind(t, target, output("t", "*id"))
	s, _ := open(t, target, lane(0))
	w := write(table, applier.Upsert, values(t, table, []any{"1"}))
	x := begin(t, s, at(0), at(1))
	if err := x.Write(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	db.kill(t)
	wantFault(t, x.Commit(t.Context()), flowv1.FaultClass_FAULT_CLASS_CONNECTION, "committing", "")
	if err := x.Rollback(); err != nil {
		t.Fatal(err)
	}
	db.want(t, "SELECT count(*) FROM t", "0")
	s, opened := open(t, target, lane(0))
	if opened.Epoch != 2 || opened.Position.GetMain().GetMs() != 0 {
		t.Fatalf("opened %v", opened)
	}
	commit(t, s, at(0), at(1), w)
	db.want(t, "SELECT count(*) FROM t", "1")
}

// A call whose context ends gives up at once, whatever the server does.
func TestContextThatEnds(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	db.exec(t, "CREATE TABLE t (id int PRIMARY KEY)")
	target := db.connect(t)
	table := bind(t, target, output("t", "*id"))
	s, _ := open(t, target, lane(0))
	holder := connectTo(t, db.addr, db.name)
	holder.exec(t, "BEGIN; INSERT INTO t VALUES (1)")
	ctx, cancel := context.WithCancel(t.Context())
	x := begin(t, s, at(0), at(1))
	go func() {
		defer cancel()
		awaitLock(t, db)
	}()
	err := x.Write(ctx, write(table, applier.Upsert, values(t, table, []any{"1"})))
	wantFault(t, err, flowv1.FaultClass_FAULT_CLASS_CONNECTION, "context canceled", "")
	if err := x.Rollback(); err != nil {
		t.Fatal(err)
	}
	holder.exec(t, "ROLLBACK")
	db.want(t, "SELECT count(*) FROM t", "0")
}

// After a deadlock the server has rolled everything back, the move of the position too, and would begin anew with the
// next statement. Nothing more is sent, not even where the failure happened in a Try.
func TestRolledBackByTheServer(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	db.exec(t, "CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 0), (2, 0); CREATE TABLE heavy (id int PRIMARY KEY)")
	other := connectTo(t, db.addr, db.name)
	for _, within := range []bool{false, true} {
		t.Run(fmt.Sprint("in a Try: ", within), func(t *testing.T) {
			target := db.connect(t)
			table := bind(t, target, output("t", "*id", "v"))
			s, opened := open(t, target, lane(0))
			from := opened.Position
			update := func(id string) *applier.Write {
				return write(table, applier.Upsert, values(t, table, []any{id, "5"}))
			}
			x, err := s.Begin(t.Context(), from, at(9), nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := x.Write(t.Context(), update("1")); err != nil {
				t.Fatal(err)
			}
			// The other one has changed more, so that the server gives up ours.
			other.exec(t, "BEGIN; UPDATE t SET v = 7 WHERE id = 2; INSERT INTO heavy SELECT seq FROM seq_1_to_1000")
			blocked := make(chan error, 1)
			go func() {
				_, err := other.admin.ExecContext(t.Context(), "UPDATE t SET v = 7 WHERE id = 1")
				blocked <- err
			}()
			awaitLock(t, db)
			fails := func() error { return x.Write(t.Context(), update("2")) }
			if within {
				err = x.Try(t.Context(), fails)
			} else {
				err = fails()
			}
			theirs := <-blocked
			wantFault(t, err, flowv1.FaultClass_FAULT_CLASS_CONFLICT, "Deadlock", "")
			wantFault(t, x.Write(t.Context(), update("2")), flowv1.FaultClass_FAULT_CLASS_CONFLICT, "lost", "")
			wantFault(t, x.Commit(t.Context()), flowv1.FaultClass_FAULT_CLASS_CONFLICT, "lost", "")
			if err := errors.Join(x.Rollback(), theirs); err != nil {
				t.Fatal(err)
			}
			other.exec(t, "ROLLBACK")
			db.want(t, "SELECT * FROM t ORDER BY id", "1|0", "2|0")
			db.want(t, "SELECT last_id FROM slipstream_position", "0-0")
		})
	}
}

// awaitLock waits until a transaction in the database waits for a lock of another.
func awaitLock(t *testing.T, db *database) {
	deadline := time.Now().Add(90 * time.Second)
	for time.Now().Before(deadline) {
		sessions, _ := db.query(t, "SELECT id FROM information_schema.processlist WHERE db = DATABASE()")
		// information_schema.innodb_trx would stand still: it is filled again only when nobody has read it for 0.1 s.
		status, _ := db.query(t, "SHOW ENGINE INNODB STATUS")
		for _, transaction := range strings.Split(*status[0][2], "---TRANSACTION ")[1:] {
			if !strings.Contains(transaction, "LOCK WAIT") {
				continue
			}
			for _, id := range sessions {
				if strings.Contains(transaction, "thread id "+*id[0]+",") {
					return
				}
			}
		}
		time.Sleep(2 * time.Millisecond) // there is nothing to wait on
	}
	t.Error("nobody waits for a lock")
}
