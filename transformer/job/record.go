package job

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	changev1 "slipstream/proto/slipstream/change/v1"

	"slipstream/transformer/block"
	"slipstream/transformer/record"
	"slipstream/transformer/row"
)

// opcode is the letter of a change (spec 1.3).
func opcode(op changev1.Op) string {
	switch op {
	case changev1.Op_OP_CREATE:
		return "c"
	case changev1.Op_OP_UPDATE:
		return "u"
	case changev1.Op_OP_DELETE:
		return "d"
	case changev1.Op_OP_READ:
		return "r"
	}
	return ""
}

// sourceID names the entry of a change: "ms-seq", with an r for those of the side stream.
func sourceID(c *changev1.Change) string {
	var buf [44]byte
	id := strconv.AppendUint(buf[:0], c.GetId().GetMs(), 10)
	id = append(id, '-')
	id = strconv.AppendUint(id, c.GetId().GetSeq(), 10)
	if c.GetSide() {
		id = append(id, 'r')
	}
	return string(id)
}

// check looks whether a change is what the contract says, so that nothing below reads past its end.
func check(b *changev1.Batch, c *changev1.Change) error {
	if c.GetOp() == changev1.Op_OP_DELETE {
		return nil
	}
	switch c.GetType() {
	case changev1.ValueType_VALUE_TYPE_JSON:
		return nil
	case changev1.ValueType_VALUE_TYPE_HASH:
	default:
		return errors.New("the change carries no value")
	}
	if int(c.GetShape()) >= len(b.GetShapes()) {
		return fmt.Errorf("the change is malformed: it has shape %d of %d", c.GetShape(), len(b.GetShapes()))
	}
	if fields := len(b.GetShapes()[c.GetShape()].GetFields()); fields != len(c.GetEnds()) {
		return fmt.Errorf("the change is malformed: it has %d values for %d fields", len(c.GetEnds()), fields)
	}
	last := uint32(0)
	for _, end := range c.GetEnds() {
		if end < last || int(end) > len(c.GetValues()) {
			return errors.New("the change is malformed: a value ends outside of its text")
		}
		last = end
	}
	return nil
}

// value builds the value of a change: a hash as a flat object of strings, a JSON document as its root object. It is null
// on a delete.
func (p *Program) value(b *changev1.Batch, c *changev1.Change, names shapeNames) (value map[string]any, raw map[string][]byte, err error) {
	if c.GetOp() == changev1.Op_OP_DELETE {
		return nil, nil, nil
	}
	if c.GetType() == changev1.ValueType_VALUE_TYPE_JSON {
		root, err := object(c.GetDocument())
		if err != nil {
			return nil, nil, fmt.Errorf("reading the document: %w", err)
		}
		return root, nil, nil
	}
	fields := names.of(b, int(c.GetShape()))
	hash := make(map[string]any, len(fields)+2)
	values := string(c.GetValues()) // one copy, which the strings of the record share
	start := uint32(0)
	for i, end := range c.GetEnds() {
		text := values[start:end]
		bytes := p.binary[fields[i]] // whatever it holds, so that it is read the same each time
		if !bytes && utf8.ValidString(text) {
			hash[fields[i]] = text
			start = end
			continue
		}
		if raw == nil {
			raw = map[string][]byte{}
		}
		hash[fields[i]], raw[fields[i]] = base64.StdEncoding.EncodeToString(c.Values[start:end]), c.Values[start:end]
		start = end
	}
	return hash, raw, nil
}

// shapeNames are the field names of a batch's shapes as records have them, made when first asked for.
type shapeNames [][]string

func (s shapeNames) of(b *changev1.Batch, shape int) []string {
	if shape < len(s) && s[shape] != nil {
		return s[shape]
	}
	fields := b.GetShapes()[shape].GetFields()
	names := make([]string, len(fields))
	for i, field := range fields {
		names[i] = row.Text(field)
	}
	if shape < len(s) {
		s[shape] = names
	}
	return names
}

// object decodes JSON whose root, if it is no object, becomes the member value (spec 1.6).
func object(document []byte) (map[string]any, error) {
	root, err := record.Decode(document)
	if err != nil {
		return nil, err
	}
	if object, ok := root.(map[string]any); ok {
		return object, nil
	}
	return map[string]any{"value": root}, nil
}

// build makes the record of a change, once for all outputs. Cut are the fields cut from its key.
func (p *Program) build(b *changev1.Batch, c *changev1.Change, names shapeNames, cut [][]byte) (*block.Record, error) {
	after, raw, err := p.value(b, c, names)
	if err != nil {
		return nil, err
	}
	var before map[string]any
	if len(c.GetBefore()) > 0 {
		if before, err = object(c.GetBefore()); err != nil {
			return nil, fmt.Errorf("reading the value before the change: %w", err)
		}
	}
	rec := &block.Record{
		Full: p.full, Deleted: c.GetOp() == changev1.Op_OP_DELETE, Now: time.UnixMilli(c.GetTsMs()), RedisKey: c.GetKey(), Raw: raw,
		Seed: func() string { return p.name + "\x00" + sourceID(c) + "\x00" + string(c.GetKey()) },
	}
	if !p.full {
		if rec.Deleted { // spec 1.6, A4
			after, rec.Known = before, before != nil
		}
		rec.Root = p.withKeys(after, cut)
		if rec.Root == nil {
			rec.Root = map[string]any{}
		}
		return rec, nil
	}
	rec.Root = full(c, before, p.withKeys(after, cut))
	return rec, nil
}

// withKeys adds the fields cut from the key.
func (p *Program) withKeys(value map[string]any, cut [][]byte) map[string]any {
	for i, part := range cut {
		if part == nil {
			continue
		}
		if value == nil {
			value = make(map[string]any, len(cut))
		}
		value[p.keys.names[i]] = row.Text(part)
	}
	return value
}

// full is the record of spec 1.3.
func full(c *changev1.Change, before, after map[string]any) map[string]any {
	root := map[string]any{
		block.Opcode: opcode(c.GetOp()),
		block.Key:    map[string]any{block.Key: row.Text(c.GetKey())},
		block.Before: nil, block.After: nil,
		"db":      record.Integer(int64(c.GetDb())),
		"command": c.GetCommand(),
		"type":    nil,
		"ts_ms":   record.Integer(c.GetTsMs()),
	}
	if before != nil {
		root[block.Before] = before
	}
	if after != nil {
		root[block.After] = after
	}
	switch c.GetType() {
	case changev1.ValueType_VALUE_TYPE_HASH:
		root["type"] = "hash"
	case changev1.ValueType_VALUE_TYPE_JSON:
		root["type"] = "json"
	}
	return root
}

// captured is a change as a dead letter keeps it: the record of spec 1.3, whatever format the job works in. What cannot
// be read stands there as text.
func (p *Program) captured(b *changev1.Batch, c *changev1.Change) []byte {
	var after map[string]any
	root := full(c, nil, nil)
	if check(b, c) == nil {
		var err error
		if after, _, err = p.value(b, c, nil); err != nil {
			root[block.After] = row.Text(c.GetDocument())
		}
	}
	if after != nil {
		root[block.After] = after
	}
	if len(c.GetBefore()) > 0 {
		before, err := object(c.GetBefore())
		if root[block.Before] = before; err != nil {
			root[block.Before] = row.Text(c.GetBefore())
		}
	}
	return record.Encode(root)
}
