package record

import (
	"encoding/json"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// Encode is Append into a fresh slice.
func Encode(value any) []byte { return Append(nil, value) }

// Append adds the compact JSON form of value to dst: no blanks, members in name order, numbers with their source text,
// and no escaping that JSON does not demand (so < stays <). What cannot be JSON in a foreign value is written as null
// (infinities) or as a string (Go types that are no record values).
func Append(dst []byte, value any) []byte {
	switch v := value.(type) {
	case nil:
		return append(dst, "null"...)
	case bool:
		return strconv.AppendBool(dst, v)
	case string:
		return appendString(dst, v)
	case json.Number:
		if v == "" {
			return append(dst, '0')
		}
		return append(dst, v...)
	case []any:
		dst = append(dst, '[')
		for i, element := range v {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = Append(dst, element)
		}
		return append(dst, ']')
	case map[string]any:
		return appendObject(dst, v)
	case int, int64:
		number, _ := AsNumber(v)
		return append(dst, number...)
	case float64:
		if number, ok := Float(v); ok {
			return append(dst, number...)
		}
		return append(dst, "null"...)
	}
	return appendString(dst, fmt.Sprint(value))
}

func appendObject(dst []byte, object map[string]any) []byte {
	dst = append(dst, '{')
	for i, name := range Names(object) {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendString(dst, name)
		dst = append(dst, ':')
		dst = Append(dst, object[name])
	}
	return append(dst, '}')
}

const hexDigits = "0123456789abcdef"

func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if c >= ' ' && c != '"' && c != '\\' {
				i++
				continue
			}
			dst = append(dst, s[start:i]...)
			switch c {
			case '"', '\\':
				dst = append(dst, '\\', c)
			case '\n':
				dst = append(dst, '\\', 'n')
			case '\r':
				dst = append(dst, '\\', 'r')
			case '\t':
				dst = append(dst, '\\', 't')
			default:
				dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
			}
			i++
			start = i
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size == 1 {
			dst = append(dst, s[start:i]...)
			dst = utf8.AppendRune(dst, utf8.RuneError)
			start = i + size
		}
		i += size
	}
	return append(append(dst, s[start:]...), '"')
}
