package value_test

import (
	"testing"

	"slipstream/applier/value"
	applierv1 "slipstream/proto/slipstream/applier/v1"
)

var conversions = []struct {
	name string
	t    value.Type
	kind applierv1.ValueKind
	in   string
}{
	{"integer", int64Type, str, "1234567890"},
	{"integer with sign", int64Type, str, "-1234567890"},
	{"decimal", moneyType, str, "1234.56"},
	{"decimal exponent", moneyType, num, "1.23456e3"},
	{"double", doubleType, str, "1234.5678"},
	{"boolean", boolType, str, "true"},
	{"text", textType, str, "twenty characters in"},
	{"varchar", value.Type{Kind: value.Text, Length: 40}, str, "twenty characters in"},
	{"date", dateType, str, "2030-02-01"},
	{"date epoch", dateType, str, "1896134400000"},
	{"timestamp", stampType, str, "2030-02-01 10:30:45.123456"},
	{"timestamp offset", zonedType, str, "2030-02-01T10:30:45.123+02:00"},
	{"timestamp epoch", stampType, str, "1896172245123"},
	{"base64", binaryType, str, "aGVsbG8gd29ybGQgaGVsbG8gd29ybGQ="},
	{"json", jsonType, document, `{"a":[1,2,3],"b":"text"}`},
	{"uuid", uuidType, str, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"},
}

func BenchmarkConvert(b *testing.B) {
	for _, c := range conversions {
		b.Run(c.name, func(b *testing.B) {
			in := []byte(c.in)
			dst := make([]byte, 0, 64)
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := value.Convert(dst, &c.t, c.kind, in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// The hot path allocates nothing, whatever the spelling. Encoding/json keeps its scanners in a sync.Pool, which the race detector
// empties at random: what allocates always does so in each of several measurements.
func TestConvertDoesNotAllocate(t *testing.T) {
	dst := make([]byte, 0, 64)
	for _, c := range conversions {
		t.Run(c.name, func(t *testing.T) {
			in := []byte(c.in)
			allocs := 1.0
			for range 10 {
				allocs = min(allocs, testing.AllocsPerRun(100, func() {
					if _, _, err := value.Convert(dst, &c.t, c.kind, in); err != nil {
						t.Fatal(err)
					}
				}))
			}
			if allocs != 0 {
				t.Fatal("it allocates at each conversion")
			}
		})
	}
}
