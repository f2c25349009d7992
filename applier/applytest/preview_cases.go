package applytest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	applierv1 "slipstream/proto/slipstream/applier/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// Previews: what rows would do, found out without doing it.
var previewCases = []testCase{
	{"statements and differences, and nothing is left behind", previewCase},
	{"statements that can be run as they are shown", previewRunsCase},
	{"what would be rejected", previewRejectCase},
	{"foreach that shrinks", previewPruneCase},
	{"rows that a key owns", previewOwnedCase},
	{"before images", previewImagesCase},
	{"history", previewHistoryCase},
	{"what cannot be tried", previewFaultCase},
}

func (f *fixture) preview(t *testing.T, db Database, j *pipelinev1.Job, diff bool, b *applierv1.RowBatch) *applierv1.PreviewResponse {
	t.Helper()
	return f.engine(t, f.Dialect).Preview(t.Context(), &applierv1.PreviewRequest{
		Connection: db.Connection, Job: j, Settings: settings(), Batch: b, Diff: diff, Lane: laneOf(0),
	})
}

// differences are rows before and after, in a line each.
func differences(r *applierv1.PreviewResponse) string {
	var list []string
	for _, d := range r.GetDifferences() {
		list = append(list, fmt.Sprintf("%s %s: %s > %s", d.GetTable(), strings.Join(d.GetColumns(), ","), d.GetBefore(), d.GetAfter()))
	}
	return strings.Join(list, "\n")
}

func (f *fixture) wantDifferences(t *testing.T, r *applierv1.PreviewResponse, want ...string) {
	t.Helper()
	if r.GetFault() != nil {
		t.Fatalf("fault: %v", r.GetFault())
	}
	if got := differences(r); got != strings.Join(want, "\n") {
		t.Errorf("differences\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
}

func previewCase(t *testing.T, f *fixture) {
	db := f.pairs(t)
	j := job(out("t", "*id", "v"))
	c := f.open(t, db, j)
	c.apply(batch(1, table(0).upsert(0, "a", "1").upsert(1, "b", "2").upsert(2, "c", "3")))
	before := f.rows(t, db, "t", []string{"id", "v"})
	b := batch(2, table(0).upsert(0, "a", "it's ?").upsert(1, "b", "2").del(2, "c", nil).upsert(3, "d", nil))
	r := f.preview(t, db, j, true, b)
	f.wantDifferences(t, r,
		`t id,v: ["a","1"] > ["a","it's ?"]`, `t id,v: ["b","2"] > ["b","2"]`, `t id,v: ["c","3"] > `, `t id,v:  > ["d",null]`)
	if len(r.GetStatements()) != 4 {
		t.Errorf("statements: %v", r.GetStatements())
	}
	if got := f.rows(t, db, "t", []string{"id", "v"}); strings.Join(got, ",") != strings.Join(before, ",") {
		t.Errorf("the preview left %q behind", got)
	}
	if r := f.preview(t, db, j, false, b); len(r.GetDifferences()) != 0 || len(r.GetStatements()) != 4 {
		t.Errorf("without differences: %v", r)
	}
	// The lane goes on from its position.
	c.apply(batch(2, table(0).upsert(0, "a", "9")))
}

func previewRunsCase(t *testing.T, f *fixture) {
	db := f.pairs(t)
	j := job(out("t", "*id", "v"))
	odd := "it's \"odd\" ? \\ $1 :x\n--"
	r := f.preview(t, db, j, false, batch(1, table(0).upsert(0, "a", "1").upsert(1, "b", odd).upsert(2, "c", nil)))
	for _, s := range r.GetStatements() {
		db.Exec(t, s.GetText())
	}
	f.wantRows(t, db, "t", []string{"id", "v"}, "a|1", "b|"+odd, "c|"+Null)
	r = f.preview(t, db, j, false, batch(1, table(0).upsert(0, "a", "2").del(1, "b", nil)))
	for _, s := range r.GetStatements() {
		db.Exec(t, s.GetText())
	}
	f.wantRows(t, db, "t", []string{"id", "v"}, "a|2", "c|"+Null)
}

func previewRejectCase(t *testing.T, f *fixture) {
	db := f.database(t)
	f.create(t, db, "t", [][2]string{{"id", f.Types.Key}, {"n", f.Types.Integer + " NOT NULL"}}, "id")
	j := job(out("t", "*id", "n"))
	r := f.preview(t, db, j, true, batch(1, table(0).upsert(0, "a", "one").upsert(1, "b", nil).upsert(2, "c", "3")))
	f.wantDifferences(t, r, `t id,n:  > ["c",3]`)
	rejects := r.GetRejects()
	if len(rejects) != 2 || rejects[0].GetChange() != 0 || rejects[0].GetColumn() != "n" || rejects[1].GetChange() != 1 ||
		rejects[1].GetErrorClass() != "target" || rejects[1].GetTable() != "t" {
		t.Errorf("rejects: %v", rejects)
	}
}

func previewPruneCase(t *testing.T, f *fixture) {
	db := f.database(t)
	f.create(t, db, "parts", [][2]string{{"ticket", f.Types.Integer}, {"sku", f.Types.Key}, {"qty", f.Types.Integer}}, "ticket", "sku")
	j := job(out("parts", "**ticket", "*sku", "qty"))
	c := f.open(t, db, j)
	c.apply(batch(1, table(0).upsert(0, "1", "a", "1").upsert(0, "1", "b", "2").upsert(1, "2", "a", "3")))
	r := f.preview(t, db, j, true, batch(2, table(0).prune(0, "1", nil, nil).upsert(0, "1", "b", "5").upsert(0, "1", "c", "6")))
	if got := differences(r); r.GetFault() != nil || !strings.Contains(got, `[1,"a",1] > `) || !strings.Contains(got, `[1,"b",2] > [1,"b",5]`) ||
		!strings.Contains(got, ` > [1,"c",6]`) || strings.Contains(got, `[2,`) {
		t.Errorf("differences:\n%s\n%v", got, r.GetFault())
	}
	for _, s := range r.GetStatements() {
		db.Exec(t, s.GetText())
	}
	f.wantRows(t, db, "parts", []string{"ticket", "sku", "qty"}, "1|b|5", "1|c|6", "2|a|3")
}

func previewOwnedCase(t *testing.T, f *fixture) {
	db, j := f.mailed(t)
	// Before any lane made the row index, too.
	r := f.preview(t, db, j, true, batch(1, table(0).upsert(0, "a@x", "1").by("p:1", 1)))
	f.wantDifferences(t, r, `people mail,age:  > ["a@x",1]`)
	c := f.open(t, db, j)
	c.apply(batch(1, table(0).upsert(0, "a@x", "1").by("p:1", 1).upsert(1, "b@x", "2").by("p:2", 2)))
	r = f.preview(t, db, j, true, batch(2, table(0).upsert(0, "c@x", "1").by("p:1", 3).gone(1, "p:2", 4, 2)))
	if got := differences(r); !strings.Contains(got, ` > ["c@x",1]`) || !strings.Contains(got, `["a@x",1] > `) || !strings.Contains(got, `["b@x",2] > `) {
		t.Errorf("differences:\n%s\n%v", got, r.GetFault())
	}
	f.wantEntries(t, db, "a@x|p:1", "b@x|p:2")
}

// previewImagesCase: what records of a test have as before is what a lane would have; nothing before the first lane.
func previewImagesCase(t *testing.T, f *fixture) {
	db, j := f.mailed(t)
	images := func(want ...string) {
		t.Helper()
		r := f.engine(t, f.Dialect).Images(t.Context(), &applierv1.ImagesRequest{
			Connection: db.Connection, Job: j, Settings: settings(), Lane: laneOf(0), Keys: [][]byte{[]byte("p:2"), []byte("p:1"), []byte("p:3")},
		})
		var got []string
		for _, image := range r.GetImages() {
			got = append(got, string(image))
		}
		if r.GetFault() != nil || !slices.Equal(got, want) {
			t.Errorf("images %q, want %q; %v", got, want, r.GetFault())
		}
	}
	images("", "", "")
	c := f.open(t, db, j)
	rows := table(0).upsert(0, "a@x", "1").by("p:1", 1).upsert(1, "b@x", "2").by("p:2", 2)
	rows.image(`{"mail":"a@x"}`, "")
	c.apply(batch(1, rows))
	images("", `{"mail":"a@x"}`, "")
}

func previewHistoryCase(t *testing.T, f *fixture) {
	db, c := f.history(t, superseding, nil, "*id", "v")
	c.apply(batch(1, table(0).supersede(0, "a", "1")))
	o := out("h", "*id", "v")
	w := o.GetRelational()
	w.LoadStrategy, w.ActiveRecordIndicator = superseding, f.Quote("ended")+" IS NULL"
	w.InactiveRecordMapping = []*pipelinev1.InactiveRecordMapping{{Source: f.Quote("v") + " * 10", Target: "ended"}}
	r := f.preview(t, db, job(o), true, batch(2, table(0).supersede(0, "a", "2")))
	f.wantDifferences(t, r, `h id,v: ["a",1] > ["a",1]`, `h id,v:  > ["a",2]`)
	for _, s := range r.GetStatements() {
		db.Exec(t, s.GetText())
	}
	f.wantRows(t, db, "h", historyColumns, "a|1|10", "a|2|"+Null)
}

func previewFaultCase(t *testing.T, f *fixture) {
	db := f.database(t)
	r := f.preview(t, db, job(out("nowhere", "*id", "v")), true, batch(1, table(0).upsert(0, "a", "1")))
	if r.GetFault() == nil || !strings.Contains(r.GetFault().GetMessage(), "nowhere") || !strings.Contains(r.GetFault().GetFix(), "CREATE TABLE") {
		t.Errorf("fault: %v", r.GetFault())
	}
}
