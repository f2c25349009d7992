package mysql

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"slipstream/applier"
	"slipstream/proto/fault"
	flowv1 "slipstream/proto/slipstream/flow/v1"
)

const (
	// defaultRows is how many rows a statement takes where the settings do not say: more gain nothing.
	defaultRows = 5000
	// statementBytes bounds the text of a statement, which client and server hold whole; max_allowed_packet may be less.
	statementBytes = 16 << 20
	// packetReserve is what a statement leaves free of max_allowed_packet.
	packetReserve = 4 << 10
)

// rowForm is how a row of values is written.
type rowForm struct{ head, open, between, end string }

var (
	inValues      = rowForm{open: "(", between: ",", end: ")"}
	inList        = rowForm{between: ","} // of a single column
	rowsOfMariaDB = rowForm{head: "VALUES ", open: "(", between: ",", end: ")"}
	rowsOfMySQL   = rowForm{head: "VALUES ", open: "ROW(", between: ",", end: ")"}
	rowsByUnion   = rowForm{open: "SELECT ", between: " UNION ALL "}
)

// template is a statement for a table, a verb and a set of columns, whatever the rows: they stand between before and
// after.
type template struct {
	before, after string
	form          rowForm
	columns       []int
}

// Write implements applier.Txn.
func (x *txn) Write(ctx context.Context, w *applier.Write) error {
	b, ok := w.Table.Native.(*bound)
	if !ok {
		return fault.Errorf(flowv1.FaultClass_FAULT_CLASS_SCHEMA, "table %s was not bound by this dialect", w.Table.Name)
	}
	var err error
	switch w.Verb {
	case applier.Prune:
		err = x.prune(ctx, b, w)
	case applier.Upsert:
		if err = x.guard(ctx, b); err == nil {
			err = x.inChunks(ctx, b, w)
		}
	default:
		err = x.inChunks(ctx, b, w)
	}
	if err == nil {
		return nil
	}
	f := failed(fmt.Sprintf("%s %s", doing[w.Verb], w.Table.Name), err)
	if f.Fix == "" && missesGrant(f.Code) && x.lost == nil {
		ctx, cancel := x.session.target.limited(ctx)
		defer cancel()
		f = x.link.denied(ctx, f, b, w.Table)
	}
	return f
}

var doing = map[applier.Verb]string{
	applier.Upsert: "writing to", applier.Delete: "deleting from", applier.Prune: "deleting from",
	applier.Insert: "inserting into", applier.Close: "closing rows of",
	applier.Update: "updating",
}

// guard fails where the unique index of the keys is gone since the table was bound, or a view has taken its place: an upsert
// would insert rows twice without a word. From here on the table keeps its form until the transaction ends.
func (x *txn) guard(ctx context.Context, b *bound) error {
	if b.index == "" || slices.Contains(x.known, b) {
		return nil
	}
	err := x.query(ctx, "SELECT 1 FROM "+b.relation.quoted()+" FORCE INDEX ("+quote(b.index)+") WHERE FALSE", func([][]byte) {})
	if err == nil {
		x.known = append(x.known, b)
	}
	return err
}

// inChunks runs the statements of a write on as many rows at a time as are good for them.
func (x *txn) inChunks(ctx context.Context, b *bound, w *applier.Write) error {
	all, err := b.templates(w)
	if err != nil {
		return err
	}
	applier.Statement(ctx, func() string { return shown(all, "; ") })
	for rows := w.Rows; len(rows) > 0; {
		n := len(rows)
		for _, t := range all { // the second takes no more rows than the first did
			var text []byte
			if text, n, err = x.text(b, t, w, rows[:n]); err != nil {
				return err
			}
			if _, err = x.exec(ctx, string(text)); err != nil {
				return err
			}
		}
		rows = rows[n:]
	}
	return nil
}

// shown is what templates come to, with a placeholder for each value of one row.
func shown(all []*template, between string) string {
	var texts []string
	for _, t := range all {
		values := strings.TrimSuffix(strings.Repeat("?,", len(t.columns)), ",")
		texts = append(texts, t.before+t.form.open+values+t.form.end+t.after)
	}
	return strings.Join(texts, between)
}

// most is how long a statement may be.
func (x *txn) most() int { return min(statementBytes, x.link.server.packet-packetReserve) }

// text spells a statement for as many of the rows as it may have. It is valid until the next call.
func (x *txn) text(b *bound, t *template, w *applier.Write, rows []int32) ([]byte, int, error) {
	text := append(x.session.buffer[:0], t.before...)
	most := x.most() - len(t.after)
	n := 0
	for n < len(rows) && n < x.session.target.rowsPerStatement {
		before := len(text)
		if n > 0 {
			text = append(text, t.form.between...)
		}
		var err error
		if text, err = b.appendRow(text, t, w, rows[n]); err != nil {
			return nil, 0, err
		}
		if len(text) > most {
			if n == 0 {
				return nil, 0, tooLong(len(text), most)
			}
			text = text[:before]
			break
		}
		n++
	}
	text = append(text, t.after...)
	x.session.buffer = text
	return text, n, nil
}

// appendRow spells a row.
func (b *bound) appendRow(text []byte, t *template, w *applier.Write, row int32) ([]byte, error) {
	text = append(text, t.form.open...)
	for i, c := range t.columns {
		if i > 0 {
			text = append(text, ',')
		}
		var err error
		if text, err = b.spellers[c].append(text, w.Values.Columns[c].At(row)); err != nil {
			return nil, err
		}
	}
	return append(text, t.form.end...), nil
}

// tooLong rejects what no statement can hold.
func tooLong(size, most int) error {
	return fault.Errorf(flowv1.FaultClass_FAULT_CLASS_DATA, "a statement of %d bytes is needed, and the server takes %d", size, most).
		WithFix("raise max_allowed_packet of the server, and replay the record")
}

// templates returns the statements of a write, made once for a table.
func (b *bound) templates(w *applier.Write) ([]*template, error) {
	id := make([]byte, 0, 64)
	id = append(id, byte(w.Verb))
	for _, i := range w.Columns {
		id = append(id, byte(i), byte(i>>8))
	}
	if t, ok := b.statements.Load(string(id)); ok {
		return t.([]*template), nil
	}
	var t []*template
	switch {
	case w.Verb == applier.Upsert && b.direct(w.Table, w.Columns):
		t = []*template{b.upsert(w.Table, w.Columns)}
	case w.Verb == applier.Upsert:
		t = b.updateAndInsert(w.Table, w.Columns)
	case w.Verb == applier.Update:
		t = b.updateAndInsert(w.Table, w.Columns)[:1]
	case w.Verb == applier.Insert:
		t = []*template{b.insert(w.Columns)}
	case w.Verb == applier.Delete:
		t = []*template{b.among("DELETE FROM "+b.relation.quoted()+" WHERE ", w.Columns, "")}
	case w.Verb == applier.Close:
		t = []*template{b.among("UPDATE "+b.relation.quoted()+" SET "+b.closes.sets+" WHERE ", w.Columns, b.closes.active)}
	default:
		return nil, fault.Errorf(flowv1.FaultClass_FAULT_CLASS_SCHEMA, "verb %s is not known to this dialect", w.Verb)
	}
	b.statements.Store(string(id), t)
	return t, nil
}

// insert inserts rows whatever is there, in their order. Without columns every one takes its default.
func (b *bound) insert(columns []int) *template {
	return &template{
		before:  fmt.Sprintf("INSERT INTO %s (%s) VALUES ", b.relation.quoted(), strings.Join(b.listed(columns), ", ")),
		form:    inValues,
		columns: columns,
	}
}

// alias names the row that could not be inserted, in MySQL, which is about to forget VALUES().
const alias = "slipstream_new"

// upsert inserts rows and updates those that are there; with key columns alone the update changes nothing.
func (b *bound) upsert(table *applier.Table, columns []int) *template {
	t := b.insert(columns)
	var set []string
	for _, i := range columns {
		switch {
		case table.Columns[i].Key:
		case b.server.rowAlias():
			set = append(set, b.names[i]+" = "+alias+"."+b.names[i])
		default:
			set = append(set, b.names[i]+" = VALUES("+b.names[i]+")")
		}
	}
	if len(set) == 0 {
		key := b.names[table.Keys[0]]
		set = append(set, key+" = "+quote(b.relation.name)+"."+key)
	}
	if b.server.rowAlias() {
		t.after = " AS " + alias
	}
	t.after += " ON DUPLICATE KEY UPDATE " + strings.Join(set, ", ")
	return t
}

// updateAndInsert updates the rows that are there, and then inserts those that are not. The list of rows comes first in
// the join, so that each finds its row by the index.
func (b *bound) updateAndInsert(table *applier.Table, columns []int) []*template {
	form := b.server.valueRows()
	names := make([]string, len(columns))
	list := make([]string, len(columns))
	var match, set []string
	for n, i := range columns {
		names[n] = fmt.Sprintf("c%d", n)
		list[n] = "v." + names[n]
		if table.Columns[i].Key {
			match = append(match, "t."+b.names[i]+" = "+b.relation.columns[b.columns[i]].joined(list[n]))
		} else {
			set = append(set, "t."+b.names[i]+" = "+list[n])
		}
	}
	on := strings.Join(match, " AND ")
	open, shut := "(", ") AS v ("+strings.Join(names, ", ")+")"
	switch {
	case b.server.maria:
		open, shut = "(WITH r ("+strings.Join(names, ", ")+") AS (", ") SELECT * FROM r) AS v"
	case form == rowsByUnion:
		// A derived table has no column list there: its first rows, which are none, name the columns.
		for n := range names {
			names[n] = "NULL AS " + names[n]
		}
		open, shut = "(SELECT "+strings.Join(names, ", ")+" FROM DUAL WHERE FALSE UNION ALL ", ") AS v"
	}
	open += form.head
	var all []*template
	if len(set) > 0 {
		all = append(all, &template{
			before:  "UPDATE " + open,
			after:   shut + " STRAIGHT_JOIN " + b.relation.quoted() + " AS t ON " + on + " SET " + strings.Join(set, ", "),
			form:    form,
			columns: columns,
		})
	}
	into := b.listed(columns)
	for _, name := range b.demanded(columns) { // a row that is not there cannot be made: the column cannot be null
		into, list = append(into, name), append(list, "NULL")
	}
	return append(all, &template{
		before: fmt.Sprintf("INSERT INTO %s (%s) SELECT %s FROM %s",
			b.relation.quoted(), strings.Join(into, ", "), strings.Join(list, ", "), open),
		after:   shut + " WHERE NOT EXISTS (SELECT 1 FROM " + b.relation.quoted() + " AS t WHERE " + on + ")",
		form:    form,
		columns: columns,
	})
}

// among compares columns of the table with lists of constants, which the server looks up in the index one by one.
func (b *bound) among(before string, columns []int, after string) *template {
	t := &template{before: before, after: ")" + after, form: inList, columns: columns}
	names := strings.Join(b.listed(columns), ", ")
	if len(columns) > 1 {
		t.form = inValues
		names = "(" + names + ")"
	}
	t.before += names + " IN ("
	return t
}

// prune deletes the rows of some parents that are not to be kept. The rows to keep belong to all parents, so one statement
// holds all of them; where they are too many the engine comes again with fewer records.
func (x *txn) prune(ctx context.Context, b *bound, w *applier.Write) error {
	if len(w.Rows) == 0 {
		return nil
	}
	text := x.session.buffer[:0]
	add := func(t *template, rows []int32) error {
		text = append(text, t.before...)
		for i, row := range rows {
			if i > 0 {
				text = append(text, ',')
			}
			var err error
			if text, err = b.appendRow(text, t, w, row); err != nil {
				return err
			}
		}
		text = append(text, t.after...)
		return nil
	}
	parts := []*template{b.among("DELETE FROM "+b.relation.quoted()+" WHERE ", w.Table.Parents, "")}
	err := add(parts[0], w.Rows)
	if len(w.Keep) > 0 {
		parts = append(parts, b.among(" AND NOT ", w.Table.Keys, ""))
		err = errors.Join(err, add(parts[1], w.Keep))
	}
	applier.Statement(ctx, func() string { return shown(parts, "") })
	if err != nil {
		return err
	}
	if len(text) > x.most() {
		return tooLong(len(text), x.most())
	}
	x.session.buffer = text
	_, err = x.exec(ctx, string(text))
	return err
}

// listed are columns as SQL.
func (b *bound) listed(columns []int) []string {
	names := make([]string, 0, len(columns))
	for _, i := range columns {
		names = append(names, b.names[i])
	}
	return names
}
