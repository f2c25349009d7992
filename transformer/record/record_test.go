package record

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func decode(t testing.TB, text string) any {
	t.Helper()
	value, err := Decode([]byte(text))
	if err != nil {
		t.Fatalf("Decode(%s): %v", text, err)
	}
	return value
}

func TestDecodeAndEncode(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"spec 10.3: numbers keep their text", `[1.10,1e2,-0,12345678901234567890123]`, `[1.10,1e2,-0,12345678901234567890123]`},
		{"members in name order", `{"b":1,"a":2,"B":3}`, `{"B":3,"a":2,"b":1}`},
		{"the last of two members counts", `{"a":1,"a":2}`, `{"a":2}`},
		{"nothing escaped that need not be", `"<a&b> é 😀 \u2028"`, "\"<a&b> é 😀 \u2028\""},
		{"escapes", `"\"\\\/\b\f\n\r\t\u0001\u00e9\ud83d\ude00"`, `"\"\\/\u0008\u000c\n\r\t\u0001é😀"`},
		{"lonely surrogate", `"\ud83dx\ude00"`, "\"\uFFFDx\uFFFD\""},
		{"blanks", " {\n\"a\" : [ ] ,\t\"b\" : { } }\r\n", `{"a":[],"b":{}}`},
		{"words", `[true,false,null]`, `[true,false,null]`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := string(Encode(decode(t, tt.in))); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestDecodeRefuses(t *testing.T) {
	for _, in := range []string{
		``, ` `, `{`, `[`, `[1,]`, `{"a":1,}`, `{"a"}`, `{a:1}`, `01`, `1.`, `.5`, `-`, `1e`, `+1`, `nul`, `"a`, `"\x"`, `"\u12"`,
		"\"a\nb\"", `1 2`, `[1 2]`, `NaN`, `'a'`, strings.Repeat("[", 20000),
	} {
		if value, err := Decode([]byte(in)); err == nil {
			t.Errorf("Decode(%.20q) = %v, want an error", in, value)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, seed := range []string{`{"a":[1,2.5e-3,"x\u00e9\n"]}`, `[[],{}]`, `"\ud83d\ude00"`, `-0.0E+7`, `[1,]`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := Decode([]byte(text))
		reader := json.NewDecoder(strings.NewReader(text))
		reader.UseNumber()
		var want any
		wrong := !json.Valid([]byte(text))
		if (err != nil) != wrong {
			t.Fatalf("Decode(%q): %v, but the text is JSON: %t", text, err, !wrong)
		}
		if err != nil || !utf8.ValidString(text) {
			return
		}
		if err := reader.Decode(&want); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("Decode(%q) = %#v, encoding/json says %#v", text, got, want)
		}
		if again := decode(t, string(Encode(got))); !Equal(got, again) {
			t.Fatalf("%q came back as %v", text, again)
		}
	})
}

func TestTruthy(t *testing.T) {
	for text, want := range map[string]bool{
		`null`: false, `false`: false, `0`: false, `0.0`: false, `-0e7`: false, `""`: false, `[]`: false, `{}`: false,
		`true`: true, `1`: true, `0.01`: true, `-1`: true, `"0"`: true, `" "`: true, `[null]`: true, `{"a":null}`: true,
	} {
		if got := Truthy(decode(t, text)); got != want {
			t.Errorf("spec 4.2: Truthy(%s) = %t", text, got)
		}
	}
}

func TestText(t *testing.T) {
	for text, want := range map[string]string{
		`"a b"`: "a b", `1.10`: "1.10", `1e400`: "1e400", `true`: "true", `false`: "false", `null`: "null",
		`{"b":[1, 2],"a":"<"}`: `{"a":"<","b":[1,2]}`, `[]`: "[]",
	} {
		if got := Text(decode(t, text)); got != want {
			t.Errorf("Text(%s) = %s, want %s", text, got, want)
		}
	}
	for value, want := range map[any]string{1.5: "1.5", 2.0: "2", 1e21: "1e+21", int64(-3): "-3", 7: "7"} {
		if got := Text(value); got != want {
			t.Errorf("Text(%v) = %s, want %s", value, got, want)
		}
	}
}

func TestEqual(t *testing.T) {
	for _, tt := range []struct {
		left, right string
		want        bool
	}{
		{`1`, `1.0`, true},
		{`100`, `1e2`, true},
		{`0`, `-0.0`, true},
		{`9007199254740993`, `9007199254740992`, false},
		{`0.1`, `0.10000000000000001`, false},
		{`1`, `"1"`, false},
		{`1`, `true`, false},
		{`null`, `false`, false},
		{`[1,{"a":2}]`, `[1.0,{"a":2e0}]`, true},
		{`{"a":null}`, `{"b":null}`, false},
		{`[1]`, `[1,2]`, false},
	} {
		if got := Equal(decode(t, tt.left), decode(t, tt.right)); got != tt.want {
			t.Errorf("Equal(%s, %s) = %t", tt.left, tt.right, got)
		}
	}
}

func TestCloneSharesNothing(t *testing.T) {
	original := decode(t, `{"a":{"b":[1,{"c":2}]}}`).(map[string]any)
	copied := Clone(original).(map[string]any)
	copied["a"].(map[string]any)["b"].([]any)[1].(map[string]any)["c"] = "changed"
	if got := string(Encode(original)); got != `{"a":{"b":[1,{"c":2}]}}` {
		t.Errorf("changing the copy changed the original: %s", got)
	}
}

// Value draws record values.
func value() *rapid.Generator[any] {
	scalar := rapid.OneOf(
		rapid.Just[any](nil), rapid.Bool().AsAny(), rapid.String().AsAny(),
		rapid.Map(rapid.Int64(), func(n int64) any { return Integer(n) }),
		rapid.Map(rapid.Float64(), func(f float64) any { n, _ := Float(f); return n }),
	)
	return rapid.OneOf(scalar,
		rapid.SliceOfN(scalar, 0, 4).AsAny(),
		rapid.MapOfN(rapid.String(), scalar, 0, 4).AsAny())
}

func TestEncodeRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := value().Draw(t, "value")
		encoded := Encode(v)
		if !json.Valid(encoded) {
			t.Fatalf("%s is not JSON", encoded)
		}
		back, err := Decode(encoded)
		if err != nil {
			t.Fatal(err)
		}
		if !Equal(v, back) {
			t.Fatalf("%v came back as %v", v, back)
		}
	})
}

const document = `{"serial":"P-77","site":"north dock","psi":41.50,"tags":["hot","spare"],` +
	`"location":{"bay":"B2","gps":[51.5,-0.12]},"ok":true,"note":null,"text":"a longer text with \"quotes\" inside"}`

func BenchmarkDecode(b *testing.B) {
	b.SetBytes(int64(len(document)))
	for b.Loop() {
		if _, err := Decode([]byte(document)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	v := decode(b, document)
	var buffer []byte
	for b.Loop() {
		buffer = Append(buffer[:0], v)
	}
}
