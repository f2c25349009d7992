package redis

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"slipstream/applier"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// Write buffers the commands of many rows.
func (t *txn) Write(ctx context.Context, w *applier.Write) error {
	return t.target.told(t.write(ctx, w))
}

func (t *txn) write(ctx context.Context, w *applier.Write) error {
	f, ok := w.Table.Native.(*form)
	if !ok {
		return schemaFault("table %s was not bound by this dialect", w.Table.Name)
	}
	if f.shared() {
		if err := t.take(ctx); err != nil {
			return err
		}
	}
	if err := t.look(ctx, f, w); err != nil {
		return err
	}
	var first []command
	for _, row := range w.Rows {
		if len(t.session.refused) > 0 {
			if err := t.session.refused[rowName(w, row)]; err != nil {
				return dataFault("the server refused it: %w", err)
			}
		}
		if err := t.ground.fits(f, w.Values.Columns[f.key].At(row)); err != nil {
			return err
		}
		commands, err := f.commands(t.ground, w, row, t.target.cluster != nil)
		if err != nil {
			return err
		}
		if first == nil {
			first = commands
		}
		for _, c := range commands {
			t.rows = append(t.rows, written{c, w, row})
		}
	}
	applier.Statement(ctx, func() string { return shownWith(first) })
	return nil
}

// shownWith are the commands of a row, which are sent with the commit, with a placeholder for each argument, of which
// there may be many.
func shownWith(commands []command) string {
	var text strings.Builder
	for i, c := range commands {
		if i > 0 {
			text.WriteString("; ")
		}
		fmt.Fprint(&text, c.args[0])
		for n := range min(len(c.args)-1, 5) {
			text.WriteString([]string{" ?", " ?", " ?", " ?", " …"}[n])
		}
	}
	return text.String()
}

// mostBytes is the longest value that Redis takes (proto-max-bulk-len).
const mostBytes = 512 << 20

// commands are those for one row, and what they leave is noted in the ground. Unsure: the key's type may have changed
// since it was asked, so nothing is left out because of it.
func (f *form) commands(g *ground, w *applier.Write, row int32, unsure bool) ([]command, error) {
	key, value := w.Values.Columns[f.key].At(row), at(w, f.value, row)
	if len(value) > mostBytes || len(key) > mostBytes {
		return nil, dataFault("the value is longer than the 512 MB that Redis takes")
	}
	b := &builder{form: f, ground: g, key: key, there: unsure || g.types[string(key)] != none}
	switch w.Verb {
	case applier.Upsert, applier.Insert:
		if err := b.upsert(w, row, value); err != nil {
			return nil, err
		}
		if g.types[string(key)] != none { // nothing was written, nothing lives
			if err := b.expire(w, row); err != nil {
				return nil, err
			}
		}
	case applier.Delete:
		if err := b.remove(at(w, f.member, row)); err != nil {
			return nil, err
		}
	default:
		return nil, schemaFault("%s is not supported by Redis targets", w.Verb)
	}
	return b.out, nil
}

// at is the value of a row in a column; nil where there is no such column.
func at(w *applier.Write, column int, row int32) []byte {
	if column < 0 {
		return nil
	}
	return w.Values.Columns[column].At(row)
}

// builder makes the commands of one row.
type builder struct {
	form   *form
	ground *ground
	key    []byte
	there  bool // the key exists, or may
	out    []command
}

func (b *builder) add(args ...any) { b.out = append(b.out, command{b.key, args}) }

// clear deletes the key, where it is there.
func (b *builder) clear() {
	if b.there {
		b.add("DEL", b.key)
	}
	b.ground.becomes(b.key, none)
}

func (b *builder) upsert(w *applier.Write, row int32, value []byte) error {
	f := b.form
	switch f.kind {
	case pipelinev1.RedisType_REDIS_TYPE_HASH:
		return b.hash(value)
	case pipelinev1.RedisType_REDIS_TYPE_JSON:
		return b.document(at(w, f.member, row), value)
	case pipelinev1.RedisType_REDIS_TYPE_SET:
		b.add("SADD", b.key, at(w, f.member, row))
	case pipelinev1.RedisType_REDIS_TYPE_SORTED_SET:
		score := at(w, f.score, row)
		switch string(score) {
		case "":
			return dataFault("the score of member %s is null", shown(at(w, f.member, row)))
		case "nan", "NaN":
			return dataFault("the score of member %s is not a number", shown(at(w, f.member, row)))
		}
		b.add("ZADD", b.key, infinite(score), at(w, f.member, row))
	case pipelinev1.RedisType_REDIS_TYPE_STREAM:
		fields, err := flatFields(value)
		if err != nil {
			return err
		}
		if len(fields) == 0 {
			return dataFault("an entry of a stream needs a field")
		}
		b.add(append([]any{"XADD", b.key, "*"}, fields...)...)
	case pipelinev1.RedisType_REDIS_TYPE_STRING:
		if value == nil { // what is null is absent
			b.clear()
			return nil
		}
		b.add("SET", b.key, value)
	}
	b.ground.becomes(b.key, f.typeName())
	return nil
}

// hash writes the fields: in place of all others, or beside them (A13).
func (b *builder) hash(value []byte) error {
	fields, err := flatFields(value)
	if err != nil {
		return err
	}
	if !b.form.merge {
		b.clear()
	}
	if len(fields) > 0 {
		b.add(append([]any{"HSET", b.key}, fields...)...)
		b.ground.becomes(b.key, b.form.typeName())
	}
	return nil
}

// remove deletes what a row is.
func (b *builder) remove(member []byte) error {
	if !b.there {
		return nil
	}
	switch b.form.kind {
	case pipelinev1.RedisType_REDIS_TYPE_SET:
		b.add("SREM", b.key, member)
	case pipelinev1.RedisType_REDIS_TYPE_SORTED_SET:
		b.add("ZREM", b.key, member)
	case pipelinev1.RedisType_REDIS_TYPE_STREAM:
		return schemaFault("entries of a stream are never deleted")
	default:
		if b.form.path != "" {
			return b.leave(member)
		}
		b.clear()
		b.ground.holds(b.key, nil)
	}
	return nil
}

// expire says how long the key lives after a write (spec 5.5). A result that is null, zero or less means no limit.
func (b *builder) expire(w *applier.Write, row int32) error {
	if b.form.expire > 0 {
		b.add("EXPIRE", b.key, b.form.expire)
		return nil
	}
	text := at(w, b.form.ttl, row)
	if len(text) == 0 {
		return nil
	}
	seconds, err := strconv.ParseFloat(string(text), 64)
	if err != nil || seconds > mostSeconds {
		return dataFault("expire is %s, which is not a number of seconds", shown(text))
	}
	if ms := int64(seconds * 1000); ms > 0 {
		b.add("PEXPIRE", b.key, ms)
	}
	return nil
}

// mostSeconds is more than a lifetime, and less than what EXPIRE refuses.
const mostSeconds = 1 << 40

// infinite spells infinity as ZADD reads it.
func infinite(score []byte) []byte {
	switch string(score) {
	case "Infinity", "infinity":
		return []byte("+inf")
	case "-Infinity", "-infinity":
		return []byte("-inf")
	}
	return score
}

// shown is a key or value in a message: cut, and readable whatever it holds.
func shown(b []byte) string {
	const most = 64
	if len(b) > most {
		return strconv.Quote(string(b[:most])) + "…"
	}
	return strconv.Quote(string(b))
}
