package row

import (
	"encoding/json"
	"slices"
	"strconv"

	applierv1 "slipstream/proto/slipstream/applier/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"

	"slipstream/transformer/block"
	"slipstream/transformer/path"
	"slipstream/transformer/record"
)

// several is a column that holds many fields: the mapping of redis.write, or all of them (spec 5.5).
type several struct {
	all     bool
	flat    bool
	opcode  string
	members []field
}

// field is a field of the document and where it comes from.
type field struct {
	column
	target path.Path // one name where the document is flat
}

// document compiles a document. Two fields must not want one place.
func (c *compiler) document(d *pipelinev1.Document, at string) *several {
	out := &several{all: d.GetAll(), flat: d.GetFlat(), opcode: d.GetOpcode()}
	for _, f := range d.GetFields() {
		place := f.GetPath()
		if place == "" {
			place = at
		}
		m := field{target: path.Path{f.GetTarget()}}
		m.name = f.GetTarget()
		c.field(&m.column, f.GetField(), place)
		if !out.flat {
			var err error
			if m.target, err = path.Parse(f.GetTarget()); err != nil {
				c.found.Error(place, `write names joined by dots, as in location.bay; a dot inside a name is \.`, "%v", err)
				continue
			}
		}
		for _, other := range out.members {
			if n := min(len(m.target), len(other.target)); slices.Equal(m.target[:n], other.target[:n]) {
				c.found.Error(place, "give one of the two another name", "%s and %s would be in one place", f.GetTarget(), other.name)
			}
		}
		out.members = append(out.members, m)
	}
	if !out.all && len(out.members) == 0 {
		c.found.Error(at, "list fields under mapping, or leave it out for all fields", "the mapping has no fields")
	}
	return out
}

// document adds the document of a record to a column.
func (s *subject) document(c *applierv1.Column, d *several) {
	if d.flat {
		c.Text = s.flat(c.Text, d)
	} else {
		c.Text = record.Append(c.Text, s.nested(d))
	}
	end(c, document)
}

// whole is the object whose fields are all fields: on a delete what is known of them.
func (s *subject) whole() map[string]any {
	if !s.record.Full {
		return s.record.Root
	}
	for _, name := range []string{block.After, block.Before} {
		if object, ok := s.record.Root[name].(map[string]any); ok {
			return object
		}
		if !s.record.Deleted {
			break
		}
	}
	return map[string]any{}
}

// nested is a document with the types of JSON. A missing field is null, as in a column of a table.
func (s *subject) nested(d *several) any {
	if d.all {
		return s.whole()
	}
	root := map[string]any{}
	for i := range d.members {
		m := &d.members[i]
		value, _ := s.lookup(&m.column)
		_ = m.target.Set(root, value) // compiled so that nothing stands in the way
	}
	return root
}

// flat is one level of names and texts.
func (s *subject) flat(dst []byte, d *several) []byte {
	dst = append(dst, '{')
	first := true
	put := func(name string, value any, bytes []byte) {
		if value == nil || name == d.opcode {
			return
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(appendQuoted(dst, name), ':')
		if bytes != nil {
			dst = appendQuoted(dst, bytes)
			return
		}
		dst = appendQuoted(dst, plain(value))
	}
	if d.all {
		object := s.whole()
		for _, name := range record.Names(object) {
			put(name, object[name], s.bytes(name, object[name]))
		}
	}
	for i := range d.members {
		m := &d.members[i]
		value, _ := s.lookup(&m.column)
		put(m.target[0], value, s.bytes(s.hashField(&m.column), value))
	}
	if d.opcode != "" {
		if !first {
			dst = append(dst, ',')
		}
		dst = append(appendQuoted(dst, d.opcode), ':')
		dst = appendQuoted(dst, s.opcode)
	}
	return append(dst, '}')
}

// hashField is the name of the hash field that a column takes as it is; empty where it takes something else.
func (s *subject) hashField(x *column) string {
	p := s.record.Resolve(x.field)
	if s.record.Full && len(p) == 2 && p[0] == block.After {
		return p[1]
	}
	if !s.record.Full && len(p) == 1 {
		return p[0]
	}
	return ""
}

// bytes are those of a hash field whose value in the record stands for them in base64, as long as no block changed it.
func (s *subject) bytes(name string, value any) []byte {
	raw, ok := s.record.Raw[name]
	if !ok {
		return nil
	}
	if is, ok := value.(string); !ok || is != base64Of(raw) {
		return nil
	}
	return raw
}

// plain is a value as a text: numbers in their shortest form, booleans 1 and 0, objects and lists as JSON (spec 5.5).
func plain(value any) string {
	switch v := value.(type) {
	case string:
		return v
	case bool:
		if v {
			return "1"
		}
		return "0"
	}
	if n, ok := record.AsNumber(value); ok {
		return string(shortest(n))
	}
	return record.Text(value)
}

// shortest is a number without zeros that say nothing and without an exponent, as long as that is exact.
func shortest(n json.Number) json.Number {
	if record.IsIntegral(n) {
		if i, ok := record.IntegerValue(n); ok {
			return json.Number(strconv.FormatInt(i, 10))
		}
		return n
	}
	text := string(n)
	if i := len(text) - 1; i > 0 && text[i] == '0' && !slices.Contains([]byte(text), 'e') && !slices.Contains([]byte(text), 'E') {
		for text[i] == '0' {
			i--
		}
		return json.Number(text[:i+1])
	}
	return n
}

// appendQuoted writes a JSON string. Bytes that are no UTF-8 stay as they are.
func appendQuoted[T string | []byte](dst []byte, text T) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	for i := range len(text) {
		switch c := text[i]; {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c < ' ':
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}
