package jmespath

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dlclark/regexp2"
	"go.uber.org/goleak"

	"slipstream/transformer/eval"
	"slipstream/transformer/record"
)

func TestMain(m *testing.M) {
	// The engine of regular expressions keeps a clock running for a while.
	goleak.VerifyTestMain(m, goleak.Cleanup(func(int) { regexp2.StopTimeoutClock() }))
}

func decode(t testing.TB, text string) any {
	t.Helper()
	value, err := record.Decode([]byte(text))
	if err != nil {
		t.Fatalf("decoding %s: %v", text, err)
	}
	return value
}

var world = eval.Env{Seed: "1767225600000-0 job block", Now: time.Date(2026, 1, 11, 12, 0, 0, 500e6, time.UTC)}

type example struct {
	name, expression, given string
	want                    string // JSON, or the part of an error after "error: "
}

// run evaluates examples, or compiles those that cannot be compiled.
func run(t *testing.T, section string, examples []example) {
	t.Helper()
	for _, tt := range examples {
		t.Run(section+": "+tt.name, func(t *testing.T) {
			given := tt.given
			if given == "" {
				given = "{}"
			}
			value := decode(t, given)
			var result any
			compiled, err := Compile(tt.expression)
			if err == nil {
				result, err = compiled.Evaluate(world, value)
			}
			if text, fails := strings.CutPrefix(tt.want, "error: "); fails {
				if err == nil || !strings.Contains(err.Error(), text) {
					t.Fatalf("%s says %v (%s), want %s", tt.expression, err, record.Encode(result), text)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := string(record.Encode(result)); got != tt.want {
				t.Errorf("%s is %s, want %s", tt.expression, got, tt.want)
			}
			if after := string(record.Encode(value)); after != string(record.Encode(decode(t, given))) {
				t.Errorf("%s changed the record to %s", tt.expression, after)
			}
		})
	}
}

func TestLanguage(t *testing.T) {
	const pump = `{"serial":"P-77","psi":"41","n":1.0,"big":12345678901234567890,"zero":0,"empty":"","m":{"b":2,"a":1},` +
		`"parts":[{"sku":"A","qty":2},{"sku":"B","qty":0},{"sku":"C"}],"odd-name":{"x y":7},"rows":[[1],[2,3],4],"nothing":null}`
	run(t, "spec 6.1", []example{
		{"missing member", "a.b.c", pump, "null"},
		{"source text of numbers", "[n, big]", pump, "[1.0,12345678901234567890]"},
		{"source text of literals", "`[1.10, 12345678901234567890123]`", "", "[1.10,12345678901234567890123]"},
		{"raw string", `'it\'s \d'`, "", `"it's \\d"`},
		{"unquoted backtick string", "`pumps:events`", "", `"pumps:events"`},
		{"quoted backtick string", "`\"name\"`", "", `"name"`},
		{"escaped backtick", "`a\\`b`", "", "\"a`b\""},
		{"backtick string keeps what is no escape", "`a\\d`", "", `"a\\d"`},
		{"empty literal", "``", "", `""`},
		{"quoted identifier", `"odd-name"."x y"`, pump, "7"},
		{"zero is true inside", "zero || 'no'", pump, "0"},
		{"false values", "[empty || 'x', nothing || 'x', `[]` || 'x', `{}` || 'x', `false` || 'x']", pump, `["x","x","x","x","x"]`},
		{"and", "[zero && 'x', empty && 'x']", pump, `["x",""]`},
		{"not", "[!zero, !empty]", pump, "[false,true]"},
		{"number is no string", "psi == `41`", pump, "false"},
		{"numbers equal by value", "n == `1` && n == `1.00` && n != `1.01`", pump, "true"},
		{"equality is exact", "big == `12345678901234567891`", pump, "false"},
		{"deep equality", "m == `{\"a\": 1.0, \"b\": 2}`", pump, "true"},
		{"order of a string and a number is null", "psi > `40`", pump, "null"},
		{"order of null is null", "missing > `40`", pump, "null"},
		{"order of numbers", "[n < `2`, n <= `1`, n > `1`, n >= `1.0`]", pump, "[true,true,false,true]"},
		{"order of strings", "serial > 'P-8'", pump, "false"},
		{"filter with zero", "parts[?qty > `0`].sku", pump, `["A"]`},
		{"filter by existence", "parts[?qty].sku", pump, `["A","B"]`},
		{"projection drops null", "parts[*].qty", pump, "[2,0]"},
		{"flatten", "rows[]", pump, "[1,2,3,4]"},
		{"values in name order", "m.*", pump, "[1,2]"},
		{"slices", "[rows[::-1], rows[1:], rows[-1:], rows[:9:2]]", pump, "[[4,[2,3],[1]],[[2,3],4],[4],[[1],4]]"},
		{"index", "[rows[0][0], rows[-1], rows[9], serial[0]]", pump, "[1,4,null,null]"},
		{"strings are no lists", "serial[0:2]", pump, "null"},
		{"pipe stops a projection", "parts[*].qty | [0]", pump, "2"},
		{
			"selection", "{s: serial, parts: parts[].{k: sku, \"q-ty\": qty}}", pump,
			`{"parts":[{"k":"A","q-ty":2},{"k":"B","q-ty":0},{"k":"C","q-ty":null}],"s":"P-77"}`,
		},
		{"selection on null", "missing.{a: b}", pump, "null"},
		{"null is kept in a selection", "{a: missing}", pump, `{"a":null}`},
		{"opcode fallback", "opcode == 'd' && before.serial || after.serial", `{"opcode":"d","before":{"serial":"old"}}`, `"old"`},
		{"split of the key", "split(key.key, ':')[1]", `{"key":{"key":"pump:P-77"}}`, `"P-77"`},
		{"key habits", "[keys(key)[0], values(key)[0]]", `{"key":{"key":"pump:P-77"}}`, `["key","pump:P-77"]`},
		{"function on a member", "m.values(@)", pump, "[1,2]"},
		{"nulls from entries", "from_entries(to_entries(m)[].{key: key, value: `null`})", pump, `{"a":null,"b":null}`},
	})
}

func TestCompileErrors(t *testing.T) {
	run(t, "spec 3.7", []example{
		{"A12: comma between pairs", "{sku: p.sku qty: p.qty}", "", "error: a comma is missing before the key qty at offset 12: write {a: x, b: y}"},
		{"A12: nested", "parts[].{a: x, \"b\": y \"c\": z}", "", "error: a comma is missing before the key \"c\""},
		{"comma between arguments", "replace(a 'b', 'c')", "", "error: a comma or an operator is missing before the argument 'b'"},
		{"comma between elements", "[a b]", "", "error: a comma or an operator is missing before the element b"},
		{"comma too many", "upper(a,)", "", "error: the comma at offset 7 has nothing after it"},
		{"operator", "a b", "", "error: an operator is missing before b"},
		{"unknown function", "uppr(serial)", "", "error: there is no function uppr(); did you mean upper()?"},
		{"unknown function deep inside", "a[?telephone(b)].c", "", "error: there is no function telephone()"},
		{"too few arguments", "replace(a, 'b')", "", "error: replace() takes 3 arguments, not 2"},
		{"too many arguments", "uuid(a)", "", "error: uuid() takes 0 arguments, not 1"},
		{"optional argument", "split(a, 'b', 'c')", "", "error: split() takes 1 to 2 arguments, not 3"},
		{"variadic argument", "merge()", "", "error: merge() takes at least 1 arguments, not 0"},
		{"literal of a wrong type", "upper(`5`)", "", "error: upper(): argument 1 is 5 (number); it accepts null, string"},
		{"expression reference missing", "sort_by(a, b)", "", "error: sort_by(): argument 2 must be an &expression"},
		{"expression reference too many", "upper(&a)", "", "error: argument 1 must not be an &expression"},
		{"expression reference alone", "&a", "", "error: &expression may only be an argument"},
		{"number without backticks", "psi > 40", "", "error: the number 40 at offset 6 must be written between backticks (`40`)"},
		{"minus in a name", "odd-name", "", "error: JMESPath has no arithmetic"},
		{"single equals sign", "a = b", "", "error: the = at offset 2 must be =="},
		{"dollar", "$.a", "", "error: the record itself is written @"},
		{"literal that is nearly JSON", "`{\"a\": 1`", "", "error: is not JSON"},
		{"unclosed string", "'abc", "", "error: the ' at offset 0 is not closed"},
		{"unclosed bracket", "a[0", "", "error: expected ], received: the end (at offset 3)"},
		{"unclosed brace", "{a: b", "", "error: expected a quoted name or a name (at offset 5)"},
		{"empty", "", "", "error: compiling JMESPath"},
		{"slice without a step", "a[::0]", "", "error: the step of a slice cannot be 0"},
		{"algorithm", "hash(a, 'sha5')", "", "error: unknown algorithm \"sha5\"; known are blake2b,"},
		{"pattern", "regex_replace(a, '(', '')", "", "error: compiling regular expression"},
		{"template", `regex_replace(a, 'b', '\1')`, "", "error: there is no group 1"},
		{"separator", "split(a, '')", "", "error: the separator is empty"},
		{"predicate", "filter_entries(@, 'uppr(key)')", "", "error: there is no function uppr()"},
		{"long", strings.Repeat("a", lengthLimit+1), "", "error: longer than"},
	})
}

func TestErrorOffsetsPointIntoTheOriginal(t *testing.T) {
	_, err := Compile("'a long literal' == 'another' ]")
	if err == nil || !strings.Contains(err.Error(), "(at offset 30)") {
		t.Errorf("got %v", err)
	}
}

func TestNullText(t *testing.T) {
	compiled, err := Compile("concat([a, 'x', map(&concat(@), `[[null]]`)[0]])", NullText(""))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := compiled.Evaluate(world, map[string]any{}); err != nil || got != "x" {
		t.Errorf("spec 6.2: got %v, %v", got, err)
	}
}

func TestRootAlias(t *testing.T) {
	partial, full := `{"psi":"41","l":[{"after":"inner"},{}]}`, `{"after":{"psi":"42","l":[]}}`
	for _, tt := range []struct{ expression, given, want string }{
		{"after.psi", partial, `"41"`},
		{"after.psi", full, `"42"`},
		{"@.after.psi", partial, `"41"`},
		{"upper(after.psi)", partial, `"41"`},
		{"{a: after.psi}", partial, `{"a":"41"}`},
		{"after.psi || 'x'", partial, `"41"`},
		{"after.l[].after", partial, `["inner"]`},
		{"after.l[?after].after", partial, `["inner"]`},
		{"l | after", partial, `null`},
	} {
		compiled, err := Compile(tt.expression, RootAlias("after"))
		if err != nil {
			t.Fatal(err)
		}
		got, err := compiled.Evaluate(world, decode(t, tt.given))
		if err != nil || string(record.Encode(got)) != tt.want {
			t.Errorf("spec A3: %s on %s is %s, %v, want %s", tt.expression, tt.given, record.Encode(got), err, tt.want)
		}
	}
}

func TestReferences(t *testing.T) {
	for expression, want := range map[string]string{
		"psi":                   "psi",
		"a.b.c":                 "a.b.c",
		`"a.b".c`:               `a\.b.c`,
		"upper(a.b) == c && !d": "a.b c d",
		"parts[?qty > `0`].sku": "parts",
		"a.{x: b.c, y: [d.e, b.f], z: g}.x || a.h": "a.b.c a.b.f a.d.e a.g a.h",
		"after.{a: x, b: y.z}":                     "after.x after.y.z",
		"concat([a, b]) | upper(@)":                "a b",
		"sort_by(list, &name)[0].x":                "list",
		"a.b || a.b":                               "a.b",
		"opcode == 'd' && before.s || after.[t]":   "after.t before.s opcode",
	} {
		compiled, err := Compile(expression)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, p := range compiled.References() {
			got = append(got, p.String())
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s refers to %q, want %s", expression, got, want)
		}
	}
	for _, expression := range []string{"@", "to_string(@)", "*", "[*]"} {
		compiled, err := Compile(expression)
		if err != nil {
			t.Fatal(err)
		}
		if got := compiled.References(); len(got) != 1 || len(got[0]) != 0 {
			t.Errorf("%s refers to %q, want the root", expression, got)
		}
	}
}

func TestLiteralsAreNotShared(t *testing.T) {
	compiled, err := Compile("`{\"a\": []}`")
	if err != nil {
		t.Fatal(err)
	}
	first, err := compiled.Evaluate(world, nil)
	if err != nil {
		t.Fatal(err)
	}
	first.(map[string]any)["a"] = "changed"
	if second, err := compiled.Evaluate(world, nil); err != nil || string(record.Encode(second)) != `{"a":[]}` {
		t.Errorf("the literal is %s, %v now", record.Encode(second), err)
	}
}

func TestConcurrentUse(t *testing.T) {
	compiled, err := Compile("regex_replace(s, concat(['[', c, ']']), '-')")
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			for j := range 300 {
				c := string(rune('a' + (i+j)%26))
				got, err := compiled.Evaluate(world, map[string]any{"s": "x" + c + "1", "c": c})
				if want := strings.ReplaceAll("x"+c+"1", c, "-"); err != nil || got != want {
					t.Errorf("got %v, %v, want %s", got, err, want)
					return
				}
			}
		})
	}
	group.Wait()
}

// The recursions over an expression must end, whatever it is.
func TestDeepExpressions(t *testing.T) {
	const n = 8000
	for name, text := range map[string]string{
		"parentheses": strings.Repeat("(", n) + "a" + strings.Repeat(")", n),
		"open":        strings.Repeat("(", 2*n),
		"not":         strings.Repeat("!", 2*n) + "a",
		"path":        strings.Repeat("a.", n) + "a",
		"lists":       strings.Repeat("[", n) + "a" + strings.Repeat("]", n),
		"projections": "a" + strings.Repeat("[]", n),
		"or":          strings.Repeat("a||", n/2) + "a",
	} {
		t.Run(name, func(t *testing.T) {
			compiled, err := Compile(text)
			if name == "open" {
				if err == nil {
					t.Fatal("it compiles")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if _, err := compiled.Evaluate(world, map[string]any{}); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestFunctionsListsAll(t *testing.T) {
	names := Functions()
	for _, name := range strings.Fields(`abs avg ceil contains ends_with floor join keys length map max max_by merge min min_by
		not_null reverse sort sort_by starts_with sum to_array to_number to_string type values base64_decode capitalize concat
		filter_entries from_entries hash in json_parse parse_json left right lower upper mid regex_replace replace split
		time_delta_days time_delta_seconds to_entries uuid xml_to_dict`) {
		if !slices.Contains(names, name) {
			t.Errorf("spec 6.1, 6.2: %s is missing", name)
		}
	}
}

func FuzzCompile(f *testing.F) {
	for _, seed := range []string{
		"a.b[0] || `x`", "{a: b c: d}", "sort_by(@, &a)[?b > `1`] | [::2].*", `"q"."r" == 'it\'s'`, "a[1:2:3]", "[*].[a,b]", "f(&", "-1", "let $x = a in b",
		"filter_entries(@, `!starts_with(key, 'dbg_')`)", "regex_replace(a, '(?P<x>.)', '\\g<x>')",
	} {
		f.Add(seed, `{"a":[1,{"b":"x"},[2]],"b":{"a":null}}`)
	}
	f.Fuzz(func(t *testing.T, expression, document string) {
		compiled, err := Compile(expression)
		if err != nil {
			return
		}
		value, err := record.Decode([]byte(document))
		if err != nil {
			return
		}
		before := record.Clone(value)
		first, err := compiled.Evaluate(world, value)
		if !record.Equal(before, value) {
			t.Fatalf("%s changed the record", expression)
		}
		if err != nil {
			return
		}
		if second, err := compiled.Evaluate(world, value); err != nil || !record.Equal(first, second) {
			t.Fatalf("%s gave %s, then %s (%v)", expression, record.Encode(first), record.Encode(second), err)
		}
	})
}

func BenchmarkEvaluate(b *testing.B) {
	value := decode(b, `{"serial":"P-77","psi":"41","site":"north","bay":"B2","parts":[{"sku":"A","qty":2},{"sku":"B","qty":0}]}`)
	for name, expression := range map[string]string{
		"field":      "serial",
		"filter":     "site == 'north' && to_number(psi) > `40`",
		"concat":     "concat([upper(site), '/', bay])",
		"projection": "parts[?qty > `0`].sku",
		"map":        "{serial: serial, site: site, psi: to_number(psi), bay: bay}",
		"regex":      "regex_replace(serial, '[0-9]+', '#')",
	} {
		compiled, err := Compile(expression)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := compiled.Evaluate(world, value); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkCompile(b *testing.B) {
	for b.Loop() {
		if _, err := Compile("concat([upper(site), '/', bay])"); err != nil {
			b.Fatal(err)
		}
	}
}
