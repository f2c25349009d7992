package sqlexpr

import (
	"strings"
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

var world = eval.Env{Seed: "1767225600000-0 job block", Now: time.Date(2026, 1, 2, 5, 4, 5, 678e6, time.FixedZone("two hours east", 2*60*60))}

const pump = `{"serial":"P-77","psi":"41","n":1.0,"price":12.10,"count":7,"big":12345678901234567890,"yes":true,"no":false,` +
	`"location":{"bay":"B2","fw.rev":"1.2","none":null},"list":[{"n":3},"x"],"null":"a field","created":"now","end":5,"like":"l",` +
	`"date":"2024-02-30","odd name":"o","schön":"s","empty":"","nothing":null,"order":1,"binary":"a\u0000b"}`

func decode(t testing.TB, text string) any {
	t.Helper()
	value, err := record.Decode([]byte(text))
	if err != nil {
		t.Fatalf("decoding %s: %v", text, err)
	}
	return value
}

func newEvaluator(t testing.TB) *Evaluator {
	t.Helper()
	evaluator, err := NewEvaluator()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := evaluator.Close(); err != nil {
			t.Error(err)
		}
	})
	return evaluator
}

func compileAll(t testing.TB, texts ...string) []*Expression {
	t.Helper()
	out := make([]*Expression, len(texts))
	for i, text := range texts {
		var err error
		if out[i], err = Compile(text); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

type example struct {
	name, expression string
	want             string // JSON, or the part of an error after "error: "
}

// run evaluates examples on the pump.
func run(t *testing.T, section string, examples []example) {
	t.Helper()
	evaluator := newEvaluator(t)
	root := decode(t, pump)
	for _, tt := range examples {
		t.Run(section+": "+tt.name, func(t *testing.T) {
			var result any
			compiled, err := Compile(tt.expression)
			if err == nil {
				result, err = evaluator.Evaluate(world, compiled, root)
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
		})
	}
}

func TestFields(t *testing.T) {
	run(t, "spec 6.3", []example{
		{"bare", "serial || ''", `"P-77"`},
		{"case-sensitive", "SERIAL || ''", `null`},
		{"keywords are not", "Case when serial Is not Null then 'y' end", `"y"`},
		{"nested in backticks", "`location.bay` || ''", `"B2"`},
		{"nested in double quotes", `"location.bay" || ''`, `"B2"`},
		{"dot in a name", "`location.fw\\.rev` || ''", `"1.2"`},
		{"odd name", "`odd name` || [odd name]", `"oo"`},
		{"letters beyond ASCII", "schön || ''", `"s"`},
		{"missing", "missing IS NULL", `1`},
		{"missing below", "`location.x.y` IS NULL", `1`},
		{"null in the middle", "`location.none.x` IS NULL", `1`},
		{"scalar in the middle", "`serial.x` IS NULL", `1`},
		{"null", "nothing IS NULL", `1`},
		{"words of SQL as names", "`null` || like || end || \"order\" || order", `"a fieldl511"`},
		{"name of a function as a field", "date || ''", `"2024-02-30"`},
		{"dots without quotes", "location.bay", "error: nested fields are written in backticks: `location.bay`"},
		{"three names without quotes", "1 + a.b.c", "error: nested fields are written in backticks: `a.b.c`"},
		{"each name in quotes", "`location`.`bay`", "error: nested fields are written in backticks: `location.bay`"},
		{"empty name", "`a..b` = 1", "error: name 2 is empty"},
	})
}

func TestBinding(t *testing.T) {
	run(t, "spec 6.3", []example{
		{"types", "typeof(serial) || typeof(count) || typeof(price) || typeof(yes) || typeof(nothing) || typeof(list)", `"textintegerrealintegernulltext"`},
		{"booleans", "(yes + 1) || '' || no", `"20"`},
		{"integers beyond 64 bits are REAL", "typeof(big + 0)", `"real"`},
		{"structures are JSON", "json_extract(list, '$[0].n') || (location ->> 'bay')", `"3B2"`},
		{"NUL stays", "length(hex(binary)) || binary", `"6a\u0000b"`},
		{"empty string is not null", "empty IS NULL", `0`},
		{"spec 6.4 trap: text is greater than any number", "psi > 1000", `1`},
		{"cast", "CAST(psi AS REAL) BETWEEN 1 AND 250 AND serial IS NOT NULL", `1`},
	})
}

func TestResults(t *testing.T) {
	run(t, "spec 6.3", []example{
		{"condition", "count = 7", `1`},
		{"integer", "7/2", `3`},
		{"real", "7/2.0", `3.5`},
		{"whole real", "CAST(psi AS REAL)", `41.0`},
		{"large real", "1e300 * 10", `1e+301`},
		{"text", "serial || '!'", `"P-77!"`},
		{"null is contagious", "serial || nothing", `null`},
		{"blob", "unhex('61')", `"YQ=="`},
		{"infinite", "1e308 * 10", "error: the result is not finite"},
		{"no number", "9e999 - 9e999", `null`},
		{"field alone keeps its text", "price", `12.10`},
		{"large number alone", "big", `12345678901234567890`},
		{"boolean alone", "yes", `1`},
		{"structure alone", "`location`", `"{\"bay\":\"B2\",\"fw.rev\":\"1.2\",\"none\":null}"`},
		{"missing alone", "missing", `null`},
		{"literal alone", "'it''s'", `"it's"`},
		{"number alone", "010", `10`},
		{"TRUE alone", "True", `1`},
		{"NULL alone", "null", `null`},
		{"comment", "1 /* one */ + -- two\n 1", `2`},
	})
}

func TestFunctions(t *testing.T) {
	run(t, "spec 6.3", []example{
		{"concat", "concat('a', psi, nothing, 1)", `"a411"`},
		{"concat_ws", "concat_ws('-', 'a', nothing, psi)", `"a-41"`},
		{"CASE", "CASE psi WHEN '41' THEN 'x' ELSE 'y' END", `"x"`},
		{"COALESCE, IFNULL, NULLIF, IIF", "COALESCE(nothing, 'c') || IFNULL(nothing, 'i') || IIF(NULLIF(1, 1) IS NULL, 'n', '')", `"cin"`},
		{"IN", "psi IN ('40', '41') AND psi NOT IN ('42')", `1`},
		{"BETWEEN", "count BETWEEN 7 AND 8 AND count NOT BETWEEN 8 AND 9", `1`},
		{"LIKE", "serial LIKE 'p%' AND serial NOT LIKE 'q%' AND 'a%' LIKE 'a\\%' ESCAPE '\\'", `1`},
		{"GLOB", "serial GLOB 'P*' AND serial NOT GLOB 'p*'", `1`},
		{"IS DISTINCT FROM", "(nothing IS DISTINCT FROM 1) + (nothing IS NOT DISTINCT FROM NULL)", `2`},
		{"REGEXP", "serial REGEXP '^P-(?=7)' AND serial NOT REGEXP 'p' AND (nothing REGEXP 'x') IS NULL", `1`},
		{"REGEXP of a number", "count REGEXP '^7$'", `1`},
		{"REGEXP with a bad pattern", "serial REGEXP '('", "error: compiling regular expression \"(\": missing closing )"},
		{"REGEXP with a bad computed pattern", "serial REGEXP '(' || ''", "error: compiling regular expression"},
		{"COLLATE", "serial = 'p-77' COLLATE NOCASE", `1`},
		{"text", "upper('a') || lower('B') || trim(' c ') || ltrim('d', 'x') || rtrim('e') || substr('fgh', 2, 1) || substring('i', 1) || replace('j', 'j', 'k')", `"Abcdegik"`},
		{
			"more text", "instr('abc', 'c') || length('é') || printf('%03d', 7) || format('%s', 'x') || hex('a') || char(65) || unicode('a') || quote('a') || typeof(1)",
			`"31007x61A97'a'integer"`,
		},
		{"numbers", "abs(-1) + round(2.4) + sign(-2) + min(3, 4) + max(5, 6)", `11.0`},
		{"mathematics", "floor(1.5) + ceil(1.5) + mod(7, 4) + pow(2, 3) + sqrt(16) + trunc(2.9)", `20.0`},
		{"logarithms", "round(ln(exp(1)) + log(100) + log2(8) + log10(10) + log(2, 4), 9)", `9.0`},
		{"angles", "round(sin(0) + cos(0) + degrees(pi()) + radians(180) - pi(), 9)", `181.0`},
		{
			"JSON", "json_array_length(json_array(1, 2)) || json_type(json_object('a', 1)) || json_valid('{}') || json_set('{}', '$.a', 1) || json_remove('{\"a\":1}', '$.a') || json_patch('{}', '{\"b\":2}')",
			`"2object1{\"a\":1}{}{\"b\":2}"`,
		},
		{"arrows", "list -> 0 ->> 'n'", `3`},
		{"CAST to a type with a length", "CAST(psi AS DECIMAL(10, 2)) + 0", `41`},
		{"spec 6.4: days of a month are not checked", "date('2024-02-30')", `"2024-03-01"`},
	})
}

func TestTheClockIsTheEnvironment(t *testing.T) {
	run(t, "design D5", []example{
		{"datetime", "datetime('now')", `"2026-01-02 03:04:05"`},
		{"case", "DateTime('NOW')", `"2026-01-02 03:04:05"`},
		{"modifiers", "datetime('now', '+1 day', 'start of day')", `"2026-01-03 00:00:00"`},
		{"fraction", "datetime('now', 'subsec')", `"2026-01-02 03:04:05.678"`},
		{"no argument", "datetime() || date() || time()", `"2026-01-02 03:04:052026-01-0203:04:05"`},
		{"no argument after a format", "strftime('%Y-%j') || strftime('%H', 'now')", `"2026-00203"`},
		{"seconds", "unixepoch('now') - unixepoch()", `0`},
		{"seconds as such", "unixepoch()", `1767323045`},
		{"subsec alone", "unixepoch('subsec')", `1767323045.678`},
		{"julian day", "round(julianday('now'), 4)", `2461042.6278`},
		{"difference", "timediff('now', '2026-01-01') || timediff('2026-01-03', 'now')", `"+0000-00-01 03:04:05.678+0000-00-00 20:55:54.322"`},
		{"words", "current_timestamp || current_date || CURRENT_TIME", `"2026-01-02 03:04:052026-01-0203:04:05"`},
		{"passed on", "date(coalesce(nothing, ('now'))) || date(CASE WHEN yes THEN 'now' ELSE created END)", `"2026-01-022026-01-02"`},
		{"a field passed on", "date(ifnull(created, serial))", `"2026-01-02"`},
		{"compared, not passed on", "date(CASE created WHEN 'now' THEN '2020-01-01' END)", `"2020-01-01"`},
		{"computed from it", "date(upper('now') || '') = date(upper('now') || '')", `1`},
		{"a field that says now", "date(created)", `"2026-01-02"`},
		{"such a field elsewhere", "upper(created) || date('2026-01-01', nothing)", `null`},
		{"the word as a value", "'now' || upper('now')", `"nowNOW"`},
	})
}

func TestCompileErrors(t *testing.T) {
	run(t, "spec 3.7, 6.3", []example{
		{"empty", "", "error: the expression is empty"},
		{"blank", " -- nothing", "error: the expression is empty"},
		{"sub-select", "(SELECT 1)", "error: sub-selects are not allowed"},
		{"EXISTS", "EXISTS (SELECT 1)", "error: sub-selects are not allowed"},
		{"values", "(VALUES (1))", "error: values() is not available"},
		{"aggregate", "count(*)", "error: count() is an aggregate"},
		{"aggregate by one argument", "max(psi)", "error: max() of one argument is an aggregate"},
		{"JSON aggregate", "json_group_array(psi)", "error: is an aggregate"},
		{"window", "row_number() OVER ()", "error: row_number() is a window function"},
		{"window over a plain function", "upper(psi) OVER ()", "error: window functions and aggregates are not allowed"},
		{"statement", "1; DROP TABLE x", "error: a ; is not allowed"},
		{"two expressions", "psi, serial", "error: a comma stands outside of parentheses"},
		{"two columns by parentheses", "psi), (serial", "error: a ) closes nothing"},
		{"row value", "(1, 2)", "error: row value misused"},
		{"alias", "psi AS p", "error: AS is allowed in CAST only"},
		{"FROM", "psi FROM t", "error: an operator is missing before FROM"},
		{"table after IN", "psi IN t", "error: IN needs its values in parentheses"},
		{"table after NOT IN", "psi NOT IN t", "error: IN needs its values in parentheses"},
		{"parameter", "psi = ?", "error: expressions have no parameters"},
		{"named parameter", "psi = :p", "error: expressions have no parameters"},
		{"unknown function", "uppr(psi)", "error: there is no function uppr(); did you mean upper()?"},
		{"number of arguments", "upper(psi, 1)", "error: wrong number of arguments to function upper()"},
		{"server function", "sqlite_version()", "error: sqlite_version() is not available"},
		{"extension", "load_extension('x')", "error: load_extension() is not available"},
		{"unfinished", "psi +", "error: the expression is incomplete"},
		{"two values", "psi serial", "error: an operator is missing before serial"},
		{"two operators", "psi * * 2", "error: a * stands where a value is expected"},
		{"unclosed parenthesis", "(psi", "error: a ( is not closed"},
		{"unclosed string", "'abc", "error: a ' is not closed"},
		{"unclosed comment", "1 /* x", "error: a comment is not closed"},
		{"unknown collation", "psi = 'x' COLLATE german", "error: no such collation sequence: german"},
		{"foreign character", "psi \\ 2", "error: is not SQL"},
		{"quoted function", "`upper`(psi)", "error: names of functions are not quoted"},
		{"MATCH", "psi MATCH 'x'", "error: MATCH needs a full-text table"},
		{"CASE without END", "CASE WHEN psi THEN 1", "error: the expression is incomplete"},
		{"unfinished in parentheses", "upper(psi ||)", "error: or a part of it in parentheses"},
		{"long", strings.Repeat("1+", expressionLimit/2) + "11", "error: longer than"},
	})
}

func TestEvaluationErrors(t *testing.T) {
	run(t, "spec 4.1", []example{
		{"malformed JSON", "json_extract(serial, '$.a')", "error: evaluating SQL expression \"json_extract(serial, '$.a')\": malformed JSON"},
		{"overflow", "abs(-9223372036854775808)", "error: integer overflow"},
		{"too long a blob", "zeroblob(100000000)", "error: string or blob too big"},
		{"too long a text", "printf('%100000000d', 1)", "error: string or blob too big"},
		{"too many random bytes", "length(randomblob(100000000))", "error: randomblob() asks for too many bytes"},
		{"runaway pattern", "replace(printf('%5000d', 1), ' ', 'a') REGEXP '(a+)+$'", "error: took too long"},
	})
}

func TestDrawnValuesRepeat(t *testing.T) {
	evaluator := newEvaluator(t)
	expression := compileAll(t, "random() || '/' || random() || '/' || hex(randomblob(40))")[0]
	evaluate := func(env eval.Env) string {
		t.Helper()
		got, err := evaluator.Evaluate(env, expression, nil)
		if err != nil {
			t.Fatal(err)
		}
		return got.(string)
	}
	first, again, other := evaluate(world), evaluate(world), evaluate(eval.Env{Seed: "other"})
	if first != again {
		t.Errorf("design D5: a retry gives %s after %s", again, first)
	}
	parts := strings.Split(first, "/")
	if len(parts) != 3 || parts[0] == parts[1] || len(parts[2]) != 80 || first == other {
		t.Errorf("draws are %s and %s", first, other)
	}
}
