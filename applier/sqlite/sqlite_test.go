package sqlite_test

import (
	"database/sql"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"slipstream/applier/applytest"
	"slipstream/applier/sqlite"
	"slipstream/deploy/dev/devserver"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// harness tells the suite about SQLite. NOT STRICT and STRICT tables differ in the names of types alone, so STRICT ones
// have tests of their own.
func harness() applytest.Harness {
	return applytest.Harness{
		Dialect: sqlite.Dialect{},
		Open:    open,
		Types: applytest.Types{
			Key: "VARCHAR(100)", Text: "TEXT", Integer: "BIGINT", Small: "SMALLINT", Decimal: "DECIMAL(12,2)", Float: "DOUBLE PRECISION",
			Boolean: "BOOLEAN", Date: "DATE", Timestamp: "TIMESTAMP", Zoned: "TIMESTAMP WITH TIME ZONE", Time: "TIME",
			Binary: "BLOB", JSON: "JSON", UUID: "UUID",
		},
		Small:     small,
		NULInText: true, AnySize: true, NullsFirst: true,
	}
}

func TestConformance(t *testing.T) { applytest.Run(t, harness()) }

func BenchmarkApply(b *testing.B) { applytest.Bench(b, harness()) }

// open makes a database file that goes with the test.
func open(t testing.TB) applytest.Database {
	t.Helper()
	return openAt(t, filepath.Join(t.TempDir(), "target.db"))
}

// small makes a database file on a disk with room for some rows.
func small(t testing.TB) (applytest.Database, func(testing.TB)) {
	t.Helper()
	disk := devserver.SmallDisk(t, 48<<20, 1<<20)
	return openAt(t, filepath.Join(disk.Dir, "target.db")), func(t testing.TB) {
		if err := disk.Free(); err != nil {
			t.Fatal(err)
		}
	}
}

func openAt(t testing.TB, path string) applytest.Database {
	t.Helper()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	db := connect(t, path)
	return applytest.Database{
		Connection: &pipelinev1.Connection{Database: path},
		Exec: func(t testing.TB, statement string) {
			t.Helper()
			if _, err := db.ExecContext(t.Context(), statement); err != nil {
				t.Fatalf("%s: %v", statement, err)
			}
		},
		Query: func(t testing.TB, query string) [][]string {
			t.Helper()
			rows, err := read(t, db, query)
			if err != nil {
				t.Fatalf("%s: %v", query, err)
			}
			return rows
		},
		ReadOnly: func(t testing.TB) func(testing.TB) {
			writeVersion(t, db, path, 3)
			return func(t testing.TB) { writeVersion(t, db, path, 2) }
		},
	}
}

// writeVersion sets the version of SQLite's format that a file needs to be written. With one that SQLite does not know, 3,
// the file can be read and not be written, by whatever account (https://www.sqlite.org/fileformat2.html).
func writeVersion(t testing.TB, db *sql.DB, path string, version byte) {
	t.Helper()
	if version == 3 { // out of the log and into the file, where every connection reads it anew
		for _, statement := range []string{"PRAGMA user_version = 1", "PRAGMA wal_checkpoint(TRUNCATE)"} {
			if _, err := db.ExecContext(t.Context(), statement); err != nil {
				t.Fatal(err)
			}
		}
	}
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	const offset = 18
	if _, err := file.WriteAt([]byte{version}, offset); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
}

func connect(t testing.TB, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(10000)&_pragma=foreign_keys(1)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// columns are the names of a query's columns.
func columns(t testing.TB, db *sql.DB, query string) ([]string, error) {
	probe, err := db.QueryContext(t.Context(), "SELECT * FROM ("+query+") LIMIT 0")
	if err != nil {
		return nil, err
	}
	defer func() { _ = probe.Close() }()
	names, err := probe.Columns()
	return names, errors.Join(err, probe.Err())
}

// read runs a query. The driver makes times of texts in columns that are declared as such; a plus before the column
// hides the declaration.
func read(t testing.TB, db *sql.DB, query string) (out [][]string, err error) {
	names, err := columns(t, db, query)
	if err != nil {
		return nil, err
	}
	for i, n := range names {
		names[i] = `+"` + strings.ReplaceAll(n, `"`, `""`) + `"`
	}
	rows, err := db.QueryContext(t.Context(), "SELECT "+strings.Join(names, ", ")+" FROM ("+query+")")
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		values := make([]any, len(names))
		targets := make([]any, len(names))
		for i := range values {
			targets[i] = &values[i]
		}
		if err := rows.Scan(targets...); err != nil {
			return nil, err
		}
		row := make([]string, len(values))
		for i, v := range values {
			row[i] = canonical(v)
		}
		out = append(out, row)
	}
	return out, rows.Err()
}

// canonical is a value as package value writes it.
func canonical(v any) string {
	switch v := v.(type) {
	case nil:
		return applytest.Null
	case []byte:
		return string(v)
	case float64:
		if a := math.Abs(v); a >= 1e-6 && a < 1e21 {
			return strconv.FormatFloat(v, 'f', -1, 64)
		}
		return strconv.FormatFloat(v, 'g', -1, 64)
	}
	return fmt.Sprint(v)
}
