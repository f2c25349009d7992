package sqlexpr

import (
	"errors"
	"fmt"
	"strings"
)

type kind int

const (
	symbol kind = iota // operators, parentheses, commas
	word               // a bare name or a keyword
	quoted             // a name in backticks, double quotes or brackets
	str                // a string literal
	number             // a number literal
	blob               // x'…'
)

// token is a piece of an expression. Its text is as written; for quoted names and strings, value is what it stands for.
type token struct {
	kind   kind
	text   string
	value  string
	offset int
}

// upper is the token as a keyword.
func (t token) upper() string {
	if t.kind != word {
		return ""
	}
	return strings.ToUpper(t.text)
}

func (t token) is(text string) bool { return t.kind == symbol && t.text == text }

// tokenise splits an expression; blanks and comments separate tokens and disappear.
func tokenise(expression string) ([]token, error) {
	var tokens []token
	for i := 0; i < len(expression); {
		size, err := blank(expression[i:])
		if err != nil {
			return nil, err
		}
		if size > 0 {
			i += size
			continue
		}
		t, err := next(expression[i:])
		if err != nil {
			return nil, fmt.Errorf("%w (at offset %d)", err, i)
		}
		t.offset = i
		tokens = append(tokens, t)
		i += len(t.text)
	}
	return tokens, nil
}

// blank measures the blanks and the comment text begins with.
func blank(text string) (int, error) {
	if size := len(text) - len(strings.TrimLeft(text, " \t\r\n\f")); size > 0 {
		return size, nil
	}
	switch {
	case strings.HasPrefix(text, "--"):
		if end := strings.IndexByte(text, '\n'); end >= 0 {
			return end, nil
		}
		return len(text), nil
	case strings.HasPrefix(text, "/*"):
		end := strings.Index(text[2:], "*/")
		if end < 0 {
			return 0, errors.New("a comment is not closed")
		}
		return end + 4, nil
	}
	return 0, nil
}

func next(text string) (token, error) {
	c := text[0]
	switch {
	case c == '\'':
		return enclosed(text, str, '\'')
	case c == '"' || c == '`':
		return enclosed(text, quoted, c)
	case c == '[':
		end := strings.IndexByte(text, ']')
		if end < 0 {
			return token{}, errors.New("a [ is not closed")
		}
		return token{kind: quoted, text: text[:end+1], value: text[1:end]}, nil
	case c|0x20 == 'x' && len(text) > 1 && text[1] == '\'':
		t, err := enclosed(text[1:], blob, '\'')
		t.text = text[:1] + t.text
		return t, err
	case startsWord(c):
		end := 1
		for end < len(text) && (startsWord(text[end]) || isDigit(text[end]) || text[end] == '$') {
			end++
		}
		return token{kind: word, text: text[:end]}, nil
	case isDigit(c), c == '.' && len(text) > 1 && isDigit(text[1]):
		return token{kind: number, text: text[:numberLength(text)]}, nil
	case c == '?' || c == ':' || c == '@' || c == '$' || c == '#':
		return token{}, fmt.Errorf("%q is not allowed: expressions have no parameters", c)
	case c == ';':
		return token{}, errors.New("a ; is not allowed: only an expression can stand here, not statements")
	}
	for _, operator := range []string{"->>", "->", "||", "<=", ">=", "<>", "==", "!=", "<<", ">>"} {
		if strings.HasPrefix(text, operator) {
			return token{kind: symbol, text: operator}, nil
		}
	}
	if strings.IndexByte("+-*/%=<>|&~(),.", c) < 0 {
		return token{}, fmt.Errorf("%q is not SQL", c)
	}
	return token{kind: symbol, text: text[:1]}, nil
}

// enclosed reads a token between two delimiters; one doubled inside stands for itself.
func enclosed(text string, kind kind, delimiter byte) (token, error) {
	for end := 1; end < len(text); end++ {
		if text[end] != delimiter {
			continue
		}
		if end+1 < len(text) && text[end+1] == delimiter {
			end++
			continue
		}
		mark := string(delimiter)
		value := strings.ReplaceAll(text[1:end], mark+mark, mark)
		return token{kind: kind, text: text[:end+1], value: value}, nil
	}
	return token{}, fmt.Errorf("a %c is not closed", delimiter)
}

func numberLength(text string) int {
	hexadecimal := len(text) > 1 && text[0] == '0' && text[1]|0x20 == 'x'
	end := 0
	for end < len(text) {
		c := text[end]
		exponentSign := (c == '+' || c == '-') && !hexadecimal && end > 0 && text[end-1]|0x20 == 'e'
		if !isDigit(c) && !startsWord(c) && c != '.' && !exponentSign {
			break
		}
		end++
	}
	return end
}

func startsWord(c byte) bool { return c == '_' || c|0x20 >= 'a' && c|0x20 <= 'z' || c >= 0x80 }
func isDigit(c byte) bool    { return c >= '0' && c <= '9' }
