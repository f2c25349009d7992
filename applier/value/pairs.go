package value

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"unicode/utf8"

	applierv1 "slipstream/proto/slipstream/applier/v1"
)

const notPairs reason = "it is neither a JSON object nor a list of name => value"

// appendPairs takes a JSON object or its text, which is how such columns are captured (spec 10.2), and makes
// "name"=>"value" of its members, sorted by name: texts stay, null is NULL, all else is its JSON text. Other text is
// the column's own notation and stays as it came.
func appendPairs(dst []byte, t *Type, kind applierv1.ValueKind, text []byte) ([]byte, reason) {
	text = trim(text)
	switch {
	case kind == applierv1.ValueKind_VALUE_KIND_NUMBER, kind == applierv1.ValueKind_VALUE_KIND_BOOLEAN, len(text) == 0:
		return dst, notPairs
	case text[0] != '{' && kind != applierv1.ValueKind_VALUE_KIND_DOCUMENT:
		return appendOther(dst, t, text)
	case !utf8.Valid(text):
		return dst, notUTF8
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(text, &members); err != nil || members == nil {
		return dst, notPairs
	}
	if why := checkEscapes(t, text); why != fits {
		return dst, why
	}
	out := dst
	var why reason
	for i, name := range slices.Sorted(maps.Keys(members)) {
		if i > 0 {
			out = append(out, ',', ' ')
		}
		if out, why = appendPairText(out, t, []byte(name)); why != fits {
			return dst, why
		}
		out = append(out, '=', '>')
		member := members[name]
		switch member[0] {
		case 'n':
			out = append(out, "NULL"...)
			continue
		case '"':
			var s string
			if err := json.Unmarshal(member, &s); err != nil {
				return dst, notPairs
			}
			member = []byte(s)
		case '{', '[':
			var compact bytes.Buffer
			if err := json.Compact(&compact, member); err != nil {
				return dst, notPairs
			}
			member = compact.Bytes()
		}
		if out, why = appendPairText(out, t, member); why != fits {
			return dst, why
		}
	}
	return out, fits
}

// appendPairText quotes a name or a value.
func appendPairText(dst []byte, t *Type, text []byte) ([]byte, reason) {
	plain, why := appendWithoutNUL(nil, t, text)
	if why != fits {
		return dst, why
	}
	dst = append(dst, '"')
	for _, c := range plain {
		if c == '"' || c == '\\' {
			dst = append(dst, '\\')
		}
		dst = append(dst, c)
	}
	return append(dst, '"'), fits
}
