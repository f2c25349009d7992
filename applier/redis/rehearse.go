package redis

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"slipstream/applier"
	"slipstream/proto/fault"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"

	flowv1 "slipstream/proto/slipstream/flow/v1"
)

// rehearsal is a transaction that is never sent. What its commands would leave is worked out beside them.
type rehearsal struct {
	*txn
	left map[string][][]byte // by row: its values as they would be; nil: gone
}

// Rehearse begins a transaction for a preview.
func (t *target) Rehearse(ctx context.Context, lane *flowv1.Lane) (applier.Rehearsal, error) {
	s := &session{target: t, lane: lane, key: t.positionKey(lane)}
	x, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	s.txn = x
	return &rehearsal{txn: x, left: map[string][][]byte{}}, nil
}

// Show is the commands for one row. A merge is shown as JSON.MERGE, even where the server has none and the document is
// merged here.
func (r *rehearsal) Show(w *applier.Write, row int32) string {
	f, ok := w.Table.Native.(*form)
	if !ok {
		return ""
	}
	as := *f
	as.native = true
	g := newGround()
	g.types[string(w.Values.Columns[f.key].At(row))] = f.typeName()
	commands, err := as.commands(g, w, row, true)
	if err != nil {
		return "# " + err.Error()
	}
	lines := make([]string, len(commands))
	for i, c := range commands {
		words := make([]string, len(c.args))
		for n, a := range c.args {
			words[n] = argument(a, n == 0)
		}
		lines[i] = strings.Join(words, " ")
	}
	return strings.Join(lines, "\n")
}

// argument is an argument as redis-cli reads it.
func argument(a any, first bool) string {
	var text string
	switch v := a.(type) {
	case []byte:
		text = string(v)
	default:
		text = fmt.Sprint(v)
	}
	if first || text != "" && strings.Trim(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.:/*$") == "" {
		return text
	}
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(text) {
		switch c := text[i]; {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c == '\n':
			b.WriteString(`\n`)
		case c < ' ' || c == 0x7f:
			fmt.Fprintf(&b, `\x%02x`, c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return strings.ToValidUTF8(b.String(), "?")
}

// Write buffers, and notes what the rows would be.
func (r *rehearsal) Write(ctx context.Context, w *applier.Write) error {
	if err := r.txn.Write(ctx, w); err != nil {
		return err
	}
	f, _ := w.Table.Native.(*form)
	for _, row := range w.Rows {
		values, err := r.outcome(ctx, f, w, row)
		if err != nil {
			return err
		}
		name := rowName(w, row)
		if w.Verb == applier.Insert { // each is one more
			name = fmt.Sprintf("%s\x00%d", name, len(r.left))
		}
		r.left[name] = values
	}
	return nil
}

// outcome is what a row would be.
func (r *rehearsal) outcome(ctx context.Context, f *form, w *applier.Write, row int32) ([][]byte, error) {
	if w.Verb == applier.Delete {
		return nil, nil
	}
	values := make([][]byte, len(w.Table.Columns))
	for _, c := range []int{f.key, f.member, f.value, f.score} {
		if c >= 0 {
			values[c] = w.Values.Columns[c].At(row)
		}
	}
	if f.value < 0 {
		return values, nil
	}
	if values[f.value] == nil && f.kind == pipelinev1.RedisType_REDIS_TYPE_STRING {
		return nil, nil
	}
	if f.kind == pipelinev1.RedisType_REDIS_TYPE_STRING || f.kind == pipelinev1.RedisType_REDIS_TYPE_STREAM {
		return values, nil
	}
	var was any
	if f.merge || f.path != "" {
		found, err := r.find(ctx, w.Table, f, values[f.key], values2(values, f.member))
		if err != nil {
			return nil, err
		}
		if found != nil {
			if was, err = decode(found[f.value]); err != nil {
				return nil, err
			}
		}
	}
	is, err := decode(readable(values[f.value]))
	if err != nil {
		return nil, err
	}
	if was != nil {
		is = mergePatch(was, is, f.kind == pipelinev1.RedisType_REDIS_TYPE_HASH || !f.removesNulls)
	}
	if values[f.value], err = encode(is); err != nil {
		return nil, err
	}
	return values, nil
}

func values2(values [][]byte, column int) []byte {
	if column < 0 {
		return nil
	}
	return values[column]
}

// readable is a flat document whose strings are UTF-8.
func readable(text []byte) []byte { return bytes.ToValidUTF8(text, []byte("\uFFFD")) }

// Read reads rows: as they would be where the rehearsal has written them, otherwise as they are.
func (r *rehearsal) Read(ctx context.Context, t *applier.Table, by []int, v *applier.Values, rows []int32, columns []int) ([][][]byte, error) {
	f, ok := t.Native.(*form)
	if !ok {
		return nil, schemaFault("table %s was not bound by this dialect", t.Name)
	}
	w := &applier.Write{Table: t, Columns: by, Values: v}
	var out [][][]byte
	for _, row := range rows {
		name := rowName(w, row)
		values, written := r.left[name]
		if f.kind == pipelinev1.RedisType_REDIS_TYPE_STREAM {
			for n, left := range r.left {
				if strings.HasPrefix(n, name+"\x00") {
					out = append(out, pick(left, columns))
				}
			}
			continue
		}
		if !written {
			var err error
			if values, err = r.find(ctx, t, f, at(w, f.key, row), at(w, f.member, row)); err != nil {
				return nil, err
			}
		}
		if values != nil {
			out = append(out, pick(values, columns))
		}
	}
	return out, nil
}

func pick(values [][]byte, columns []int) [][]byte {
	one := make([][]byte, len(columns))
	for i, c := range columns {
		one[i] = values[c]
	}
	return one
}

// find reads a row; nil where there is none.
func (r *rehearsal) find(ctx context.Context, t *applier.Table, f *form, key, member []byte) ([][]byte, error) {
	values := make([][]byte, len(t.Columns))
	values[f.key] = key
	if f.member >= 0 {
		values[f.member] = member
	}
	var ask []any
	switch f.kind {
	case pipelinev1.RedisType_REDIS_TYPE_HASH:
		ask = []any{"HGETALL", key}
	case pipelinev1.RedisType_REDIS_TYPE_JSON:
		ask = []any{"JSON.GET", key}
	case pipelinev1.RedisType_REDIS_TYPE_SET:
		ask = []any{"SISMEMBER", key, member}
	case pipelinev1.RedisType_REDIS_TYPE_SORTED_SET:
		ask = []any{"ZSCORE", key, member}
	default:
		ask = []any{"GET", key}
	}
	answers, err := r.answers(ctx, command{key, ask})
	if err != nil {
		return nil, err
	}
	a := answers[0]
	switch {
	case fault.Class(a.err) == flowv1.FaultClass_FAULT_CLASS_DATA: // it holds something else
		return nil, nil
	case a.err != nil:
		return nil, a.err
	}
	switch f.kind {
	case pipelinev1.RedisType_REDIS_TYPE_HASH:
		list := a.list()
		if len(list) == 0 {
			return nil, nil
		}
		object := map[string]string{}
		for i := 0; i+1 < len(list); i += 2 {
			name, _ := list[i].(string)
			object[name], _ = list[i+1].(string)
		}
		values[f.value], err = encode(object)
		return values, err
	case pipelinev1.RedisType_REDIS_TYPE_SET:
		if n, _ := a.value.(int64); n == 0 {
			return nil, nil
		}
		return values, nil
	}
	if a.value == nil {
		return nil, nil
	}
	if f.kind == pipelinev1.RedisType_REDIS_TYPE_SORTED_SET {
		values[f.score] = []byte(a.text())
		return values, nil
	}
	values[f.value] = []byte(a.text())
	if f.path == "" {
		return values, nil
	}
	var parent map[string]json.RawMessage
	var entries map[string]json.RawMessage
	if json.Unmarshal(values[f.value], &parent) != nil || json.Unmarshal(parent[f.path], &entries) != nil || entries[string(member)] == nil {
		return nil, nil
	}
	values[f.value] = entries[string(member)]
	return values, nil
}

func (r *rehearsal) answers(ctx context.Context, c command) ([]answer, error) {
	if r.target.cluster != nil {
		return r.target.spread(ctx, []command{c}, false)
	}
	return send(ctx, r.conn, []command{c})
}

// Commit of a rehearsal does nothing: nothing is ever sent.
func (r *rehearsal) Commit(context.Context) error {
	return schemaFault("a rehearsal does not commit")
}

// Images implements applier.Rehearsal.
func (r *rehearsal) Images(ctx context.Context, output string, owners [][]byte) ([][]byte, error) {
	return r.session.Images(ctx, output, owners)
}
