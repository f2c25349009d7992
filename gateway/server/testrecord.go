package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	changev1 "slipstream/proto/slipstream/change/v1"
	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
)

var opcodes = map[string]changev1.Op{
	"": changev1.Op_OP_UPDATE, "c": changev1.Op_OP_CREATE, "u": changev1.Op_OP_UPDATE, "d": changev1.Op_OP_DELETE, "r": changev1.Op_OP_READ,
}

// carry gives a change what a record to test says. An object of strings is a hash, as HGETALL would answer; everything
// else is a JSON document.
func carry(b *changev1.Batch, c *changev1.Change, r *gatewayv1.TestRecord) error {
	op, known := opcodes[r.GetOpcode()]
	if !known {
		return fmt.Errorf("opcode %q is none of c, u, d, r", r.GetOpcode())
	}
	if len(c.GetKey()) == 0 {
		return errors.New("it has no key")
	}
	if len(r.GetBefore()) > 0 && !json.Valid(r.GetBefore()) {
		return errors.New("before is no JSON text")
	}
	c.Op = op
	if op == changev1.Op_OP_DELETE {
		c.Command = "del"
		return nil
	}
	value := bytes.TrimSpace(r.GetValue())
	if !json.Valid(value) {
		return errors.New("the value is no JSON text")
	}
	fields := members(value)
	switch r.GetType() {
	case "json":
	case "hash":
		if fields == nil && !bytes.HasPrefix(value, []byte("{")) {
			return errors.New("a hash is a JSON object")
		}
		return carryHash(b, c, fields)
	case "":
		if isHash(value, fields) {
			return carryHash(b, c, fields)
		}
	default:
		return fmt.Errorf("type %q is neither hash nor json", r.GetType())
	}
	c.Type, c.Command, c.Document = changev1.ValueType_VALUE_TYPE_JSON, "json.set", value
	return nil
}

// isHash says whether a value can only be a hash's: an object, not empty, with nothing but strings.
func isHash(value []byte, fields []member) bool {
	for _, m := range fields {
		if m.raw[0] != '"' {
			return false
		}
	}
	return value[0] == '{' && len(fields) > 0
}

func carryHash(b *changev1.Batch, c *changev1.Change, fields []member) error {
	c.Type, c.Command, c.Shape = changev1.ValueType_VALUE_TYPE_HASH, "hset", uint32(len(b.GetShapes()))
	shape := &changev1.Shape{}
	seen := make(map[string]bool)
	for _, m := range fields {
		if seen[m.name] {
			return fmt.Errorf("the field %q is there twice", m.name)
		}
		seen[m.name] = true
		_, text := m.value()
		shape.Fields = append(shape.Fields, []byte(m.name))
		c.Values = append(c.Values, text...)
		c.Ends = append(c.Ends, uint32(len(c.GetValues())))
	}
	b.Shapes = append(b.Shapes, shape)
	return nil
}
