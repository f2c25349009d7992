// Package applytest is the conformance suite of package applier: what every dialect must do, with a real database, seen
// from both sides. A dialect's test gives a Harness and calls Run; its benchmark calls Bench.
//
// Most cases drive the engine over a hop without a network and look at the tables with the harness's own connection;
// cases about the fence use sessions directly. A case gets a database of its own.
// A target without tables says how it keeps the suite's rows (Store), and which cases mean nothing there (Harness.Lacks). The words: a client is the sending
// end of a lane, as capture has it; a fixture is what the cases of one run share; faulty is a dialect around the real one
// that puts trouble between engine and database; a relay is a network between dialect and server that loses things.
//
// What covers what, by group:
//
//   - type, value, choice: every column type of spec 10.3 with what it takes, exactly as it reads back, what it refuses and
//     in which words, the magnitudes of epochs, empty strings, NUL; the options of a job about conversions.
//   - write, foreach, strategy, index: upserts, deletes, keys, columns a row does not touch; foreach_sync; each
//     load_strategy; the row index, two Redis keys on one row among it.
//   - reject, reference, lanes: one bad record costs one record (G5): roll back, split, commit after Stored; references
//     and unique values that only the order of events, or another lane, puts right; a deadlock between two lanes.
//   - class: each class of design D9 at each stage, and what the engine must do about it.
//   - trouble, outage: a table or column that is missing, changes or goes; connections cut; a disk without room, a server
//     that takes no writes, a right that is missing, each until an operator ends it (G6).
//   - position, fence: positions, state and epochs; a stopped owner that wakes, a second opener, a reconnect (design D4).
//   - network: a commit that arrived and whose answer was lost, a commit that never arrived, a server that is away, what a
//     former owner sent arriving late (G3, G4). Not for a database that is a file.
//   - trace: what the spans of a batch say, and that no value is among it (G10).
//   - check, create, preview: what validate, auto_create and a preview say and do, with every fix run as it is printed.
//
// What a server's death in the middle of batches leaves behind is tested by the dialects themselves (TestKilledServer) and
// by services/e2e.
package applytest

import (
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"slipstream/applier"
	"slipstream/applier/engine"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// Null is how Database.Query shows NULL.
const Null = "<null>"

// Harness is what the suite needs to know about a dialect.
type Harness struct {
	// Dialect is tested.
	Dialect applier.Dialect
	// Open makes an empty database, or schema, for one test and removes it with the test.
	Open func(t testing.TB) Database
	// Types spells column types.
	Types Types
	// Quote makes an identifier. Default: double quotes.
	Quote func(string) string
	// NullsFirst says that the database sorts NULL before all else.
	NullsFirst bool
	// NULInText says that text columns hold NUL characters; where they do not, such values are rejected.
	NULInText bool
	// AnySize says that the database does not keep to the sizes that column types declare.
	AnySize bool
	// Instants32 says that the type with a zone counts seconds in 32 bits, from 1970 to 2038.
	Instants32 bool
	// Own are column types that have no place in Types.
	Own []OwnType
	// Small opens a database that has room for some hundred KiB until free is called.
	Small func(t testing.TB) (db Database, free func(t testing.TB))
	// Pairs says that lengths of texts count pairs of bytes, as UTF-16 has them: some characters take two.
	Pairs bool
	// Store is set for a target without tables, in place of Types and Quote; its databases need no Exec and no Query.
	Store *Store
	// Lacks is what the target lacks, with the reason: the cases that need it mean nothing there, and are listed.
	Lacks map[Need]string
}

// Database is an empty database.
type Database struct {
	// Connection leads the dialect there; the suite sets its name and type.
	Connection *pipelinev1.Connection
	// Exec runs a statement on a connection of the harness's own.
	Exec func(t testing.TB, statement string)
	// Query returns rows, each value as the canonical text of package value, or Null.
	Query func(t testing.TB, query string) [][]string
	// Drop cuts all connections but the harness's own, as an administrator would. Nil where there are none to cut.
	Drop func(t testing.TB)
	// ReadOnly makes the server take no more writes until again is called.
	ReadOnly func(t testing.TB) (again func(t testing.TB))
	// Forbid takes the right to write to a table from the connection's account, until allow is called with the statement
	// that the lane names as the fix. Nil where there are no rights.
	Forbid func(t testing.TB, table string) (allow func(t testing.TB, fix string))
}

// Types are the names of column types in the dialect.
type Types struct {
	Key       string // text that may be a primary key
	Text      string // text of any length
	Five      string // text of five characters at most; default VARCHAR(5)
	Integer   string // 64 bits, signed
	Small     string // 16 bits, signed; empty: none
	Decimal   string // exact, 12 digits, 2 of them after the point
	Float     string // 64 bits
	Boolean   string
	Date      string
	Timestamp string // without zone, microseconds
	Zoned     string // with zone, microseconds
	Time      string
	Binary    string
	JSON      string // empty where there is no such type
	UUID      string // empty where there is no such type
}

// fixture is one harness on its way through the cases.
type fixture struct {
	Harness
}

// Run runs the suite, or the groups named alone.
func Run(t *testing.T, h Harness, only ...string) {
	if h.Quote == nil {
		h.Quote = func(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
	}
	if h.Types.Five == "" {
		h.Types.Five = "VARCHAR(5)"
	}
	f := &fixture{h}
	groups := []group{
		{"write", writeCases},
		{"value", valueCases},
		{"foreach", foreachCases},
		{"reject", rejectCases},
		{"reference", referenceCases},
		{"position", positionCases},
		{"fence", fenceCases},
		{"trouble", troubleCases},
		{"class", classCases},
		{"outage", outageCases},
		{"network", networkCases},
		{"lanes", lanesCases},
		{"type", typeCases},
		{"check", checkCases},
		{"index", indexCases},
		{"strategy", strategyCases},
		{"choice", choiceCases},
		{"create", createCases},
		{"preview", previewCases},
		{"trace", traceCases},
	}
	named(t, groups)
	out := map[string][]string{}
	defer left(t, out)
	for _, g := range groups {
		if len(only) > 0 && !slices.Contains(only, g.name) || g.name == "network" && !f.networked(t) {
			continue
		}
		if why := f.lacks(g.name); why != "" {
			out[why] = append(out[why], g.name)
			continue
		}
		t.Run(g.name, func(t *testing.T) {
			for _, c := range g.cases {
				name := g.name + "/" + c.name
				if why := f.lacks(name); why != "" {
					out[why] = append(out[why], name)
					continue
				}
				t.Run(c.name, func(t *testing.T) { c.run(t, f) })
			}
		})
	}
}

// group is cases about one thing.
type group struct {
	name  string
	cases []testCase
}

// networked tells whether the database is reached by a network.
func (f *fixture) networked(t *testing.T) bool {
	t.Helper()
	return f.database(t).Connection.GetHost() != ""
}

type testCase struct {
	name string
	run  func(t *testing.T, f *fixture)
}

// patience is how long a case waits for what must come.
const patience = 60 * time.Second

// database opens a database and completes its connection.
func (f *fixture) database(t testing.TB) Database {
	t.Helper()
	db := f.Open(t)
	db.Connection.Name, db.Connection.Type = "db", f.Dialect.Name()
	return db
}

// engine makes an engine that is impatient, so that cases are short.
func (f *fixture) engine(t testing.TB, dialect applier.Dialect) *engine.Engine {
	t.Helper()
	return f.waiting(t, dialect, 400*time.Millisecond)
}

// waiting makes an engine that waits so long for rows that others refer to.
func (f *fixture) waiting(t testing.TB, dialect applier.Dialect, reference time.Duration) *engine.Engine {
	t.Helper()
	e, err := engine.New(dialect, engine.Options{
		Log: slog.New(slog.DiscardHandler), ShortestPause: 5 * time.Millisecond, ReferenceWait: reference, HoldOpen: 100 * time.Millisecond,
	})
	if err != nil {
		t.Fatalf("making an engine: %v", err)
	}
	t.Cleanup(e.Close)
	return e
}

// create makes a table: pairs of column and definition, then the key columns.
func (f *fixture) create(t testing.TB, db Database, table string, columns [][2]string, keys ...string) {
	t.Helper()
	if f.Store != nil {
		return // its rows need none
	}
	var parts []string
	for _, c := range columns {
		parts = append(parts, f.Quote(c[0])+" "+c[1])
	}
	var quoted []string
	for _, k := range keys {
		quoted = append(quoted, f.Quote(k))
	}
	parts = append(parts, "PRIMARY KEY ("+strings.Join(quoted, ", ")+")")
	db.Exec(t, "CREATE TABLE "+f.Quote(table)+" ("+strings.Join(parts, ", ")+")")
}

// wantRows compares a table, sorted by its first columns, with what it must hold: one string a row, values separated by
// a bar.
func (f *fixture) wantRows(t testing.TB, db Database, table string, columns []string, want ...string) {
	t.Helper()
	got := f.rows(t, db, table, columns)
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("table %s holds\n\t%s\nwant\n\t%s", table, strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

func (f *fixture) rows(t testing.TB, db Database, table string, columns []string) []string {
	t.Helper()
	var got []string
	if f.Store != nil {
		for _, row := range f.Store.Rows(t, db, table, columns) {
			got = append(got, strings.Join(row, "|"))
		}
		return got
	}
	var quoted []string
	for _, c := range columns {
		quoted = append(quoted, f.Quote(c))
	}
	list := strings.Join(quoted, ", ")
	for _, row := range db.Query(t, "SELECT "+list+" FROM "+f.Quote(table)+" ORDER BY "+list) {
		got = append(got, strings.Join(row, "|"))
	}
	return got
}
