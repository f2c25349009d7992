package sqlserver

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
)

// utf8CodePage is the code page of collations whose name ends in _UTF8.
const utf8CodePage = 65001

// codePages are those of collations: what varchar holds. Collations without one hold Unicode alone and have no varchar.
var codePages = map[int]encoding.Encoding{
	437: charmap.CodePage437, 850: charmap.CodePage850, 874: charmap.Windows874, 932: japanese.ShiftJIS, 936: simplifiedchinese.GBK,
	949: korean.EUCKR, 950: traditionalchinese.Big5, 1250: charmap.Windows1250, 1251: charmap.Windows1251, 1252: charmap.Windows1252,
	1253: charmap.Windows1253, 1254: charmap.Windows1254, 1255: charmap.Windows1255, 1256: charmap.Windows1256, 1257: charmap.Windows1257,
	1258: charmap.Windows1258,
}

// unicodeTakes is how much of nvarchar(n) a character takes: n counts pairs of bytes.
func unicodeTakes(r rune) int {
	if r > 0xffff {
		return 2
	}
	return 1
}

// codePageTakes says how many bytes a character takes in a code page, 0 where it has none: SQL Server would write a
// question mark, or something similar. Nil where the page is not known.
func codePageTakes(page int) func(r rune) int {
	if page == utf8CodePage {
		return utf8.RuneLen
	}
	known, ok := codePages[page]
	if !ok {
		return nil
	}
	if single, ok := known.(*charmap.Charmap); ok {
		return func(r rune) int {
			if _, ok := single.EncodeRune(r); ok {
				return 1
			}
			return 0
		}
	}
	return func(r rune) int {
		if r < utf8.RuneSelf {
			return 1
		}
		out, err := known.NewEncoder().Bytes([]byte(string(r)))
		if err != nil {
			return 0
		}
		return len(out)
	}
}

// isBinary tells whether a collation compares code points. Trailing blanks are not looked at even then.
func isBinary(collation string) bool {
	name := strings.ToUpper(strings.TrimSuffix(strings.ToUpper(collation), "_UTF8"))
	return strings.HasSuffix(name, "_BIN") || strings.HasSuffix(name, "_BIN2")
}

// looseBlanks maps texts that differ in trailing blanks to one.
func looseBlanks(dst, text []byte) []byte { return append(dst, bytes.TrimRight(text, " ")...) }

// looseBytes maps bytes that differ in zeros at the end to one.
func looseBytes(dst, text []byte) []byte { return append(dst, bytes.TrimRight(text, "\x00")...) }

// looseMoment maps times that datetime rounds to one: it keeps a third of a hundredth.
func looseMoment(dst, text []byte) []byte {
	whole, _, _ := bytes.Cut(text, []byte{'.'})
	return append(dst, whole...)
}
