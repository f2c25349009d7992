// Package glob matches keys against patterns exactly as the server does for KEYS and PSUBSCRIBE (spec 3.5): byte by byte,
// case-sensitive, anchored at both ends. Where Redis records the changes it matches itself; this is for the entries of
// streams that an application writes.
//
// `*` is any run of bytes, also none; `?` one byte; `[abc]`, `[a-z]`, `[^x]` one byte of a class; `\` takes the next byte
// as it is. A class that is not closed reaches to the end of the pattern. In a range bytes above 127 come before the others,
// as they do on a server on x86.
package glob

// Match says whether the whole key matches the pattern. It takes at most len(pattern) × len(key) steps.
func Match(pattern, key []byte) bool {
	var star, mark int // where to go on after the last star, and the byte of key it takes next
	starred := false
	p, k := 0, 0
	for k < len(key) {
		if p < len(pattern) && pattern[p] == '*' {
			p++
			star, mark, starred = p, k, true
			continue
		}
		if p < len(pattern) {
			if ok, width := one(pattern[p:], key[k]); ok {
				p += width
				k++
				continue
			}
		}
		if !starred {
			return false
		}
		mark++
		p, k = star, mark
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

// one matches a byte against the first element of a pattern that is not a star, and tells how long that element is.
func one(p []byte, b byte) (ok bool, width int) {
	switch {
	case p[0] == '?':
		return true, 1
	case p[0] == '[':
		return class(p, b)
	case p[0] == '\\' && len(p) > 1:
		return p[1] == b, 2
	}
	return p[0] == b, 1
}

func class(p []byte, b byte) (ok bool, width int) {
	i := 1
	not := i < len(p) && p[i] == '^'
	if not {
		i++
	}
	for i < len(p) && p[i] != ']' {
		switch {
		case p[i] == '\\' && len(p)-i >= 2:
			ok = ok || p[i+1] == b
			i += 2
		case len(p)-i >= 3 && p[i+1] == '-':
			// The server compares the ends of a range as signed characters, where its platform has those (x86 has).
			low, high, c := int8(p[i]), int8(p[i+2]), int8(b)
			ok = ok || min(low, high) <= c && c <= max(low, high)
			i += 3
		default:
			ok = ok || p[i] == b
			i++
		}
	}
	return ok != not, min(i+1, len(p))
}
