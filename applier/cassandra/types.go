package cassandra

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"slipstream/applier/value"
)

// cqlType is a type of the catalogue.
type cqlType struct {
	shown  string // as the catalogue writes it
	name   string // the outermost word, without frozen
	frozen bool
	elems  []*cqlType // of a list, set or vector one, of a map key and value, else one a field
	fields []string   // the names of a user-defined type's fields
	size   int        // of a vector
}

// The names of types that are made of others. A user-defined type is called by the word that it is known by here.
const (
	list   = "list"
	set    = "set"
	dict   = "map"
	tuple  = "tuple"
	vector = "vector"
	udt    = "udt"
)

// scalars are the types that hold one value, with the conversions of spec 10.3. What they hold as text may have NUL
// characters.
var scalars = map[string]value.Type{
	"ascii":     {Kind: value.Text},
	"text":      {Kind: value.Text},
	"varchar":   {Kind: value.Text},
	"tinyint":   {Kind: value.Integer, Bits: 8},
	"smallint":  {Kind: value.Integer, Bits: 16},
	"int":       {Kind: value.Integer, Bits: 32},
	"bigint":    {Kind: value.Integer, Bits: 64},
	"varint":    {Kind: value.Decimal, Precision: mostDigits},
	"decimal":   {Kind: value.Decimal},
	"float":     {Kind: value.Float, Bits: 32, Special: true},
	"double":    {Kind: value.Float, Bits: 64, Special: true},
	"boolean":   {Kind: value.Boolean},
	"date":      {Kind: value.Date},
	"time":      {Kind: value.Time, Fraction: 9},
	"timestamp": {Kind: value.Timestamp, Fraction: 3, Zoned: true},
	"blob":      {Kind: value.Binary},
	"uuid":      {Kind: value.UUID},
	"timeuuid":  {Kind: value.UUID},
	"inet":      {Kind: value.Other},
	"duration":  {Kind: value.Other},
}

// mostDigits bounds a varint, which has no bound of its own.
const mostDigits = 10_000

const counter = "counter"

// valueType is what package value makes of a column. What is made of other types passes as text and is taken apart when
// it is encoded, value by value.
func (t *cqlType) valueType(column string) value.Type {
	v := scalars[t.name]
	v.Name, v.Column = t.shown, column
	v.Rules.NUL = value.NULKeep
	return v
}

// compound tells whether the type is made of others.
func (t *cqlType) compound() bool { return len(t.elems) > 0 }

// userType is a user-defined type as the catalogue has it.
type userType struct{ names, types []string }

// parser reads the names of types.
type parser struct {
	text string
	user map[string]userType
	deep int
}

var errType = errors.New("the type is not known to this applier")

// parseType reads a type as system_schema writes it: frozen<map<text, int>>, "My Type", vector<float, 3>.
func parseType(text string, user map[string]userType) (*cqlType, error) {
	p := &parser{text: text, user: user}
	t, err := p.parse()
	if err == nil && strings.TrimSpace(p.text) != "" {
		err = errType
	}
	if err != nil {
		return nil, fmt.Errorf("type %s: %w", text, err)
	}
	t.shown = text
	return t, nil
}

func (p *parser) parse() (*cqlType, error) {
	if p.deep++; p.deep > 100 {
		return nil, errType
	}
	start := p.text
	name, quoted := p.word()
	if name == "" {
		return nil, errType
	}
	t := &cqlType{name: name}
	if !quoted {
		t.name = strings.ToLower(name)
	}
	if quoted || !p.next('<') {
		return p.plain(t, name, start)
	}
	for {
		if t.name == vector && len(t.elems) == 1 {
			word, _ := p.word()
			n, err := strconv.Atoi(word)
			if err != nil || n < 1 {
				return nil, errType
			}
			t.size = n
		} else {
			elem, err := p.parse()
			if err != nil {
				return nil, err
			}
			t.elems = append(t.elems, elem)
		}
		if !p.next(',') {
			break
		}
	}
	if !p.next('>') {
		return nil, errType
	}
	t.shown = strings.TrimSpace(start[:len(start)-len(p.text)])
	want := map[string]int{"frozen": 1, list: 1, set: 1, vector: 1, dict: 2, tuple: len(t.elems)}[t.name]
	if len(t.elems) != want || want == 0 || t.name == vector && t.size == 0 {
		return nil, errType
	}
	if t.name == "frozen" {
		inner := t.elems[0]
		inner.frozen, inner.shown = true, t.shown
		return inner, nil
	}
	return t, nil
}

// plain is a scalar or a user-defined type.
func (p *parser) plain(t *cqlType, name, start string) (*cqlType, error) {
	t.shown = strings.TrimSpace(start[:len(start)-len(p.text)])
	user, ok := p.user[name]
	if !ok {
		if _, scalar := scalars[t.name]; scalar || t.name == counter {
			return t, nil
		}
		return nil, errType
	}
	t.name = udt
	for i, field := range user.names {
		inner := &parser{text: user.types[i], user: p.user, deep: p.deep}
		elem, err := inner.parse()
		if err != nil {
			return nil, err
		}
		t.fields = append(t.fields, field)
		t.elems = append(t.elems, elem)
	}
	return t, nil
}

// word takes a name off the front; in double quotes any characters may be in it.
func (p *parser) word() (string, bool) {
	p.text = strings.TrimLeft(p.text, " ")
	if strings.HasPrefix(p.text, `"`) {
		for i := 1; i < len(p.text); i++ {
			if p.text[i] != '"' {
				continue
			}
			if i+1 < len(p.text) && p.text[i+1] == '"' {
				i++
				continue
			}
			word := strings.ReplaceAll(p.text[1:i], `""`, `"`)
			p.text = p.text[i+1:]
			return word, true
		}
		return "", true
	}
	n := strings.IndexFunc(p.text, func(r rune) bool {
		return r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	})
	if n < 0 {
		n = len(p.text)
	}
	word := p.text[:n]
	p.text = p.text[n:]
	return word, false
}

// next takes one character off the front, if it is there.
func (p *parser) next(c byte) bool {
	p.text = strings.TrimLeft(p.text, " ")
	if p.text == "" || p.text[0] != c {
		return false
	}
	p.text = p.text[1:]
	return true
}

// quote makes an identifier.
func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// literal makes a string constant.
func literal(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }
