package redis

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// A flat document is one level of JSON whose strings may hold bytes that are no UTF-8 (pipelinev1.Document): they must
// reach a hash as they are. encoding/json would replace them, so it is read here.

// flatFields are the names and values of a flat document, in order.
func flatFields(text []byte) ([]any, error) {
	if text == nil {
		return nil, nil
	}
	r := flatReader{text: text}
	fields, ok := r.object()
	if !ok {
		return nil, dataFault("the value is not one level of names and texts: %s", shown(text))
	}
	return fields, nil
}

type flatReader struct {
	text []byte
	at   int
}

func (r *flatReader) blank() {
	for r.at < len(r.text) && (r.text[r.at] == ' ' || r.text[r.at] == '\n' || r.text[r.at] == '\t' || r.text[r.at] == '\r') {
		r.at++
	}
}

func (r *flatReader) take(c byte) bool {
	r.blank()
	if r.at < len(r.text) && r.text[r.at] == c {
		r.at++
		return true
	}
	return false
}

func (r *flatReader) object() (fields []any, ok bool) {
	if !r.take('{') {
		return nil, false
	}
	if r.take('}') {
		return nil, r.ended()
	}
	for {
		name, ok := r.string()
		if !ok || !r.take(':') {
			return nil, false
		}
		value, ok := r.string()
		if !ok {
			return nil, false
		}
		fields = append(fields, name, value)
		if r.take('}') {
			return fields, r.ended()
		}
		if !r.take(',') {
			return nil, false
		}
	}
}

func (r *flatReader) ended() bool {
	r.blank()
	return r.at == len(r.text)
}

// string reads a string, whatever bytes are in it.
func (r *flatReader) string() ([]byte, bool) {
	if !r.take('"') {
		return nil, false
	}
	end := bytes.IndexAny(r.text[r.at:], `"\`)
	if end >= 0 && r.text[r.at+end] == '"' { // nothing is escaped
		out := r.text[r.at : r.at+end : r.at+end]
		r.at += end + 1
		return out, true
	}
	var out []byte
	for r.at < len(r.text) {
		c := r.text[r.at]
		r.at++
		switch c {
		case '"':
			return out, true
		case '\\':
			if out, ok := r.escape(out); ok {
				rest, ok := r.rest(out)
				return rest, ok
			}
			return nil, false
		}
		out = append(out, c)
	}
	return nil, false
}

// rest goes on behind an escape.
func (r *flatReader) rest(out []byte) ([]byte, bool) {
	for r.at < len(r.text) {
		c := r.text[r.at]
		r.at++
		switch c {
		case '"':
			return out, true
		case '\\':
			var ok bool
			if out, ok = r.escape(out); !ok {
				return nil, false
			}
		default:
			out = append(out, c)
		}
	}
	return nil, false
}

var escapes = map[byte]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

func (r *flatReader) escape(out []byte) ([]byte, bool) {
	if r.at >= len(r.text) {
		return nil, false
	}
	c := r.text[r.at]
	r.at++
	if plain, ok := escapes[c]; ok {
		return append(out, plain), true
	}
	if c != 'u' {
		return nil, false
	}
	unit, ok := r.unit()
	if !ok {
		return nil, false
	}
	if utf16.IsSurrogate(unit) && r.at+1 < len(r.text) && r.text[r.at] == '\\' && r.text[r.at+1] == 'u' {
		r.at += 2
		low, ok := r.unit()
		if !ok {
			return nil, false
		}
		unit = utf16.DecodeRune(unit, low)
	}
	return utf8.AppendRune(out, unit), true
}

func (r *flatReader) unit() (rune, bool) {
	if r.at+4 > len(r.text) {
		return 0, false
	}
	n, err := strconv.ParseUint(string(r.text[r.at:r.at+4]), 16, 16)
	r.at += 4
	return rune(n), err == nil
}

// mostDepth is how deep a document may nest in the modules that hold them.
const mostDepth = 128

// fitsModule tells whether a document is one that the server will take: what it refuses it would refuse inside EXEC.
func fitsModule(text []byte) error {
	if !json.Valid(text) {
		return dataFault("the value is no JSON: %s", shown(text))
	}
	depth, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{', c == '[':
			if depth++; depth > mostDepth {
				return dataFault("the document nests deeper than %d levels", mostDepth)
			}
		case c == '}', c == ']':
			depth--
		}
	}
	return nil
}

// mergePatch puts a patch into a document (RFC 7396): objects member by member, anything else in place of what was there.
// A null removes the member, or, with keep, is the value (use_native_json_merge: false).
func mergePatch(document, patch any, keep bool) any {
	p, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	d, ok := document.(map[string]any)
	if !ok {
		d = map[string]any{}
	}
	for name, v := range p {
		if v == nil && !keep {
			delete(d, name)
			continue
		}
		d[name] = mergePatch(d[name], v, keep)
	}
	return d
}

// decode reads a document, whose numbers keep their text.
func decode(text []byte) (any, error) {
	if len(text) == 0 {
		return nil, nil
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, dataFault("the document cannot be read: %w", err)
	}
	return v, nil
}

func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, dataFault("the document cannot be written: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// document writes a JSON document, or an entry of a map in one (spec 5.6).
func (b *builder) document(entry, value []byte) error {
	f := b.form
	if value == nil {
		value = []byte("null")
	}
	if err := fitsModule(value); err != nil {
		return err
	}
	patch := value
	if f.path != "" {
		name, err := encode(string(entry))
		if err != nil {
			return err
		}
		patch = fmt.Appendf(nil, `{"%s":{%s:%s}}`, f.path, name, value)
	}
	switch {
	case f.path == "" && !f.merge:
		b.add("JSON.SET", b.key, "$", value)
	case f.native && b.ground.types[string(b.key)] == none && !b.there:
		// A merge into nothing: what it removes is not there either.
		made, err := decode(patch)
		if err != nil {
			return err
		}
		text, err := encode(mergePatch(nil, made, !f.removesNulls))
		if err != nil {
			return err
		}
		b.add("JSON.SET", b.key, "$", text)
	case f.native:
		b.add("JSON.MERGE", b.key, "$", patch)
	default:
		return b.merge(patch)
	}
	b.ground.becomes(b.key, f.typeName())
	return nil
}

// merge merges here, and writes the whole.
func (b *builder) merge(patch []byte) error {
	old, err := decode(b.ground.documents[string(b.key)])
	if err != nil {
		return err
	}
	p, err := decode(patch)
	if err != nil {
		return err
	}
	return b.set(mergePatch(old, p, !b.form.removesNulls))
}

func (b *builder) set(document any) error {
	text, err := encode(document)
	if err != nil {
		return err
	}
	b.add("JSON.SET", b.key, "$", text)
	b.ground.holds(b.key, text)
	b.ground.becomes(b.key, b.form.typeName())
	return nil
}

// leave removes an entry from the map of its parent.
func (b *builder) leave(entry []byte) error {
	f := b.form
	if f.native {
		name, err := encode(string(entry))
		if err != nil {
			return err
		}
		b.add("JSON.MERGE", b.key, "$", fmt.Appendf(nil, `{"%s":{%s:null}}`, f.path, name))
		return nil
	}
	old, err := decode(b.ground.documents[string(b.key)])
	if err != nil {
		return err
	}
	parent, _ := old.(map[string]any)
	entries, ok := parent[f.path].(map[string]any)
	if _, there := entries[string(entry)]; !ok || !there {
		return nil
	}
	delete(entries, string(entry))
	return b.set(old)
}

// capability is what a server can do with documents.
type capability struct{ set, merge bool }

var errNoAnswer = errors.New("the server does not say which commands it knows")
