package value

import applierv1 "slipstream/proto/slipstream/applier/v1"

// appendRaw takes any value (spec 5.5): texts, bytes and documents as they are, booleans as 1 and 0, JSON numbers in their
// shortest form without an exponent. A number too long for that stays as it came.
func appendRaw(dst []byte, kind applierv1.ValueKind, text []byte) []byte {
	switch kind {
	case applierv1.ValueKind_VALUE_KIND_BOOLEAN:
		if len(text) > 0 && text[0] == 't' {
			return append(dst, '1')
		}
		return append(dst, '0')
	case applierv1.ValueKind_VALUE_KIND_NUMBER:
		if n, ok := parseNumber(text); ok {
			return n.append(dst)
		}
	}
	return append(dst, text...)
}
