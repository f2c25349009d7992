package yamlfile

import (
	"encoding/json"
	"regexp"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// JSON is the value as JSON text, for constants. Numbers keep the digits they were written with.
func (v Value) JSON() (string, bool) {
	var b strings.Builder
	if !v.appendJSON(&b) {
		return "", false
	}
	return b.String(), true
}

func (v Value) appendJSON(b *strings.Builder) bool {
	switch v.Kind() {
	case Absent:
		return false // an alias that leads nowhere, reported already
	case Null:
		b.WriteString("null")
	case Boolean:
		value, _ := v.Bool()
		b.WriteString(strconv.FormatBool(value))
	case Integer, Float:
		return v.appendNumber(b)
	case String:
		if v.plainNumber() {
			b.WriteString(v.raw()) // too many digits for the parser, which makes it text
			break
		}
		b.WriteString(quote(v.text()))
	case List:
		return v.appendList(b)
	case Mapping:
		return v.appendMap(b)
	}
	return true
}

var number = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?$`)

// plainNumber says that text was written without quotes and is a JSON number.
func (v Value) plainNumber() bool {
	n, is := v.node.(*ast.StringNode)
	return is && n.Token != nil && n.Token.Type == token.StringType && number.MatchString(n.Value)
}

func (v Value) appendNumber(b *strings.Builder) bool {
	if raw := v.raw(); json.Valid([]byte(raw)) {
		b.WriteString(raw)
		return true
	}
	switch n := v.node.(type) {
	case *ast.IntegerNode:
		if i, ok := v.integer(); ok {
			b.WriteString(strconv.FormatInt(i, 10))
			return true
		}
		if u, ok := n.Value.(uint64); ok {
			b.WriteString(strconv.FormatUint(u, 10))
			return true
		}
	case *ast.FloatNode:
		if text, err := json.Marshal(n.Value); err == nil {
			b.Write(text)
			return true
		}
	}
	v.Error("write a finite number, or put it in quotes", "%s is not a JSON number", v.raw())
	return false
}

func (v Value) appendList(b *strings.Builder) bool {
	items, ok := v.Items()
	b.WriteByte('[')
	for i, item := range items {
		if i > 0 {
			b.WriteByte(',')
		}
		ok = item.appendJSON(b) && ok
	}
	b.WriteByte(']')
	return ok
}

func (v Value) appendMap(b *strings.Builder) bool {
	m, ok := v.Map()
	if !ok {
		return false
	}
	b.WriteByte('{')
	for i, e := range m.Entries() {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(quote(e.Key))
		b.WriteByte(':')
		ok = e.Value.appendJSON(b) && ok
	}
	b.WriteByte('}')
	return ok
}

// quote is a JSON string without the HTML escapes of encoding/json.
func quote(s string) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		return `""` // a string always encodes
	}
	return strings.TrimSuffix(b.String(), "\n")
}
