package row

import (
	"encoding/json"
	"testing"

	"pgregory.net/rapid"

	applierv1 "slipstream/proto/slipstream/applier/v1"
)

func TestPut(t *testing.T) {
	tests := []struct {
		name  string
		value any
		kind  applierv1.ValueKind
		text  string
	}{
		{"null", nil, applierv1.ValueKind_VALUE_KIND_UNSPECIFIED, ""},
		{"text", "é\x00", applierv1.ValueKind_VALUE_KIND_STRING, "é\x00"},
		{"empty text", "", applierv1.ValueKind_VALUE_KIND_STRING, ""},
		{"number keeps its text", json.Number("1.10"), applierv1.ValueKind_VALUE_KIND_NUMBER, "1.10"},
		{"true", true, applierv1.ValueKind_VALUE_KIND_BOOLEAN, "true"},
		{"false", false, applierv1.ValueKind_VALUE_KIND_BOOLEAN, "false"},
		{"list", []any{json.Number("1"), "a"}, applierv1.ValueKind_VALUE_KIND_DOCUMENT, `[1,"a"]`},
		{"object", map[string]any{"b": nil, "a": "<"}, applierv1.ValueKind_VALUE_KIND_DOCUMENT, `{"a":"<","b":null}`},
		{"integer of Go", int64(-5), applierv1.ValueKind_VALUE_KIND_NUMBER, "-5"},
	}
	var column applierv1.Column
	last := uint32(0)
	for i, test := range tests {
		put(&column, test.value)
		if got := string(column.Text[last:column.Ends[i]]); got != test.text || column.Kinds[i] != byte(test.kind) {
			t.Errorf("%s: %q of kind %d", test.name, got, column.Kinds[i])
		}
		last = column.Ends[i]
	}
}

// TestTextForms: both forms agree, and text that is UTF-8 is not touched (spec 1.6).
func TestTextForms(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		raw := rapid.SliceOf(rapid.Byte()).Draw(t, "raw")
		if got, want := string(AppendText([]byte("x"), raw)), "x"+Text(raw); got != want {
			t.Fatalf("%q and %q", got, want)
		}
		s := rapid.String().Draw(t, "text")
		if Text([]byte(s)) != s {
			t.Fatalf("%q became %q", s, Text([]byte(s)))
		}
	})
	if got := Text([]byte{0xff, 0xfe}); got != "//4=" {
		t.Errorf("binary became %q", got)
	}
}
