package value

import (
	"bytes"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// LooseText maps texts that any collation may take for equal to one: it forgets case, accents, width, kana, what is
// invisible, and trailing blanks. It forgets more than most collations do, which only costs speed.
func LooseText(dst, text []byte) []byte {
	text = bytes.TrimRight(text, " ")
	start := len(dst)
	for _, c := range text {
		if c >= utf8.RuneSelf {
			return looseUnicode(dst[:start], text)
		}
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		if c >= ' ' {
			dst = append(dst, c)
		}
	}
	return dst
}

// apart are letters that compare like others and are no composition of them.
var apart = map[rune]string{
	'ß': "ss", 'ẞ': "ss", 'æ': "ae", 'œ': "oe", 'ø': "o", 'đ': "d", 'ð': "d", 'þ': "th", 'ł': "l", 'ħ': "h", 'ı': "i", 'ĸ': "k", 'ŋ': "n",
	'ŧ': "t", 'ſ': "s", 'ς': "σ",
}

func looseUnicode(dst, text []byte) []byte {
	for _, r := range string(norm.NFKD.Bytes(text)) {
		switch {
		case unicode.Is(unicode.Mn, r), unicode.Is(unicode.Cf, r), unicode.Is(unicode.Cc, r):
			continue // no weight of its own
		case r >= 'ァ' && r <= 'ヶ':
			r -= 'ァ' - 'ぁ' // katakana as hiragana
		}
		r = unicode.ToLower(unicode.ToUpper(r))
		if other, ok := apart[r]; ok {
			dst = append(dst, other...)
			continue
		}
		dst = utf8.AppendRune(dst, r)
	}
	return dst
}
