package postgres_test

import (
	"fmt"
	"strings"
	"testing"

	"slipstream/applier"
	flowv1 "slipstream/proto/slipstream/flow/v1"
)

func TestUpsertDeletePrune(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	db.exec(t, `CREATE TABLE part (order_no bigint, sku text, qty int, note text DEFAULT 'none', PRIMARY KEY (order_no, sku))`)
	target := db.connect(t)
	table := bind(t, target, output("part", "**order_no", "*sku", "qty"))
	s, opened := open(t, target, lane(0))
	if opened.Epoch != 1 || applier.FormatID(opened.Position.GetMain()) != "0-0" || opened.State != nil {
		t.Fatalf("a new lane opened as %v", opened)
	}

	v := values(t, table, []any{"1", "a", "10"}, []any{"1", "b", nil}, []any{"2", "a", "-30"})
	commit(t, s, at(0), at(1), write(table, applier.Upsert, v))
	db.want(t, `SELECT * FROM part ORDER BY 1, 2`, "1|a|10|none", "1|b|<null>|none", "2|a|-30|none")

	db.exec(t, `UPDATE part SET note = 'mine'`)
	v = values(t, table, []any{"1", "a", "11"}, []any{"1", "c", "12"})
	prune := write(table, applier.Prune, v)
	prune.Rows, prune.Keep = []int32{0}, []int32{0, 1}
	commit(t, s, at(1), at(2), write(table, applier.Upsert, v), prune)
	db.want(t, `SELECT * FROM part ORDER BY 1, 2`, "1|a|11|mine", "1|c|12|none", "2|a|-30|mine")

	v = values(t, table, []any{"1", "a", nil}, []any{"9", "z", nil})
	commit(t, s, at(2), at(3), write(table, applier.Delete, v))
	db.want(t, `SELECT order_no, sku FROM part ORDER BY 1, 2`, "1|c", "2|a")

	prune = write(table, applier.Prune, values(t, table, []any{"1", nil, nil}, []any{"2", nil, nil}))
	commit(t, s, at(3), at(4), prune)
	db.want(t, `SELECT count(*) FROM part`, "0")
	db.want(t, `SELECT last_id, last_side_id, epoch FROM slipstream_position`, "4-1|2-4|1")
}

func TestColumnsThatAreLeftOut(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	db.exec(t, `CREATE TABLE t (id int PRIMARY KEY, a text DEFAULT 'dflt', must text NOT NULL);
		INSERT INTO t VALUES (1, 'old', 'kept'), (2, 'old', 'kept')`)
	target := db.connect(t)
	table := bind(t, target, output("t", "*id", "a"))
	s, _ := open(t, target, lane(0))

	// The insert half of an upsert would miss a value for "must": rows that exist are updated all the same.
	w := write(table, applier.Upsert, values(t, table, []any{"1", "new"}, []any{"2", "new"}))
	commit(t, s, at(0), at(1), w)
	db.want(t, `SELECT * FROM t ORDER BY id`, "1|new|kept", "2|new|kept")

	// Only keys: nothing to set, nothing to insert.
	w = write(table, applier.Upsert, values(t, table, []any{"1", absent{}}))
	w.Columns = table.Keys
	commit(t, s, at(1), at(2), w)
	db.want(t, `SELECT * FROM t ORDER BY id`, "1|new|kept", "2|new|kept")

	// A row that does not exist cannot be inserted: that is the row's fault.
	x := begin(t, s, at(2), at(3))
	err := x.Write(t.Context(), write(table, applier.Upsert, values(t, table, []any{"3", "x"})))
	wantFault(t, err, flowv1.FaultClass_FAULT_CLASS_DATA, `column "must"`, "")
	if err := x.Rollback(); err != nil {
		t.Fatal(err)
	}
	db.want(t, `SELECT last_id FROM slipstream_position`, "2-1")
}

func TestKeysOnlyInsertsWhatIsNotThere(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	db.exec(t, `CREATE TABLE t (a text, b text, c int DEFAULT 1, UNIQUE (b, a)); INSERT INTO t VALUES ('x', 'y', 9)`)
	target := db.connect(t)
	table := bind(t, target, output("t", "*a", "*b"))
	s, _ := open(t, target, lane(0))
	commit(t, s, at(0), at(1), write(table, applier.Upsert, values(t, table, []any{"x", "y"}, []any{"x", "z"})))
	db.want(t, `SELECT * FROM t ORDER BY a, b`, "x|y|9", "x|z|1")
}

// A write of more rows than a statement takes is cut into statements that travel together.
func TestManyRows(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	db.exec(t, `CREATE TABLE t (id int PRIMARY KEY, v text)`)
	target := db.connect(t)
	table := bind(t, target, output("t", "*id", "v"))
	s, _ := open(t, target, lane(0))
	var rows [][]any
	for i := range 4321 {
		rows = append(rows, []any{fmt.Sprint(i), strings.Repeat("x", i%700)})
	}
	v := values(t, table, rows...)
	commit(t, s, at(0), at(1), write(table, applier.Upsert, v))
	db.want(t, `SELECT count(*), sum(id), sum(length(v)) FROM t`, fmt.Sprintf("4321|%d|%d", 4320*4321/2, sumOfLengths(rows)))

	// One bad row among them: nothing stays, and the transaction goes on after Try.
	db.exec(t, `ALTER TABLE t ADD CHECK (id <> 4000)`+" NOT VALID")
	x := begin(t, s, at(1), at(2))
	err := x.Try(t.Context(), func() error { return x.Write(t.Context(), write(table, applier.Upsert, v)) })
	wantFault(t, err, flowv1.FaultClass_FAULT_CLASS_DATA, "violates check constraint", "")
	some := write(table, applier.Delete, v).Slice(0, 4000)
	if err := x.Try(t.Context(), func() error { return x.Write(t.Context(), some) }); err != nil {
		t.Fatal(err)
	}
	if err := x.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	db.want(t, `SELECT count(*), min(id) FROM t`, "321|4000")
	db.want(t, `SELECT last_id FROM slipstream_position`, "2-1")
}

func sumOfLengths(rows [][]any) (sum int) {
	for _, r := range rows {
		sum += len(r[1].(string))
	}
	return sum
}

// Two keys that only the server knows to be equal fail together and pass one by one.
func TestKeysThatOnlyTheServerFindsEqual(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	db.exec(t, `CREATE TABLE t (id inet PRIMARY KEY, v text)`)
	target := db.connect(t)
	table := bind(t, target, output("t", "*id", "v"))
	s, _ := open(t, target, lane(0))
	w := write(table, applier.Upsert, values(t, table, []any{"10.0.0.1", "a"}, []any{"10.0.0.1/32", "b"}))
	x := begin(t, s, at(0), at(1))
	err := x.Try(t.Context(), func() error { return x.Write(t.Context(), w) })
	wantFault(t, err, flowv1.FaultClass_FAULT_CLASS_DATA, "a second time", "")
	for i := range 2 {
		if err := x.Try(t.Context(), func() error { return x.Write(t.Context(), w.Slice(i, i+1)) }); err != nil {
			t.Fatal(err)
		}
	}
	if err := x.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	db.want(t, `SELECT * FROM t`, "10.0.0.1|b")
}

// Constraints that wait for the commit are found by Try, and wait again afterwards.
func TestDeferredConstraints(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	db.exec(t, `CREATE TABLE boss (id int PRIMARY KEY);
		CREATE TABLE emp (id int PRIMARY KEY, boss int REFERENCES boss DEFERRABLE INITIALLY DEFERRED)`)
	target := db.connect(t)
	boss := bind(t, target, output("boss", "*id"))
	emp := bind(t, target, output("emp", "*id", "boss"))
	s, _ := open(t, target, lane(0))
	orphan := write(emp, applier.Upsert, values(t, emp, []any{"1", "7"}))

	// Alone it fails at the commit, and nothing is written.
	x := begin(t, s, at(0), at(1))
	if err := x.Write(t.Context(), orphan); err != nil {
		t.Fatal(err)
	}
	wantFault(t, x.Commit(t.Context()), flowv1.FaultClass_FAULT_CLASS_REFERENCE, `is not present in table "boss"`, "")
	if err := x.Rollback(); err != nil {
		t.Fatal(err)
	}
	db.want(t, `SELECT count(*) FROM emp`, "0")

	// Under Try it fails there.
	x = begin(t, s, at(0), at(1))
	err := x.Try(t.Context(), func() error { return x.Write(t.Context(), orphan) })
	wantFault(t, err, flowv1.FaultClass_FAULT_CLASS_REFERENCE, `is not present in table "boss"`, "")
	// After a Try that passed, a child may still come before its parent.
	if err := x.Try(t.Context(), func() error { return nil }); err != nil {
		t.Fatal(err)
	}
	if err := x.Write(t.Context(), orphan); err != nil {
		t.Fatal(err)
	}
	if err := x.Write(t.Context(), write(boss, applier.Upsert, values(t, boss, []any{"7"}))); err != nil {
		t.Fatal(err)
	}
	if err := x.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	db.want(t, `SELECT * FROM emp`, "1|7")
}

// Try before anything was sent, and a commit of a batch without rows.
func TestEmptyBatch(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	target := db.connect(t)
	s, _ := open(t, target, lane(0))
	commit(t, s, at(0), at(1))
	x := begin(t, s, at(1), at(2))
	if err := x.Try(t.Context(), func() error { return nil }); err != nil {
		t.Fatal(err)
	}
	if err := x.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := x.Rollback(); err != nil {
		t.Fatal(err)
	}
	db.want(t, `SELECT last_id FROM slipstream_position`, "2-1")
}
