package row

import (
	"slices"
	"unicode/utf8"

	applierv1 "slipstream/proto/slipstream/applier/v1"
	changev1 "slipstream/proto/slipstream/change/v1"

	"slipstream/transformer/block"
	"slipstream/transformer/path"
)

// Plan says where each column of an output comes from, for hashes with one list of fields.
type Plan []step

// step is where a column comes from: n is the index of a hash field or of a field cut from the key; instead is the hash
// field that stands in where the key has no such part, or -1.
type step struct {
	origin  origin
	n       int
	instead int
}

type origin uint8

const (
	nowhere origin = iota
	constant
	hashField
	keyField
	redisKey
	redisBytes
	opcode
)

// Plan makes the plan. Fields are the names in the hash, none for a delete; cut are the names of the fields cut from the
// Redis key, which win over hash fields of the same name. The plan of a former batch may be given to be overwritten.
func (o *Output) Plan(reuse Plan, fields [][]byte, cut []string) Plan {
	plan := reuse[:0]
	for i := range o.columns {
		plan = append(plan, o.step(&o.columns[i], fields, cut))
	}
	return plan
}

func (o *Output) step(c *column, fields [][]byte, cut []string) step {
	switch c.from {
	case fromConstant:
		return step{origin: constant}
	case fromRedisKey:
		return step{origin: redisBytes}
	}
	member := func(name string) step {
		field := hashIndex(fields, name)
		switch n := slices.Index(cut, name); {
		case n >= 0:
			return step{keyField, n, field}
		case field >= 0:
			return step{origin: hashField, n: field}
		}
		return step{}
	}
	p := c.field
	if o.full {
		switch {
		case slices.Equal(p, path.Path{block.Opcode}):
			return step{origin: opcode}
		case slices.Equal(p, path.Path{block.Key, block.Key}):
			return step{origin: redisKey}
		case p[0] != block.After:
			return step{}
		}
		p = p[1:]
	} else if p[0] == block.After && member(block.After).origin == nowhere {
		p = p[1:]
	}
	if len(p) != 1 {
		return step{}
	}
	return member(p[0])
}

// hashIndex finds a field by the name it has in a record; of two that read the same the last counts there.
func hashIndex(fields [][]byte, name string) int {
	for n := len(fields) - 1; n >= 0; n-- {
		if string(fields[n]) == name || !utf8.Valid(fields[n]) && Text(fields[n]) == name {
			return n
		}
	}
	return -1
}

// Hash is a change of a hash, or a delete, as a plan reads it.
type Hash struct {
	// Change is the change.
	Change *changev1.Change
	// Index of the change in its batch.
	Index uint32
	// Opcode is its letter.
	Opcode string
	// Cut are the values cut from the key, in the order of their names; nil where the key has no such part.
	Cut [][]byte
}

// AddHash adds the row of a hash by plan.
func (t *Table) AddHash(plan Plan, h *Hash) *Error {
	op, err := t.output.operation(h.Opcode)
	if err != nil || op == applierv1.RowOp_ROW_OP_UNSPECIFIED {
		return err
	}
	if op == applierv1.RowOp_ROW_OP_DELETE_OWNED {
		t.Disown(h.Index)
		return nil
	}
	m := t.mark()
	t.begin(op, h.Index)
	only := keysOnly(op)
	for i := range t.output.columns {
		x, c := &t.output.columns[i], &t.column[i]
		if only && !x.key {
			end(c, null)
			continue
		}
		kind := t.fill(c, x, plan[i], h)
		if kind == absent && (x.key || !x.keep) {
			kind = null
		}
		if kind == null && x.key {
			t.truncate(m)
			return t.output.noKey(x, h.Opcode == "d")
		}
		end(c, kind)
	}
	return nil
}

// fill adds the text of a value and tells its kind; absent where there is none.
func (t *Table) fill(c *applierv1.Column, x *column, s step, h *Hash) byte {
	switch s.origin {
	case constant:
		c.Text = append(c.Text, x.constant.text...)
		return x.constant.kind
	case hashField:
		c.Text = AppendText(c.Text, hashValue(h.Change, s.n))
	case keyField:
		switch {
		case h.Cut[s.n] != nil:
			c.Text = AppendText(c.Text, h.Cut[s.n])
		case s.instead >= 0:
			c.Text = AppendText(c.Text, hashValue(h.Change, s.instead))
		default:
			return absent
		}
	case redisKey:
		c.Text = AppendText(c.Text, h.Change.Key)
	case redisBytes:
		c.Text = append(c.Text, h.Change.Key...)
		return raw
	case opcode:
		c.Text = append(c.Text, h.Opcode...)
	default:
		return absent
	}
	return text
}

// hashValue is the value of a field by its index in the shape.
func hashValue(c *changev1.Change, n int) []byte {
	start := uint32(0)
	if n > 0 {
		start = c.Ends[n-1]
	}
	return c.Values[start:c.Ends[n]]
}
