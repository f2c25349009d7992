package record

import (
	"cmp"
	"encoding/json"
	"math"
	"strconv"
	"strings"
)

// AsNumber turns a numeric value into a json.Number. Strings are no numbers here, and neither are infinities.
func AsNumber(value any) (json.Number, bool) {
	switch v := value.(type) {
	case json.Number:
		return v, true
	case int:
		return Integer(int64(v)), true
	case int64:
		return Integer(v), true
	case float64:
		return Float(v)
	}
	return "", false
}

// Integer is the number with the plain decimal text of v.
func Integer(v int64) json.Number {
	return json.Number(strconv.FormatInt(v, 10))
}

// Float is the number with the shortest text that reads back as v: 2 for 2.0, 1e+21 for large ones. It reports false for
// values JSON cannot hold, which are the infinities and NaN.
func Float(v float64) (json.Number, bool) {
	if math.IsInf(v, 0) || math.IsNaN(v) {
		return "", false
	}
	format := byte('f')
	if abs := math.Abs(v); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		format = 'e'
	}
	return json.Number(strconv.FormatFloat(v, format, -1, 64)), true
}

// Compare orders two numbers exactly, not through a float: 0.1 and 0.10 are equal, 9007199254740993 is greater than
// 9007199254740992. The result is -1, 0 or 1.
func Compare(left, right json.Number) int {
	if left == right {
		return 0
	}
	if l, err := strconv.ParseInt(string(left), 10, 64); err == nil {
		if r, err := strconv.ParseInt(string(right), 10, 64); err == nil {
			return cmp.Compare(l, r)
		}
	}
	l, r := parseDecimal(string(left)), parseDecimal(string(right))
	if l.sign != r.sign {
		return cmp.Compare(l.sign, r.sign)
	}
	if l.sign == 0 {
		return 0
	}
	order := cmp.Compare(l.point, r.point)
	if order == 0 {
		order = strings.Compare(l.digits, r.digits)
	}
	return order * l.sign
}

// decimal is a number in its canonical form: 0.digits × 10^point, the digits without zeros at either end.
type decimal struct {
	sign   int
	digits string
	point  int
}

// exponentLimit caps exponents: beyond it a number is a nonzero so large or so small that only its order matters.
const exponentLimit = 1 << 40

func parseDecimal(text string) decimal {
	d := decimal{sign: 1}
	if strings.HasPrefix(text, "-") {
		d.sign, text = -1, text[1:]
	}
	exponent := 0
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		parsed, err := strconv.ParseInt(strings.TrimPrefix(text[i+1:], "+"), 10, 64)
		switch {
		case err != nil && strings.HasPrefix(text[i+1:], "-"), parsed < -exponentLimit:
			parsed = -exponentLimit
		case err != nil, parsed > exponentLimit:
			parsed = exponentLimit
		}
		exponent, text = int(parsed), text[:i]
	}
	whole, fraction, _ := strings.Cut(text, ".")
	digits := whole + fraction
	d.point = len(whole) + exponent
	stripped := strings.TrimLeft(digits, "0")
	d.point -= len(digits) - len(stripped)
	d.digits = strings.TrimRight(stripped, "0")
	if d.digits == "" {
		return decimal{}
	}
	return d
}

func isZero(text string) bool {
	for i := range len(text) {
		switch c := text[i]; {
		case c >= '1' && c <= '9':
			return false
		case c == 'e' || c == 'E':
			return true
		}
	}
	return true
}

// IntegerValue reports the value of a number without a fraction, 3.0 and 3e2 included, where it fits an int64.
func IntegerValue(number json.Number) (int64, bool) {
	if n, err := strconv.ParseInt(string(number), 10, 64); err == nil {
		return n, true
	}
	d := parseDecimal(string(number))
	if d.sign == 0 {
		return 0, true
	}
	if d.point < len(d.digits) || d.point > 19 {
		return 0, false
	}
	digits := d.digits + strings.Repeat("0", d.point-len(d.digits))
	if d.sign < 0 {
		digits = "-" + digits
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	return n, err == nil
}

// IsIntegral reports whether a number has no fraction, however large it is.
func IsIntegral(number json.Number) bool {
	d := parseDecimal(string(number))
	return d.sign == 0 || d.point >= len(d.digits)
}
