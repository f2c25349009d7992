package applytest

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	flowv1 "slipstream/proto/slipstream/flow/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

var troubleCases = []testCase{
	{"a missing table is waited for", missingTableCase},
	{"a missing column is waited for", missingColumnCase},
	{"a column that changes its type under way", changedTypeCase},
	{"a table that goes under way", droppedTableCase},
	{"connections cut between two writes", cutCase},
	{"a connection lost in the middle of a batch", lostWriteCase},
	{"a connection lost before the commit", lostCommitCase},
	{"a commit whose answer was lost is not made twice", lostAnswerCase},
	{"lanes that write one table in opposite orders", oppositeOrderCase},
	{"a secret that cannot be resolved is waited for", secretCase},
	{"a batch that is malformed ends the stream", malformedCase},
}

func missingTableCase(t *testing.T, f *fixture) {
	db := f.database(t)
	c := f.open(t, db, job(out("later", "*id", "v")))
	c.send(batch(1, table(0).upsert(0, "a", "1")))
	fault := c.waits(flowv1.FaultClass_FAULT_CLASS_SCHEMA)
	if !strings.Contains(fault.Message, "later") || !strings.HasPrefix(fault.Fix, "CREATE TABLE ") {
		t.Fatalf("waits for %v", fault)
	}
	db.Exec(t, fault.Fix) // ready to be copied
	c.settle(1)
	c.resumes()
	c.none()
	f.wantRows(t, db, "later", []string{"id", "v"}, "a|1")
}

func missingColumnCase(t *testing.T, f *fixture) {
	db := f.database(t)
	f.create(t, db, "t", [][2]string{{"id", f.Types.Key}}, "id")
	c := f.open(t, db, job(out("t", "*id", "v")))
	c.send(batch(1, table(0).upsert(0, "a", "1")), batch(2, table(0).upsert(0, "b", "2")))
	fault := c.waits(flowv1.FaultClass_FAULT_CLASS_SCHEMA)
	if !strings.Contains(fault.Message, "v column does not exist in t table") {
		t.Errorf("waits for %v", fault)
	}
	db.Exec(t, "ALTER TABLE "+f.Quote("t")+" ADD COLUMN "+f.Quote("v")+" "+f.Types.Text)
	c.settle(2)
	c.none()
	f.wantRows(t, db, "t", []string{"id", "v"}, "a|1", "b|2")
}

func changedTypeCase(t *testing.T, f *fixture) {
	db, c := f.people(t)
	c.apply(batch(1, table(0).upsert(0, "a", "A", "1")))
	db.Exec(t, "ALTER TABLE "+f.Quote("people")+" DROP COLUMN "+f.Quote("age"))
	c.send(batch(2, table(0).upsert(0, "a", "A", "young")))
	// What the old catalogue takes for a bad value may be a good one in the new: here it is rejected or waits, by the
	// moment at which the dialect notices, but nothing else breaks and the lane goes on.
	db.Exec(t, "ALTER TABLE "+f.Quote("people")+" ADD COLUMN "+f.Quote("age")+" "+f.Types.Text)
	c.settle(2)
	c.apply(batch(3, table(0).upsert(0, "b", "B", "2")))
	f.wantRows(t, db, "people", []string{"id", "name"}, "a|A", "b|B")
}

func droppedTableCase(t *testing.T, f *fixture) {
	db, c := f.people(t)
	c.apply(batch(1, table(0).upsert(0, "a", "A", "1")))
	db.Exec(t, "DROP TABLE "+f.Quote("people"))
	c.send(batch(2, table(0).upsert(0, "b", "B", "2")))
	fault := c.waits(flowv1.FaultClass_FAULT_CLASS_SCHEMA)
	for !strings.HasPrefix(fault.Fix, "CREATE TABLE ") { // the first fault may be the statement's
		fault = c.waits(flowv1.FaultClass_FAULT_CLASS_SCHEMA)
	}
	db.Exec(t, fault.Fix)
	c.settle(2)
	c.none()
	f.wantRows(t, db, "people", personColumns, "b|B|2")
}

func cutCase(t *testing.T, f *fixture) {
	db := f.database(t)
	f.create(t, db, "a", [][2]string{{"id", f.Types.Key}}, "id")
	f.create(t, db, "b", [][2]string{{"id", f.Types.Key}}, "id")
	d := &faulty{Dialect: f.Dialect}
	cut := 0
	d.beforeWrite = func(n int32) error {
		if n == 2 || n == 6 { // after the first table of the first batch, and of the second: the first took 1 and 2, and again 3 and 4
			cut++
			if db.Drop == nil {
				return lost()
			}
			db.Drop(t)
		}
		return nil
	}
	c := f.openWith(t, db, d, job(out("a", "*id"), out("b", "*id")), 0)
	for n := uint64(1); n <= 5; n++ {
		id := fmt.Sprint(n)
		c.send(batch(n, table(0).upsert(0, id), table(1).upsert(0, id)))
	}
	c.settle(5)
	c.none()
	if cut != 2 {
		t.Errorf("cut %d times", cut)
	}
	f.wantRows(t, db, "a", []string{"id"}, "1", "2", "3", "4", "5")
	f.wantRows(t, db, "b", []string{"id"}, "1", "2", "3", "4", "5")
	c.cut()
	if o := f.open(t, db, job(out("a", "*id"))).opened; o.Epoch < 4 {
		t.Errorf("epoch is %d: each reopening raises it", o.Epoch)
	}
}

// lossy runs batches through a dialect that loses the connection once.
func (f *fixture) lossy(t *testing.T, d *faulty) *client {
	t.Helper()
	db := f.pairs(t)
	d.Dialect = f.Dialect
	c := f.openWith(t, db, d, job(out("t", "*id", "v")), 0)
	c.send(batch(1, table(0).upsert(0, "a", "1").upsert(1, "b", "1")), batch(2, table(0).upsert(0, "b", "2").del(1, "a", nil)))
	c.waits(flowv1.FaultClass_FAULT_CLASS_CONNECTION)
	c.resumes()
	c.settle(2)
	c.none()
	f.wantRows(t, db, "t", []string{"id", "v"}, "b|2")
	return c
}

func lostWriteCase(t *testing.T, f *fixture) {
	d := &faulty{beforeWrite: once()}
	f.lossy(t, d)
	if n := d.begins.Load(); n != 3 {
		t.Errorf("%d transactions for two batches and one loss", n)
	}
}

func lostCommitCase(t *testing.T, f *fixture) {
	d := &faulty{beforeCommit: once()}
	f.lossy(t, d)
	if n := d.begins.Load(); n != 3 {
		t.Errorf("%d transactions for two batches and one loss", n)
	}
}

func lostAnswerCase(t *testing.T, f *fixture) {
	d := &faulty{afterCommit: once()}
	f.lossy(t, d)
	if n := d.begins.Load(); n != 2 {
		t.Errorf("%d transactions for two batches: the first was made twice", n)
	}
}

func oppositeOrderCase(t *testing.T, f *fixture) {
	db, first := f.people(t)
	second := f.openWith(t, db, f.Dialect, job(out("people", "*id", "name", "age")), 1)
	const batches, rows = 20, 100
	var both sync.WaitGroup
	for lane, c := range []*client{first, second} {
		both.Go(func() {
			for n := uint64(1); n <= batches; n++ {
				r := table(0)
				for i := range rows {
					k := i
					if lane == 1 {
						k = rows - 1 - i
					}
					r.upsert(uint32(i), fmt.Sprintf("%03d", k), fmt.Sprint(lane), fmt.Sprint(n))
				}
				if err := c.sender.Send(t.Context(), c.form(batch(n, r))); err != nil {
					t.Errorf("lane %d: %v", lane, err)
				}
			}
		})
	}
	both.Wait()
	first.settle(batches)
	second.settle(batches)
	first.none()
	second.none()
	if n := len(f.rows(t, db, "people", personColumns)); n != rows {
		t.Errorf("%d rows", n)
	}
}

func secretCase(t *testing.T, f *fixture) {
	db := f.pairs(t)
	good := db.Connection
	db.Connection = &pipelinev1.Connection{
		Name: good.Name, Type: good.Type, Host: good.Host, Port: good.Port, Database: good.Database, User: good.User,
		Password: "${file:" + t.TempDir() + "/absent}", Args: good.Args, Options: good.Options,
	}
	c := f.dial(t, f.engine(t, f.Dialect), db, job(out("t", "*id", "v")), 0)
	fault := c.waits(flowv1.FaultClass_FAULT_CLASS_PERMISSION)
	if !strings.Contains(fault.Message, "absent") || !strings.HasPrefix(fault.Stage, "applier-") {
		t.Errorf("waits for %v", fault)
	}
}

func malformedCase(t *testing.T, f *fixture) {
	db, c := f.people(t)
	b := c.form(batch(1, table(0).upsert(0, "a", "A", "1")))
	b.Tables[0].Columns[1].Ends[0] = 1 << 20
	c.raw(b)
	if err := c.ends(); err == nil {
		t.Error("the stream ended well")
	}
	f.wantRows(t, db, "people", personColumns)
}
