package value

import (
	"bytes"
	"unicode/utf8"
)

const (
	notUTF8 reason = "it is not valid UTF-8"
	hasNUL  reason = "it has a NUL character"
	tooLong reason = "it is too long"
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
	// A text has no more characters than bytes: count them only where that could matter.
	if n := len(out) - start; t.Length > 0 && n > t.Length && (t.LengthInBytes || utf8.RuneCount(out[start:]) > t.Length) {
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

// prefix is how many bytes of a text the column has room for, whole characters only.
func prefix(t *Type, text []byte) int {
	room := t.Length
	for i := 0; i < len(text); {
		_, size := utf8.DecodeRune(text[i:])
		if t.LengthInBytes {
			room -= size
		} else {
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
