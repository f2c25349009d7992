package mysql

import (
	"bytes"
	"net/netip"
	"strings"
	"unicode/utf8"

	"slipstream/applier/value"
)

// looseOf maps values of a key column that the server may take for equal, though their texts differ, to one: by its
// collation, mostly. Nil: what is equal is equal as text.
func (c *column) looseOf() func(dst, text []byte) []byte {
	switch {
	case c.data == "binary":
		return looseBytes
	case strings.HasPrefix(c.data, "inet"):
		return looseAddress
	case c.collation == "":
		return nil
	case strings.HasSuffix(c.collation, "_bin"):
		return looseBlanks
	}
	for _, plain := range []string{"_general_", "_unicode_", "_0900_ai_", "_0900_as_", "uca1400_ai_", "uca1400_as_", "_nopad_"} {
		if strings.Contains(c.collation, plain) {
			return looseText
		}
	}
	return looseLanguage
}

// looseBlanks maps texts that differ in trailing blanks to one; only the newer collations look at them.
func looseBlanks(dst, text []byte) []byte { return append(dst, bytes.TrimRight(text, " ")...) }

// looseBytes maps bytes that differ in zeros at the end to one.
func looseBytes(dst, text []byte) []byte { return append(dst, bytes.TrimRight(text, "\x00")...) }

// looseAddress maps the ways to write an address to one.
func looseAddress(dst, text []byte) []byte {
	a, err := netip.ParseAddr(string(text))
	if err != nil {
		return append(dst, text...)
	}
	return a.Unmap().AppendTo(dst)
}

// looseText adds to LooseText what the collations of all languages do: characters beyond the basic plane are all equal in
// the older ones, and a sharp s is one s or two.
func looseText(dst, text []byte) []byte {
	start := len(dst)
	dst = value.LooseText(dst, text)
	out := dst[:start]
	for i := start; i < len(dst); {
		r, size := utf8.DecodeRune(dst[i:])
		i += size
		switch {
		case r > 0xffff:
			r = utf8.RuneError
		case r == 's' && len(out) > start && out[len(out)-1] == 's':
			continue
		}
		out = utf8.AppendRune(out, r)
	}
	return out
}

// looseLanguage is for the collations of a language, in which letters are equal to others or to pairs of them: ü to y, ä
// to ae, w to v. It forgets those letters.
func looseLanguage(dst, text []byte) []byte {
	start := len(dst)
	dst = looseText(dst, text)
	out := dst[:start]
	for _, c := range dst[start:] {
		switch c {
		case 'a', 'e', 'i', 'j', 'o', 'u', 'y':
			continue
		case 'w':
			c = 'v'
		}
		out = append(out, c)
	}
	return out
}
