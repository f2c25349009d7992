package value

import (
	"math"
	"strconv"
)

const (
	nan      = "NaN"
	infinity = "Infinity"
)

// appendFloat takes number text. It rejects what would become infinite, and what would become zero and is not; that the
// last digits are those of the nearest binary number is the nature of the column.
func appendFloat(dst []byte, t *Type, text []byte) ([]byte, reason) {
	n, ok := parseNumber(text)
	if !ok {
		name := special(text)
		if !t.Special || name == "" {
			return dst, notNumber
		}
		return append(dst, name...), fits
	}
	if n.count == 0 {
		return append(dst, '0'), fits
	}
	bits := int(t.Bits)
	if bits != 32 {
		bits = 64
	}
	f, err := strconv.ParseFloat(string(text), bits)
	if err != nil || math.IsInf(f, 0) || f == 0 {
		return dst, outOfRange
	}
	return strconv.AppendFloat(dst, f, 'g', -1, bits), fits
}

// special names a text that stands for no finite number, or is empty.
func special(text []byte) string {
	if equalFold(text, "nan") {
		return nan
	}
	negative := false
	if len(text) > 0 && (text[0] == '-' || text[0] == '+') {
		negative = text[0] == '-'
		text = text[1:]
	}
	if !equalFold(text, "inf") && !equalFold(text, "infinity") {
		return ""
	}
	if negative {
		return "-" + infinity
	}
	return infinity
}
