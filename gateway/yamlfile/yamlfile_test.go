package yamlfile_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"slipstream/gateway/yamlfile"
)

// problems are a file's problems as text, one a line.
func problems(f *yamlfile.File) string {
	var b strings.Builder
	for _, p := range f.Problems() {
		fmt.Fprintf(&b, "%d %s: %s\n", p.GetLine(), p.GetPath(), p.GetMessage())
	}
	return b.String()
}

func TestUnreadable(t *testing.T) {
	cases := map[string]struct{ text, want string }{
		"not UTF-8":      {"a: \xff", "1 : the file is not UTF-8 text\n"},
		"too long":       {strings.Repeat("# a comment\n", 30000), "1 : the file has 360000 bytes\n"},
		"brackets":       {"a: " + strings.Repeat("[", 101), "1 : values are nested more than 100 levels deep\n"},
		"hyphens":        {strings.Repeat("- ", 101) + "a", "1 : values are nested more than 100 levels deep\n"},
		"a tab":          {"a:\n\tb: 1", "2 : YAML syntax: found character '\t' that cannot start any token\n"},
		"two documents":  {"a: 1\n---\nb: 2\n", "3 : a second document begins here\n"},
		"nothing":        {"", ""},
		"comments only":  {"# a\n# b\n", ""},
		"a ruler":        {"# " + strings.Repeat("-", 500) + "\na: 1\n", ""},
		"comment before": {"# c\n---\na: 1\n", ""},
		"an order mark":  {"\ufeffa: 1\n", ""},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			f := yamlfile.Parse("f.yaml", []byte(tc.text))
			if got := problems(f); got != tc.want {
				t.Errorf("problems %q, want %q", got, tc.want)
			}
			for _, p := range f.Problems() {
				if p.GetFile() != "f.yaml" || p.GetFix() == "" {
					t.Errorf("problem without file or fix: %v", p)
				}
			}
			if (f.Errors() > 0) != (tc.want != "") {
				t.Errorf("%d errors", f.Errors())
			}
		})
	}
}

// TestDeepIndentation must end, and say so, whatever the parser makes of it.
func TestDeepIndentation(t *testing.T) {
	var b strings.Builder
	for i := range 400 {
		b.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	v := yamlfile.Parse("f", []byte(b.String())).Root()
	depth := 0
	for {
		m, ok := v.Map()
		if !ok {
			break
		}
		v = m.Take("a")
		depth++
	}
	if depth != 100 {
		t.Errorf("went %d levels deep, want 100", depth)
	}
}

func TestAliases(t *testing.T) {
	t.Run("bomb", func(t *testing.T) {
		var b strings.Builder
		b.WriteString("a0: &a0 [x, x, x, x, x, x, x, x, x]\n")
		for i := 1; i < 9; i++ {
			fmt.Fprintf(&b, "a%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i-1), 9), ", "))
		}
		f := yamlfile.Parse("f", []byte(b.String()))
		if text, ok := f.Root().JSON(); ok || len(text) > 1<<20 {
			t.Errorf("ok %v, %d bytes", ok, len(text))
		}
		if !strings.Contains(problems(f), "aliases unfold more than 1000 times") {
			t.Errorf("problems %q", problems(f))
		}
	})
	t.Run("cycle", func(t *testing.T) {
		f := yamlfile.Parse("f", []byte("a: &a [*a]"))
		if _, ok := f.Root().JSON(); ok || f.Errors() == 0 {
			t.Errorf("ok %v, problems %q", ok, problems(f))
		}
	})
	t.Run("merge", func(t *testing.T) {
		f := yamlfile.Parse("f", []byte("x: &x {a: 1, b: 2}\ny: {<<: *x, b: 3}\n"))
		text, ok := f.Root().JSON()
		if want := `{"x":{"a":1,"b":2},"y":{"b":3,"a":1}}`; !ok || text != want {
			t.Errorf("%s, %v, want %s", text, ok, want)
		}
	})
}

func TestValues(t *testing.T) {
	const text = `text: abc
number: 5
float: 1.5
flag: true
empty: ''
none:
list: [1, 2]
map: {a: 1}
ref: ${env:X}
hex: 0x10
huge: 99999999999999999999
yes: Yes
off: off
quoted: "yes"
`
	read := map[string]func(yamlfile.Value) (any, bool){
		"Text":  func(v yamlfile.Value) (any, bool) { return v.Text() },
		"Whole": func(v yamlfile.Value) (any, bool) { return v.Whole(0, 100) },
		"Bool":  func(v yamlfile.Value) (any, bool) { return v.Bool() },
		"Loose": func(v yamlfile.Value) (any, bool) { return v.Loose() },
		"JSON":  func(v yamlfile.Value) (any, bool) { return v.JSON() },
	}
	cases := []struct {
		key, how string
		want     any
		problem  string
	}{
		{"text", "Text", "abc", ""},
		{"number", "Text", nil, "number must be text, not a number"},
		{"flag", "Text", nil, "flag must be text, not true or false"},
		{"empty", "Text", nil, "empty is empty"},
		{"none", "Text", nil, "none has no value"},
		{"list", "Text", nil, "list must be text, not a list"},
		{"number", "Whole", int64(5), ""},
		{"hex", "Whole", int64(16), ""},
		{"float", "Whole", nil, "float must be a whole number, not a number"},
		{"huge", "Whole", nil, "huge must be a whole number, not text"},
		{"map", "Whole", nil, "map must be a whole number, not a map"},
		{"flag", "Bool", true, ""},
		{"text", "Bool", nil, "text must be true or false, not text"},
		{"yes", "Bool", true, ""},
		{"off", "Bool", false, ""},
		{"quoted", "Bool", nil, "quoted must be true or false, not text"},
		{"yes", "JSON", `"Yes"`, ""},
		{"float", "Loose", "1.5", ""},
		{"empty", "Loose", "", ""},
		{"list", "Loose", nil, "list must be text, a number, or true or false, not a list"},
		{"hex", "JSON", "16", ""},
		{"huge", "JSON", "99999999999999999999", ""},
		{"none", "JSON", "null", ""},
		{"list", "JSON", "[1,2]", ""},
		{"map", "JSON", `{"a":1}`, ""},
		{"ref", "JSON", `"${env:X}"`, ""},
	}
	for _, tc := range cases {
		t.Run(tc.key+" as "+tc.how, func(t *testing.T) {
			f := yamlfile.Parse("f", []byte(text))
			m, ok := f.Root().Map()
			if !ok {
				t.Fatal(problems(f))
			}
			got, ok := read[tc.how](m.Take(tc.key))
			if ok != (tc.problem == "") {
				t.Fatalf("ok %v, problems %q", ok, problems(f))
			}
			if ok && got != tc.want {
				t.Errorf("%v, want %v", got, tc.want)
			}
			if tc.problem != "" && !strings.HasSuffix(problems(f), ": "+tc.problem+"\n") {
				t.Errorf("problems %q, want %q", problems(f), tc.problem)
			}
		})
	}
}

func TestLocate(t *testing.T) {
	const text = `# comment
transform:
  - uses: map
    with:
      expression:
        "odd.name": x
  - uses: filter
    with: {expression: y}
list:
  - - a
    - b
`
	f := yamlfile.Parse("f", []byte(text))
	cases := []struct {
		path string
		line uint32
		has  bool
	}{
		{"", 2, true},
		{"transform", 2, true},
		{"transform[0]", 3, true},
		{"transform[0].with.expression", 5, true},
		{`transform[0].with.expression."odd.name"`, 6, true},
		{"transform[1].with.expression", 8, true},
		{"transform[1].with.language", 8, false},
		{"transform[9].with", 2, false},
		{"transform[x", 2, false},
		{"list[0][1]", 11, true},
		{"gone.deeper", 2, false},
		{`"`, 2, false},
	}
	for _, tc := range cases {
		t.Run(tc.path, func(t *testing.T) {
			if got := f.Locate(tc.path); got != tc.line || f.Has(tc.path) != tc.has {
				t.Errorf("line %d, has %v, want %d, %v", got, f.Has(tc.path), tc.line, tc.has)
			}
		})
	}
	if f.Errors() != 0 || len(f.Problems()) != 0 {
		t.Errorf("looking for lines found problems: %v", f.Problems())
	}
	if got := yamlfile.Parse("f", []byte("a: [")).Locate("a"); got != 0 {
		t.Errorf("line %d in a file that is no YAML, want 0", got)
	}
}

func TestNearest(t *testing.T) {
	words := []string{"key_pattern", "trigger", "exclude_commands", "keys", "json.set"}
	cases := map[string]string{
		"key_patern": "key_pattern", "key-pattern": "key_pattern", "Trigger": "trigger", "triger": "trigger",
		"exclude": "exclude_commands", "kyes": "keys", "json.sets": "json.set", "table": "", "": "", "x": "",
		"trigger_mode": "trigger",
	}
	for word, want := range cases {
		if got, ok := yamlfile.Nearest(word, words); got != want || ok != (want != "") {
			t.Errorf("Nearest(%q) = %q, %v, want %q", word, got, ok, want)
		}
	}
}

func TestJoin(t *testing.T) {
	for _, tc := range []struct{ path, key, want string }{
		{"", "a", "a"},
		{"a", "b", "a.b"},
		{"a[0]", "b.c", `a[0]."b.c"`},
		{"a", `q"`, `a."q\""`},
		{"a", "", `a.""`},
	} {
		if got := yamlfile.Join(tc.path, tc.key); got != tc.want {
			t.Errorf("Join(%q, %q) = %s, want %s", tc.path, tc.key, got, tc.want)
		}
	}
}

func TestEntriesKeepTheirOrder(t *testing.T) {
	m, ok := yamlfile.Parse("f", []byte("b: 1\na: 2\n5: 3\ntrue: 4\n")).Root().Map()
	if !ok {
		t.Fatal("no map")
	}
	var keys []string
	for _, e := range m.Entries() {
		keys = append(keys, e.Key)
	}
	if want := []string{"b", "a", "5", "true"}; !slices.Equal(keys, want) {
		t.Errorf("keys %v, want %v", keys, want)
	}
}
