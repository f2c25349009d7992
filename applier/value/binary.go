package value

import (
	"bytes"
	"encoding/base64"

	applierv1 "slipstream/proto/slipstream/applier/v1"
)

const (
	notBinary reason = "it is neither base64 nor 0x or \\x hexadecimal"
	notBase64 reason = "it is not base64"
	notHex    reason = "it is not hexadecimal"
)

// appendBinary takes raw bytes as they are, and text as base64 or as hexadecimal after 0x or \x, unless the job names
// one encoding.
func appendBinary(dst []byte, t *Type, kind applierv1.ValueKind, text []byte) ([]byte, reason) {
	start := len(dst)
	ok, why := true, notBinary
	switch {
	case kind == applierv1.ValueKind_VALUE_KIND_BYTES, t.Rules.Encoding == EncodingUTF8:
		dst = append(dst, text...)
	case kind != applierv1.ValueKind_VALUE_KIND_STRING:
		ok = false
	case t.Rules.Encoding == EncodingBase64:
		why = notBase64
		dst, ok = appendBase64(dst, trim(text))
	case t.Rules.Encoding == EncodingHex:
		why = notHex
		dst, ok = appendHex(dst, withoutPrefix(trim(text)))
	default:
		dst, ok = appendDecoded(dst, trim(text))
	}
	if !ok {
		return dst, why
	}
	if t.Length > 0 && len(dst)-start > t.Length {
		if !t.Rules.Truncate {
			return dst, tooLong
		}
		dst = dst[:start+t.Length]
	}
	return dst, fits
}

// announcesHex tells whether text begins with 0x or \x.
func announcesHex(text []byte) bool {
	return len(text) >= 2 && (text[0] == '0' || text[0] == '\\') && text[1]|0x20 == 'x'
}

func withoutPrefix(text []byte) []byte {
	if announcesHex(text) {
		return text[2:]
	}
	return text
}

// appendDecoded decodes hexadecimal where the text announces and is it. 0x followed by other characters may still be
// base64, \x never.
func appendDecoded(dst, text []byte) ([]byte, bool) {
	if announcesHex(text) {
		if out, ok := appendHex(dst, text[2:]); ok || text[0] == '\\' {
			return out, ok
		}
	}
	return appendBase64(dst, text)
}

func appendHex(dst, text []byte) ([]byte, bool) {
	if len(text)%2 != 0 {
		return dst, false
	}
	out := dst
	for i := 0; i < len(text); i += 2 {
		high, ok1 := hexDigit(text[i])
		low, ok2 := hexDigit(text[i+1])
		if !ok1 || !ok2 {
			return dst, false
		}
		out = append(out, high<<4|low)
	}
	return out, true
}

var (
	base64Standard = base64.RawStdEncoding.Strict()
	base64URL      = base64.RawURLEncoding.Strict()
)

// appendBase64 decodes both alphabets, with padding or without; line breaks are skipped. What is not complete and
// exact is refused.
func appendBase64(dst, text []byte) ([]byte, bool) {
	digits := bytes.TrimRight(text, "=")
	if padding := len(text) - len(digits); padding > 2 || padding > 0 && (significant(digits)+padding)%4 != 0 {
		return dst, false
	}
	encoding := base64Standard
	if bytes.ContainsAny(digits, "-_") {
		encoding = base64URL
	}
	out, err := encoding.AppendDecode(dst, digits)
	if err != nil {
		return dst, false
	}
	return out, true
}

// significant counts the characters that are not line breaks.
func significant(text []byte) int {
	return len(text) - bytes.Count(text, []byte{'\n'}) - bytes.Count(text, []byte{'\r'})
}
