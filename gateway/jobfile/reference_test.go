package jobfile

import (
	"strings"
	"testing"

	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

func TestReferences(t *testing.T) {
	const jmespath, sql = pipelinev1.Language_LANGUAGE_JMESPATH, pipelinev1.Language_LANGUAGE_SQL
	cases := []struct {
		language   pipelinev1.Language
		text, want string
	}{
		{jmespath, "a", "a"},
		{jmespath, "a.b.c || d", "a.b.c d"},
		{jmespath, "concat([upper(site), '/', bay])", "site bay"},
		{jmespath, "split(key.key, ':')[1].x", "key.key"},
		{jmespath, "{id: id, other: a.b}", "id a.b"},
		{jmespath, "`literal` == x && 'raw y' != z", "x z"},
		{jmespath, `"odd name".sub`, "odd name.sub"},
		{jmespath, "parts[?qty > `0`].sku", "parts qty"},
		{jmespath, "values(@)", ""},
		{jmespath, `'it\'s' || b`, "b"},
		{jmespath, "'open", ""},
		{sql, "CAST(psi AS REAL) > 40 AND name IS NOT NULL", "psi name"},
		{sql, "`location.bay` || \"Odd\"", "location.bay Odd"},
		{sql, "CASE WHEN a = 'x y' THEN 1.5e3 ELSE coalesce(b, c) END", "a b c"},
		{sql, "'it''s' || d", "d"},
		{sql, "", ""},
	}
	for _, tc := range cases {
		t.Run(tc.text, func(t *testing.T) {
			got := strings.Join(references(&pipelinev1.Expression{Language: tc.language, Text: tc.text}), " ")
			if got != tc.want {
				t.Errorf("references %q, want %q", got, tc.want)
			}
		})
	}
}

func TestSplitPath(t *testing.T) {
	for path, want := range map[string]string{
		"a": "a", "a.b": "a|b", `a\.b`: "a.b", `a\.b.c`: "a.b|c", `a\b`: `a\b`, "a..b": "a||b", "": "", `a\`: `a\`,
	} {
		if got := strings.Join(splitPath(path), "|"); got != want {
			t.Errorf("splitPath(%q) = %q, want %q", path, got, want)
		}
	}
}

func TestSlug(t *testing.T) {
	for name, want := range map[string]string{
		"emp": "emp", "a_b-C9": "a_b-C9", "my job": "my-job", "über uns": "ber-uns", "a.b..c": "a-b-c", "!!": "", "-": "-", " a ": "a",
	} {
		if got := slug(name); got != want {
			t.Errorf("slug(%q) = %q, want %q", name, got, want)
		}
	}
}
