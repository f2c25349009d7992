package path

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"slipstream/transformer/record"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]Path{
		"psi":            {"psi"},
		"location.bay":   {"location", "bay"},
		`meta.fw\.rev`:   {"meta", "fw.rev"},
		`a\\.b`:          {`a\`, "b"},
		`a\b`:            {`a\b`},
		`a\`:             {`a\`},
		"north dock.é.1": {"north dock", "é", "1"},
		"a[0]":           {"a[0]"},
	} {
		got, err := Parse(text)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("spec 4.1: Parse(%q) = %q, %v, want %q", text, []string(got), err, []string(want))
		}
	}
	for _, text := range []string{"", ".", "a.", ".a", "a..b"} {
		if got, err := Parse(text); err == nil {
			t.Errorf("Parse(%q) = %q, want an error", text, []string(got))
		}
	}
}

func FuzzCompile(f *testing.F) {
	for _, seed := range []string{"a.b", `a\.b`, `a\\.b`, "", "..", `\`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		parsed, err := Parse(text)
		if err != nil {
			return
		}
		again, err := Parse(parsed.String())
		if err != nil || !slices.Equal(parsed, again) {
			t.Fatalf("%q became %q, then %q (%v)", text, []string(parsed), []string(again), err)
		}
	})
}

func TestOperations(t *testing.T) {
	const before = `{"a":{"b":1,"c":null},"l":[{"x":1}],"s":"t","b":"top"}`
	for _, tt := range []struct {
		name string
		do   func(root any) any
		want string // the record after it, "" for unchanged
		says any
	}{
		{"lookup nested", func(r any) any { v, ok := Path{"a", "b"}.Lookup(r); return []any{v, ok} }, "", []any{json.Number("1"), true}},
		{"lookup null", func(r any) any { v, ok := Path{"a", "c"}.Lookup(r); return []any{v, ok} }, "", []any{nil, true}},
		{"lookup through a scalar", func(r any) any { _, ok := Path{"s", "x"}.Lookup(r); return ok }, "", false},
		{"lookup through a list", func(r any) any { _, ok := Path{"l", "0"}.Lookup(r); return ok }, "", false},
		{"lookup missing", func(r any) any { _, ok := Path{"z"}.Lookup(r); return ok }, "", false},
		{
			"spec 4.3: set creates parents", func(r any) any { return Path{"x", "y", "z"}.Set(r, "v") },
			`{"a":{"b":1,"c":null},"l":[{"x":1}],"s":"t","b":"top","x":{"y":{"z":"v"}}}`, nil,
		},
		{
			"set overwrites", func(r any) any { return Path{"a", "b"}.Set(r, nil) },
			`{"a":{"b":null,"c":null},"l":[{"x":1}],"s":"t","b":"top"}`, nil,
		},
		{
			"spec 4.1 quirk: a missing parent does not hit the top", func(r any) any { return Path{"z", "b"}.Remove(r) },
			"", false,
		},
		{
			"spec 4.4: an emptied parent stays",
			func(r any) any { return []any{Path{"a", "b"}.Remove(r), Path{"a", "c"}.Remove(r)} },
			`{"a":{},"l":[{"x":1}],"s":"t","b":"top"}`,
			[]any{true, true},
		},
		{
			"spec 4.1 quirk: rename to the top hits no namesake",
			func(r any) any { ok, err := Rename(r, Path{"a", "b"}, Path{"n"}); return []any{ok, err} },
			`{"a":{"c":null},"l":[{"x":1}],"s":"t","b":"top","n":1}`,
			[]any{true, nil},
		},
		{
			"spec 4.5: rename of nothing is nothing",
			func(r any) any { ok, err := Rename(r, Path{"z"}, Path{"a"}); return []any{ok, err} },
			"",
			[]any{false, nil},
		},
		{
			"rename into itself",
			func(r any) any { ok, err := Rename(r, Path{"s"}, Path{"s", "inner"}); return []any{ok, err} },
			`{"a":{"b":1,"c":null},"l":[{"x":1}],"s":{"inner":"t"},"b":"top"}`,
			[]any{true, nil},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			root, err := record.Decode([]byte(before))
			if err != nil {
				t.Fatal(err)
			}
			if got := tt.do(root); !reflect.DeepEqual(got, tt.says) {
				t.Errorf("said %v, want %v", got, tt.says)
			}
			want := tt.want
			if want == "" {
				want = before
			}
			expected, err := record.Decode([]byte(want))
			if err != nil {
				t.Fatal(err)
			}
			if !record.Equal(root, expected) {
				t.Errorf("the record is %s, want %s", record.Encode(root), want)
			}
		})
	}
}

func TestSetRefusesParentsThatAreNoObjects(t *testing.T) {
	for _, tt := range []struct {
		root, want string
		path       Path
	}{
		{`{"s":"t"}`, `setting field "s.x": "s" exists and is not an object`, Path{"s", "x"}},
		{`{"a":{"n":null}}`, `setting field "a.n.x.y": "a.n" exists and is not an object`, Path{"a", "n", "x", "y"}},
		{`[1]`, `setting field "x": the record is not an object`, Path{"x"}},
		{`{}`, `setting a field: the path is empty`, Path{}},
	} {
		root, err := record.Decode([]byte(tt.root))
		if err != nil {
			t.Fatal(err)
		}
		if err := tt.path.Set(root, "v"); err == nil || err.Error() != tt.want {
			t.Errorf("spec 4.3: Set(%s) says %v, want %s", tt.path, err, tt.want)
		}
		if got := string(record.Encode(root)); got != tt.root {
			t.Errorf("a failed Set changed %s to %s", tt.root, got)
		}
	}
	root := map[string]any{"from": "v", "s": "t"}
	_, err := Rename(root, Path{"from"}, Path{"s", "x"})
	var refused *NotObjectError
	if !errors.As(err, &refused) || root["from"] != "v" {
		t.Errorf("a failed rename said %v and left %v", err, root)
	}
}

func TestUnalias(t *testing.T) {
	partial, full := map[string]any{"psi": "41"}, map[string]any{"after": map[string]any{"psi": "41"}}
	for _, tt := range []struct {
		root any
		path Path
		want Path
	}{
		{partial, Path{"after", "psi"}, Path{"psi"}},
		{full, Path{"after", "psi"}, Path{"after", "psi"}},
		{partial, Path{"psi"}, Path{"psi"}},
		{nil, Path{"after", "psi"}, Path{"after", "psi"}},
	} {
		if got := tt.path.Unalias(tt.root, "after"); !slices.Equal(got, tt.want) {
			t.Errorf("spec A3: %s in %v is %s, want %s", tt.path, tt.root, got, tt.want)
		}
	}
}

// The properties use few names, so that paths meet.
func names() *rapid.Generator[Path] {
	return rapid.Map(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c.d"}), 1, 3), func(s []string) Path { return s })
}

func records() *rapid.Generator[map[string]any] {
	return rapid.Custom(func(t *rapid.T) map[string]any {
		root := map[string]any{}
		for i, p := range rapid.SliceOfN(names(), 0, 12).Draw(t, "paths") {
			_ = p.Set(root, record.Integer(int64(i))) // one that meets a scalar is left out
		}
		return root
	})
}

// places draws paths, many of them such as lead to something in the record or through a scalar of it.
func places(root any) *rapid.Generator[Path] {
	var there []Path
	for text := range leaves(root, nil, map[string]any{}) {
		if p, err := Parse(text); err == nil {
			for i := range p {
				there = append(there, p[:i+1])
			}
			there = append(there, append(slices.Clone(p), "a"))
		}
	}
	if len(there) == 0 {
		return names()
	}
	slices.SortFunc(there, slices.Compare[Path])
	return rapid.OneOf(rapid.SampledFrom(there), rapid.SampledFrom(there), names())
}

// blocked tells whether something that is no object stands where the path leads through.
func blocked(root any, p Path) bool {
	for i := range p {
		value, ok := p[:i].Lookup(root)
		if _, is := value.(map[string]any); ok && !is {
			return true
		}
	}
	return false
}

// leaves lists the scalars and empty objects of a record by path.
func leaves(value any, at Path, out map[string]any) map[string]any {
	object, ok := value.(map[string]any)
	if !ok || len(object) == 0 {
		out[at.String()] = value
		return out
	}
	for name, member := range object {
		leaves(member, append(slices.Clone(at), name), out)
	}
	return out
}

func within(text string, p Path) bool {
	inner, err := Parse(text)
	return err == nil && len(inner) >= len(p) && slices.Equal(inner[:len(p)], p)
}

// unrelated reports whether neither path leads through the other.
func unrelated(text string, p Path) bool {
	other, err := Parse(text)
	if err != nil {
		return false // the empty record
	}
	shorter := min(len(other), len(p))
	return !slices.Equal(other[:shorter], p[:shorter])
}

func TestOperationsKeepTheRest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		root := records().Draw(t, "record")
		before := record.Clone(root)
		old := leaves(before, nil, map[string]any{})
		p, q := places(root).Draw(t, "path"), places(root).Draw(t, "other path")
		_, there := p.Lookup(before)
		var err error
		refused := false
		operation := rapid.SampledFrom([]string{"set", "remove", "rename"}).Draw(t, "operation")
		switch operation {
		case "set":
			refused, err = blocked(before, p), p.Set(root, "new")
		case "remove":
			p.Remove(root)
		case "rename":
			without := record.Clone(before)
			p.Remove(without)
			refused = there && blocked(without, q)
			_, err = Rename(root, p, q)
		}
		if (err != nil) != refused {
			t.Fatalf("%s of %s, %s in %s: %v, want refused %v", operation, p, q, record.Encode(before), err, refused)
		}
		if err != nil {
			if !record.Equal(before, root) {
				t.Fatalf("a failed %s changed %s to %s", operation, record.Encode(before), record.Encode(root))
			}
			return
		}
		now := leaves(root, nil, map[string]any{})
		for text, value := range old {
			touched := !unrelated(text, p) || operation == "rename" && !unrelated(text, q)
			if operation == "rename" && !there {
				touched = false
			}
			if kept, ok := now[text]; !touched && (!ok || !record.Equal(kept, value)) {
				t.Fatalf("%s of %s lost %s: %s", operation, p, text, record.Encode(root))
			}
		}
		switch value, ok := p.Lookup(root); {
		case operation == "set" && (!ok || value != "new"):
			t.Fatalf("set %s, but found %v", p, value)
		case operation == "remove" && ok:
			t.Fatalf("removed %s, but found %v", p, value)
		case operation == "rename":
			moved, was := p.Lookup(before)
			arrived, is := q.Lookup(root)
			if was && (!is || !record.Equal(moved, arrived)) {
				t.Fatalf("renamed %s to %s, but found %v", p, q, arrived)
			}
			if was && ok && !within(q.String(), p) && !within(p.String(), q) {
				t.Fatalf("renamed %s to %s, but the source is still there", p, q)
			}
		}
	})
}

func BenchmarkLookup(b *testing.B) {
	root := map[string]any{"location": map[string]any{"bay": "B2"}}
	p := Path{"location", "bay"}
	for b.Loop() {
		if _, ok := p.Lookup(root); !ok {
			b.Fatal("not found")
		}
	}
}
