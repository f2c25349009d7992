package block

import (
	"slices"
	"testing"

	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

const (
	jmes = pipelinev1.Language_LANGUAGE_JMESPATH
	sql  = pipelinev1.Language_LANGUAGE_SQL
)

func TestConjuncts(t *testing.T) {
	tests := []struct {
		name     string
		language pipelinev1.Language
		text     string
		want     []string
	}{
		{"one", jmes, "a == 'x'", []string{"a == 'x'"}},
		{"two", jmes, "a && b", []string{"a", "b"}},
		{"three", jmes, "a&&b && c", []string{"a", "b", "c"}},
		{"or binds less", jmes, "a && b || c", []string{"a && b || c"}},
		{"pipe binds less", jmes, "a && b | c", []string{"a && b | c"}},
		{"or in parentheses", jmes, "a && (b || c)", []string{"a", "(b || c)"}},
		{"and in parentheses", jmes, "(a && b)", []string{"(a && b)"}},
		{"in quotes", jmes, `a == '&&' && "||" == 'it\'s && so'`, []string{"a == '&&'", `"||" == 'it\'s && so'`}},
		{"in a literal", jmes, "a == `\"&& \\` ||\"` && b", []string{"a == `\"&& \\` ||\"`", "b"}},
		{"in a filter", jmes, "length(a[?b && c]) > `0` && d", []string{"length(a[?b && c]) > `0`", "d"}},
		{"sql", sql, "a = 1 AND b = 2 and c IS NULL", []string{"a = 1", "b = 2", "c IS NULL"}},
		{"sql or", sql, "a AND b OR c", []string{"a AND b OR c"}},
		{"sql between", sql, "a BETWEEN 1 AND 2", []string{"a BETWEEN 1 AND 2"}},
		{"sql case", sql, "CASE WHEN a AND b THEN 1 END", []string{"CASE WHEN a AND b THEN 1 END"}},
		{"sql between in parentheses", sql, "(a BETWEEN 1 AND 2) AND b", []string{"(a BETWEEN 1 AND 2)", "b"}},
		{"sql words that contain and", sql, "brand = 'x' AND android = 'AND'", []string{"brand = 'x'", "android = 'AND'"}},
		{"sql quotes", sql, "a = 'it''s AND so' AND `x AND y` = 1", []string{"a = 'it''s AND so'", "`x AND y` = 1"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := conjuncts(test.language, test.text); !slices.Equal(got, test.want) {
				t.Errorf("%q", got)
			}
		})
	}
}

func TestPairs(t *testing.T) {
	got := pairs("{ a: b, \"c,d\": [e, f], g: concat(['{', h]), i: {j: k, l: m} }")
	want := []string{"a: b", `"c,d": [e, f]`, "g: concat(['{', h])", "i: {j: k, l: m}"}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}
