package pattern

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// groups is the capture groups of a pattern, numbered as Python numbers them: by their opening parenthesis.
type groups struct {
	count int
	names map[string]int
}

// resolve turns the number or name of a group into its number.
func (g groups) resolve(reference string) (int, error) {
	if n, err := strconv.Atoi(reference); err == nil {
		if n < 0 || n > g.count {
			return 0, fmt.Errorf("there is no group %d", n)
		}
		return n, nil
	}
	n, ok := g.names[reference]
	if !ok {
		return 0, fmt.Errorf("there is no group named %q", reference)
	}
	return n, nil
}

// translate writes a Python expression in the syntax of the engine, in which every capture group carries its number.
func translate(text string) (string, groups, error) {
	found, err := findGroups(text)
	if err != nil {
		return "", groups{}, err
	}
	t := translator{text: text, groups: found}
	for t.at < len(text) {
		if err := t.step(); err != nil {
			return "", groups{}, err
		}
	}
	return t.out.String(), found, nil
}

type translator struct {
	text   string
	at     int
	opened int
	groups groups
	out    strings.Builder
}

func (t *translator) rest() string { return t.text[t.at:] }

func (t *translator) write(text string, consumed int) {
	t.out.WriteString(text)
	t.at += consumed
}

func (t *translator) step() error {
	switch t.text[t.at] {
	case '\\':
		return t.escape()
	case '[':
		return t.class()
	case '(':
		return t.group()
	case '{':
		if strings.HasPrefix(t.rest(), "{,") {
			if end := strings.IndexByte(t.rest(), '}'); end > 2 && isDigits(t.rest()[2:end]) {
				t.write("{0,", 2)
				return nil
			}
		}
	}
	t.write(t.text[t.at:t.at+1], 1)
	return nil
}

func (t *translator) escape() error {
	if t.at+1 >= len(t.text) {
		return errors.New("the backslash at the end escapes nothing")
	}
	c := t.text[t.at+1]
	switch {
	case c == 'Z':
		t.write(`\z`, 2)
	case c >= '1' && c <= '9':
		end := t.at + 2
		if end < len(t.text) && t.text[end] >= '0' && t.text[end] <= '9' {
			end++
		}
		n, err := t.groups.resolve(t.text[t.at+1 : end])
		if err != nil {
			return fmt.Errorf("back-reference: %w", err)
		}
		t.write(fmt.Sprintf(`\k<%d>`, n), end-t.at)
	case strings.IndexByte("AbBdDsSwWafnrtvux0", c) >= 0:
		t.write(t.text[t.at:t.at+2], 2)
	case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z':
		return fmt.Errorf(`bad escape \%c`, c)
	default:
		t.write(t.text[t.at:t.at+2], 2)
	}
	return nil
}

// class copies a character class. In Python a bracket inside it is itself; the engine would subtract a class.
func (t *translator) class() error {
	end, err := classEnd(t.text, t.at)
	if err != nil {
		return err
	}
	body := t.text[t.at+1 : end]
	t.out.WriteByte('[')
	if strings.HasPrefix(body, "^") {
		t.out.WriteByte('^')
		body = body[1:]
	}
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case c == '\\':
			t.out.WriteString(body[i : i+2])
			i++
		case c == '[' || c == ']':
			t.out.WriteByte('\\')
			t.out.WriteByte(c)
		default:
			t.out.WriteByte(c)
		}
	}
	t.out.WriteByte(']')
	t.at = end + 1
	return nil
}

// group copies an opening parenthesis with what qualifies it.
func (t *translator) group() error {
	rest := t.rest()
	if !strings.HasPrefix(rest, "(?") {
		t.opened++
		t.write(fmt.Sprintf("(?<%d>", t.opened), 1)
		return nil
	}
	switch {
	case strings.HasPrefix(rest, "(?P<"):
		t.opened++
		t.write(fmt.Sprintf("(?<%d>", t.opened), strings.IndexByte(rest, '>')+1)
	case strings.HasPrefix(rest, "(?P="):
		end := strings.IndexByte(rest, ')')
		if end < 0 {
			return errors.New("(?P= is not closed")
		}
		n, err := t.groups.resolve(rest[4:end])
		if err != nil {
			return fmt.Errorf("back-reference: %w", err)
		}
		t.write(fmt.Sprintf(`\k<%d>`, n), end+1)
	case strings.HasPrefix(rest, "(?("):
		end := strings.IndexByte(rest, ')')
		if end < 0 {
			return errors.New("(?( is not closed")
		}
		n, err := t.groups.resolve(rest[3:end])
		if err != nil {
			return fmt.Errorf("condition: %w", err)
		}
		t.write(fmt.Sprintf("(?(%d)", n), end+1)
	case strings.HasPrefix(rest, "(?#"):
		end := strings.IndexByte(rest, ')')
		if end < 0 {
			return errors.New("the comment is not closed")
		}
		t.write("", end+1)
	case strings.HasPrefix(rest, "(?:"), strings.HasPrefix(rest, "(?="), strings.HasPrefix(rest, "(?!"),
		strings.HasPrefix(rest, "(?>"):
		t.write(rest[:3], 3)
	case strings.HasPrefix(rest, "(?<="), strings.HasPrefix(rest, "(?<!"):
		t.write(rest[:4], 4)
	default:
		return t.flags()
	}
	return nil
}

// flags copies (?ims) and (?im-s:…). Text is Unicode in Python already, so u says nothing; x is refused because blanks
// and comments would have to be told apart from groups.
func (t *translator) flags() error {
	rest := t.rest()
	end := strings.IndexAny(rest, ":)")
	if end < 0 {
		return fmt.Errorf("unknown extension %q", rest[:min(len(rest), 4)])
	}
	flags := rest[2:end]
	for _, flag := range flags {
		if !strings.ContainsRune("imsu-", flag) {
			return fmt.Errorf("unknown extension or flag in %q", rest[:end+1])
		}
	}
	flags = strings.TrimSuffix(strings.ReplaceAll(flags, "u", ""), "-")
	switch {
	case flags == "" && rest[end] == ')':
		t.write("", end+1)
	default:
		t.write("(?"+flags+rest[end:end+1], end+1)
	}
	return nil
}

// findGroups numbers the capture groups before translation, because a back-reference may stand before its group.
func findGroups(text string) (groups, error) {
	found := groups{names: map[string]int{}}
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '[':
			end, err := classEnd(text, i)
			if err != nil {
				return found, err
			}
			i = end
		case '(':
			rest := text[i:]
			switch {
			case strings.HasPrefix(rest, "(?#"):
				i += max(0, strings.IndexByte(rest, ')'))
			case !strings.HasPrefix(rest, "(?"):
				found.count++
			case strings.HasPrefix(rest, "(?P<"):
				end := strings.IndexByte(rest, '>')
				if end < 0 || !isName(rest[4:end]) {
					return found, errors.New("bad group name after (?P<")
				}
				found.count++
				if _, taken := found.names[rest[4:end]]; taken {
					return found, fmt.Errorf("two groups are named %q", rest[4:end])
				}
				found.names[rest[4:end]] = found.count
			case strings.HasPrefix(rest, "(?("):
				i += 2 // the parenthesis of the condition is no group
			}
		}
	}
	return found, nil
}

// classEnd finds the bracket that closes the class that opens at start.
func classEnd(text string, start int) (int, error) {
	i := start + 1
	if i < len(text) && text[i] == '^' {
		i++
	}
	for first := i; i < len(text); i++ {
		switch {
		case text[i] == '\\':
			i++
		case text[i] == ']' && i > first:
			return i, nil
		}
	}
	return 0, errors.New("a character class is not closed")
}

func isDigits(text string) bool {
	return text != "" && strings.Trim(text, "0123456789") == ""
}

func isName(text string) bool {
	for i, r := range text {
		if r != '_' && (r|0x20 < 'a' || r|0x20 > 'z') && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return text != ""
}
