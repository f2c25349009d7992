package record

import (
	"encoding/json"
	"math/big"
	"testing"

	"pgregory.net/rapid"
)

func TestCompare(t *testing.T) {
	for _, tt := range []struct {
		left, right json.Number
		want        int
	}{
		{"1", "2", -1},
		{"10", "9", 1},
		{"-10", "-9", -1},
		{"-1", "1", -1},
		{"0", "-0.00", 0},
		{"0", "1e-400", -1},
		{"1e400", "1e401", -1},
		{"-1e400", "-1e401", 1},
		{"1e99999999999999999999", "1", 1},
		{"1e-99999999999999999999", "0", 1},
		{"1.50", "15e-1", 0},
		{"99.999", "100", -1},
		{"12345678901234567890124", "12345678901234567890123", 1},
	} {
		if got := Compare(tt.left, tt.right); got != tt.want {
			t.Errorf("Compare(%s, %s) = %d, want %d", tt.left, tt.right, got, tt.want)
		}
		if got := Compare(tt.right, tt.left); got != -tt.want {
			t.Errorf("Compare(%s, %s) = %d, want %d", tt.right, tt.left, got, -tt.want)
		}
	}
}

func number() *rapid.Generator[string] {
	return rapid.StringMatching(`-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,8})?([eE][+-]?[0-9]{1,2})?`)
}

func rat(t *rapid.T, text string) *big.Rat {
	r, ok := new(big.Rat).SetString(text)
	if !ok {
		t.Fatalf("%q is no number", text)
	}
	return r
}

func TestArithmeticIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := number().Draw(t, "a"), number().Draw(t, "b")
		x, y := rat(t, a), rat(t, b)
		if got := Compare(json.Number(a), json.Number(b)); got != x.Cmp(y) {
			t.Fatalf("Compare(%s, %s) = %d", a, b, got)
		}
		sum, ok := Sum([]json.Number{json.Number(a), json.Number(b)})
		if !ok || rat(t, string(sum)).Cmp(new(big.Rat).Add(x, y)) != 0 {
			t.Fatalf("%s + %s = %s", a, b, sum)
		}
		floor, ceil := rat(t, string(Floor(json.Number(a)))), rat(t, string(Ceil(json.Number(a))))
		if !floor.IsInt() || !ceil.IsInt() || floor.Cmp(x) > 0 || ceil.Cmp(x) < 0 {
			t.Fatalf("%s lies between %s and %s", a, floor, ceil)
		}
		apart := big.NewRat(1, 1)
		if x.IsInt() {
			apart.SetInt64(0)
		}
		if distance := new(big.Rat).Sub(ceil, floor); distance.Cmp(apart) != 0 {
			t.Fatalf("%s: %s and %s are %s apart", a, floor, ceil, distance)
		}
	})
}

func TestParseNumber(t *testing.T) {
	for text, want := range map[string]string{
		"41": "41", " 41 ": "41", "+5": "5", "007": "7", "-007.50": "-7.50", ".5": "0.5", "5.": "5", "1e3": "1e3", "1E+3": "1E+3",
		"0": "0", "00": "0", "12345678901234567890": "12345678901234567890",
	} {
		got, ok := ParseNumber(text)
		if !ok || string(got) != want || !json.Valid([]byte(got)) {
			t.Errorf("ParseNumber(%q) = %q, %t, want %s", text, got, ok, want)
		}
	}
	for _, text := range []string{"", " ", ".", "-", "+-1", "1e", "1e+", "1e--1", "e1", "inf", "nan", "0x10", "1_000", "1,5", "12 3", "P-77"} {
		if got, ok := ParseNumber(text); ok {
			t.Errorf("ParseNumber(%q) = %q", text, got)
		}
	}
}

func TestIntegerValue(t *testing.T) {
	for text, want := range map[json.Number]int64{"3": 3, "3.0": 3, "3e2": 300, "-0": 0, "1200e-2": 12, "-9223372036854775808": -9223372036854775808} {
		if got, ok := IntegerValue(text); !ok || got != want {
			t.Errorf("IntegerValue(%s) = %d, %t", text, got, ok)
		}
	}
	for _, text := range []json.Number{"3.5", "1e-1", "9223372036854775808", "1e30"} {
		if got, ok := IntegerValue(text); ok {
			t.Errorf("IntegerValue(%s) = %d", text, got)
		}
	}
}

func TestAverage(t *testing.T) {
	for _, tt := range []struct {
		in   []json.Number
		want json.Number
	}{
		{[]json.Number{"1", "2"}, "1.5"},
		{[]json.Number{"0.1", "0.2"}, "0.15"},
		{[]json.Number{"1", "1", "2"}, "1.3333333333333333"},
		{[]json.Number{"1e500", "1"}, ""},
	} {
		if got, _ := Average(tt.in); got != tt.want {
			t.Errorf("Average(%v) = %s, want %s", tt.in, got, tt.want)
		}
	}
}
