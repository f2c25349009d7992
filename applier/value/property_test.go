package value_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"slipstream/applier/value"
	applierv1 "slipstream/proto/slipstream/applier/v1"
)

var everyType = []value.Type{
	int16Type, int32Type, int64Type, uint8Type, uint64Type, numericType, moneyType, thousandsType, tinyType, doubleType,
	realType, boolType, textType, shortType, charType, dateType, stampType, secondsType, zonedType, nanosType, timeType,
	zonedTimeType, jsonType, uuidType, intsType, textsType, blobsType, docsType, inetType,
}

// convert returns the canonical text, or false.
func convert(t *value.Type, kind applierv1.ValueKind, in string) (string, bool) {
	out, null, err := value.Convert(nil, t, kind, []byte(in))
	return string(out), err == nil && !null
}

// numerals are texts that look like numbers, most of them are.
func numerals() *rapid.Generator[string] {
	return rapid.StringMatching(`[-+]?[0-9]{0,24}(\.[0-9]{0,12})?([eE][-+]?[0-9]{1,2})?`)
}

// looksLike draws texts near the forms that columns take.
func looksLike() *rapid.Generator[string] {
	return rapid.OneOf(
		numerals(),
		rapid.StringMatching(`[0-9]{4}-[01][0-9]-[0-3][0-9]([T ][0-2][0-9]:[0-5][0-9](:[0-6][0-9](\.[0-9]{1,10})?)?)?(Z|[-+][01][0-9]:?[0-5][0-9])?`),
		rapid.StringMatching(`[0-2][0-9]:[0-5][0-9](:[0-5][0-9](\.[0-9]{1,7})?)?([-+][01][0-9])?`),
		rapid.StringMatching(`\{?[0-9a-fA-F]{8}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{12}\}?`),
		rapid.StringMatching(`[\[{]("?[a-z0-9\\",]{0,5}"?,?){0,4}[\]}]`),
		rapid.SampledFrom([]string{"true", "FALSE", "yes", "off", "nan", "-inf", "null", ""}),
		rapid.String(),
	)
}

// A canonical text is a fixed point: it is what the value is read back as, so folding by it is sound.
func TestCanonicalTextIsAFixedPoint(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		typ := rapid.SampledFrom(everyType).Draw(t, "type")
		once, ok := convert(&typ, str, looksLike().Draw(t, "text"))
		if !ok {
			return
		}
		twice, ok := convert(&typ, str, once)
		if once == "" && typ.Kind != value.Text {
			t.Fatalf("%s: empty canonical text", typ.Name)
		}
		if !ok || twice != once {
			t.Fatalf("%s: %q became %q", typ.Name, once, twice)
		}
	})
}

// An exact number keeps its value to the last digit or is refused, and is refused only for a reason.
func TestDecimalsAreExact(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		precision := rapid.IntRange(1, 30).Draw(t, "precision")
		typ := value.Type{
			Kind: value.Decimal, Precision: precision,
			Scale: rapid.IntRange(-3, precision+3).Draw(t, "scale"), Name: "numeric",
		}
		in := numerals().Draw(t, "text")
		want, isNumber := new(big.Rat).SetString(in)
		if strings.HasPrefix(in, "+.") || strings.HasPrefix(in, "-.") || strings.HasPrefix(in, ".") {
			isNumber = isNumber && strings.ContainsAny(strings.SplitN(strings.ToLower(in), "e", 2)[0], "0123456789")
		}
		out, ok := convert(&typ, num, in)
		if !isNumber {
			if ok {
				t.Fatalf("%q is no number and became %q", in, out)
			}
			return
		}
		// It fits when it is a multiple of 10^-scale below 10^(precision-scale).
		steps := new(big.Rat).Mul(want, power(typ.Scale))
		fits := steps.IsInt() && new(big.Rat).Abs(steps).Cmp(power(precision)) < 0
		if ok != fits {
			t.Fatalf("%q into numeric(%d,%d): accepted %v, want %v", in, precision, typ.Scale, ok, fits)
		}
		if !ok {
			return
		}
		got, valid := new(big.Rat).SetString(out)
		if !valid || got.Cmp(want) != 0 {
			t.Fatalf("%q became %q", in, out)
		}
	})
}

// Rounding gives the nearest multiple of the scale's step, ties away from zero.
func TestDecimalsRound(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		scale := rapid.IntRange(-3, 8).Draw(t, "scale")
		typ := value.Type{
			Kind: value.Decimal, Precision: 60, Scale: scale, Name: "numeric", Rules: value.Rules{Round: true},
		}
		in := rapid.StringMatching(`-?[0-9]{1,12}\.[0-9]{0,12}`).Draw(t, "text")
		exact, _ := new(big.Rat).SetString(in)
		steps := new(big.Rat).Mul(exact, power(scale))
		half := big.NewRat(1, 2)
		if steps.Sign() < 0 {
			half.Neg(half)
		}
		steps.Add(steps, half)
		whole := new(big.Int).Quo(steps.Num(), steps.Denom()) // truncates towards zero
		want := new(big.Rat).Quo(new(big.Rat).SetInt(whole), power(scale))
		out, ok := convert(&typ, num, in)
		got, valid := new(big.Rat).SetString(out)
		if !ok || !valid || got.Cmp(want) != 0 {
			t.Fatalf("%q to scale %d became %q, want %s", in, scale, out, want.FloatString(12))
		}
	})
}

func power(n int) *big.Rat {
	p := new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(max(n, -n))), nil))
	if n < 0 {
		p.Inv(p)
	}
	return p
}

// Two numerals are the same number exactly when their canonical texts are the same bytes.
func TestEqualNumbersHaveEqualTexts(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a := numerals().Draw(t, "a")
		x, ok := new(big.Rat).SetString(a)
		if !ok {
			return
		}
		// Another spelling: scaled up by zeros and an exponent.
		zeros := rapid.IntRange(0, 5).Draw(t, "zeros")
		b := fmt.Sprintf("%s%se-%d", x.FloatString(130), strings.Repeat("0", zeros), 0)
		ca, okA := convert(&numericType, str, a)
		cb, okB := convert(&numericType, str, b)
		if !okA || !okB || ca != cb {
			t.Fatalf("%q became %q, %q became %q", a, ca, b, cb)
		}
	})
}

// An integer column takes exactly the integers of its range, in whatever spelling.
func TestIntegersAreChecked(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		typ := value.Type{
			Kind: value.Integer, Name: "integer", Unsigned: rapid.Bool().Draw(t, "unsigned"),
			Bits: rapid.SampledFrom([]uint8{8, 16, 24, 32, 64}).Draw(t, "bits"),
		}
		in := numerals().Draw(t, "text")
		want, ok := new(big.Rat).SetString(in)
		low, high := new(big.Int), new(big.Int).Lsh(big.NewInt(1), uint(typ.Bits))
		if !typ.Unsigned {
			high.Rsh(high, 1)
			low.Neg(high)
		}
		ok = ok && want.IsInt() && want.Num().Cmp(low) >= 0 && want.Num().Cmp(high) < 0
		out, accepted := convert(&typ, num, in)
		if accepted != ok || accepted && out != want.Num().String() {
			t.Fatalf("%q into %d bits: %q, accepted %v, want %v", in, typ.Bits, out, accepted, ok)
		}
	})
}

// What PostgreSQL, MySQL and the others take back from the forms of spec 10.2 is the value that was captured.
func TestRoundTripOfDocumentedForms(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		micros := rapid.Int64Range(-62135596800_000_000, 253402300799_999_999).Draw(t, "micros")
		at := time.UnixMicro(micros).UTC()
		abs := max(micros, -micros)
		want := strings.TrimSuffix(strings.TrimRight(at.Format("2006-01-02 15:04:05.000000"), "0"), ".")

		// Milliseconds, the microseconds as a fraction. Only times far enough from 1970 can be told from seconds.
		if abs >= 100_000_000_000_000 && abs < 100_000_000_000_000_000 {
			millis := new(big.Rat).SetFrac64(micros, 1000).FloatString(3)
			for _, kind := range []applierv1.ValueKind{str, num} {
				if got, ok := convert(&stampType, kind, millis); !ok || got != want {
					t.Fatalf("%s ms became %q, want %q", millis, got, want)
				}
			}
		}
		// ISO 8601 in any offset.
		zone := time.FixedZone("", rapid.IntRange(-15*60+1, 15*60-1).Draw(t, "minutes")*60)
		if local := at.In(zone); local.Year() >= 1 && local.Year() <= 9999 {
			text := local.Format("2006-01-02T15:04:05.000000Z07:00")
			if got, ok := convert(&stampType, str, text); !ok || got != want {
				t.Fatalf("%s became %q, want %q", text, got, want)
			}
			if got, ok := convert(&zonedType, str, text); !ok || got != want+"+00:00" {
				t.Fatalf("%s became %q, want %q", text, got, want+"+00:00")
			}
		}
		// Dates at midnight UTC.
		midnight := time.Date(at.Year(), at.Month(), at.Day(), 0, 0, 0, 0, time.UTC)
		if ms := midnight.UnixMilli(); max(ms, -ms) >= 100_000_000_000 && max(ms, -ms) < 100_000_000_000_000 {
			if got, ok := convert(&dateType, num, strconv.FormatInt(ms, 10)); !ok || got != midnight.Format(time.DateOnly) {
				t.Fatalf("%d ms became %q, want %s", ms, got, midnight.Format(time.DateOnly))
			}
		}
		// Bytes in base64 and hexadecimal.
		blob := rapid.SliceOfN(rapid.Byte(), 1, 64).Draw(t, "bytes")
		for _, text := range []string{
			base64.StdEncoding.EncodeToString(blob), base64.RawURLEncoding.EncodeToString(blob),
			fmt.Sprintf(`\x%x`, blob), fmt.Sprintf("0x%X", blob),
		} {
			if got, ok := convert(&binaryType, str, text); !ok || got != string(blob) {
				t.Fatalf("%q became %q, want %q", text, got, blob)
			}
		}
		// Floating point.
		f := rapid.Float64().Draw(t, "float")
		text := strconv.FormatFloat(f, 'e', 17, 64)
		got, ok := convert(&doubleType, num, text)
		if back, err := strconv.ParseFloat(got, 64); !ok || err != nil || back != f {
			t.Fatalf("%s became %q", text, got)
		}
	})
}

// Text is never cut: it arrives whole or not at all.
func TestTextIsNeverCut(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		typ := value.Type{Kind: value.Text, Name: "varchar", Length: rapid.IntRange(0, 8).Draw(t, "length")}
		in := rapid.String().Draw(t, "text")
		out, ok := convert(&typ, str, in)
		want := !strings.Contains(in, "\x00") && (typ.Length == 0 || len([]rune(in)) <= typ.Length)
		if ok != want || ok && out != in {
			t.Fatalf("%q into %d characters: %q, accepted %v", in, typ.Length, out, ok)
		}
	})
}

// Whatever bytes come, Convert answers, leaves dst alone on an error, and never writes into its input.
func FuzzConvert(f *testing.F) {
	for _, seed := range []string{"", "1", "-1.5e3", "2024-02-29T10:00:00+01:00", `["a",{"b":"\ud800"}]`, `{"a",b}`, `\x00`, "aGk="} {
		f.Add([]byte(seed), uint8(0), uint8(1))
	}
	f.Fuzz(func(t *testing.T, in []byte, which, kind uint8) {
		typ := everyType[int(which)%len(everyType)]
		before := bytes.Clone(in)
		out, null, err := value.Convert([]byte("x"), &typ, applierv1.ValueKind(kind%7), in)
		if !bytes.Equal(in, before) {
			t.Fatal("the input was changed")
		}
		if len(out) == 0 || out[0] != 'x' || (err != nil || null) && len(out) != 1 {
			t.Fatalf("dst is %q, null %v, error %v", out, null, err)
		}
	})
}
