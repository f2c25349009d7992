package value

// appendUUID takes 32 hexadecimal digits, grouped 8-4-4-4-12 by dashes or not at all, in braces or not.
func appendUUID(dst, text []byte) ([]byte, reason) {
	const notUUID reason = "it is not a UUID"
	if n := len(text); n > 2 && text[0] == '{' && text[n-1] == '}' {
		text = text[1 : n-1]
	}
	grouped := len(text) == 36
	if !grouped && len(text) != 32 {
		return dst, notUUID
	}
	out := dst
	for i, n := 0, 0; i < len(text); i++ {
		if grouped && (i == 8 || i == 13 || i == 18 || i == 23) {
			if text[i] != '-' {
				return dst, notUUID
			}
			continue
		}
		c, ok := hexDigit(text[i])
		if !ok {
			return dst, notUUID
		}
		if n == 8 || n == 12 || n == 16 || n == 20 {
			out = append(out, '-')
		}
		out = append(out, "0123456789abcdef"[c])
		n++
	}
	return out, fits
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case digit(c):
		return c - '0', true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}
