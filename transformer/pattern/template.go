package pattern

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/dlclark/regexp2"
)

// Template is a replacement text in Python syntax: \1 and \g<1> and \g<name> are groups, \g<0> the whole match, and the
// usual escapes are characters. It belongs to the pattern that made it.
type Template struct {
	pieces []piece
}

// piece is literal text, followed by a group unless group is negative.
type piece struct {
	literal string
	group   int
}

// Template reads a replacement text. References to groups that the pattern does not have are errors.
func (p *Pattern) Template(text string) (*Template, error) {
	var (
		template Template
		literal  strings.Builder
	)
	for i := 0; i < len(text); {
		if text[i] != '\\' {
			literal.WriteByte(text[i])
			i++
			continue
		}
		size, group, err := p.templateEscape(text[i:], &literal)
		if err != nil {
			return nil, fmt.Errorf("reading replacement %q: %w", text, err)
		}
		i += size
		if group >= 0 {
			template.pieces = append(template.pieces, piece{literal.String(), group})
			literal.Reset()
		}
	}
	if literal.Len() > 0 {
		template.pieces = append(template.pieces, piece{literal.String(), -1})
	}
	return &template, nil
}

// templateEscape reads the escape text begins with. It returns its length and the group it refers to, or -1 after
// writing the characters it stands for.
func (p *Pattern) templateEscape(text string, literal *strings.Builder) (size, group int, err error) {
	if len(text) < 2 {
		return 0, 0, errors.New("the backslash at the end escapes nothing")
	}
	c := text[1]
	switch {
	case c == 'g':
		end := strings.IndexByte(text, '>')
		if end < 0 || text[2] != '<' {
			return 0, 0, errors.New(`\g needs a group: \g<1> or \g<name>`)
		}
		group, err = p.groups.resolve(text[3:end])
		return end + 1, group, err
	case c >= '0' && c <= '9':
		return p.templateNumber(text, literal)
	case c == '\\':
		literal.WriteByte('\\')
	default:
		if at := strings.IndexByte("abfnrtv", c); at >= 0 {
			literal.WriteByte("\a\b\f\n\r\t\v"[at])
			break
		}
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' {
			return 0, 0, fmt.Errorf(`bad escape \%c`, c)
		}
		literal.WriteString(text[:2])
	}
	return 2, -1, nil
}

// templateNumber reads \1, \12, or an octal character: \0, \012 or three octal digits.
func (p *Pattern) templateNumber(text string, literal *strings.Builder) (size, group int, err error) {
	digits := 1
	for digits < 3 && 1+digits < len(text) && text[1+digits] >= '0' && text[1+digits] <= '9' {
		digits++
	}
	octal := strings.Trim(text[1:1+digits], "01234567") == ""
	if text[1] == '0' || digits == 3 && octal {
		for !octal {
			digits--
			octal = strings.Trim(text[1:1+digits], "01234567") == ""
		}
		n, err := strconv.ParseUint(text[1:1+digits], 8, 8)
		if err != nil {
			return 0, 0, fmt.Errorf(`octal escape \%s is greater than \377`, text[1:1+digits])
		}
		literal.WriteRune(rune(n))
		return 1 + digits, -1, nil
	}
	digits = min(digits, 2)
	group, err = p.groups.resolve(text[1 : 1+digits])
	return 1 + digits, group, err
}

// expand writes the replacement of one match; a group that took no part in it is empty.
func (t *Template) expand(out *strings.Builder, match *regexp2.Match) {
	for _, piece := range t.pieces {
		out.WriteString(piece.literal)
		if piece.group < 0 {
			continue
		}
		if group := match.GroupByNumber(piece.group); group != nil && len(group.Captures) > 0 {
			out.WriteString(group.String())
		}
	}
}
