package applytest

import (
	"slices"
	"strings"
	"testing"

	"slipstream/proto/fault"
	applierv1 "slipstream/proto/slipstream/applier/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

var checkCases = []testCase{
	{"what fits has no problems", fitsCase},
	{"all problems at once", problemsCase},
	{"a table to be created", createCase},
	{"what TYPE2 needs", strategyCase},
	{"empty or not", emptyTableCase},
}

func (f *fixture) check(t *testing.T, db Database, jobs ...*pipelinev1.Job) *applierv1.CheckResponse {
	t.Helper()
	return f.engine(t, f.Dialect).Check(t.Context(), &applierv1.CheckRequest{Connection: db.Connection, Jobs: jobs, Settings: settings()})
}

func fitsCase(t *testing.T, f *fixture) {
	db := f.database(t)
	f.create(t, db, "People", [][2]string{{"id", f.Types.Key}, {"Name", f.Types.Text + " NOT NULL"}, {"age", f.Types.Integer + " DEFAULT 1"}}, "id")
	elsewhere := out("nowhere", "*id")
	elsewhere.Connection = "another"
	r := f.check(t, db, job(elsewhere, out("People", "*id", "name")))
	if len(r.Problems) != 0 || r.Server == "" {
		t.Errorf("server %q, problems: %v", r.Server, r.Problems)
	}
	if len(r.Tables) != 1 || r.Tables[0].Job != "job" || r.Tables[0].Output != 1 || len(r.Tables[0].Columns) != 3 {
		t.Fatalf("tables: %v", r.Tables)
	}
	id, name, age := r.Tables[0].Columns[0], r.Tables[0].Columns[1], r.Tables[0].Columns[2]
	if id.Name != "id" || name.Name != "Name" || name.Nullable || !age.Nullable || !age.HasDefault || name.HasDefault || age.Generated || name.Type == "" {
		t.Errorf("columns: %v", r.Tables[0].Columns)
	}
}

// emptyTableCase: Opened tells a new lane whether its tables are empty, where the job asks (initial_load: if_empty).
func emptyTableCase(t *testing.T, f *fixture) {
	db := f.database(t)
	f.create(t, db, "t", [][2]string{{"id", f.Types.Key}, {"v", f.Types.Text}}, "id")
	target := f.target(t, db)
	o := out("t", "*id", "v")
	if empty, err := target.Empty(t.Context(), o); err != nil || !empty {
		t.Errorf("a new table: %v, %v", empty, err)
	}
	asks := job(out("t", "*id", "v"))
	asks.Source = &pipelinev1.Source{InitialLoad: pipelinev1.InitialLoad_INITIAL_LOAD_IF_EMPTY}
	if c := f.openWith(t, db, f.Dialect, asks, 0); !c.opened.Empty {
		t.Error("the lane was not told that the table is empty")
	}
	db.Exec(t, "INSERT INTO "+f.Quote("t")+" ("+f.Quote("id")+", "+f.Quote("v")+") VALUES ('1', 'x')")
	if c := f.openWith(t, db, f.Dialect, asks, 1); c.opened.Empty {
		t.Error("the lane was told that a table with a row is empty")
	}
	if empty, err := target.Empty(t.Context(), o); err != nil || empty {
		t.Errorf("a table with a row: %v, %v", empty, err)
	}
	if _, err := target.Empty(t.Context(), out("missing", "*id")); fault.Class(err) != flowv1.FaultClass_FAULT_CLASS_SCHEMA {
		t.Errorf("a missing table: %v", err)
	}
}

func problemsCase(t *testing.T, f *fixture) {
	db := f.database(t)
	f.create(t, db, "t", [][2]string{{"id", f.Types.Key}, {"v", f.Types.Key}}, "id")
	r := f.check(t, db, job(out("missing", "*id"), out("t", "*id", "w", "x"), out("t", "*v")))
	for _, want := range []struct{ path, message, fix string }{
		{"output[0]", "missing", "CREATE TABLE "},
		{"output[0].with.mapping[1]", "w column does not exist in t table", "ALTER TABLE "},
		{"output[0].with.mapping[2]", "x column does not exist in t table", "ALTER TABLE "},
		{"output[2]", "unique", "CREATE UNIQUE INDEX "},
	} {
		found := false
		for _, p := range r.Problems {
			found = found || p.Path == want.path && strings.Contains(p.Message, want.message) && strings.HasPrefix(p.Fix, want.fix) &&
				p.Severity == pipelinev1.Severity_SEVERITY_ERROR && p.Job == "job" && p.Connection == "db"
		}
		if !found {
			t.Errorf("no problem at %s about %q with a fix %q", want.path, want.message, want.fix)
		}
	}
	if len(r.Problems) != 4 {
		t.Errorf("problems: %v", r.Problems)
	}
}

func createCase(t *testing.T, f *fixture) {
	db := f.database(t)
	o := out(`an "odd" table`, "*first key", "*second", "value")
	for _, p := range f.check(t, db, job(o)).Problems {
		db.Exec(t, p.Fix)
	}
	if r := f.check(t, db, job(o)); len(r.Problems) != 0 || len(r.Tables) != 1 {
		t.Errorf("after the fix: %v", r)
	}
}

func strategyCase(t *testing.T, f *fixture) {
	db := f.pairs(t)
	o := out("t", "*id", "v")
	o.GetRelational().LoadStrategy = pipelinev1.LoadStrategy_LOAD_STRATEGY_TYPE2
	r := f.check(t, db, job(o))
	if len(r.Problems) != 1 || !strings.Contains(r.Problems[0].Message, "TYPE2") || !strings.Contains(r.Problems[0].Fix, "inactive_record_mapping") {
		t.Errorf("problems: %v", r.Problems)
	}
	o.GetRelational().InactiveRecordMapping = []*pipelinev1.InactiveRecordMapping{{Source: "1", Target: "closed"}}
	r = f.check(t, db, job(o))
	for _, message := range []string{"closed column does not exist", "several rows a key, and table t has a unique index on id"} {
		found := func(p *pipelinev1.Problem) bool { return strings.Contains(p.Message, message) }
		if !slices.ContainsFunc(r.Problems, found) {
			t.Errorf("no problem about %q among %v", message, r.Problems)
		}
	}
	o.GetRelational().InactiveRecordMapping = nil
	o.GetRelational().LoadStrategy = pipelinev1.LoadStrategy_LOAD_STRATEGY_UPSERT
	if r := f.check(t, db, job(o)); len(r.Problems) != 0 {
		t.Errorf("problems: %v", r.Problems)
	}
}
