package applytest

import (
	"strings"
	"testing"

	applierv1 "slipstream/proto/slipstream/applier/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// auto_create (spec 5.2, our own addition).
var createCases = []testCase{
	{"a missing table is planned, created, and then there", autoCreateCase},
	{"types that the job names go before those of a sample", autoTypesCase},
	{"a table of history has no key", autoHistoryCase},
}

func creates(o *pipelinev1.Output) *pipelinev1.Output {
	o.GetRelational().AutoCreate = true
	return o
}

func (f *fixture) prepare(t *testing.T, db Database, j *pipelinev1.Job) *applierv1.PrepareResponse {
	t.Helper()
	r := f.engine(t, f.Dialect).Prepare(t.Context(), &applierv1.PrepareRequest{
		Connection: db.Connection, Jobs: []*pipelinev1.Job{j}, Settings: settings(),
	})
	if len(r.GetProblems()) > 0 {
		t.Fatalf("problems: %v", r.GetProblems())
	}
	return r
}

// tables are the statements of a plan that belong to the job.
func tables(plan []*applierv1.Statement) (list []string) {
	for _, s := range plan {
		if s.GetJob() == "job" {
			list = append(list, s.GetText())
		}
	}
	return list
}

func autoCreateCase(t *testing.T, f *fixture) {
	db := f.database(t)
	j := job(creates(out("made", "*id", "n")), creates(out("made too", "*id")))
	j.Outputs[0].GetRelational().Columns[1].Inferred = pipelinev1.ColumnType_COLUMN_TYPE_INTEGER
	r := f.check(t, db, j)
	plan := tables(r.GetPlan())
	if len(r.GetProblems()) > 0 || len(plan) != 2 || !strings.Contains(plan[0], "CREATE TABLE") || !strings.Contains(plan[1], f.Quote("made too")) {
		t.Fatalf("planned %q, problems %v", plan, r.GetProblems())
	}
	created := tables(f.prepare(t, db, j).GetCreated())
	if strings.Join(created, "\n") != strings.Join(plan, "\n") {
		t.Errorf("created %q, planned was %q", created, plan)
	}
	if again := f.prepare(t, db, j).GetCreated(); len(again) != 0 {
		t.Errorf("created again: %v", again)
	}
	r = f.check(t, db, j)
	if len(tables(r.GetPlan())) != 0 || len(r.GetProblems()) > 0 || len(r.GetTables()) != 2 {
		t.Errorf("afterwards: %v", r)
	}
	c := f.open(t, db, j)
	c.apply(batch(1, table(0).upsert(0, "a", "5").upsert(1, "b", "x"), table(1).upsert(0, "a")))
	if rejects := c.refused(); len(rejects) != 1 || rejects[0].Column != "n" {
		t.Errorf("rejects: %v", rejects)
	}
	f.wantRows(t, db, "made", []string{"id", "n"}, "a|5")
	f.wantRows(t, db, "made too", []string{"id"}, "a")
}

func autoTypesCase(t *testing.T, f *fixture) {
	db := f.database(t)
	kinds := []pipelinev1.ColumnType{
		pipelinev1.ColumnType_COLUMN_TYPE_INTEGER, pipelinev1.ColumnType_COLUMN_TYPE_DECIMAL, pipelinev1.ColumnType_COLUMN_TYPE_DOUBLE,
		pipelinev1.ColumnType_COLUMN_TYPE_BOOLEAN, pipelinev1.ColumnType_COLUMN_TYPE_TEXT, pipelinev1.ColumnType_COLUMN_TYPE_DATE,
		pipelinev1.ColumnType_COLUMN_TYPE_TIME, pipelinev1.ColumnType_COLUMN_TYPE_TIMESTAMP, pipelinev1.ColumnType_COLUMN_TYPE_BINARY,
		pipelinev1.ColumnType_COLUMN_TYPE_JSON, pipelinev1.ColumnType_COLUMN_TYPE_UUID,
	}
	names := []string{"*id"}
	for _, kind := range kinds {
		names = append(names, strings.ToLower(strings.TrimPrefix(kind.String(), "COLUMN_TYPE_")))
	}
	o := creates(out("made", names...))
	for i, kind := range kinds {
		o.GetRelational().Columns[i+1].Type = kind
		o.GetRelational().Columns[i+1].Inferred = pipelinev1.ColumnType_COLUMN_TYPE_TEXT
	}
	f.prepare(t, db, job(o))
	c := f.open(t, db, job(o))
	c.apply(batch(1, table(0).upsert(0, "a", "9007199254740993", "123456.123456789", "1.5", "yes", "text", "2001-09-09", "01:46:40",
		"2001-09-09T01:46:40Z", "YWI=", `{"a": 1}`, "6BA7B810-9DAD-11D1-80B4-00C04FD430C8")))
	select {
	case x := <-c.rejects:
		t.Fatalf("rejected:\n%s", reasons(x.Rejects))
	default:
	}
	for i := range names {
		names[i] = strings.TrimPrefix(names[i], "*")
	}
	got := f.rows(t, db, "made", names)
	if len(got) != 1 || !strings.HasPrefix(got[0], "a|9007199254740993|123456.123456789|1.5|") || !strings.Contains(got[0], "6ba7b810-9dad-11d1-80b4-00c04fd430c8") {
		t.Errorf("rows: %q", got)
	}
}

func autoHistoryCase(t *testing.T, f *fixture) {
	db := f.database(t)
	o := creates(out("made", "*id", "v"))
	w := o.GetRelational()
	w.LoadStrategy = superseding
	w.Columns[1].Type = pipelinev1.ColumnType_COLUMN_TYPE_INTEGER
	w.ActiveRecordIndicator = f.Quote("ended") + " IS NULL"
	w.InactiveRecordMapping = []*pipelinev1.InactiveRecordMapping{{Source: "1", Target: "ended"}}
	f.prepare(t, db, job(o))
	c := f.open(t, db, job(o))
	c.apply(batch(1, table(0).supersede(0, "a", "1").supersede(1, "a", "2")))
	f.wantRows(t, db, "made", []string{"id", "v", "ended"}, "a|1|1", "a|2|"+Null)
}
