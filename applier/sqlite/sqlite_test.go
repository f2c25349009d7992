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
			Key: "VARCHAR(100)", Text: "TEXT", Integer: "BIGINT", Decimal: "DECIMAL(12,2)", Float: "DOUBLE PRECISION",
			Boolean: "BOOLEAN", Date: "DATE", Timestamp: "TIMESTAMP", Zoned: "TIMESTAMP WITH TIME ZONE", Time: "TIME",
			Binary: "BLOB", JSON: "JSON", UUID: "UUID",
		},
		NULInText: true, AnySize: true, NullsFirst: true,
	}
}

func TestConformance(t *testing.T) { applytest.Run(t, harness()) }

func BenchmarkApply(b *testing.B) { applytest.Bench(b, harness()) }

// open makes a database file that goes with the test.
func open(t testing.TB) applytest.Database {
	t.Helper()
	path := filepath.Join(t.TempDir(), "target.db")
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
