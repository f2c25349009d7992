package value

import (
	"bytes"
	"math"
	"strconv"
)

const (
	tooManyDigits         reason = "it has too many digits before the point"
	tooManyFractionDigits reason = "it has more fraction digits than the scale"
)

const (
	shownZeros = 64 // more zeros than these are written as an exponent

	// What an exact number without a declared precision holds at most: PostgreSQL's numeric, the largest there is.
	mostWhole    = 131072
	mostFraction = 16383
)

// appendDecimal takes decimal and exponent text of any length, in exact arithmetic on the digits themselves.
func appendDecimal(dst []byte, t *Type, text []byte) ([]byte, reason) {
	n, ok := parseNumber(text)
	if !ok {
		name := special(text)
		if !t.Special || name == "" || t.Precision > 0 && name != nan {
			return dst, notNumber
		}
		return append(dst, name...), fits
	}
	whole, scale := mostWhole, mostFraction
	if t.Precision > 0 {
		whole, scale = t.Precision-t.Scale, t.Scale
	}
	if n.count > 0 && n.count-n.exp > scale {
		if !t.Rules.Round {
			return dst, tooManyFractionDigits
		}
		n = n.round(scale)
	}
	if n.count > 0 && n.exp > whole {
		return dst, tooManyDigits
	}
	return n.append(dst), fits
}

// append writes the number in its canonical form.
func (n number) append(dst []byte) []byte {
	if n.count == 0 {
		return append(dst, '0')
	}
	if n.negative {
		dst = append(dst, '-')
	}
	switch {
	case n.exp > n.count+shownZeros || n.exp < -shownZeros:
		return n.appendExponent(dst)
	case n.exp <= 0:
		dst = append(dst, '0', '.')
		dst = appendZeros(dst, -n.exp)
		return n.appendDigits(dst, n.count)
	case n.exp >= n.count:
		dst = n.appendDigits(dst, n.count)
		return appendZeros(dst, n.exp-n.count)
	case n.exp < len(n.digits) && n.digits[n.exp] == '.':
		return append(dst, n.digits...) // the point is where it belongs
	default:
		return n.appendDigits(dst, n.exp)
	}
}

// appendExponent writes d.ddde±x.
func (n number) appendExponent(dst []byte) []byte {
	dst = n.appendDigits(dst, 1)
	dst = append(dst, 'e')
	if n.exp > 0 {
		dst = append(dst, '+')
	}
	return strconv.AppendInt(dst, int64(n.exp-1), 10)
}

// appendDigits writes the digits with a point after the first of them, but none at the end.
func (n number) appendDigits(dst []byte, point int) []byte {
	i := 0
	for _, c := range n.digits {
		if c == '.' {
			continue
		}
		if i == point {
			dst = append(dst, '.')
		}
		dst = append(dst, c)
		i++
	}
	return dst
}

func appendZeros(dst []byte, count int) []byte {
	for range count {
		dst = append(dst, '0')
	}
	return dst
}

// round cuts the number to so many digits behind the point, half away from zero.
func (n number) round(scale int) number {
	keep := n.exp + scale // digits that stay
	if keep < 0 {
		return number{}
	}
	digits := append([]byte{'0'}, n.appendDigits(nil, math.MaxInt)...)
	up := digits[keep+1] >= '5'
	digits = digits[:keep+1]
	for i := keep; up && i >= 0; i-- {
		if up = digits[i] == '9'; up {
			digits[i] = '0'
		} else {
			digits[i]++
		}
	}
	n.exp++ // for the 0 put in front
	first := len(digits) - len(bytes.TrimLeft(digits, "0"))
	n.digits = bytes.TrimRight(digits[first:], "0")
	n.count = len(n.digits)
	n.exp -= first
	if n.count == 0 {
		return number{}
	}
	return n
}
