package pattern

import (
	"errors"
	"strings"
	"testing"

	"github.com/dlclark/regexp2"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	// The engine keeps a clock running for a while after the last match that has a timeout.
	goleak.VerifyTestMain(m, goleak.Cleanup(func(int) { regexp2.StopTimeoutClock() }))
}

// The expected texts were computed with Python's re.sub.
func TestReplaceAsPython(t *testing.T) {
	for _, tt := range []struct{ name, expression, template, text, want string }{
		{"all matches", `[0-9]+`, `#`, `bay 12 rack 3`, `bay # rack #`},
		{"empty matches", `x*`, `-`, `abxd`, `-a-b--d-`},
		{"groups by number", `(\w+) (\w+)`, `\2 \1`, `north dock`, `dock north`},
		{"named groups keep their number", `(?P<a>\d)(x)(?P<b>\d)`, `\g<b>\2\g<a>\3`, `1x2`, `2x12`},
		{"look-behind", `(?<=P-)\d+`, `#`, `P-77 Q-77`, `P-# Q-77`},
		{"look-ahead", `(?!P)[A-Z]-(?=7)`, `_`, `P-7 Q-7 R-8`, `P-7 _7 R-8`},
		{"group that took no part", `(a)|b`, `[\1]`, `ab`, `[a][]`},
		{"flag", `(?i)PUMP`, `p`, `Pump pUMP`, `p p`},
		{"flag of a group", `(?s:a.b)`, `!`, "a\nb", `!`},
		{"flag that says nothing", `(?u)é`, `e`, `café é`, `cafe e`},
		{"very end", `a\Z`, `x`, "a\na", "a\nx"},
		{"end", `a$`, `x`, "a\na\n", "a\nx\n"},
		{"lines", `(?m)^`, `>`, "a\nb", ">a\n>b"},
		{"bracket in a class", `[[a]`, `.`, `[a]`, `..]`},
		{"closing bracket first in a class", `[]a]`, `.`, `[a]`, `[..`},
		{"subtraction is no such thing", `[a-c-[b]`, `.`, `abc-[]`, `.....]`},
		{"count from nothing", `x{,2}`, `-`, `xxx`, `---`},
		{"back-reference by name", `(?P<q>["'])(.*?)(?P=q)`, `<\2>`, `say "hi" 'yo'`, `say <hi> <yo>`},
		{"back-reference by number", `(.)\1`, `\g<0>\g<0>`, `aabb`, `aaaabbbb`},
		{"condition", `(a)(?(1)b|c)`, `!`, `ab c`, `! c`},
		{"comment", `(?#no)a`, `b`, `a`, `b`},
		{"escapes in the template", `b`, `\\\n`, `abc`, "a\\\nc"},
		{"escape that stays", `a`, `\.`, `a`, `\.`},
		{"octal", `a`, `\101\0`, `a`, "A\x00"},
		{"dollar is itself", `a`, `$1`, `a`, `$1`},
		{"unicode blank", `\s+`, ``, "a \u00a0b", `ab`},
		{"after characters beyond the first plane", `b`, `-`, `😀b😀b`, `😀-😀-`},
		{"nothing found", `z`, `-`, `abc`, `abc`},
	} {
		t.Run("spec 6.2: "+tt.name, func(t *testing.T) {
			compiled, err := Compile(tt.expression)
			if err != nil {
				t.Fatal(err)
			}
			template, err := compiled.Template(tt.template)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := compiled.Replace(tt.text, template); err != nil || got != tt.want {
				t.Errorf("got %q, %v, want %q", got, err, tt.want)
			}
		})
	}
}

func TestCompileRefuses(t *testing.T) {
	for expression, want := range map[string]string{
		`(`:              "missing closing )",
		`a)`:             "unexpected )",
		`[a`:             "class is not closed",
		`*a`:             "missing argument",
		`\`:              "escapes nothing",
		`\p`:             `bad escape \p`,
		`(?P<1a>x)`:      "bad group name",
		`(?P<a>x)(?P<a>`: `two groups are named "a"`,
		`(?P=b)`:         `no group named "b"`,
		`(a)\2`:          "no group 2",
		`(?x) a`:         "unknown extension",
		`(?<n>a)`:        "unknown extension",
		`(?(2)a|b)`:      "no group 2",
	} {
		if _, err := Compile(expression); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Compile(%q) says %v, want %s", expression, err, want)
		}
	}
}

func TestTemplateRefuses(t *testing.T) {
	compiled, err := Compile(`(?P<a>x)`)
	if err != nil {
		t.Fatal(err)
	}
	for template, want := range map[string]string{
		`\2`: "no group 2", `\g<b>`: `no group named "b"`, `\g`: "needs a group", `\g1>`: "needs a group", `\q`: "bad escape", `\`: "escapes nothing",
		`\777`: "greater than",
	} {
		if _, err := compiled.Template(template); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Template(%q) says %v, want %s", template, err, want)
		}
	}
}

func TestMatches(t *testing.T) {
	compiled, err := Compile(`^P-(?=7)`)
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{"P-77": true, "P-8": false, "xP-7": false, "": false} {
		if got, err := compiled.Matches(text); err != nil || got != want {
			t.Errorf("Matches(%q) = %t, %v", text, got, err)
		}
	}
}

func TestARunawayPatternIsStopped(t *testing.T) {
	compiled, err := Compile(`(a+)+$`)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Repeat("a", 5000) + "!"
	if _, err := compiled.Matches(text); !errors.Is(err, ErrBudget) {
		t.Errorf("Matches says %v", err)
	}
	template, err := compiled.Template("x")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := compiled.Replace(text, template); !errors.Is(err, ErrBudget) {
		t.Errorf("Replace says %v", err)
	}
}

func FuzzReplace(f *testing.F) {
	f.Add(`(?P<a>\d)[[a]{,2}`, `\g<a>\1`, "1[a")
	f.Add(`(?(1)a|b)(c)`, `\0`, "bc")
	f.Fuzz(func(t *testing.T, expression, template, text string) {
		compiled, err := Compile(expression)
		if err != nil {
			return
		}
		replacement, err := compiled.Template(template)
		if err != nil {
			return
		}
		if _, err := compiled.Replace(text, replacement); err != nil && !errors.Is(err, ErrBudget) {
			t.Fatal(err)
		}
	})
}
