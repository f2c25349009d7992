package sqlite_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"slipstream/applier"
	"slipstream/applier/sqlite"
	"slipstream/applier/value"
	"slipstream/proto/fault"
	applierv1 "slipstream/proto/slipstream/applier/v1"
	changev1 "slipstream/proto/slipstream/change/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

func at(n uint64) *changev1.Position {
	return &changev1.Position{Main: &changev1.StreamId{Ms: n}}
}

func lane() *flowv1.Lane {
	return &flowv1.Lane{Source: "s", Pipeline: "p", Job: "j", Connection: "db", Layout: 1}
}

// output writes keys (marked with a star) and columns to a table.
func output(table string, columns ...string) *pipelinev1.RelationalWrite {
	w := &pipelinev1.RelationalWrite{Table: table}
	for _, c := range columns {
		name := strings.TrimPrefix(c, "*")
		w.Columns = append(w.Columns, &pipelinev1.OutputColumn{Column: name, Key: name != c})
	}
	return w
}

func jobs(outputs ...*pipelinev1.RelationalWrite) []*pipelinev1.Job {
	j := &pipelinev1.Job{Name: "j"}
	for _, w := range outputs {
		j.Outputs = append(j.Outputs, &pipelinev1.Output{
			Path: "output[0]", Connection: "db", Writer: &pipelinev1.Output_Relational{Relational: w},
		})
	}
	return []*pipelinev1.Job{j}
}

// target opens a database; options as in a connection.
func target(t *testing.T, d sqlite.Dialect, path string, options map[string]string) applier.Target {
	t.Helper()
	out, err := d.Connect(t.Context(), &pipelinev1.Connection{Name: "db", Type: "sqlite", Database: path, Options: options}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := out.Close(); err != nil {
			t.Error(err)
		}
	})
	return out
}

func session(t *testing.T, to applier.Target) applier.Session {
	t.Helper()
	s, _, err := to.OpenLane(t.Context(), lane(), "test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// writes is an output with these rows.
func writes(w *pipelinev1.RelationalWrite) *pipelinev1.Output {
	return &pipelinev1.Output{Writer: &pipelinev1.Output_Relational{Relational: w}}
}

// row is a write of one row of texts, each converted by its column's type.
func row(t *testing.T, to applier.Target, w *pipelinev1.RelationalWrite, texts ...string) *applier.Write {
	t.Helper()
	table, err := to.Table(t.Context(), writes(w))
	if err != nil {
		t.Fatal(err)
	}
	out := &applier.Write{Table: table, Verb: applier.Upsert, Rows: []int32{0}, Values: &applier.Values{Count: 1}}
	for i, text := range texts {
		b, null, err := value.Convert(nil, &table.Columns[i].Type, applierv1.ValueKind_VALUE_KIND_STRING, []byte(text))
		if err != nil || null {
			t.Fatalf("converting %q: %v, %v", text, null, err)
		}
		out.Columns = append(out.Columns, i)
		out.Values.Columns = append(out.Values.Columns, applier.Column{
			Text: b, Start: []uint32{0}, End: []uint32{uint32(len(b))}, States: []applier.State{applier.Present},
		})
	}
	return out
}

func wantClass(t *testing.T, err error, want flowv1.FaultClass) *fault.Error {
	t.Helper()
	f := fault.Of(err)
	if f == nil || f.Class != want {
		t.Fatalf("error is %v, want class %s", err, fault.ClassName(want))
	}
	return f
}

func TestMissingFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "absent.db")
	to := target(t, sqlite.Dialect{}, path, nil)
	_, _, err := to.OpenLane(t.Context(), lane(), "test")
	if f := wantClass(t, err, flowv1.FaultClass_FAULT_CLASS_SCHEMA); !strings.Contains(f.Error(), path) || !strings.Contains(f.Fix, "sqlite3 '"+path+"'") {
		t.Errorf("fault: %v, fix %q", f, f.Fix)
	}
	r := to.Check(t.Context(), jobs(output("emp", "*id", "name")))
	if len(r.Problems) != 1 || !strings.Contains(r.Problems[0].Fix, `CREATE TABLE "emp" ("id" TEXT NOT NULL, "name" TEXT, PRIMARY KEY ("id"));`) {
		t.Errorf("problems: %v", r.Problems)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file was made: %v", err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	session(t, to)
}

func TestRelativePath(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "x y#1?.db"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	session(t, target(t, sqlite.Dialect{DataDir: dir}, "x y#1?.db", nil))
}

func TestNotADatabase(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "notes.txt")
	if err := os.WriteFile(path, []byte(strings.Repeat("these are notes\n", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{path, dir} {
		_, _, err := target(t, sqlite.Dialect{}, p, nil).OpenLane(t.Context(), lane(), "test")
		if f := wantClass(t, err, flowv1.FaultClass_FAULT_CLASS_SCHEMA); f.Fix == "" {
			t.Errorf("%s: no fix for %v", p, f)
		}
	}
}

func TestFileIsReplaced(t *testing.T) {
	db := open(t)
	path := db.Connection.Database
	db.Exec(t, "CREATE TABLE t (id TEXT PRIMARY KEY)")
	to := target(t, sqlite.Dialect{}, path, nil)
	s := session(t, to)
	for _, f := range []string{path, path + "-wal", path + "-shm"} {
		if err := os.Rename(f, f+".old"); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Begin(t.Context(), nil, at(1), nil); err == nil {
		t.Fatal("a transaction began in a file that is not there any more")
	}
	_, opened, err := to.OpenLane(t.Context(), lane(), "test")
	if err != nil || opened.Epoch != 1 {
		t.Errorf("the lane in the new file: %v, %v", opened, err)
	}
}

func TestLockedByAnother(t *testing.T) {
	db := open(t)
	db.Exec(t, "CREATE TABLE t (id TEXT PRIMARY KEY)")
	to := target(t, sqlite.Dialect{}, db.Connection.Database, map[string]string{"busy_timeout": "1"})
	s := session(t, to)
	other, err := connect(t, db.Connection.Database).Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Close() }()
	if _, err := other.ExecContext(t.Context(), "BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	_, err = s.Begin(t.Context(), nil, at(1), nil)
	wantClass(t, err, flowv1.FaultClass_FAULT_CLASS_CONFLICT)
	if r := to.Check(t.Context(), nil); len(r.Problems) != 0 {
		t.Errorf("problems: %v", r.Problems)
	}
	if _, err := other.ExecContext(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	txn, err := s.Begin(t.Context(), nil, at(1), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := txn.Commit(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestWaitingForTheTurnEndsWithTheContext(t *testing.T) {
	db := open(t)
	to := target(t, sqlite.Dialect{}, db.Connection.Database, nil)
	s := session(t, to)
	txn, err := s.Begin(t.Context(), nil, at(1), nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := to.OpenLane(ctx, lane(), "other"); !errors.Is(err, context.Canceled) {
		t.Errorf("opening: %v", err)
	}
	if err := txn.Rollback(); err != nil {
		t.Error(err)
	}
}
