package meaning

import (
	"strings"
	"unicode/utf8"
)

// longest is how much of an expression is shown.
const longest = 120

// arrow says that something was one thing and is another.
func arrow(what, from, to string) string { return what + ": " + from + " → " + to }

// quoted shows a text, on one line and not too much of it.
func quoted(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > longest {
		at := longest
		for !utf8.RuneStart(s[at]) {
			at--
		}
		s = s[:at] + "…"
	}
	return "`" + s + "`"
}

func list(s []string) string {
	if len(s) == 0 {
		return "none"
	}
	return strings.Join(s, ", ")
}

func or(s, empty string) string {
	if s == "" {
		return empty
	}
	return s
}

// word is the word of an enum's value that job files use.
func word(value, prefix string) string { return strings.ToLower(strings.TrimPrefix(value, prefix)) }

func yes(b bool) string {
	if b {
		return "true"
	}
	return "false"
}
