package mysql

import "testing"

// What a collation takes for equal is one text when it is written in the order of events; what looks different is told
// apart where that is easy.
func TestLoose(t *testing.T) {
	for _, c := range []struct {
		name        string
		column      column
		a, b        string
		alike, none bool
	}{
		{name: "case", column: column{collation: "utf8mb4_general_ci"}, a: "user:A", b: "USER:a", alike: true},
		{name: "accents", column: column{collation: "utf8mb4_unicode_ci"}, a: "Zoé", b: "zoe", alike: true},
		{name: "a sharp s is one s in general_ci", column: column{collation: "utf8mb4_general_ci"}, a: "Maß", b: "mas", alike: true},
		{name: "a sharp s is two", column: column{collation: "utf8mb4_unicode_ci"}, a: "Maß", b: "MASS", alike: true},
		{name: "beyond the basic plane", column: column{collation: "utf8mb4_general_ci"}, a: "🚀", b: "🐘", alike: true},
		{name: "blanks", column: column{collation: "utf8mb4_bin"}, a: "a", b: "a  ", alike: true},
		{name: "case in bin", column: column{collation: "utf8mb4_bin"}, a: "a", b: "A"},
		{name: "other words", column: column{collation: "utf8mb4_0900_ai_ci"}, a: "user:1", b: "user:2"},
		{name: "Swedish", column: column{collation: "latin1_swedish_ci"}, a: "Müller", b: "MYLLER", alike: true},
		{name: "German telephone books", column: column{collation: "latin1_german2_ci"}, a: "Bär", b: "Baer", alike: true},
		{name: "other numbers in a language", column: column{collation: "latin1_swedish_ci"}, a: "k1", b: "k2"},
		{name: "zeros", column: column{data: "binary"}, a: "a", b: "a\x00", alike: true},
		{name: "addresses", column: column{data: "inet6"}, a: "::1", b: "0:0:0:0:0:0:0:1", alike: true},
		{name: "numbers", column: column{data: "int"}, none: true},
	} {
		loose := c.column.looseOf()
		if (loose == nil) != c.none {
			t.Errorf("%s: loose is %v", c.name, loose != nil)
		}
		if loose == nil {
			continue
		}
		if a, b := string(loose([]byte("x"), []byte(c.a))), string(loose([]byte("x"), []byte(c.b))); (a == b) != c.alike {
			t.Errorf("%s: %q is %q, %q is %q", c.name, c.a, a, c.b, b)
		}
	}
}
