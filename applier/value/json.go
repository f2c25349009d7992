package value

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"

	applierv1 "slipstream/proto/slipstream/applier/v1"
)

// appendJSON stores documents, numbers and booleans as they are, text that parses as JSON as that JSON, and other text
// as a JSON string.
func appendJSON(dst []byte, t *Type, kind applierv1.ValueKind, text []byte) ([]byte, reason) {
	if !utf8.Valid(text) {
		return dst, notUTF8
	}
	parsed := trim(text)
	isText := kind == applierv1.ValueKind_VALUE_KIND_STRING || kind == applierv1.ValueKind_VALUE_KIND_BYTES
	switch {
	case json.Valid(parsed):
		if why := checkEscapes(t, parsed); why != fits {
			return dst, why
		}
		return appendEscaped(dst, t, parsed), fits
	case isText:
		return appendJSONString(dst, t, text)
	default:
		return dst, "it is not JSON"
	}
}

// appendEscaped appends JSON text, without NUL characters where those are to be left out.
func appendEscaped(dst []byte, t *Type, text []byte) []byte {
	const escapedNUL = `\u0000`
	if t.Rules.NUL != NULStrip || !bytes.Contains(text, []byte(escapedNUL)) {
		return append(dst, text...)
	}
	for i := 0; i < len(text); i++ {
		switch {
		case bytes.HasPrefix(text[i:], []byte(escapedNUL)):
			i += len(escapedNUL) - 1
		case text[i] == '\\':
			dst = append(dst, text[i], text[i+1])
			i++
		default:
			dst = append(dst, text[i])
		}
	}
	return dst
}

// checkEscapes looks for what JSON can write and databases cannot store: the NUL character, unless the column takes
// it or it is to be left out, and halves of surrogate pairs.
func checkEscapes(t *Type, text []byte) reason {
	high := -1 // where the other half of a pair has to begin
	for i := bytes.IndexByte(text, '\\'); i >= 0 && i+1 < len(text); {
		if high >= 0 && high != i {
			return halfCharacter
		}
		next := i + 2
		if text[i+1] == 'u' {
			next = i + 6
			unit := codeUnit(text[i+2 : next])
			low := unit >= 0xDC00 && unit < 0xE000
			if low != (high >= 0) {
				return halfCharacter
			}
			high = -1
			if unit >= 0xD800 && unit < 0xDC00 {
				high = next
			}
			if unit == 0 && t.Rules.NUL == NULReject {
				return hasNUL
			}
		} else if high >= 0 {
			return halfCharacter
		}
		skip := bytes.IndexByte(text[next:], '\\')
		if skip < 0 {
			break
		}
		i = next + skip
	}
	if high >= 0 {
		return halfCharacter
	}
	return fits
}

const halfCharacter reason = "it has half of a surrogate pair"

// codeUnit reads the four hexadecimal digits of a \u escape.
func codeUnit(digits []byte) int {
	unit := 0
	for _, c := range digits {
		d, _ := hexDigit(c)
		unit = unit<<4 | int(d)
	}
	return unit
}

// appendJSONString quotes a text. NUL characters follow the column's rule, so that both ways of writing them agree.
func appendJSONString(dst []byte, t *Type, text []byte) ([]byte, reason) {
	const hex = "0123456789abcdef"
	out := append(dst, '"')
	for _, c := range text {
		switch {
		case c == '"' || c == '\\':
			out = append(out, '\\', c)
		case c == '\n':
			out = append(out, '\\', 'n')
		case c == '\r':
			out = append(out, '\\', 'r')
		case c == '\t':
			out = append(out, '\\', 't')
		case c == 0 && t.Rules.NUL == NULReject:
			return dst, hasNUL
		case c == 0 && t.Rules.NUL == NULStrip:
		case c < ' ':
			out = append(out, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			out = append(out, c)
		}
	}
	return append(out, '"'), fits
}
