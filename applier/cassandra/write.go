package cassandra

import (
	"bytes"
	"context"
	"fmt"
	"unicode/utf8"

	gocql "github.com/apache/cassandra-gocql-driver/v2"

	"slipstream/applier"
	"slipstream/applier/value"
	"slipstream/proto/fault"
	flowv1 "slipstream/proto/slipstream/flow/v1"
)

// mostKeyBytes is the length that a part of a key, and a whole partition key, can have.
const mostKeyBytes = 65535

// Write implements applier.Txn. It encodes and holds; nothing is sent.
func (x *txn) Write(ctx context.Context, w *applier.Write) error {
	b, ok := w.Table.Native.(*bound)
	if !ok {
		return fault.Errorf(flowv1.FaultClass_FAULT_CLASS_SCHEMA, "table %s was not bound by this dialect", w.Table.Name)
	}
	x.writes++
	if x.try != nil {
		x.seen = append(x.seen, w)
	}
	mark := len(x.ops)
	err := x.add(ctx, w, b)
	if err != nil {
		x.ops = x.ops[:mark]
		return err
	}
	if len(x.ops) > mark { // they are sent with the commit
		applier.Statement(ctx, func() string { return x.ops[mark].text })
	}
	if len(w.Rows) > 0 {
		if _, known := x.tables[w.Table.Name]; !known {
			x.tables[w.Table.Name] = b
		}
	}
	return nil
}

func (x *txn) add(ctx context.Context, w *applier.Write, b *bound) error {
	switch w.Verb {
	case applier.Upsert, applier.Insert, applier.Delete:
		for _, row := range w.Rows {
			o, err := b.row(w, row)
			if err != nil {
				return err
			}
			o.rank = x.writes
			x.ops = append(x.ops, o)
		}
		return nil
	case applier.Prune:
		return x.prune(ctx, w, b)
	}
	return fault.Errorf(flowv1.FaultClass_FAULT_CLASS_SCHEMA, "verb %s is not known to this dialect", w.Verb)
}

// row makes the statement for one row.
func (b *bound) row(w *applier.Write, row int32) (op, error) {
	values, err := b.values(w, row)
	if err != nil {
		return op{}, err
	}
	o := op{of: b, removes: w.Verb == applier.Delete}
	o.partition = b.partition(w.Table, values)
	var keys, sets []any
	something := false
	for i := range values {
		if v, ok := values[i].(wire); ok {
			o.size += len(v)
			something = something || v != nil && !w.Table.Columns[i].Key
		}
		if w.Table.Columns[i].Key {
			keys = append(keys, values[i])
		} else {
			sets = append(sets, values[i])
		}
	}
	switch {
	case o.removes:
		o.text, o.args = b.texts.remove, append([]any{nil}, keys...)
	// An UPDATE of nulls alone leaves no row behind, and one of static columns alone may not name a row; an INSERT does
	// both, and writes no more than it is given.
	case w.Verb == applier.Insert, !something, b.statics:
		o.text, o.stamp, o.args = b.texts.insert, len(values), append(values, nil)
	default:
		o.text, o.args = b.texts.update, append(append([]any{nil}, sets...), keys...)
	}
	return o, nil
}

// values are the bytes of a row, column by column; what it does not touch is unset.
func (b *bound) values(w *applier.Write, row int32) ([]any, error) {
	values := make([]any, len(w.Table.Columns))
	for i := range values {
		values[i] = gocql.UnsetValue
	}
	total := 0
	for _, i := range w.Columns {
		v, err := b.value(w, i, row)
		if err != nil {
			return nil, err
		}
		values[i] = v
	}
	for _, k := range w.Table.Keys {
		v, ok := values[k].(wire)
		if !ok || v == nil { // G7: nothing is written or deleted by a key that is not there
			return nil, fault.Errorf(flowv1.FaultClass_FAULT_CLASS_DATA, "missing key column %s", w.Table.Columns[k].Name)
		}
		if len(v) > mostKeyBytes {
			return nil, unfitting(w, k, row, fmt.Sprintf("a key column holds %d bytes at most", mostKeyBytes))
		}
		if b.relation.columns[b.columns[k]].kind != "partition_key" {
			continue
		}
		if total += len(v); total > mostKeyBytes {
			return nil, unfitting(w, k, row, fmt.Sprintf("a partition key holds %d bytes at most", mostKeyBytes))
		}
		if len(v) == 0 && len(b.relation.partition) == 1 {
			return nil, unfitting(w, k, row, "a partition key may not be empty")
		}
	}
	return values, nil
}

// value is one value of a row.
func (b *bound) value(w *applier.Write, column int, row int32) (wire, error) {
	text := w.Values.Columns[column].At(row)
	if text == nil {
		return nil, nil
	}
	v, why := b.relation.columns[b.columns[column]].typ.encode(text, w.Table.Columns[column].Type.Rules)
	if why != fits {
		return nil, unfitting(w, column, row, string(why))
	}
	return v, nil
}

// unfitting is the fault of a value that does not fit its column.
func unfitting(w *applier.Write, column int, row int32, why string) error {
	c := &w.Table.Columns[column]
	text := bytes.ToValidUTF8(w.Values.Columns[column].At(row), []byte("\uFFFD"))
	if n := 64; utf8.RuneCount(text) > n {
		text = append([]byte(string([]rune(string(text))[:n])), "…"...)
	}
	return fault.New(flowv1.FaultClass_FAULT_CLASS_DATA, &value.Error{
		Value: string(text), Type: c.Type.Name, Column: c.Name, Reason: why,
	})
}

// partition is what tells the partition of a row from all others.
func (b *bound) partition(t *applier.Table, values []any) string {
	id := append(wire(b.relation.label()), 0)
	for i := range values {
		if v, ok := values[i].(wire); ok && b.relation.columns[b.columns[i]].kind == "partition_key" {
			id = appendSized(id, v)
		}
	}
	return string(id)
}

// prune removes the rows of some parents that are not to be kept. Where the output writes the rows whole, one statement a
// parent removes all of them, with a timestamp below those of the rows that are written again: this also defeats a row
// that somebody who lost the lane still has under way. Otherwise the rows are looked up and removed one by one, so that
// columns of others stay.
func (x *txn) prune(ctx context.Context, w *applier.Write, b *bound) error {
	writer := x.tables[w.Table.Name]
	whole := b.complete && (writer == nil || writer == b) && !touchesLess(w)
	kept := map[string]bool{}
	if !whole {
		for _, row := range w.Keep {
			key, err := b.key(w, row)
			if err != nil {
				return err
			}
			kept[key] = true
		}
	}
	for _, row := range w.Rows {
		var parent []any
		values := make([]any, len(w.Table.Columns))
		for _, i := range b.texts.parent {
			v, err := b.value(w, i, row)
			if err != nil {
				return err
			}
			if v == nil {
				return fault.Errorf(flowv1.FaultClass_FAULT_CLASS_DATA, "missing key column %s", w.Table.Columns[i].Name) // G7
			}
			parent = append(parent, v)
			values[i] = v
		}
		partition := b.partition(w.Table, values)
		if whole {
			x.ops = append(x.ops, op{cql: cql{b.texts.sweep, append([]any{nil}, parent...)}, partition: partition, removes: true, of: b})
			continue
		}
		if err := x.pruneListed(ctx, w, b, parent, partition, kept); err != nil {
			return err
		}
	}
	return nil
}

// touchesLess tells whether any row to keep leaves a column alone.
func touchesLess(w *applier.Write) bool {
	for _, row := range w.Keep {
		for i := range w.Values.Columns {
			if w.Values.Columns[i].States[row] == applier.Absent {
				return true
			}
		}
	}
	return false
}

// pruneListed removes the rows of one parent that are there and not kept.
func (x *txn) pruneListed(ctx context.Context, w *applier.Write, b *bound, parent []any, partition string, kept map[string]bool) error {
	ctx, cancel := limited(ctx)
	defer cancel()
	t := x.session.target
	rows, err := t.cluster.rows(ctx, own, cql{b.texts.list, parent})
	if err != nil {
		return t.sort(ctx, b, "reading the rows of a parent in "+w.Table.Name, err)
	}
	for _, row := range rows {
		var id wire
		args := []any{nil}
		for _, v := range row {
			id = appendSized(id, v)
			args = append(args, v)
		}
		if !kept[string(id)] {
			x.ops = append(x.ops, op{cql: cql{b.texts.remove, args}, partition: partition, removes: true, rank: x.writes, of: b, size: len(id)})
		}
	}
	return nil
}

// key is the bytes of a row's key, as pruneListed makes them of a row that is there.
func (b *bound) key(w *applier.Write, row int32) (string, error) {
	var id wire
	for _, k := range w.Table.Keys {
		v, err := b.value(w, k, row)
		if err != nil {
			return "", err
		}
		id = appendSized(id, v)
	}
	return string(id), nil
}
