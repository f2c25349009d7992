package cassandra

import (
	"strings"
	"testing"

	"slipstream/applier"
	applierv1 "slipstream/proto/slipstream/applier/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

func jobOf(w *pipelinev1.RelationalWrite) *pipelinev1.Job {
	return &pipelinev1.Job{Name: "j", File: "jobs/j.yaml", Outputs: []*pipelinev1.Output{{
		Path: "output[0]", Connection: "cass", Writer: &pipelinev1.Output_Relational{Relational: w},
	}}}
}

// TestCheck: what is wrong with an output is found with the statement that mends it.
func TestCheck(t *testing.T) {
	history := output("pump", "*serial", "psi")
	history.LoadStrategy = pipelinev1.LoadStrategy_LOAD_STRATEGY_APPEND
	versions := output("pump", "*serial", "psi")
	versions.LoadStrategy = pipelinev1.LoadStrategy_LOAD_STRATEGY_TYPE2
	elsewhere := output("pump", "*serial")
	elsewhere.Schema = "nowhere"
	for name, c := range map[string]struct {
		w            *pipelinev1.RelationalWrite
		message, fix string
		arrange      func(c *standin)
	}{
		"history":             {history, "a history cannot be kept in Cassandra", "remove load_strategy", nil},
		"versions":            {versions, "a history cannot be kept in Cassandra", "remove load_strategy", nil},
		"no keyspace":         {elsewhere, "keyspace nowhere does not exist", `CREATE KEYSPACE "nowhere"`, nil},
		"no table":            {output("nix", "**a", "*b", "c"), "table ops.nix does not exist", `CREATE TABLE "ops"."nix" ("a" text, "b" text, "c" text, PRIMARY KEY (("a"), "b"));`, nil},
		"no column":           {output("pump", "*serial", "volt"), "volt column does not exist in pump table; it has serial, site, psi", `ALTER TABLE "ops"."pump" ADD "volt" text;`, nil},
		"column twice":        {output("pump", "*serial", "psi", "PSI"), "column psi of table pump is written twice", "keep one", nil},
		"counter":             {output("hits", "*id", "n"), "is a counter", "bigint", nil},
		"unknown type":        {output("reading", "*year", "*site", "*at", "odd"), "has type 'org.x.Odd'", "leave it out", nil},
		"part of a key":       {output("part", "*no", "qty"), "keys of the output are no, and the primary key of table part is no, sku", "write keys: [no, sku]", nil},
		"other keys":          {output("pump", "*site", "serial"), "keys of the output are site", "write keys: [serial]", nil},
		"parent is no prefix": {output("part", "*no", "**sku", "qty"), "the rows of a parent of foreach cannot be found by sku", "foreach_sync: none", nil},
		"view":                {output("pump", "*serial"), "materialized view", "table behind it", func(c *standin) { c.views["ops.pump"] = true }},
		"no grant": {output("pump", "*serial"), "user app may not write to table pump", `GRANT MODIFY ON TABLE "ops"."pump" TO "app";`, func(c *standin) {
			c.runs = func(group []cql) error {
				return when(strings.Contains(group[0].text, `"pump"`), said(codeUnauthorized))
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			stand := newStandin()
			if c.arrange != nil {
				c.arrange(stand)
			}
			r := testTarget(stand).Check(t.Context(), []*pipelinev1.Job{jobOf(c.w)})
			errors := onlyErrors(r)
			if len(errors) != 1 || !strings.Contains(errors[0].Message, c.message) || !strings.Contains(errors[0].Fix, c.fix) || errors[0].File != "jobs/j.yaml" {
				t.Errorf("%v", errors)
			}
		})
	}
}

func onlyErrors(r *applierv1.CheckResponse) (out []*pipelinev1.Problem) {
	for _, p := range r.Problems {
		if p.Severity == pipelinev1.Severity_SEVERITY_ERROR {
			out = append(out, p)
		}
	}
	return out
}

// TestCheckFine: a job that fits is told the promise it gets (G9), and what will be made.
func TestCheckFine(t *testing.T) {
	stand := newStandin()
	stand.runs = func(group []cql) error { return said(codeInvalid) } // of the key that is null
	target := testTarget(stand)
	w := output("pump", "*serial", "psi")
	w.RowIndex = true
	fresh := output("fresh", "*id")
	fresh.AutoCreate = true
	r := target.Check(t.Context(), []*pipelinev1.Job{jobOf(w), jobOf(fresh)})
	if len(r.Problems) != 1 || r.Problems[0].Severity != pipelinev1.Severity_SEVERITY_WARNING || !strings.Contains(r.Problems[0].Message, "at least once") {
		t.Errorf("%v", r.Problems)
	}
	var plan []string
	for _, s := range r.Plan {
		plan = append(plan, strings.Fields(strings.ReplaceAll(s.Text, "IF NOT EXISTS ", ""))[2])
	}
	if got := strings.Join(plan, " "); got != `"ops"."slipstream_position" "ops"."slipstream_row" "ops"."slipstream_row_owner" "ops"."fresh"` {
		t.Errorf("plan: %s", got)
	}
	if len(r.Tables) != 1 || len(r.Tables[0].Columns) != 3 || r.Server != "Cassandra 4.1.5" {
		t.Errorf("%v %s", r.Tables, r.Server)
	}
}

// TestPreview: a preview shows statements and lays them over what is there; nothing is sent.
func TestPreview(t *testing.T) {
	stand := newStandin()
	target := testTarget(stand)
	table, err := target.bindTable(t.Context(), output("part", "**no", "*sku", "qty", "note"), false)
	if err != nil {
		t.Fatal(err)
	}
	stand.data[`SELECT "no", "sku", "qty", "note" FROM "ops"."part" WHERE "no" = 7`] = [][]wire{
		{wire{0, 0, 0, 7}, wire("a"), wire{0, 0, 0, 1}, wire("x")}, {wire{0, 0, 0, 7}, wire("gone"), nil, nil},
	}
	r, err := target.Rehearse(t.Context(), testLane())
	if err != nil {
		t.Fatal(err)
	}
	up := write(t, table, applier.Upsert, []string{"7", "a", "2", "~"}, []string{"7", "it's", "3", "~"})
	prune := write(t, table, applier.Prune, []string{"7", "a", "2", "~"}, []string{"7", "it's", "3", "~"})
	prune.Rows, prune.Keep = prune.Rows[:1], prune.Rows
	read := func() string {
		rows, err := r.Read(t.Context(), table, table.Parents, up.Values, []int32{0}, []int{0, 1, 2, 3})
		if err != nil {
			t.Fatal(err)
		}
		var lines []string
		for _, row := range rows {
			line := ""
			for _, v := range row {
				line += string(v) + "|"
			}
			lines = append(lines, line)
		}
		return strings.Join(lines, " ")
	}
	if got := read(); got != "7|a|1|x| 7|gone|||" {
		t.Errorf("before: %s", got)
	}
	for _, w := range []*applier.Write{up, prune} {
		if err := r.Write(t.Context(), w); err != nil {
			t.Fatal(err)
		}
	}
	if got := read(); got != "7|a|2|| 7|it's|3||" {
		t.Errorf("after: %s", got)
	}
	for _, c := range []struct{ got, want string }{
		{r.Show(up, 1), `UPDATE "ops"."part" SET "qty" = 3, "note" = NULL WHERE "no" = 7 AND "sku" = 'it''s';`},
		{r.Show(prune, 0), `DELETE FROM "ops"."part" WHERE "no" = 7; -- but not "no" = 7 AND "sku" = 'a'; "no" = 7 AND "sku" = 'it''s'`},
		{r.Show(write(t, table, applier.Delete, []string{"7", "a", "~", "~"}), 0), `DELETE FROM "ops"."part" WHERE "no" = 7 AND "sku" = 'a';`},
		{r.Show(write(t, table, applier.Upsert, []string{"7", "a", "~", "~"}), 0), `INSERT INTO "ops"."part" ("no", "sku", "qty", "note") VALUES (7, 'a', NULL, NULL);`},
	} {
		if c.got != c.want {
			t.Errorf("%s\nwant %s", c.got, c.want)
		}
	}
	if err := r.Rollback(); err != nil {
		t.Fatal(err)
	}
	wantSent(t, stand)
}
