package value

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// shownCharacters is how much of a value an error shows (spec 10.3).
const shownCharacters = 64

// Error says that a value does not fit its column. It is a fault of the record, never of the target.
type Error struct {
	Value  string // the value, cut at 64 characters; what cannot be shown is escaped
	Type   string // the column's type in its dialect's words
	Column string // the column; empty where the caller adds it
	Reason string // why, in a few words
}

// Error is the sentence a dead letter shows.
func (e *Error) Error() string {
	s := fmt.Sprintf("cannot convert '%s' to %s", e.Value, e.Type)
	if e.Column != "" {
		s += " for column " + e.Column
	}
	if e.Reason != "" {
		s += ": " + e.Reason
	}
	return s
}

func newError(t *Type, text []byte, why reason) *Error {
	return &Error{Value: shown(text), Type: t.Name, Column: t.Column, Reason: string(why)}
}

// shown cuts a value at 64 characters and escapes what is not printable text.
func shown(text []byte) string {
	var b strings.Builder
	for n := 0; len(text) > 0; n++ {
		if n == shownCharacters {
			b.WriteString("…")
			break
		}
		r, size := utf8.DecodeRune(text)
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, text[0])
		case r < ' ' || r == 0x7f:
			fmt.Fprintf(&b, `\x%02x`, r)
		default:
			b.Write(text[:size])
		}
		text = text[size:]
	}
	return b.String()
}
