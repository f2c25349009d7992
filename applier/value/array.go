package value

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"

	applierv1 "slipstream/proto/slipstream/applier/v1"
)

const (
	notArray reason = "it is neither a JSON array nor an array literal"
	// arrayDepth bounds nesting; PostgreSQL takes six dimensions.
	arrayDepth = 6
)

// appendArray takes a JSON array or its text, and the array literal {…}. Elements are converted one by one; the result
// is an array literal.
func appendArray(dst []byte, t *Type, kind applierv1.ValueKind, text []byte) ([]byte, reason) {
	text = trim(text)
	if t.Elem == nil || len(text) == 0 {
		return dst, notArray
	}
	if !utf8.Valid(text) {
		return dst, notUTF8
	}
	switch {
	case kind == applierv1.ValueKind_VALUE_KIND_NUMBER, kind == applierv1.ValueKind_VALUE_KIND_BOOLEAN:
		return dst, notArray
	case text[0] == '[':
		if !json.Valid(text) {
			return dst, notArray
		}
		// Escapes are undone below: what they cannot say must be found before.
		if why := checkEscapes(t, text); why != fits {
			return dst, why
		}
		return appendJSONArray(dst, t.Elem, text, 1)
	case text[0] == '{' && kind != applierv1.ValueKind_VALUE_KIND_DOCUMENT:
		l := literal{text: text}
		out, why := l.appendArray(dst, t.Elem, 1)
		if why == fits && len(l.text) > 0 {
			return dst, notArray
		}
		return out, why
	}
	return dst, notArray
}

func appendJSONArray(dst []byte, elem *Type, text []byte, depth int) ([]byte, reason) {
	if depth > arrayDepth {
		return dst, "it is nested too deep"
	}
	var members []json.RawMessage
	if err := json.Unmarshal(text, &members); err != nil {
		return dst, notArray
	}
	dst = append(dst, '{')
	for i, member := range members {
		if i > 0 {
			dst = append(dst, ',')
		}
		var why reason
		if member[0] == '[' && elem.Kind != JSON {
			dst, why = appendJSONArray(dst, elem, member, depth+1)
		} else {
			dst, why = appendMember(dst, elem, member)
		}
		if why != fits {
			return dst, why
		}
	}
	return append(dst, '}'), fits
}

// appendMember converts one member of a JSON array.
func appendMember(dst []byte, elem *Type, member []byte) ([]byte, reason) {
	kind := applierv1.ValueKind_VALUE_KIND_NUMBER
	switch member[0] {
	case 'n':
		kind = applierv1.ValueKind_VALUE_KIND_UNSPECIFIED
	case 't', 'f':
		kind = applierv1.ValueKind_VALUE_KIND_BOOLEAN
	case '{', '[':
		kind = applierv1.ValueKind_VALUE_KIND_DOCUMENT
		var compact bytes.Buffer
		if err := json.Compact(&compact, member); err != nil {
			return dst, notArray
		}
		member = compact.Bytes()
	case '"':
		kind = applierv1.ValueKind_VALUE_KIND_STRING
		var s string
		if err := json.Unmarshal(member, &s); err != nil {
			return dst, notArray
		}
		member = []byte(s)
	}
	return appendElement(dst, elem, kind, member)
}

// appendElement converts one element and quotes it.
func appendElement(dst []byte, elem *Type, kind applierv1.ValueKind, text []byte) ([]byte, reason) {
	isText := kind == applierv1.ValueKind_VALUE_KIND_STRING
	if kind == applierv1.ValueKind_VALUE_KIND_UNSPECIFIED || isText && emptyIsNull(elem, text) {
		return append(dst, "NULL"...), fits
	}
	out, why := convert(nil, elem, kind, text)
	if why != fits {
		return dst, why
	}
	if elem.Kind == Binary {
		return appendHexElement(dst, out), fits
	}
	return appendQuoted(dst, out), fits
}

func appendHexElement(dst, raw []byte) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, `"\\x`...)
	for _, c := range raw {
		dst = append(dst, hex[c>>4], hex[c&15])
	}
	return append(dst, '"')
}

// appendQuoted quotes an element where the literal would read it as something else.
func appendQuoted(dst, text []byte) []byte {
	if len(text) > 0 && !equalFold(text, "null") && !bytes.ContainsAny(text, "{}\",\\ \t\n\v\f\r;") {
		return append(dst, text...)
	}
	dst = append(dst, '"')
	for _, c := range text {
		if c == '"' || c == '\\' {
			dst = append(dst, '\\')
		}
		dst = append(dst, c)
	}
	return append(dst, '"')
}

// literal reads an array literal from the front of text.
type literal struct{ text []byte }

func (l *literal) appendArray(dst []byte, elem *Type, depth int) ([]byte, reason) {
	if depth > arrayDepth {
		return dst, "it is nested too deep"
	}
	l.text = l.text[1:] // {
	dst = append(dst, '{')
	for first := true; ; first = false {
		l.text = trimLeft(l.text)
		if first && l.next('}') {
			return append(dst, '}'), fits
		}
		var why reason
		if len(l.text) > 0 && l.text[0] == '{' {
			dst, why = l.appendArray(dst, elem, depth+1)
		} else {
			dst, why = l.appendElement(dst, elem)
		}
		if why != fits {
			return dst, why
		}
		l.text = trimLeft(l.text)
		switch {
		case l.next(','):
			dst = append(dst, ',')
		case l.next('}'):
			return append(dst, '}'), fits
		default:
			return dst, notArray
		}
	}
}

// next takes one character off the front, if it is there.
func (l *literal) next(c byte) bool {
	if len(l.text) == 0 || l.text[0] != c {
		return false
	}
	l.text = l.text[1:]
	return true
}

func (l *literal) appendElement(dst []byte, elem *Type) ([]byte, reason) {
	quoted := l.next('"')
	var text []byte
	for {
		if len(l.text) == 0 {
			return dst, notArray
		}
		c := l.text[0]
		if quoted && c == '"' {
			l.text = l.text[1:]
			break
		}
		if !quoted && (c == ',' || c == '}') {
			break
		}
		if !quoted && (c == '{' || c == '"') {
			return dst, notArray
		}
		if c == '\\' {
			if l.text = l.text[1:]; len(l.text) == 0 {
				return dst, notArray
			}
			c = l.text[0]
		}
		text = append(text, c)
		l.text = l.text[1:]
	}
	kind := applierv1.ValueKind_VALUE_KIND_STRING
	if !quoted {
		if text = trim(text); len(text) == 0 {
			return dst, notArray
		}
		if equalFold(text, "null") {
			kind = applierv1.ValueKind_VALUE_KIND_UNSPECIFIED
		}
	}
	return appendElement(dst, elem, kind, text)
}

func trimLeft(b []byte) []byte {
	for len(b) > 0 && blank(b[0]) {
		b = b[1:]
	}
	return b
}
