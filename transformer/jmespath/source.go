package jmespath

import (
	"fmt"
	"slices"
	"strings"

	"slipstream/transformer/record"
)

// source is an expression prepared for the parser. Every literal is replaced by its number between backticks, which is
// JSON to any parser: so literals keep the text of their numbers, need not be JSON, and raw strings keep their
// backslashes, whatever the parser makes of those.
type source struct {
	rewritten string
	literals  []any
	moved     []move
}

// move says where a piece of the rewritten text stood in the original.
type move struct{ rewritten, original int }

// original translates an offset in the rewritten text.
func (s source) original(offset int) int {
	at := offset
	for _, m := range s.moved {
		if m.rewritten > offset {
			break
		}
		at = m.original + offset - m.rewritten
	}
	return at
}

type tokenKind int

const (
	punctuation tokenKind = iota
	identifier            // bare or quoted
	literal               // `…` or '…'
	number
)

type token struct {
	kind   tokenKind
	text   string
	offset int
}

// is reports whether the token is one of these marks.
func (t token) is(marks ...string) bool {
	return t.kind == punctuation && slices.Contains(marks, t.text)
}

// endsOperand reports whether a value may end with this token.
func (t token) endsOperand() bool {
	return t.kind != punctuation || t.is("@", ")", "]", "}", "[]")
}

// beginsOperand reports whether this token can only begin a value.
func (t token) beginsOperand() bool {
	return t.kind == identifier || t.kind == literal || t.is("@", "&", "!")
}

// scan splits an expression into tokens, replaces its literals, and refuses what the parser would silently accept:
// missing and dangling commas, and numbers outside backticks.
func scan(expression string) (source, error) {
	var (
		s      source
		out    strings.Builder
		tokens []token
	)
	for i := 0; i < len(expression); {
		size, kind, err := measure(expression, i)
		if err != nil {
			return s, err
		}
		text := expression[i : i+size]
		if kind == literal {
			value, err := literalValue(text)
			if err != nil {
				return s, fmt.Errorf("%w (at offset %d)", err, i)
			}
			s.literals = append(s.literals, value)
			fmt.Fprintf(&out, "`%d`", len(s.literals)-1)
			s.moved = append(s.moved, move{rewritten: out.Len(), original: i + size})
		} else {
			out.WriteString(text)
		}
		if strings.TrimLeft(text, " \t\r\n") != "" {
			tokens = append(tokens, token{kind, text, i})
		}
		i += size
	}
	s.rewritten = out.String()
	return s, check(tokens)
}

// measure finds the length and the kind of the token at i; blanks are tokens without text.
func measure(expression string, i int) (int, tokenKind, error) {
	rest := expression[i:]
	switch c := rest[0]; {
	case c == '`' || c == '\'' || c == '"':
		end := 1
		for end < len(rest) && rest[end] != c {
			if rest[end] == '\\' {
				end++
			}
			end++
		}
		if end >= len(rest) {
			return 0, 0, fmt.Errorf("the %c at offset %d is not closed", c, i)
		}
		if c == '"' {
			return end + 1, identifier, nil
		}
		return end + 1, literal, nil
	case isLetter(c):
		end := 1
		for end < len(rest) && (isLetter(rest[end]) || isDigit(rest[end])) {
			end++
		}
		return end, identifier, nil
	case isDigit(c), c == '-' && len(rest) > 1 && isDigit(rest[1]):
		end := 1
		for end < len(rest) && isDigit(rest[end]) {
			end++
		}
		return end, number, nil
	}
	for _, double := range []string{"||", "&&", "==", "!=", "<=", ">=", "[?", "[]"} {
		if strings.HasPrefix(rest, double) {
			return 2, punctuation, nil
		}
	}
	return 1, punctuation, nil
}

func isLetter(c byte) bool { return c == '_' || c|0x20 >= 'a' && c|0x20 <= 'z' }
func isDigit(c byte) bool  { return c >= '0' && c <= '9' }

// literalValue reads a literal with its delimiters. A backslash hides a delimiter and is otherwise kept.
func literalValue(text string) (any, error) {
	delimiter := text[:1]
	body := strings.ReplaceAll(text[1:len(text)-1], `\`+delimiter, delimiter)
	if delimiter == "'" {
		return body, nil
	}
	value, err := record.Decode([]byte(body))
	if err == nil {
		return value, nil
	}
	body = strings.TrimLeft(body, " \t\r\n")
	if body != "" && strings.Contains(`{["`, body[:1]) {
		return nil, fmt.Errorf("the literal %s is not JSON: %w", cut(text, 64), err)
	}
	// A string without quotes; the escapes of JSON count if all of them are right.
	if value, err = record.Decode([]byte(`"` + body + `"`)); err == nil {
		return value, nil
	}
	return body, nil
}

// check refuses neighbours that no JMESPath has.
func check(tokens []token) error {
	var open []token
	for i, t := range tokens {
		if t.is("$", "=") {
			return beyondStandard(t)
		}
		var last token
		if i > 0 {
			last = tokens[i-1]
		}
		switch {
		case t.kind == number && !last.is("[", ":"):
			return fmt.Errorf("the number %s at offset %d must be written between backticks (`%[1]s`); "+
				"a name that contains it or a minus is written in double quotes", t.text, t.offset)
		case i > 0 && t.beginsOperand() && last.endsOperand():
			return missing(tokens, i, open)
		case last.is(",") && t.is(")", "]", "}"):
			return fmt.Errorf("the comma at offset %d has nothing after it", last.offset)
		}
		if t.kind != punctuation {
			continue
		}
		switch t.text {
		case "{", "(", "[", "[?":
			open = append(open, t)
		case "}", ")", "]":
			if len(open) > 0 {
				open = open[:len(open)-1]
			}
		}
	}
	return nil
}

func beyondStandard(t token) error {
	if t.text == "=" {
		return fmt.Errorf("the = at offset %d must be ==", t.offset)
	}
	return fmt.Errorf("the %s at offset %d is not JMESPath; the record itself is written @", t.text, t.offset)
}

// missing says what should stand before token i.
func missing(tokens []token, i int, open []token) error {
	t := tokens[i]
	inside := ""
	if len(open) > 0 {
		inside = open[len(open)-1].text
	}
	switch {
	case inside == "{" && i+1 < len(tokens) && tokens[i+1].is(":"):
		return fmt.Errorf("a comma is missing before the key %s at offset %d: write {a: x, b: y}", t.text, t.offset)
	case inside == "(":
		return fmt.Errorf("a comma or an operator is missing before the argument %s at offset %d", t.text, t.offset)
	case inside == "[":
		return fmt.Errorf("a comma or an operator is missing before the element %s at offset %d", t.text, t.offset)
	}
	return fmt.Errorf("an operator is missing before %s at offset %d", t.text, t.offset)
}
