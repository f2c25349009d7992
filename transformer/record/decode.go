package record

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// depthLimit bounds the nesting of a document, as encoding/json does.
const depthLimit = 10000

// Decode reads one JSON document (RFC 8259). Numbers keep their text, of two members with one name the last counts, and
// bytes that are no UTF-8 become U+FFFD. It reads a document in one pass and copies it once: the strings of the result
// share that copy.
func Decode(data []byte) (any, error) {
	d := decoder{text: string(data)}
	d.blank()
	value, err := d.value(0)
	if err != nil {
		return nil, fmt.Errorf("decoding JSON: %w", err)
	}
	d.blank()
	if d.at < len(d.text) {
		return nil, fmt.Errorf("decoding JSON: %w", d.unexpected("after the document"))
	}
	return value, nil
}

type decoder struct {
	text string
	at   int
}

func (d *decoder) unexpected(where string) error {
	if d.at >= len(d.text) {
		return fmt.Errorf("unexpected end %s", where)
	}
	r, _ := utf8.DecodeRuneInString(d.text[d.at:])
	return fmt.Errorf("unexpected %q at offset %d %s", r, d.at, where)
}

func (d *decoder) blank() {
	for d.at < len(d.text) {
		switch d.text[d.at] {
		case ' ', '\t', '\n', '\r':
			d.at++
		default:
			return
		}
	}
}

func (d *decoder) peek() byte {
	if d.at < len(d.text) {
		return d.text[d.at]
	}
	return 0
}

func (d *decoder) value(depth int) (any, error) {
	if depth > depthLimit {
		return nil, fmt.Errorf("nesting deeper than %d levels", depthLimit)
	}
	switch c := d.peek(); {
	case c == '{':
		return d.object(depth)
	case c == '[':
		return d.array(depth)
	case c == '"':
		return d.string()
	case c == '-' || c >= '0' && c <= '9':
		return d.number()
	}
	for _, word := range [...]struct {
		text  string
		value any
	}{{"true", true}, {"false", false}, {"null", nil}} {
		if strings.HasPrefix(d.text[d.at:], word.text) {
			d.at += len(word.text)
			return word.value, nil
		}
	}
	return nil, d.unexpected("where a value begins")
}

func (d *decoder) object(depth int) (any, error) {
	object := make(map[string]any)
	d.at++
	if d.blank(); d.peek() == '}' {
		d.at++
		return object, nil
	}
	for {
		if d.blank(); d.peek() != '"' {
			return nil, d.unexpected("where a member name begins")
		}
		name, err := d.string()
		if err != nil {
			return nil, err
		}
		if d.blank(); d.peek() != ':' {
			return nil, d.unexpected("after a member name")
		}
		d.at++
		d.blank()
		if object[name], err = d.value(depth + 1); err != nil {
			return nil, err
		}
		d.blank()
		switch d.peek() {
		case ',':
			d.at++
		case '}':
			d.at++
			return object, nil
		default:
			return nil, d.unexpected("in an object")
		}
	}
}

func (d *decoder) array(depth int) (any, error) {
	array := []any{}
	d.at++
	if d.blank(); d.peek() == ']' {
		d.at++
		return array, nil
	}
	for {
		d.blank()
		element, err := d.value(depth + 1)
		if err != nil {
			return nil, err
		}
		array = append(array, element)
		d.blank()
		switch d.peek() {
		case ',':
			d.at++
		case ']':
			d.at++
			return array, nil
		default:
			return nil, d.unexpected("in an array")
		}
	}
}

func (d *decoder) number() (any, error) {
	start := d.at
	if d.peek() == '-' {
		d.at++
	}
	if d.peek() == '0' {
		d.at++
	} else if !d.digits() {
		return nil, d.unexpected("in a number")
	}
	if d.peek() == '.' {
		d.at++
		if !d.digits() {
			return nil, d.unexpected("in a number")
		}
	}
	if c := d.peek(); c == 'e' || c == 'E' {
		d.at++
		if c := d.peek(); c == '+' || c == '-' {
			d.at++
		}
		if !d.digits() {
			return nil, d.unexpected("in a number")
		}
	}
	return json.Number(d.text[start:d.at]), nil
}

func (d *decoder) digits() bool {
	start := d.at
	for c := d.peek(); c >= '0' && c <= '9'; c = d.peek() {
		d.at++
	}
	return d.at > start
}

// string reads a string; the common one without escapes is a slice of the document.
func (d *decoder) string() (string, error) {
	start := d.at + 1
	plain := true
	for i := start; i < len(d.text); i++ {
		switch c := d.text[i]; {
		case c == '"':
			d.at = i + 1
			if plain {
				return d.text[start:i], nil
			}
			return strings.ToValidUTF8(d.text[start:i], "\uFFFD"), nil
		case c == '\\':
			return d.escaped(start, i)
		case c < ' ':
			d.at = i
			return "", d.unexpected("in a string")
		case c >= utf8.RuneSelf && plain:
			r, size := utf8.DecodeRuneInString(d.text[i:])
			plain = r != utf8.RuneError || size > 1
			i += size - 1
		}
	}
	d.at = len(d.text)
	return "", d.unexpected("in a string")
}

// escaped reads the rest of a string from its first backslash on.
func (d *decoder) escaped(start, i int) (string, error) {
	var out strings.Builder
	out.WriteString(d.text[start:i])
	for i < len(d.text) {
		switch c := d.text[i]; {
		case c == '"':
			d.at = i + 1
			return strings.ToValidUTF8(out.String(), "\uFFFD"), nil
		case c == '\\':
			size, err := d.escape(i, &out)
			if err != nil {
				return "", err
			}
			i += size
		case c < ' ':
			d.at = i
			return "", d.unexpected("in a string")
		default:
			out.WriteByte(c)
			i++
		}
	}
	d.at = len(d.text)
	return "", d.unexpected("in a string")
}

// escape writes what the escape at i stands for and returns its length.
func (d *decoder) escape(i int, out *strings.Builder) (int, error) {
	d.at = i + 1
	c := d.peek()
	if at := strings.IndexByte(`"\/bfnrt`, c); at >= 0 && c != 0 {
		out.WriteByte("\"\\/\b\f\n\r\t"[at])
		return 2, nil
	}
	if c != 'u' {
		return 0, d.unexpected("in an escape")
	}
	r, ok := d.unicode(i)
	if !ok {
		return 0, d.unexpected("in an escape")
	}
	if !utf16.IsSurrogate(r) {
		out.WriteRune(r)
		return 6, nil
	}
	if strings.HasPrefix(d.text[i+6:], `\u`) {
		if low, ok := d.unicode(i + 6); ok {
			if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
				out.WriteRune(pair)
				return 12, nil
			}
		}
	}
	out.WriteRune(utf8.RuneError)
	return 6, nil
}

func (d *decoder) unicode(i int) (rune, bool) {
	if i+6 > len(d.text) {
		return 0, false
	}
	for _, c := range []byte(d.text[i+2 : i+6]) {
		if (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'f') {
			return 0, false
		}
	}
	n, err := strconv.ParseUint(d.text[i+2:i+6], 16, 32)
	return rune(n), err == nil
}
