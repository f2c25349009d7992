package value

import (
	"math"
	"strconv"

	applierv1 "slipstream/proto/slipstream/applier/v1"
)

const (
	outOfRange  reason = "it is out of range"
	hasFraction reason = "it has a fraction"
)

// appendInteger takes whole numbers, also such as 5.0 and 5e3, and JSON booleans as 1 and 0.
func appendInteger(dst []byte, t *Type, kind applierv1.ValueKind, text []byte) ([]byte, reason) {
	if kind == applierv1.ValueKind_VALUE_KIND_BOOLEAN {
		return appendBoolean(dst, kind, text)
	}
	if n, ok := shortInteger(text); ok {
		if !inRange(t, n, false) {
			return dst, outOfRange
		}
		return append(dst, text...), fits
	}
	n, ok := parseNumber(text)
	if !ok {
		if out, why := appendBoolean(dst, kind, text); t.Truth && why == fits {
			return out, fits
		}
		return dst, notNumber
	}
	if !n.whole() {
		return dst, hasFraction
	}
	magnitude, _, _, ok := n.integer()
	if !ok || !inRange(t, magnitude, n.negative) {
		return dst, outOfRange
	}
	if n.negative && magnitude > 0 {
		dst = append(dst, '-')
	}
	return strconv.AppendUint(dst, magnitude, 10), fits
}

// shortInteger reads the usual case: canonical, not negative, and far from the end of 64 bits.
func shortInteger(text []byte) (uint64, bool) {
	if len(text) == 0 || len(text) > 18 || text[0] == '0' && len(text) > 1 {
		return 0, false
	}
	var n uint64
	for _, c := range text {
		if !digit(c) {
			return 0, false
		}
		n = n*10 + uint64(c-'0')
	}
	return n, true
}

// inRange tells whether an integer fits the width and sign of its type.
func inRange(t *Type, magnitude uint64, negative bool) bool {
	bits := t.Bits
	if bits == 0 || bits > 64 {
		bits = 64
	}
	if t.Unsigned {
		return magnitude <= math.MaxUint64>>(64-bits) && (!negative || magnitude == 0)
	}
	most := uint64(1) << (bits - 1)
	if negative {
		return magnitude <= most
	}
	return magnitude < most
}

// appendBoolean takes the spellings of spec 10.3, in any case.
func appendBoolean(dst []byte, kind applierv1.ValueKind, text []byte) ([]byte, reason) {
	if len(text) == 1 {
		switch text[0] {
		case '1', 't', 'T', 'y', 'Y':
			return append(dst, '1'), fits
		case '0', 'f', 'F', 'n', 'N':
			return append(dst, '0'), fits
		}
	}
	switch {
	case equalFold(text, "true"), equalFold(text, "yes"), equalFold(text, "on"):
		return append(dst, '1'), fits
	case equalFold(text, "false"), equalFold(text, "no"), equalFold(text, "off"):
		return append(dst, '0'), fits
	}
	if kind == applierv1.ValueKind_VALUE_KIND_NUMBER { // 1.0 and 0.0 are the numbers 1 and 0
		if n, ok := parseNumber(text); ok && n.whole() {
			if magnitude, _, _, ok := n.integer(); ok && magnitude <= 1 && !(n.negative && magnitude == 1) {
				return append(dst, '0'+byte(magnitude)), fits
			}
		}
	}
	return dst, "it is not a boolean"
}

// equalFold compares with a word in lower case.
func equalFold(text []byte, word string) bool {
	if len(text) != len(word) {
		return false
	}
	for i, c := range text {
		if c|0x20 != word[i] {
			return false
		}
	}
	return true
}
