package applytest

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	flowv1 "slipstream/proto/slipstream/flow/v1"
)

// Troubles that only an operator ends (G6): the lane waits and says why, nothing is rejected, nothing is half written, and
// it goes on by itself. A harness says how its database is brought into each of them.
var outageCases = []testCase{
	{"a database without room", fullCase},
	{"a server that takes no writes", readOnlyCase},
	{"a right that is taken away", forbiddenCase},
}

// waitsForOperator waits until the lane says why it waits, in whatever class of those that an operator ends.
func (c *client) waitsForOperator() *flowv1.Fault {
	c.t.Helper()
	for {
		w := receive(c.t, c.waiting, "Waiting")
		switch f := w.Fault; f.GetClass() {
		case flowv1.FaultClass_FAULT_CLASS_CAPACITY, flowv1.FaultClass_FAULT_CLASS_PERMISSION:
			if f.Message == "" {
				c.t.Errorf("waits without a reason: %v", f)
			}
			return f
		}
	}
}

func fullCase(t *testing.T, f *fixture) {
	if f.Small == nil {
		t.Fatal("the harness has no small database")
	}
	db, free := f.Small(t)
	db.Connection.Name, db.Connection.Type = "db", f.Dialect.Name()
	f.create(t, db, "t", [][2]string{{"id", f.Types.Key}, {"v", f.Types.Text}}, "id")
	c := f.open(t, db, job(out("t", "*id", "v")))
	c.apply(batch(1, table(0).upsert(0, "first", "fits")))
	const batches, rows = 4, 1000
	noise := rand.New(rand.NewPCG(4, 5)) // what a database cannot compress
	for n := uint64(2); n < 2+batches; n++ {
		r := table(0)
		for i := range rows {
			r.upsert(uint32(i), fmt.Sprintf("%d-%04d", n, i), text(noise, 4000))
		}
		c.send(batch(n, r))
	}
	if got := c.waitsForOperator(); got.Class != flowv1.FaultClass_FAULT_CLASS_CAPACITY {
		t.Errorf("waits for %v", got)
	}
	free(t)
	c.settle(1 + batches)
	c.none()
	got := f.rows(t, db, "t", []string{"id"})
	if len(got) != 1+batches*rows || got[len(got)-1] != "first" {
		t.Errorf("%d rows, want %d", len(got), 1+batches*rows)
	}
}

// text is n characters without a pattern.
func text(noise *rand.Rand, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte('0' + noise.IntN(75))
	}
	return strings.ReplaceAll(string(b), `\`, "/")
}

func readOnlyCase(t *testing.T, f *fixture) {
	db := f.pairs(t)
	if db.ReadOnly == nil {
		t.Fatal("the harness cannot make a server that takes no writes")
	}
	c := f.open(t, db, job(out("t", "*id", "v")))
	c.apply(batch(1, table(0).upsert(0, "a", "1")))
	again := db.ReadOnly(t)
	c.send(batch(2, table(0).upsert(0, "a", "2").upsert(1, "b", "2")))
	c.waitsForOperator()
	f.wantRows(t, db, "t", []string{"id", "v"}, "a|1")
	again(t)
	c.settle(2)
	c.none()
	f.wantRows(t, db, "t", []string{"id", "v"}, "a|2", "b|2")
}

func forbiddenCase(t *testing.T, f *fixture) {
	db := f.pairs(t)
	if db.Forbid == nil {
		return // a database without rights
	}
	allow := db.Forbid(t, "t")
	c := f.open(t, db, job(out("t", "*id", "v")))
	c.send(batch(1, table(0).upsert(0, "a", "1")))
	got := c.waitsForOperator()
	if got.Class != flowv1.FaultClass_FAULT_CLASS_PERMISSION || got.Fix == "" {
		t.Errorf("waits for %v", got)
	}
	f.wantRows(t, db, "t", []string{"id", "v"})
	allow(t, got.Fix)
	c.settle(1)
	c.none()
	f.wantRows(t, db, "t", []string{"id", "v"}, "a|1")
}
