package sqlite_test

import (
	"strings"
	"testing"

	"slipstream/applier/sqlite"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

func TestSchemaIsIgnored(t *testing.T) {
	db := open(t)
	db.Exec(t, "CREATE TABLE emp (id TEXT PRIMARY KEY)")
	to := target(t, sqlite.Dialect{}, db.Connection.Database, map[string]string{"db_connection_pool_size": "4"})
	w := output("emp", "*id")
	w.Schema = "hr"
	var got []string
	for _, p := range to.Check(t.Context(), jobs(w)).Problems {
		if p.Severity != pipelinev1.Severity_SEVERITY_WARNING {
			t.Errorf("problem: %v", p)
		}
		got = append(got, p.Message)
	}
	want := `connection "db": db_connection_pool_size means nothing to SQLite|SQLite has no schemas: schema "hr" is ignored, the table is emp`
	if strings.Join(got, "|") != want {
		t.Errorf("warnings: %q", got)
	}
	if _, err := to.Table(t.Context(), writes(w)); err != nil {
		t.Errorf("binding: %v", err)
	}
}

func TestTablesThatDoNotFit(t *testing.T) {
	db := open(t)
	db.Exec(t, `CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b TEXT, c TEXT GENERATED ALWAYS AS (a || b), UNIQUE (b, a))`)
	db.Exec(t, `CREATE UNIQUE INDEX some ON t (a) WHERE a <> ''`)
	db.Exec(t, `CREATE TABLE other (id INTEGER PRIMARY KEY)`)
	db.Exec(t, `CREATE VIEW v AS SELECT * FROM t`)
	db.Exec(t, `CREATE VIEW pair AS SELECT x.id FROM t AS x, other AS y`)
	db.Exec(t, `CREATE VIEW broken AS SELECT * FROM nowhere`)
	to := target(t, sqlite.Dialect{}, db.Connection.Database, nil)
	for _, c := range []struct {
		name string
		w    *pipelinev1.RelationalWrite
		want string
		fix  string
	}{
		{"rowid key", output("t", "*id", "a"), "", ""},
		{"unique constraint in another order", output("t", "*a", "*b"), "", ""},
		{"partial index", output("t", "*a", "b"), "no primary key or unique index on exactly the keys (a)", ""},
		{"part of a constraint", output("t", "*b"), "no primary key or unique index", ""},
		{"generated column", output("t", "*id", "c"), "column c of table t is generated", ""},
		{"view", output("v", "*id"), "v is a view; rows can only be written to a table", "name the table behind it: t"},
		{"view of two tables", output("pair", "*id"), "pair is a view", "name the table behind it"},
		{"broken view", output("broken", "*id"), "broken is a view", "name the table behind it"},
		{"no keys", output("t", "a"), "no keys", ""},
	} {
		_, err := to.Table(t.Context(), writes(c.w))
		if c.want == "" {
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		if f := wantClass(t, err, flowv1.FaultClass_FAULT_CLASS_SCHEMA); !strings.Contains(f.Error(), c.want) || f.Fix == "" ||
			c.fix != "" && f.Fix != c.fix {
			t.Errorf("%s: %v, fix %q", c.name, err, f.Fix)
		}
	}
}

func TestStrictTable(t *testing.T) {
	db := open(t)
	db.Exec(t, "CREATE TABLE t (id INT PRIMARY KEY, i INTEGER, r REAL, x TEXT, b BLOB, a ANY) STRICT")
	to := target(t, sqlite.Dialect{}, db.Connection.Database, nil)
	s := session(t, to)
	txn, err := s.Begin(t.Context(), nil, at(1), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := txn.Write(t.Context(), row(t, to, output("t", "*id", "i", "r", "x", "b", "a"), "1", "2", "3.5", "4", "0x05", "006")); err != nil {
		t.Fatal(err)
	}
	if err := txn.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := db.Query(t, "SELECT *, typeof(i), typeof(r), typeof(x), typeof(b), typeof(a) FROM t")
	if strings.Join(got[0], "|") != "1|2|3.5|4|\x05|006|integer|real|text|blob|text" {
		t.Errorf("row: %q", got[0])
	}
}

func TestDeferredForeignKey(t *testing.T) {
	db := open(t)
	db.Exec(t, "CREATE TABLE parent (id TEXT PRIMARY KEY)")
	db.Exec(t, "CREATE TABLE child (id TEXT PRIMARY KEY, p TEXT REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED)")
	to := target(t, sqlite.Dialect{}, db.Connection.Database, nil)
	s := session(t, to)
	txn, err := s.Begin(t.Context(), nil, at(1), nil)
	if err != nil {
		t.Fatal(err)
	}
	write := func(id, p string) error {
		return txn.Try(t.Context(), func() error {
			return txn.Write(t.Context(), row(t, to, output("child", "*id", "p"), id, p))
		})
	}
	wantClass(t, write("orphan", "nobody"), flowv1.FaultClass_FAULT_CLASS_REFERENCE)
	if err := txn.Write(t.Context(), row(t, to, output("parent", "*id"), "p")); err != nil {
		t.Fatal(err)
	}
	if err := write("c", "p"); err != nil {
		t.Errorf("a child with its parent: %v", err)
	}
	if err := txn.Commit(t.Context()); err != nil {
		t.Error(err)
	}
	if got := db.Query(t, "SELECT id FROM child"); len(got) != 1 || got[0][0] != "c" {
		t.Errorf("children: %v", got)
	}
}

func TestTriggerThatRollsBack(t *testing.T) {
	db := open(t)
	db.Exec(t, "CREATE TABLE t (id TEXT PRIMARY KEY)")
	db.Exec(t, "CREATE TRIGGER no BEFORE INSERT ON t WHEN new.id = 'bad' BEGIN SELECT RAISE(ROLLBACK, 'not this one'); END")
	to := target(t, sqlite.Dialect{}, db.Connection.Database, nil)
	s := session(t, to)
	txn, err := s.Begin(t.Context(), nil, at(1), nil)
	if err != nil {
		t.Fatal(err)
	}
	err = txn.Try(t.Context(), func() error { return txn.Write(t.Context(), row(t, to, output("t", "*id"), "bad")) })
	if f := wantClass(t, err, flowv1.FaultClass_FAULT_CLASS_SCHEMA); !strings.Contains(f.Fix, "ABORT") {
		t.Errorf("fix: %q", f.Fix)
	}
	if err := txn.Rollback(); err != nil {
		t.Error(err)
	}
	if txn, err = s.Begin(t.Context(), nil, at(1), nil); err != nil {
		t.Fatalf("the session after it: %v", err)
	}
	if err := txn.Rollback(); err != nil {
		t.Error(err)
	}
}

func TestForeignKeysCanBeOff(t *testing.T) {
	db := open(t)
	db.Exec(t, "CREATE TABLE parent (id TEXT PRIMARY KEY)")
	db.Exec(t, "CREATE TABLE child (id TEXT PRIMARY KEY, p TEXT REFERENCES parent (id))")
	for _, off := range []bool{false, true} {
		options := map[string]string{}
		if off {
			options["foreign_keys"] = "false"
		}
		to := target(t, sqlite.Dialect{}, db.Connection.Database, options)
		s := session(t, to)
		txn, err := s.Begin(t.Context(), nil, at(1), nil)
		if err != nil {
			t.Fatal(err)
		}
		err = txn.Write(t.Context(), row(t, to, output("child", "*id", "p"), "c", "nobody"))
		if off && err != nil {
			t.Errorf("with foreign_keys off: %v", err)
		}
		if !off {
			wantClass(t, err, flowv1.FaultClass_FAULT_CLASS_REFERENCE)
		}
		if err := txn.Rollback(); err != nil {
			t.Error(err)
		}
	}
}
