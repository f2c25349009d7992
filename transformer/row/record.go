package row

import (
	"maps"
	"strconv"

	applierv1 "slipstream/proto/slipstream/applier/v1"

	"slipstream/transformer/block"
	"slipstream/transformer/expression"
	"slipstream/transformer/record"
)

// subject is a record while its rows are made.
type subject struct {
	*Table
	run    *expression.Runner
	record *block.Record
	opcode string
	change uint32
	// Of foreach: the element at hand, its number from 1, and the record with it as a member, made when an expression
	// asks for it.
	element any
	number  int
	within  *block.Record
}

// Add adds the rows of a record. The opcode is the change's own, or the one the record has in full format.
func (t *Table) Add(run *expression.Runner, rec *block.Record, opcode string, change uint32) *Error {
	s := &subject{Table: t, run: run, record: rec, opcode: opcode, change: change}
	m := t.mark()
	err := s.add()
	if err != nil {
		t.truncate(m)
	}
	return err
}

func (s *subject) add() *Error {
	o := s.output
	if o.opcode != nil {
		// Without the field a delete is still a delete.
		if value, ok := s.lookup(o.opcode); ok || !s.record.Deleted {
			s.opcode = ""
			if value != nil {
				s.opcode = record.Text(value)
			}
		}
	}
	op, err := o.operation(s.opcode)
	if err != nil || op == applierv1.RowOp_ROW_OP_UNSPECIFIED {
		return err
	}
	if op == applierv1.RowOp_ROW_OP_DELETE_OWNED {
		s.Disown(s.change)
		return nil
	}
	if o.foreach == nil {
		return s.row(op)
	}
	if !o.indexed && o.foreach.sync && (op == applierv1.RowOp_ROW_OP_DELETE || op == applierv1.RowOp_ROW_OP_UPSERT ||
		op == applierv1.RowOp_ROW_OP_REPLACE) {
		if err := s.row(applierv1.RowOp_ROW_OP_PRUNE); err != nil || op == applierv1.RowOp_ROW_OP_DELETE {
			return err
		}
	}
	elements, err := s.explode()
	if err != nil {
		return err
	}
	if o.indexed && len(elements) == 0 {
		s.Disown(s.change)
		return nil
	}
	for i, element := range elements {
		s.element, s.number, s.within = element, i+1, nil
		if err := s.row(op); err != nil {
			return err
		}
	}
	return nil
}

// explode computes the elements of foreach (spec 5.3).
func (s *subject) explode() ([]any, *Error) {
	f := s.output.foreach
	var root any = s.record.Root
	if f.inAfter {
		root = s.record.Root[block.After]
	}
	env := s.record.Env(f.expression.Draws(), s.output.name)
	value, err := s.run.Evaluate(f.expression, env, root)
	if err != nil {
		if s.record.Missing(f.expression.References()) || s.record.Deleted && root == nil {
			return nil, nil // nothing is known of the rows of this key
		}
		return nil, &Error{Class: Transform, Block: s.output.name + " foreach", Err: err}
	}
	switch v := value.(type) {
	case nil:
		return nil, nil
	case []any:
		return v, nil
	case map[string]any:
		if len(v) == 0 {
			return nil, nil
		}
	case string:
		if v == "" {
			return nil, nil
		}
	}
	return []any{value}, nil
}

// row adds one row.
func (s *subject) row(op applierv1.RowOp) *Error {
	s.begin(op, s.change)
	for i := range s.output.columns {
		x, c := &s.output.columns[i], &s.column[i]
		prune := op == applierv1.RowOp_ROW_OP_PRUNE
		if prune && !(x.key && x.parent) || keysOnly(op) && !x.key {
			end(c, null)
			continue
		}
		if x.from == fromConstant {
			c.Text = append(c.Text, x.constant.text...)
			end(c, x.constant.kind)
			if x.key && x.constant.kind == null {
				return s.output.noKey(x, s.opcode == "d")
			}
			continue
		}
		switch x.from {
		case fromDocument:
			s.document(c, x.document)
			continue
		case fromRedisKey:
			c.Text = append(c.Text, s.record.RedisKey...)
			end(c, raw)
			continue
		}
		value, found, err := s.value(x, prune || keysOnly(op))
		if err != nil {
			return err
		}
		if value == nil && x.key {
			return s.output.noKey(x, s.opcode == "d")
		}
		if !found && x.keep {
			end(c, absent)
			continue
		}
		if value != nil && x.prefix != "" {
			c.Text = append(c.Text, x.prefix...)
			if _, is := value.(string); !is {
				value = plain(value)
			}
		}
		if s.output.redis && x.from == fromField {
			if bytes := s.bytes(s.hashField(x), value); bytes != nil {
				c.Text = append(c.Text, bytes...)
				end(c, raw)
				continue
			}
		}
		put(c, value)
	}
	return nil
}

// value computes a column. Where the row is to be removed by it, what depends on missing fields is no value (G7).
func (s *subject) value(x *column, removes bool) (value any, found bool, failure *Error) {
	if x.from == fromField {
		value, found = s.lookup(x)
		if removes && !x.element && s.record.Doubtful(s.record.Resolve(x.field)) {
			return nil, false, nil
		}
		return value, found, nil
	}
	rec := s.record
	if s.number > 0 {
		rec = s.withElement()
	}
	env := rec.Env(x.expression.Draws(), x.place+"\x00"+strconv.Itoa(s.number))
	value, err := s.run.Evaluate(x.expression, env, rec.Root)
	switch {
	case err != nil && rec.Deleted && rec.Null(x.expression.References()):
		return nil, true, nil // spec 4.1
	case err != nil:
		return nil, false, &Error{Class: Transform, Block: s.output.name, Column: x.name, Err: err}
	case removes && rec.Guess(s.run, x.expression, env, value):
		return nil, false, nil
	}
	return value, true, nil
}

// lookup finds the field of a column.
func (s *subject) lookup(x *column) (any, bool) {
	if x.element {
		return x.field.Lookup(s.element)
	}
	p := s.record.Resolve(x.field)
	if len(p) == 0 {
		return nil, false // after alone is no alias
	}
	value, ok := p.Lookup(s.record.Root)
	if !ok && s.opcode == "d" && x.before != nil {
		return x.before.Lookup(s.record.Root)
	}
	return value, ok
}

// withElement is the record with the element as a member, which hides a member of that name.
func (s *subject) withElement() *block.Record {
	if s.within == nil {
		within := *s.record
		within.Root = maps.Clone(s.record.Root)
		within.Root[s.output.foreach.name] = s.element
		s.within = &within
	}
	return s.within
}
