package sqlexpr

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"slipstream/transformer/record"
)

func TestStatementOfSeveral(t *testing.T) {
	evaluator := newEvaluator(t)
	root := decode(t, pump)
	statement, err := evaluator.Prepare(compileAll(t, "serial", "CAST(psi AS REAL) * 2", "'x'", "upper(serial) || psi", "missing", "date('now')")...)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := statement.Close(); err != nil {
			t.Error(err)
		}
	}()
	results := make([]any, 6)
	for range 3 {
		if err := statement.Evaluate(world, root, results); err != nil {
			t.Fatal(err)
		}
		if got := string(record.Encode(results)); got != `["P-77",82.0,"x","P-7741",null,"2026-01-02"]` {
			t.Errorf("spec 4.6: got %s", got)
		}
	}
	// The fields of one record must not show up in the next.
	if err := statement.Evaluate(world, map[string]any{}, results); err != nil {
		t.Fatal(err)
	}
	if got := string(record.Encode(results)); got != `[null,null,"x",null,null,"2026-01-02"]` {
		t.Errorf("an empty record gives %s", got)
	}
	if len(statement.parameters) != 3 {
		t.Errorf("equal parameters are not shared: %d", len(statement.parameters))
	}
}

func TestStatementNamesWhatFails(t *testing.T) {
	evaluator := newEvaluator(t)
	statement, err := evaluator.Prepare(compileAll(t, "psi", "json_extract(serial, '$')", "count + 1", "abs(-9223372036854775808)")...)
	if err != nil {
		t.Fatal(err)
	}
	results := make([]any, 4)
	for range 2 {
		err = statement.Evaluate(world, decode(t, pump), results)
		var failure *Error
		if !errors.As(err, &failure) || failure.Index != 1 || failure.Expression != "json_extract(serial, '$')" {
			t.Fatalf("got %v", err)
		}
		if !strings.Contains(err.Error(), "integer overflow") {
			t.Errorf("the second failure is missing: %v", err)
		}
		if got := string(record.Encode(results)); got != `["41",null,8,null]` {
			t.Errorf("spec 4.1: the others are %s", got)
		}
	}
	// The next record is none the worse for it.
	one, err := evaluator.Prepare(compileAll(t, "json_extract(j, '$.a')")...)
	if err != nil {
		t.Fatal(err)
	}
	var result [1]any
	if err := one.Evaluate(world, map[string]any{"j": "no"}, result[:]); err == nil || result[0] != nil {
		t.Fatalf("got %v", result)
	}
	if err := one.Evaluate(world, map[string]any{"j": `{"a":"b"}`}, result[:]); err != nil || result[0] != "b" {
		t.Fatalf("got %v, %v", result, err)
	}
	if err := one.Evaluate(world, nil, nil); err == nil {
		t.Error("too few results are accepted")
	}
	for _, s := range []*Statement{statement, one} {
		if err := errors.Join(s.Close(), s.Close()); err != nil {
			t.Error(err)
		}
	}
	if err := one.Evaluate(world, nil, result[:]); err == nil {
		t.Error("a closed statement evaluates")
	}
}

func TestEvaluatorIsClosedOnce(t *testing.T) {
	evaluator, err := NewEvaluator()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := evaluator.Evaluate(world, compileAll(t, "1 + 1")[0], nil); err != nil {
		t.Fatal(err)
	}
	statement, err := evaluator.Prepare(compileAll(t, "2 + 2")...)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(evaluator.Close(), evaluator.Close(), statement.Close()); err != nil {
		t.Error(err)
	}
	if err := statement.Evaluate(world, nil, make([]any, 1)); !errors.Is(err, errClosed) {
		t.Errorf("got %v", err)
	}
	if _, err := evaluator.Prepare(compileAll(t, "1 + 1")...); !errors.Is(err, errClosed) {
		t.Errorf("got %v", err)
	}
}

func TestEvaluateKeepsAFewStatements(t *testing.T) {
	evaluator := newEvaluator(t)
	for i := range singleLimit + 10 {
		got, err := evaluator.Evaluate(world, compileAll(t, fmt.Sprintf("%d + 0", i))[0], nil)
		if err != nil || got != record.Integer(int64(i)) {
			t.Fatalf("got %v, %v", got, err)
		}
	}
	if n := len(evaluator.singles); n > singleLimit {
		t.Errorf("%d statements are kept", n)
	}
}

func TestRootAlias(t *testing.T) {
	evaluator := newEvaluator(t)
	partial, full := decode(t, `{"psi":"41"}`), decode(t, `{"after":{"psi":"42"},"psi":"no"}`)
	for _, text := range []string{"`after.psi`", "`after.psi` || ''"} {
		expression, err := Compile(text, RootAlias("after"))
		if err != nil {
			t.Fatal(err)
		}
		for want, root := range map[string]any{"41": partial, "42": full} {
			if got, err := evaluator.Evaluate(world, expression, root); err != nil || got != want {
				t.Errorf("spec A3: %s is %v, %v, want %s", text, got, err, want)
			}
		}
	}
}

func TestReferences(t *testing.T) {
	for text, want := range map[string]string{
		"psi": "psi", "`location.bay` || serial || serial": "location.bay serial", "'x'": "", "date(created, 'now')": "created",
		"CAST(psi AS REAL) COLLATE nocase": "psi", "`a\\.b`": `a\.b`, "CASE WHEN a THEN b ELSE c END": "a b c",
	} {
		var got []string
		for _, p := range compileAll(t, text)[0].References() {
			got = append(got, p.String())
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s refers to %q, want %s", text, got, want)
		}
	}
}

// What is too deep for SQLite must be an error, not the end of the process.
func TestDeepExpressions(t *testing.T) {
	const n = 20000
	for name, text := range map[string]string{
		"parentheses": strings.Repeat("(", n) + "a" + strings.Repeat(")", n), "not": strings.Repeat("NOT ", n/2) + "a",
		"sum": strings.Repeat("a+", n) + "a", "calls": strings.Repeat("abs(", n/2) + "a" + strings.Repeat(")", n/2),
	} {
		if _, err := Compile(text); err == nil {
			t.Errorf("%s compile", name)
		}
	}
}

// What bypasses SQLite must be what SQLite gives.
func TestFastPathEqualsSQLite(t *testing.T) {
	evaluator := newEvaluator(t)
	fast, slow := compileAll(t, "f")[0], compileAll(t, "+f")[0] // a plus changes nothing in SQLite
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.OneOf(
			rapid.Just[any](nil), rapid.Bool().AsAny(), rapid.String().AsAny(),
			rapid.Map(rapid.Int64(), func(n int64) any { return record.Integer(n) }),
			rapid.Map(rapid.Float64(), func(f float64) any { n, _ := record.Float(f); return n }),
			rapid.SliceOfN(rapid.String(), 0, 3).AsAny(),
		).Draw(t, "value")
		if list, ok := value.([]string); ok {
			elements := []any{}
			for _, element := range list {
				elements = append(elements, element)
			}
			value = elements
		}
		root := map[string]any{"f": value}
		a, err := evaluator.Evaluate(world, fast, root)
		if err != nil {
			t.Fatal(err)
		}
		b, err := evaluator.Evaluate(world, slow, root)
		if err != nil {
			t.Fatal(err)
		}
		if !record.Equal(a, b) {
			t.Fatalf("%v is %v fast and %v slow", value, a, b)
		}
	})
}

func FuzzCompile(f *testing.F) {
	for _, seed := range []string{
		"CAST(psi AS REAL) > 1", "`a.b` || 'it''s'", "date('now', '+1 day')", "CASE WHEN a THEN b END", "a NOT IN (1, 2)", "x'61' -- c",
		"strftime('%Y')", "a REGEXP '['", "(((1", "1e5.2", "a.b", "unixepoch('subsec')", "min(1", "a COLLATE b", "cast(a as b(1,2))",
	} {
		f.Add(seed)
	}
	evaluator := newEvaluator(f)
	root := decode(f, pump)
	f.Fuzz(func(t *testing.T, text string) {
		compiled, err := Compile(text)
		if err != nil {
			return
		}
		first, err := evaluator.Evaluate(world, compiled, root)
		if err != nil {
			return
		}
		if second, err := evaluator.Evaluate(world, compiled, root); err != nil || !record.Equal(first, second) {
			t.Fatalf("%q gave %v, then %v (%v)", text, first, second, err)
		}
	})
}

func BenchmarkEvaluate(b *testing.B) {
	evaluator := newEvaluator(b)
	root := decode(b, pump)
	for name, texts := range map[string][]string{
		"field":     {"serial"},
		"filter":    {"CAST(psi AS REAL) BETWEEN 1 AND 250"},
		"concat":    {"upper(serial) || '/' || `location.bay`"},
		"regexp":    {"serial REGEXP '^P-[0-9]+$'"},
		"map of 10": {"serial", "psi", "count", "CAST(psi AS REAL)", "upper(serial)", "`location.bay`", "price * count", "'x'", "yes", "count + 1"},
	} {
		statement, err := evaluator.Prepare(compileAll(b, texts...)...)
		if err != nil {
			b.Fatal(err)
		}
		results := make([]any, len(texts))
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := statement.Evaluate(world, root, results); err != nil {
					b.Fatal(err)
				}
			}
		})
		if err := statement.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCompile(b *testing.B) {
	for b.Loop() {
		if _, err := Compile("upper(serial) || '/' || `location.bay`"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkNewEvaluator(b *testing.B) {
	for b.Loop() {
		evaluator, err := NewEvaluator()
		if err != nil {
			b.Fatal(err)
		}
		if err := evaluator.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
