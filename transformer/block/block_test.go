package block

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"

	"slipstream/transformer/expression"
	"slipstream/transformer/finding"
	"slipstream/transformer/path"
	"slipstream/transformer/record"
)

// What single blocks do to records is in testdata, run by package job.

type fatal interface {
	Helper()
	Fatalf(string, ...any)
}

func chainOf(t fatal, full bool, blocks ...*pipelinev1.Block) Chain {
	t.Helper()
	j := &pipelinev1.Job{Name: "j", Transform: blocks}
	if full {
		j.RowFormat = pipelinev1.RowFormat_ROW_FORMAT_FULL
	}
	found := finding.NewList("j")
	chain := Compile(j, found)
	if found.Failed() {
		t.Fatalf("does not compile: %v", found.Problems())
	}
	return chain
}

func filterOf(language pipelinev1.Language, text string) *pipelinev1.Block {
	return &pipelinev1.Block{Block: &pipelinev1.Block_Filter{Filter: &pipelinev1.Filter{
		Expression: &pipelinev1.Expression{Language: language, Text: text},
	}}}
}

func addOf(field, text string) *pipelinev1.Block {
	return &pipelinev1.Block{Block: &pipelinev1.Block_AddField{AddField: &pipelinev1.AddField{
		Fields: []*pipelinev1.FieldExpression{{Field: field, Expression: &pipelinev1.Expression{Language: jmes, Text: text}}},
	}}}
}

// TestFailure names the block, whatever its file said of it.
func TestFailure(t *testing.T) {
	chain := chainOf(t, false, addOf("a", "'x'"), addOf("b", "upper(n)"))
	run := &expression.Runner{}
	_, err := chain.Apply(run, &Record{Root: map[string]any{"n": true}})
	var failure *Failure
	if !errors.As(err, &failure) || failure.Block != "transform[1] add_field" || failure.Unwrap() == nil {
		t.Errorf("failed with %v", err)
	}
	if err := run.Close(); err != nil {
		t.Error(err)
	}
}

// TestUnknownBlock: a block without a kind is a problem, not a panic.
func TestUnknownBlock(t *testing.T) {
	found := finding.NewList("j")
	Compile(&pipelinev1.Job{Transform: []*pipelinev1.Block{{}, {Block: &pipelinev1.Block_Map{Map: &pipelinev1.Map{}}}, {Block: &pipelinev1.Block_AddField{AddField: &pipelinev1.AddField{}}}}}, found)
	if found.Errors() != 3 || found.First().GetPath() != "transform[0].with" {
		t.Errorf("problems %v", found.Problems())
	}
}

// TestDoubt: what is made of missing fields is doubtful, wherever it moves; what is made without them is not (G7).
func TestDoubt(t *testing.T) {
	rename := func(from, to string) *pipelinev1.Block {
		return &pipelinev1.Block{Block: &pipelinev1.Block_RenameField{RenameField: &pipelinev1.RenameField{
			Fields: []*pipelinev1.Rename{{FromField: from, ToField: to}},
		}}}
	}
	mapOf := func(text string) *pipelinev1.Block {
		return &pipelinev1.Block{Block: &pipelinev1.Block_Map{Map: &pipelinev1.Map{Language: jmes, Text: text}}}
	}
	tests := []struct {
		name   string
		blocks []*pipelinev1.Block
		field  string
		want   bool
	}{
		{"from missing", []*pipelinev1.Block{addOf("x", "concat([site, serial])")}, "x", true},
		{"from present", []*pipelinev1.Block{addOf("x", "concat(['P', serial])")}, "x", false},
		{"literal", []*pipelinev1.Block{addOf("x", "'P'")}, "x", false},
		{"missing but not used", []*pipelinev1.Block{addOf("x", "serial || site")}, "x", false},
		{"the whole record", []*pipelinev1.Block{addOf("x", "hash(@)")}, "x", true},
		{"of a doubtful field", []*pipelinev1.Block{addOf("x", "concat([site])"), addOf("y", "upper(x)")}, "y", true},
		{"renamed", []*pipelinev1.Block{addOf("x", "concat([site])"), rename("x", "y.z")}, "y.z", true},
		{"renamed parent", []*pipelinev1.Block{addOf("x.a", "concat([site])"), rename("x", "y")}, "y.a", true},
		{"old name after rename", []*pipelinev1.Block{addOf("x", "concat([site])"), rename("x", "y"), addOf("x", "'k'")}, "x", false},
		{"overwritten", []*pipelinev1.Block{addOf("x", "concat([site])"), addOf("x", "serial")}, "x", false},
		{"mapped", []*pipelinev1.Block{mapOf("{x: concat([site]), y: serial}")}, "x", true},
		{"mapped from present", []*pipelinev1.Block{mapOf("{x: concat([site]), y: serial}")}, "y", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			run := &expression.Runner{}
			rec := &Record{Root: map[string]any{"serial": "1"}, Deleted: true}
			if kept, err := chainOf(t, false, test.blocks...).Apply(run, rec); !kept || err != nil {
				t.Fatalf("kept %v: %v", kept, err)
			}
			p, err := path.Parse(test.field)
			if err != nil {
				t.Fatal(err)
			}
			if got := rec.Doubtful(p); got != test.want {
				t.Errorf("doubtful %v in %s", got, record.Encode(any(rec.Root)))
			}
		})
	}
}

// drawCondition draws a condition of comparisons of the fields a to c with the values x and y.
func drawCondition(t *rapid.T, language pipelinev1.Language, depth int) string {
	and, or, not, differs := " && ", " || ", "!", "!="
	if language == sql {
		and, or, not, differs = " AND ", " OR ", "NOT ", "<>"
	}
	switch choice := rapid.IntRange(0, 9).Draw(t, "node"); {
	case depth > 0 && choice < 4:
		return drawCondition(t, language, depth-1) + and + drawCondition(t, language, depth-1)
	case depth > 0 && choice < 6:
		return "(" + drawCondition(t, language, depth-1) + or + drawCondition(t, language, depth-1) + ")"
	case depth > 0 && choice < 7:
		return drawCondition(t, language, depth-1) + or + drawCondition(t, language, depth-1)
	case depth > 0 && choice < 8:
		return not + "(" + drawCondition(t, language, depth-1) + ")"
	}
	operator := rapid.SampledFrom([]string{differs, "=="}).Draw(t, "operator")
	return fmt.Sprintf("%s %s '%s'", rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "field"), operator,
		rapid.SampledFrom([]string{"x", "y"}).Draw(t, "value"))
}

// TestFilterNeverGuesses: if a filter drops a delete that lacks fields, then no values of those fields would have made
// it keep the record (design D8).
func TestFilterNeverGuesses(t *testing.T) {
	run := &expression.Runner{}
	defer func() {
		if err := run.Close(); err != nil {
			t.Error(err)
		}
	}()
	dropped := 0
	rapid.Check(t, func(t *rapid.T) {
		language := rapid.SampledFrom([]pipelinev1.Language{jmes, sql}).Draw(t, "language")
		chain := chainOf(t, false, filterOf(language, drawCondition(t, language, 3)))
		known := map[string]any{}
		var missing []string
		for _, name := range []string{"a", "b", "c"} {
			if rapid.Bool().Draw(t, name) {
				known[name] = rapid.SampledFrom([]string{"x", "y", "z"}).Draw(t, "known")
			} else {
				missing = append(missing, name)
			}
		}
		kept, err := chain.Apply(run, &Record{Root: known, Deleted: true})
		if err != nil {
			t.Fatal(err)
		}
		if kept {
			return
		}
		dropped++
		for _, values := range combinations(len(missing)) {
			root := record.Clone(any(known)).(map[string]any)
			for i, name := range missing {
				root[name] = values[i]
			}
			if kept, err := chain.Apply(run, &Record{Root: root}); kept || err != nil {
				t.Fatalf("dropped, but kept with %v: %v", root, err)
			}
		}
	})
	if dropped == 0 {
		t.Error("no delete was ever dropped: the property says nothing")
	}
}

// combinations are all ways to give n fields one of three values.
func combinations(n int) [][]string {
	if n == 0 {
		return [][]string{nil}
	}
	var out [][]string
	for _, rest := range combinations(n - 1) {
		for _, value := range []string{"x", "y", "z"} {
			out = append(out, append([]string{value}, rest...))
		}
	}
	return out
}

// TestGuessSurvivesErrors: a probe that fails proves nothing, and one that cannot be placed means doubt.
func TestGuessSurvivesErrors(t *testing.T) {
	run := &expression.Runner{}
	for text, want := range map[string]bool{
		"upper(site)":                 true,  // fails for the number, differs for the text
		"to_number(site) || `5`":      true,  // the number differs
		"not_null(serial, site)":      false, // never looks
		"serial.deep.er || 'default'": true,  // cannot be set below a text
		"abs(site)":                   true,
	} {
		e, err := expression.Compile(&pipelinev1.Expression{Language: jmes, Text: text}, true)
		if err != nil {
			t.Fatal(err)
		}
		rec := &Record{Root: map[string]any{"serial": "1"}, Deleted: true}
		value, err := run.Evaluate(e, rec.Env(false, ""), rec.Root)
		if err != nil {
			value = nil
		}
		if got := rec.Guess(run, e, rec.Env(false, ""), value); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}

// TestEnv: draws of one change differ by place and agree between attempts (design D5).
func TestEnv(t *testing.T) {
	rec := &Record{Seed: func() string { return "change" }}
	a, b, again := rec.Env(true, "x"), rec.Env(true, "y"), rec.Env(true, "x")
	if a.Seed == b.Seed || a != again || !strings.Contains(a.Seed, "change") || rec.Env(false, "x").Seed != "" {
		t.Errorf("seeds %q, %q, %q", a.Seed, b.Seed, again.Seed)
	}
}
