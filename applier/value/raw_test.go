package value

import (
	"testing"

	applierv1 "slipstream/proto/slipstream/applier/v1"
)

// TestRaw: what a target without types gets (spec 5.5).
func TestRaw(t *testing.T) {
	raw := Type{Kind: Raw, Name: "bytes", Column: "value"}
	for _, c := range []struct {
		name string
		kind applierv1.ValueKind
		in   string
		want string
		null bool
	}{
		{"text", applierv1.ValueKind_VALUE_KIND_STRING, " é\x00", " é\x00", false},
		{"empty text", applierv1.ValueKind_VALUE_KIND_STRING, "", "", false},
		{"bytes that are no UTF-8", applierv1.ValueKind_VALUE_KIND_BYTES, "\xff\xfe", "\xff\xfe", false},
		{"true", applierv1.ValueKind_VALUE_KIND_BOOLEAN, "true", "1", false},
		{"false", applierv1.ValueKind_VALUE_KIND_BOOLEAN, "false", "0", false},
		{"a number in its shortest form", applierv1.ValueKind_VALUE_KIND_NUMBER, "1.500", "1.5", false},
		{"a number with an exponent", applierv1.ValueKind_VALUE_KIND_NUMBER, "12e2", "1200", false},
		{"a text that looks like a number", applierv1.ValueKind_VALUE_KIND_STRING, "1.500", "1.500", false},
		{"a document", applierv1.ValueKind_VALUE_KIND_DOCUMENT, `{"a":1.0}`, `{"a":1.0}`, false},
		{"null", applierv1.ValueKind_VALUE_KIND_UNSPECIFIED, "", "", true},
	} {
		got, null, err := Convert([]byte("x"), &raw, c.kind, []byte(c.in))
		if string(got) != "x"+c.want || null != c.null || err != nil {
			t.Errorf("%s: %q, null %v, %v", c.name, got, null, err)
		}
	}
	always := raw.With(Rules{Empty: EmptyAlways})
	if _, null, _ := Convert(nil, &always, applierv1.ValueKind_VALUE_KIND_STRING, nil); !null {
		t.Error("empty_as_null: always left an empty text")
	}
}
