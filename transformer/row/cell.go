package row

import (
	"encoding/base64"
	"encoding/json"
	"unicode/utf8"

	applierv1 "slipstream/proto/slipstream/applier/v1"

	"slipstream/transformer/record"
)

// Kinds of values, as bytes.
const (
	null     = byte(applierv1.ValueKind_VALUE_KIND_UNSPECIFIED)
	text     = byte(applierv1.ValueKind_VALUE_KIND_STRING)
	number   = byte(applierv1.ValueKind_VALUE_KIND_NUMBER)
	boolean  = byte(applierv1.ValueKind_VALUE_KIND_BOOLEAN)
	document = byte(applierv1.ValueKind_VALUE_KIND_DOCUMENT)
	raw      = byte(applierv1.ValueKind_VALUE_KIND_BYTES)
	absent   = byte(applierv1.ValueKind_VALUE_KIND_ABSENT)
)

// cell is a value as a column carries it.
type cell struct {
	kind byte
	text string
}

// cellOf converts a value.
func cellOf(value any) cell {
	var c applierv1.Column
	put(&c, value)
	return cell{c.Kinds[0], string(c.Text)}
}

// put adds a value to a column.
func put(c *applierv1.Column, value any) {
	kind := null
	switch v := value.(type) {
	case nil:
	case string:
		kind = text
		c.Text = append(c.Text, v...)
	case json.Number:
		kind = number
		c.Text = append(c.Text, v...)
	case bool:
		kind = boolean
		c.Text = append(c.Text, record.Text(v)...)
	case []any, map[string]any:
		kind = document
		c.Text = record.Append(c.Text, v)
	default:
		kind = number // int, int64 and float64 of Go code
		c.Text = record.Append(c.Text, v)
	}
	end(c, kind)
}

// end closes a value whose text has been added.
func end(c *applierv1.Column, kind byte) {
	c.Ends = append(c.Ends, uint32(len(c.Text)))
	c.Kinds = append(c.Kinds, kind)
}

// AppendText adds what Redis holds as bytes: as it is, or in base64 where it is not UTF-8 (spec 1.6).
func AppendText(dst, raw []byte) []byte {
	if utf8.Valid(raw) {
		return append(dst, raw...)
	}
	return base64.StdEncoding.AppendEncode(dst, raw)
}

// Text is AppendText as a string.
func Text(raw []byte) string {
	if utf8.Valid(raw) {
		return string(raw)
	}
	return base64Of(raw)
}

func base64Of(raw []byte) string { return base64.StdEncoding.EncodeToString(raw) }
