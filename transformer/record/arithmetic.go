package record

import (
	"encoding/json"
	"math/big"
	"strconv"
	"strings"
)

// exactDigits bounds exact arithmetic: numbers with more decimal places, or larger ones, are computed as floats.
const exactDigits = 400

// Abs is the number without its sign.
func Abs(number json.Number) json.Number {
	return json.Number(strings.TrimPrefix(string(number), "-"))
}

// Floor is the greatest integer that is not greater than the number.
func Floor(number json.Number) json.Number { return toInteger(number, -1) }

// Ceil is the smallest integer that is not smaller than the number.
func Ceil(number json.Number) json.Number { return toInteger(number, 1) }

// toInteger drops the fraction of a number; one with the given sign is moved on by one in that direction.
func toInteger(number json.Number, away int) json.Number {
	d := parseDecimal(string(number))
	switch {
	case d.sign == 0:
		return "0"
	case d.point > exactDigits:
		return number // an integer, and too long to be written out
	}
	whole := new(big.Int)
	if d.point > 0 {
		digits := d.digits
		if d.point > len(digits) {
			digits += strings.Repeat("0", d.point-len(digits))
		}
		whole.SetString(digits[:d.point], 10)
	}
	if d.sign < 0 {
		whole.Neg(whole)
	}
	if d.point < len(d.digits) && d.sign == away {
		whole.Add(whole, big.NewInt(int64(away)))
	}
	return json.Number(whole.String())
}

// Sum adds numbers, exactly where that needs no more than some hundred digits, as floats otherwise. It reports false when
// the sum of floats is infinite.
func Sum(numbers []json.Number) (json.Number, bool) {
	parsed := make([]decimal, len(numbers))
	scale := 0
	for i, number := range numbers {
		d := parseDecimal(string(number))
		if d.sign != 0 && (d.point > exactDigits || d.point-len(d.digits) < -exactDigits) {
			return sumFloats(numbers)
		}
		parsed[i] = d
		scale = max(scale, len(d.digits)-d.point)
	}
	total, term := new(big.Int), new(big.Int)
	for _, d := range parsed {
		if d.sign == 0 {
			continue
		}
		term.SetString(d.digits+strings.Repeat("0", d.point-len(d.digits)+scale), 10)
		if d.sign < 0 {
			term.Neg(term)
		}
		total.Add(total, term)
	}
	return json.Number(placePoint(total, scale)), true
}

// placePoint writes total / 10^scale without needless zeros.
func placePoint(total *big.Int, scale int) string {
	text := new(big.Int).Abs(total).String()
	if scale > 0 {
		if len(text) <= scale {
			text = strings.Repeat("0", scale-len(text)+1) + text
		}
		text = text[:len(text)-scale] + "." + text[len(text)-scale:]
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	if total.Sign() < 0 {
		text = "-" + text
	}
	return text
}

func sumFloats(numbers []json.Number) (json.Number, bool) {
	total := 0.0
	for _, number := range numbers {
		f, _ := strconv.ParseFloat(string(number), 64) // an overflow is an infinity, refused by Float
		total += f
	}
	return Float(total)
}

// Average is the sum divided by the count, which must not be zero; the quotient has the precision of a float.
func Average(numbers []json.Number) (json.Number, bool) {
	sum, ok := Sum(numbers)
	if !ok {
		return "", false
	}
	quotient, ok := new(big.Rat).SetString(string(sum))
	if !ok {
		return "", false
	}
	f, _ := quotient.Quo(quotient, new(big.Rat).SetInt64(int64(len(numbers)))).Float64()
	return Float(f)
}

// ParseNumber reads the number in a text, as a program that is asked to convert a string does: blanks around it, a plus
// sign, leading zeros, and a point without digits on one side are allowed; words such as inf and nan are not.
func ParseNumber(text string) (json.Number, bool) {
	text = strings.TrimSpace(text)
	sign := ""
	if text != "" && (text[0] == '+' || text[0] == '-') {
		sign, text = strings.TrimPrefix(text[:1], "+"), text[1:]
	}
	mantissa, exponent := text, ""
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		mantissa, exponent = text[:i], text[i:]
		if strings.Trim(strings.TrimLeft(exponent[1:], "+-"), "0123456789") != "" || len(strings.TrimLeft(exponent[1:], "+-")) == 0 ||
			len(exponent[1:])-len(strings.TrimLeft(exponent[1:], "+-")) > 1 {
			return "", false
		}
	}
	whole, fraction, dotted := strings.Cut(mantissa, ".")
	if whole+fraction == "" || strings.Trim(whole+fraction, "0123456789") != "" {
		return "", false
	}
	whole = strings.TrimLeft(whole, "0")
	if whole == "" {
		whole = "0"
	}
	if dotted && fraction != "" {
		fraction = "." + fraction
	}
	return json.Number(sign + whole + fraction + exponent), true
}
