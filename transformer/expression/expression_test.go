package expression

import (
	"encoding/json"
	"reflect"
	"testing"

	"go.uber.org/goleak"

	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"

	"slipstream/transformer/eval"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func compile(t *testing.T, language pipelinev1.Language, text string, partial bool) *Expression {
	t.Helper()
	e, err := Compile(&pipelinev1.Expression{Language: language, Text: text}, partial)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

const (
	jmes = pipelinev1.Language_LANGUAGE_JMESPATH
	sql  = pipelinev1.Language_LANGUAGE_SQL
)

func TestLanguages(t *testing.T) {
	root := map[string]any{"site": "n", "psi": json.Number("1.50")}
	tests := []struct {
		name     string
		language pipelinev1.Language
		text     string
		partial  bool
		want     any
	}{
		{"jmespath", jmes, "upper(site)", true, "N"},
		{"sql", sql, "upper(site)", true, "N"},
		{"jmespath alias", jmes, "after.psi", true, json.Number("1.50")},
		{"sql alias", sql, "upper(`after.site`)", true, "N"},
		{"jmespath full", jmes, "after.psi", false, nil},
		{"sql full", sql, "upper(`after.site`)", false, nil},
	}
	run := &Runner{}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			e := compile(t, test.language, test.text, test.partial)
			got, err := run.Evaluate(e, eval.Env{}, root)
			if err != nil || !reflect.DeepEqual(got, test.want) {
				t.Errorf("%v, %v", got, err)
			}
			if e.String() != test.text || len(e.References()) != 1 {
				t.Errorf("%q refers to %v", e, e.References())
			}
		})
	}
	if err := run.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := run.Evaluate(compile(t, sql, "upper(site)", true), eval.Env{}, root); err == nil {
		t.Error("evaluated after Close")
	}
	if err := run.Close(); err != nil {
		t.Errorf("closing twice: %v", err)
	}
}

func TestCompileFails(t *testing.T) {
	for _, e := range []*pipelinev1.Expression{nil, {}, {Text: "a"}, {Language: jmes, Text: "a ="}, {Language: sql, Text: "a ="}} {
		if compiled, err := Compile(e, true); err == nil || compiled != nil {
			t.Errorf("%v compiled", e)
		}
	}
}

func TestDraws(t *testing.T) {
	for text, want := range map[string]bool{"uuid()": true, "concat(['x', uuid ( )])": true, "uuid": false, "site": false} {
		if got := compile(t, jmes, text, true).Draws(); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
	if !compile(t, sql, "RANDOM() + 1", true).Draws() || compile(t, sql, "random_field", true).Draws() {
		t.Error("SQL")
	}
}

// TestGroup: a group gives what its members give one by one, in one language or in both.
func TestGroup(t *testing.T) {
	run := &Runner{}
	root := map[string]any{"a": "x", "b": "y"}
	for _, languages := range [][]pipelinev1.Language{{sql, sql}, {jmes, jmes}, {sql, jmes}, {sql}} {
		var members []*Expression
		for i, l := range languages {
			members = append(members, compile(t, l, []string{"upper(a)", "upper(b)"}[i], true))
		}
		g := NewGroup(members)
		for range 2 { // the second time its statement is there
			results := make([]any, len(members))
			if err := run.EvaluateGroup(g, eval.Env{}, root, results); err != nil {
				t.Fatal(err)
			}
			if want := []any{"X", "Y"}[:len(members)]; !reflect.DeepEqual(results, want) {
				t.Errorf("%v: %v", languages, results)
			}
		}
	}
	failing := NewGroup([]*Expression{compile(t, jmes, "upper(a)", true), compile(t, jmes, "abs(b)", true)})
	if err := run.EvaluateGroup(failing, eval.Env{}, root, make([]any, 2)); err == nil {
		t.Error("a failing member must fail the group")
	}
	if !NewGroup([]*Expression{compile(t, jmes, "uuid()", true)}).Draws() || failing.Draws() {
		t.Error("draws")
	}
	if err := run.Close(); err != nil {
		t.Fatal(err)
	}
}
