package job

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	applierv1 "slipstream/proto/slipstream/applier/v1"
	changev1 "slipstream/proto/slipstream/change/v1"

	"slipstream/transformer/record"
)

// recordedMs is when the changes of tests were recorded: 2026-01-01T00:00:00Z.
const recordedMs = 1767225600000

// batchOf reads changes in the words of the golden cases:
//
//	u pump:P-77 {"serial":"P-77"}          a hash
//	u pump:P-77 base64 {"raw":"//8="}      a hash of bytes
//	u ticket:1 json {"no":1}               a JSON document
//	u ticket:1 before {…} json {"no":1}    with the value before
//	d pump:P-77                            a delete
func batchOf(lines []string) (*changev1.Batch, error) {
	b := &changev1.Batch{Sequence: 1, Position: &changev1.Position{Main: &changev1.StreamId{Ms: recordedMs, Seq: uint64(len(lines))}}}
	for i, line := range lines {
		c, err := changeOf(b, line)
		if err != nil {
			return nil, fmt.Errorf("record %d %q: %w", i, line, err)
		}
		c.Id = &changev1.StreamId{Ms: recordedMs, Seq: uint64(i)}
		b.Changes = append(b.Changes, c)
	}
	return b, nil
}

func changeOf(b *changev1.Batch, line string) (*changev1.Change, error) {
	letter, rest, _ := strings.Cut(line, " ")
	key, rest, _ := strings.Cut(rest, " ")
	c := &changev1.Change{Key: []byte(key), TsMs: recordedMs, FirstTsMs: recordedMs, Folded: 1, Command: "hset"}
	c.Op = map[string]changev1.Op{
		"c": changev1.Op_OP_CREATE, "u": changev1.Op_OP_UPDATE, "r": changev1.Op_OP_READ, "d": changev1.Op_OP_DELETE,
	}[letter]
	if before, ok := strings.CutPrefix(rest, "before "); ok {
		d := json.NewDecoder(strings.NewReader(before))
		var image json.RawMessage
		if err := d.Decode(&image); err != nil {
			return nil, err
		}
		c.Before = image
		rest = strings.TrimSpace(before[d.InputOffset():])
	}
	switch {
	case c.Op == changev1.Op_OP_DELETE:
		c.Command = "del"
		return c, nil
	case rest == "":
		return c, nil
	}
	if document, ok := strings.CutPrefix(rest, "json "); ok {
		c.Type, c.Command, c.Document = changev1.ValueType_VALUE_TYPE_JSON, "json.set", []byte(document)
		return c, nil
	}
	c.Type = changev1.ValueType_VALUE_TYPE_HASH
	text, encoded := strings.CutPrefix(rest, "base64 ")
	var hash map[string]string
	if err := json.Unmarshal([]byte(text), &hash); err != nil {
		return nil, err
	}
	values := make(map[string][]byte, len(hash))
	for name, value := range hash {
		values[name] = []byte(value)
		if encoded {
			raw, err := base64.StdEncoding.DecodeString(value)
			if err != nil {
				return nil, err
			}
			values[name] = raw
		}
	}
	setHash(b, c, values)
	return c, nil
}

// setHash gives a change its fields, in a shape the batch has already where there is one.
func setHash(b *changev1.Batch, c *changev1.Change, hash map[string][]byte) {
	c.Type = changev1.ValueType_VALUE_TYPE_HASH
	shape := &changev1.Shape{}
	names := make([]string, 0, len(hash))
	for name := range hash {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		shape.Fields = append(shape.Fields, []byte(name))
		c.Values = append(c.Values, hash[name]...)
		c.Ends = append(c.Ends, uint32(len(c.Values)))
	}
	same := func(s *changev1.Shape) bool {
		return slices.EqualFunc(s.Fields, shape.Fields, func(x, y []byte) bool { return string(x) == string(y) })
	}
	n := slices.IndexFunc(b.Shapes, same)
	if n < 0 {
		n = len(b.Shapes)
		b.Shapes = append(b.Shapes, shape)
	}
	c.Shape = uint32(n)
}

// rowsOf writes rows in the words of the golden cases: "upsert {…}", with "1:" in front for output 1. Columns a row does
// not touch, and columns that a removal leaves null, are left out.
func rowsOf(p *Program, rows *applierv1.RowBatch) (lines []string) {
	for _, t := range rows.Tables {
		names := columnNames(p, t.Output)
		for i := range int(t.Count) {
			op := applierv1.RowOp(t.Ops[i])
			removes := op == applierv1.RowOp_ROW_OP_DELETE || op == applierv1.RowOp_ROW_OP_PRUNE || op == applierv1.RowOp_ROW_OP_CLOSE
			object := map[string]any{}
			for n, c := range t.Columns {
				value, ok := cellValue(c, i)
				if ok && !(removes && value == nil) {
					object[names[n]] = value
				}
			}
			line := strings.ToLower(strings.TrimPrefix(op.String(), "ROW_OP_")) + " " + string(record.Encode(object))
			line += ownerOf(t, i)
			if t.Output > 0 {
				line = fmt.Sprintf("%d:%s", t.Output, line)
			}
			lines = append(lines, line)
		}
	}
	return lines
}

// ownerOf shows what the row index gets of a row: " @key", "!" where it is guarded, and the image it carries.
func ownerOf(t *applierv1.Rows, i int) string {
	if t.Owners == nil {
		return ""
	}
	at := func(c *applierv1.Column) string {
		start := uint32(0)
		if i > 0 {
			start = c.Ends[i-1]
		}
		return string(c.Text[start:c.Ends[i]])
	}
	owner := " @" + at(t.Owners)
	if len(t.Guards) > 0 && t.Guards[i] != 0 {
		owner += fmt.Sprintf("!%d-%d", t.IdMs[i], t.IdSeq[i])
	}
	if t.Before != nil && at(t.Before) != "" {
		owner += " " + at(t.Before)
	}
	return owner
}

func columnNames(p *Program, output uint32) []string {
	for _, o := range p.outputs {
		if o.Index == output {
			return o.Columns()
		}
	}
	return nil
}

// cellValue reads a cell back; false where the row does not touch the column.
func cellValue(c *applierv1.Column, i int) (any, bool) {
	start := uint32(0)
	if i > 0 {
		start = c.Ends[i-1]
	}
	text := string(c.Text[start:c.Ends[i]])
	switch applierv1.ValueKind(c.Kinds[i]) {
	case applierv1.ValueKind_VALUE_KIND_STRING:
		return text, true
	case applierv1.ValueKind_VALUE_KIND_NUMBER:
		return json.Number(text), true
	case applierv1.ValueKind_VALUE_KIND_BOOLEAN:
		return text == "true", true
	case applierv1.ValueKind_VALUE_KIND_DOCUMENT:
		value, err := record.Decode([]byte(text))
		if err != nil {
			return err.Error(), true
		}
		return value, true
	case applierv1.ValueKind_VALUE_KIND_ABSENT:
		return nil, false
	}
	return nil, true
}
