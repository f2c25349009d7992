package value

import (
	"bytes"
	"unicode/utf8"
)

const (
	notUTF8 reason = "it is not valid UTF-8"
	hasNUL  reason = "it has a NUL character"
	tooLong reason = "it is too long"
	unheld  reason = "it has a character that the column cannot hold"
)

// appendText takes any text as it is: numbers in their source text, booleans as true and false, documents as compact
// JSON. It cuts only where the job says so.
func appendText(dst []byte, t *Type, text []byte) ([]byte, reason) {
	if !utf8.Valid(text) {
		return dst, notUTF8
	}
	if t.Padded {
		text = bytes.TrimRight(text, " ")
	}
	start := len(dst)
	out, why := appendWithoutNUL(dst, t, text)
	if why != fits {
		return dst, why
	}
	if t.Takes != nil && !holds(t, out[start:]) {
		return dst, unheld
	}
	// A text has no more characters than bytes: count them only where that could matter.
	if n := len(out) - start; t.Length > 0 && n > t.Length && prefix(t, out[start:]) < n {
		if !t.Rules.Truncate {
			return dst, tooLong
		}
		out = out[:start+prefix(t, out[start:])]
		for t.Padded && len(out) > start && out[len(out)-1] == ' ' {
			out = out[:len(out)-1]
		}
	}
	return out, fits
}

// holds tells whether the column has every character of a text.
func holds(t *Type, text []byte) bool {
	for i := 0; i < len(text); {
		if text[i] < utf8.RuneSelf {
			i++
			continue
		}
		r, size := utf8.DecodeRune(text[i:])
		if t.Takes(r) == 0 {
			return false
		}
		i += size
	}
	return true
}

// prefix is how many bytes of a text the column has room for, whole characters only.
func prefix(t *Type, text []byte) int {
	room := t.Length
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		switch {
		case t.Takes != nil:
			room -= t.Takes(r)
		case t.LengthInBytes:
			room -= size
		default:
			room--
		}
		if room < 0 {
			return i
		}
		i += size
	}
	return len(text)
}

// appendWithoutNUL appends a text as the rule for NUL characters says.
func appendWithoutNUL(dst []byte, t *Type, text []byte) ([]byte, reason) {
	if t.Rules.NUL == NULKeep || bytes.IndexByte(text, 0) < 0 {
		return append(dst, text...), fits
	}
	if t.Rules.NUL == NULReject {
		return dst, hasNUL
	}
	for part := range bytes.SplitSeq(text, []byte{0}) {
		dst = append(dst, part...)
	}
	return dst, fits
}
