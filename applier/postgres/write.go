package postgres

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"slipstream/applier"
	"slipstream/proto/fault"
	flowv1 "slipstream/proto/slipstream/flow/v1"
)

const (
	// defaultRows is how many rows a statement takes where the settings do not say: more gain nothing.
	defaultRows = 5000
	// statementBytes bounds the parameters of a statement, which client and server hold whole.
	statementBytes = 16 << 20
)

// sqlText is a statement for a table, a verb and a set of columns, whatever the rows.
type sqlText struct {
	sql     string
	params  []param
	oids    []uint32
	formats []int16
	counts  bool // the only parameter is the number of rows
}

// param is an array parameter: a column of the output, of the rows or of those to keep.
type param struct {
	column int
	array  arrayType
	keep   bool
}

// Write implements applier.Txn. All statements of a write travel together and are answered together.
func (x *txn) Write(ctx context.Context, w *applier.Write) error {
	b, ok := w.Table.Native.(*bound)
	if !ok {
		return fault.Errorf(flowv1.FaultClass_FAULT_CLASS_SCHEMA, "table %s was not bound by this dialect", w.Table.Name)
	}
	text, err := b.text(w)
	if err != nil {
		return err
	}
	if len(w.Rows) == 0 {
		return nil
	}
	applier.Statement(ctx, func() string { return text.sql })
	target := x.session.target
	err = x.send(ctx, func(send func(statement) error) error {
		for rows := w.Rows; len(rows) > 0; {
			n := chunk(w, rows, target.rowsPerStatement)
			if err := send(x.session.encode(text, w, rows[:n])); err != nil {
				return err
			}
			rows = rows[n:]
		}
		return nil
	})
	if err == nil {
		return nil
	}
	f := failed(fmt.Sprintf("%s %s", doing[w.Verb], w.Table.Name), err)
	if f.Fix == "" {
		switch f.Code {
		case stateNoPrivilege:
			f = target.denied(ctx, f, b)
		case stateNoArbiter:
			f = f.WithFix(b.relation.createIndex(w.Table))
		}
	}
	return f
}

var doing = map[applier.Verb]string{
	applier.Upsert: "writing to", applier.Delete: "deleting from", applier.Prune: "deleting from",
	applier.Insert: "inserting into", applier.Close: "closing rows of",
	applier.Update: "updating",
}

// chunk is how many of the rows go into one statement.
func chunk(w *applier.Write, rows []int32, most int) int {
	if w.Verb == applier.Prune {
		return len(rows) // the rows to keep belong to all of them
	}
	n, size := 0, 0
	for n < len(rows) && n < most {
		size += encodedSize(w, rows[n])
		if n > 0 && size > statementBytes {
			break
		}
		n++
	}
	return n
}

// encode makes the statement for some rows. Its parameters are valid until the next call.
func (s *session) encode(t *sqlText, w *applier.Write, rows []int32) statement {
	if t.counts {
		return statement{sql: t.sql, values: [][]byte{strconv.AppendInt(nil, int64(len(rows)), 10)}, oids: t.oids}
	}
	s.buffer = s.buffer[:0]
	s.ends = s.ends[:0]
	for _, p := range t.params {
		of := rows
		if p.keep {
			of = w.Keep
		}
		s.buffer = appendArray(s.buffer, p.array, &w.Values.Columns[p.column], of)
		s.ends = append(s.ends, len(s.buffer))
	}
	s.values = s.values[:0]
	start := 0
	for _, end := range s.ends {
		s.values = append(s.values, s.buffer[start:end:end])
		start = end
	}
	return statement{sql: t.sql, values: s.values, oids: t.oids, formats: t.formats}
}

// text returns the statement of a write, made once for a table.
func (b *bound) text(w *applier.Write) (*sqlText, error) {
	id := make([]byte, 0, 64)
	id = append(id, byte(w.Verb))
	for _, i := range w.Columns {
		id = append(id, byte(i), byte(i>>8))
	}
	if t, ok := b.statements.Load(string(id)); ok {
		return t.(*sqlText), nil
	}
	var t *sqlText
	switch w.Verb {
	case applier.Upsert:
		t = b.upsert(w.Table, w.Columns)
	case applier.Delete:
		t = b.remove(w.Columns)
	case applier.Prune:
		t = b.prune(w.Table)
	case applier.Insert:
		t = b.insert(w.Columns)
	case applier.Close:
		t = b.shut(w.Columns)
	case applier.Update:
		t = b.update(w.Table, w.Columns)
	default:
		return nil, fault.Errorf(flowv1.FaultClass_FAULT_CLASS_SCHEMA, "verb %s is not known to this dialect", w.Verb)
	}
	b.statements.Store(string(id), t)
	return t, nil
}

// input declares the columns of a row set as parameters and returns the FROM item that unnests them, with the
// expressions that read its columns as the table's types.
func (t *sqlText) input(b *bound, alias string, columns []int, keep bool) (from string, values []string) {
	var arrays, names []string
	for n, i := range columns {
		t.params = append(t.params, param{column: i, array: b.arrays[i], keep: keep})
		t.oids = append(t.oids, b.arrays[i].array)
		t.formats = append(t.formats, 1)
		arrays = append(arrays, fmt.Sprintf("$%d", len(t.params)))
		names = append(names, fmt.Sprintf("c%d", n))
		value := fmt.Sprintf("%s.c%d", alias, n)
		for _, cast := range b.casts[i] {
			value += "::" + cast
		}
		values = append(values, value)
	}
	return fmt.Sprintf("unnest(%s) AS %s(%s)", strings.Join(arrays, ", "), alias, strings.Join(names, ", ")), values
}

// upsert inserts rows and updates those that are there. Columns that are neither written nor have a default would fail
// the insert even where the row exists, so then rows that exist are updated first and only the others inserted.
func (b *bound) upsert(table *applier.Table, columns []int) *sqlText {
	t := &sqlText{}
	from, values := t.input(b, "u", columns, false)
	var set, keys []string
	for _, i := range columns {
		switch {
		case table.Columns[i].Key:
			keys = append(keys, b.names[i])
		default:
			set = append(set, b.names[i]+" = excluded."+b.names[i])
		}
	}
	conflict := fmt.Sprintf(" ON CONFLICT (%s) DO NOTHING", strings.Join(keys, ", "))
	if len(set) > 0 {
		conflict = fmt.Sprintf(" ON CONFLICT (%s) DO UPDATE SET %s", strings.Join(keys, ", "), strings.Join(set, ", "))
	}
	into := b.into(columns)
	if !b.demands(columns) {
		t.sql = into + fmt.Sprintf("SELECT %s FROM %s", strings.Join(values, ", "), from) + conflict
		return t
	}
	var rows, match, assign []string
	for n, i := range columns {
		rows = append(rows, fmt.Sprintf("%s AS c%d", values[n], n))
		if table.Columns[i].Key {
			match = append(match, fmt.Sprintf("t.%s = r.c%d", b.names[i], n))
		} else {
			assign = append(assign, fmt.Sprintf("%s = r.c%d", b.names[i], n))
		}
	}
	there := fmt.Sprintf("SELECT 1 FROM %s AS t WHERE %s", b.relation.quoted(), strings.Join(match, " AND "))
	with := fmt.Sprintf("WITH r AS MATERIALIZED (SELECT %s FROM %s)", strings.Join(rows, ", "), from)
	if len(assign) > 0 {
		with += fmt.Sprintf(", done AS (UPDATE %s AS t SET %s FROM r WHERE %s)",
			b.relation.quoted(), strings.Join(assign, ", "), strings.Join(match, " AND "))
	}
	// The parts of a statement see the table as it was before: what is there is exactly what was updated.
	t.sql = with + " " + into + fmt.Sprintf("SELECT * FROM r WHERE NOT EXISTS (%s)", there) + conflict
	return t
}

// demands tells whether an insert of these columns alone leaves out one that must have a value.
func (b *bound) demands(columns []int) bool {
	for at := range b.relation.columns {
		c := &b.relation.columns[at]
		if !c.notNull || c.hasDefault || c.generated || c.identity {
			continue
		}
		if !slices.ContainsFunc(columns, func(i int) bool { return b.columns[i] == at }) {
			return true
		}
	}
	return false
}

// update sets columns of the rows that are there.
func (b *bound) update(table *applier.Table, columns []int) *sqlText {
	t := &sqlText{}
	from, values := t.input(b, "u", columns, false)
	var match, set []string
	for n, i := range columns {
		if table.Columns[i].Key {
			match = append(match, "t."+b.names[i]+" = "+values[n])
		} else {
			set = append(set, b.names[i]+" = "+values[n])
		}
	}
	t.sql = fmt.Sprintf("UPDATE %s AS t SET %s FROM %s WHERE %s",
		b.relation.quoted(), strings.Join(set, ", "), from, strings.Join(match, " AND "))
	return t
}

// remove deletes rows by key. A single key column is compared with the array itself, which is the faster plan; arrays
// have no arrays of their own to be compared with.
func (b *bound) remove(columns []int) *sqlText {
	t := &sqlText{}
	from, values := t.input(b, "u", columns, false)
	if len(columns) == 1 && b.relation.columns[b.columns[columns[0]]].typ.category != "A" {
		array := "$1"
		for _, cast := range b.casts[columns[0]] {
			array += "::" + cast + "[]"
		}
		t.sql = fmt.Sprintf("DELETE FROM %s WHERE %s = ANY (%s)", b.relation.quoted(), b.names[columns[0]], array)
		return t
	}
	t.sql = fmt.Sprintf("DELETE FROM %s AS t USING %s WHERE %s", b.relation.quoted(), from, b.equal(columns, values))
	return t
}

// prune deletes the rows of some parents that are not to be kept.
func (b *bound) prune(table *applier.Table) *sqlText {
	t := &sqlText{}
	parents, parent := t.input(b, "p", table.Parents, false)
	kept, key := t.input(b, "k", table.Keys, true)
	t.sql = fmt.Sprintf("DELETE FROM %s AS t USING %s WHERE %s AND NOT EXISTS (SELECT 1 FROM %s WHERE %s)",
		b.relation.quoted(), parents, b.equal(table.Parents, parent), kept, b.equal(table.Keys, key))
	return t
}

// equal compares columns of the table with values.
func (b *bound) equal(columns []int, values []string) string {
	var terms []string
	for n, i := range columns {
		terms = append(terms, fmt.Sprintf("t.%s = %s", b.names[i], values[n]))
	}
	return strings.Join(terms, " AND ")
}
