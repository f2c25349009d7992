package jsonserver

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// node is a JSON value that keeps what encoding/json forgets: the order of members and the digits of numbers.
type node struct {
	kind    kind
	text    string   // isString: decoded; isScalar: as written
	members []member // isObject
	items   []*node  // isArray
}

type member struct {
	name  string
	value *node
}

type kind byte

const (
	isScalar kind = iota // number, true, false, null
	isString
	isObject
	isArray
)

var errSyntax = fail("SYNTAXERR Failed to parse JSON string due to syntax error")

// parse reads one JSON value and nothing behind it.
func parse(text []byte) (*node, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	n, err := decode(d)
	if err != nil {
		return nil, errSyntax
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errSyntax
	}
	return n, nil
}

func decode(d *json.Decoder) (*node, error) {
	token, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch token := token.(type) {
	case json.Delim:
		if token == '[' {
			return decodeArray(d)
		}
		return decodeObject(d)
	case string:
		return &node{kind: isString, text: token}, nil
	case json.Number:
		if token == "-0" {
			token = "0"
		}
		return scalar(token.String()), nil
	case nil:
		return scalar("null"), nil
	default:
		return scalar(fmt.Sprint(token)), nil
	}
}

func decodeArray(d *json.Decoder) (*node, error) {
	n := &node{kind: isArray}
	for d.More() {
		item, err := decode(d)
		if err != nil {
			return nil, err
		}
		n.items = append(n.items, item)
	}
	_, err := d.Token()
	return n, err
}

func decodeObject(d *json.Decoder) (*node, error) {
	n := &node{kind: isObject}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, err
		}
		value, err := decode(d)
		if err != nil {
			return nil, err
		}
		n.set(fmt.Sprint(name), value)
	}
	_, err := d.Token()
	return n, err
}

func scalar(text string) *node { return &node{text: text} }

// at is the index of a member, -1 when there is none of that name.
func (n *node) at(name string) int {
	for i := range n.members {
		if n.members[i].name == name {
			return i
		}
	}
	return -1
}

// set sets a member; a new one comes last.
func (n *node) set(name string, value *node) {
	if i := n.at(name); i >= 0 {
		n.members[i].value = value
		return
	}
	n.members = append(n.members, member{name, value})
}

// layout is how a value is written: JSON.GET … INDENT, NEWLINE, SPACE.
type layout struct{ indent, newline, space string }

func (n *node) String() string {
	var b strings.Builder
	n.write(&b, layout{}, 0)
	return b.String()
}

func (n *node) write(b *strings.Builder, l layout, depth int) {
	switch n.kind {
	case isScalar:
		b.WriteString(n.text)
	case isString:
		quote(b, n.text)
	case isArray:
		l.list(b, "[]", len(n.items), depth, func(i int) { n.items[i].write(b, l, depth+1) })
	case isObject:
		l.list(b, "{}", len(n.members), depth, func(i int) {
			quote(b, n.members[i].name)
			b.WriteString(":" + l.space)
			n.members[i].value.write(b, l, depth+1)
		})
	}
}

// list writes the elements of an array or object between its brackets.
func (l layout) list(b *strings.Builder, brackets string, count, depth int, element func(int)) {
	b.WriteByte(brackets[0])
	for i := range count {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(l.newline + strings.Repeat(l.indent, depth+1))
		element(i)
	}
	if count > 0 {
		b.WriteString(l.newline + strings.Repeat(l.indent, depth))
	}
	b.WriteByte(brackets[1])
}

// quote writes a string as JSON and escapes what must be escaped, no more.
func quote(b *strings.Builder, s string) {
	b.WriteByte('"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"', c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c >= ' ':
			b.WriteByte(c)
		case strings.IndexByte("\b\f\n\r\t", c) >= 0:
			b.WriteByte('\\')
			b.WriteByte("bfnrt"[strings.IndexByte("\b\f\n\r\t", c)])
		default:
			fmt.Fprintf(b, "\\u%04X", c)
		}
	}
	b.WriteByte('"')
}
