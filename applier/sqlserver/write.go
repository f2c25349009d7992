package sqlserver

import (
	"context"
	"encoding/binary"
	"fmt"
	"strings"

	"slipstream/applier"
	"slipstream/proto/fault"
	flowv1 "slipstream/proto/slipstream/flow/v1"
)

const (
	// defaultRows is how many rows a statement with parameters takes where the settings do not say.
	defaultRows = 200
	// mostRows is the most rows of a VALUES list.
	mostRows = 1000
	// mostParameters is the most values of a statement: 2,100 are allowed, of which two are the text and the types.
	mostParameters = 2098
	// stagedFrom is how many statements with parameters cost more than a bulk copy does.
	stagedFrom = 4
	// mostStaged is how many rows one temporary table takes: what the client holds encoded.
	mostStaged = 20_000
)

// locks are the hints of the upsert: nobody else inserts a key between the two statements, nor updates the rows found.
const locks = "WITH (UPDLOCK, HOLDLOCK)"

// Write implements applier.Txn.
func (x *txn) Write(ctx context.Context, w *applier.Write) error {
	b, ok := w.Table.Native.(*bound)
	if !ok {
		return fault.Errorf(flowv1.FaultClass_FAULT_CLASS_SCHEMA, "table %s was not bound by this dialect", w.Table.Name)
	}
	if len(w.Rows) == 0 {
		return nil
	}
	err := x.do(ctx, func(ctx context.Context) error { return x.write(ctx, b, w) })
	if err == nil {
		return nil
	}
	f := b.failed(fmt.Sprintf("%s %s", doing[w.Verb], w.Table.Name), err)
	if f.Fix == "" && f.Class == flowv1.FaultClass_FAULT_CLASS_PERMISSION {
		f = f.WithFix(x.session.target.grantText(b.relation, b.needs))
	}
	return f
}

var doing = map[applier.Verb]string{
	applier.Upsert: "writing to", applier.Delete: "deleting from", applier.Prune: "deleting from",
	applier.Insert: "inserting into", applier.Close: "closing rows of",
	applier.Update: "updating",
}

func (x *txn) write(ctx context.Context, b *bound, w *applier.Write) error {
	switch {
	case w.Verb == applier.Prune:
		return x.prune(ctx, b, w)
	case w.Verb == applier.Insert && len(w.Columns) == 0:
		return x.insertDefaults(ctx, b, w)
	}
	applier.Statement(ctx, func() string { return b.ofOne(w) })
	most := min(x.session.target.rowsPerStatement, mostRows, mostParameters/len(w.Columns))
	most = max(most, 1)
	if b.facts.bulk && len(w.Rows) > stagedFrom*most {
		return x.writeStaged(ctx, b, w)
	}
	for rows := w.Rows; len(rows) > 0; {
		n := chunk(len(rows), most)
		args, err := x.arguments(b, w, w.Columns, rows[:n])
		if err != nil {
			return err
		}
		text, err := b.text(w, n)
		if err != nil {
			return err
		}
		if _, err := x.run(ctx, text, args); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}

// ofOne is the statement of a write of one row.
func (b *bound) ofOne(w *applier.Write) string {
	t, err := b.statement(w, b.newSource(fromValues, w.Columns, 1, 1, ""))
	if err != nil {
		return ""
	}
	return t.sql
}

// chunk is how many of the rows go into the next statement: as many as may, or a power of two, so that few texts are
// compiled whatever sizes batches have.
func chunk(rows, most int) int {
	if rows >= most {
		return most
	}
	n := 1
	for n*2 <= rows {
		n *= 2
	}
	return n
}

// arguments are the values of some rows, row by row.
func (x *txn) arguments(b *bound, w *applier.Write, columns []int, rows []int32) ([]any, error) {
	args := make([]any, 0, len(rows)*len(columns))
	for _, row := range rows {
		var err error
		if args, err = b.encode(args, w, columns, row); err != nil {
			return nil, err
		}
	}
	return args, nil
}

// writeStaged writes many rows from a temporary table.
func (x *txn) writeStaged(ctx context.Context, b *bound, w *applier.Write) error {
	for rows := w.Rows; len(rows) > 0; {
		n := min(len(rows), mostStaged)
		s, err := x.stage(ctx, b, w, w.Columns, rows[:n])
		if err != nil {
			return err
		}
		text, err := b.statement(w, s)
		if err != nil {
			return err
		}
		if _, err := x.exec(ctx, text.sql); err != nil {
			return err
		}
		if _, err := x.exec(ctx, "DROP TABLE "+s.table); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}

// text returns the statement of a write for n rows of parameters, made once for a table.
func (b *bound) text(w *applier.Write, n int) (*sqlText, error) {
	id := make([]byte, 0, 64)
	id = append(id, byte(w.Verb))
	id = binary.LittleEndian.AppendUint32(id, uint32(n))
	for _, i := range w.Columns {
		id = append(id, byte(i), byte(i>>8))
	}
	if t, ok := b.statements.Load(string(id)); ok {
		return t.(*sqlText), nil
	}
	t, err := b.statement(w, b.newSource(fromValues, w.Columns, n, 1, ""))
	if err == nil {
		b.statements.Store(string(id), t)
	}
	return t, err
}

// statement makes the statement of a write.
func (b *bound) statement(w *applier.Write, s *source) (*sqlText, error) {
	switch w.Verb {
	case applier.Upsert:
		return b.upsert(w.Table, s, w.Columns), nil
	case applier.Delete:
		return b.remove(s, w.Columns), nil
	case applier.Insert:
		return b.insert(s, w.Columns), nil
	case applier.Close:
		return b.shut(s, w.Columns), nil
	case applier.Update:
		return s.text(b.update(w.Table, s, w.Columns)), nil
	}
	return nil, fault.Errorf(flowv1.FaultClass_FAULT_CLASS_SCHEMA, "verb %s is not known to this dialect", w.Verb)
}

// upsert updates the rows that are there and inserts the others. Rows that are there need no value for the columns that
// are not written.
func (b *bound) upsert(table *applier.Table, s *source, columns []int) *sqlText {
	match := s.match("t", "s", table.Keys)
	text := b.update(table, s, columns)
	missing := fmt.Sprintf("%s WHERE NOT EXISTS (SELECT 1 FROM %s AS t %s WHERE %s)", s.from("s"), b.relation.quoted(), locks, match)
	return s.text(text + b.into(columns, s.values("s", columns), missing))
}

// update sets columns of the rows that are there; empty where all columns are keys.
func (b *bound) update(table *applier.Table, s *source, columns []int) string {
	var set []string
	for _, i := range columns {
		if !table.Columns[i].Key {
			set = append(set, b.names[i]+" = "+s.value("s", i))
		}
	}
	if len(set) == 0 {
		return ""
	}
	return fmt.Sprintf("UPDATE t SET %s FROM %s AS t %s INNER JOIN %s ON %s;\n",
		strings.Join(set, ", "), b.relation.quoted(), locks, s.from("s"), s.match("t", "s", table.Keys))
}

// remove deletes rows by key.
func (b *bound) remove(s *source, columns []int) *sqlText {
	return s.text(fmt.Sprintf("DELETE t FROM %s AS t INNER JOIN %s ON %s;", b.relation.quoted(), s.from("s"), s.match("t", "s", columns)))
}

// prune deletes the rows of some parents that are not to be kept. Rows to keep belong to all parents, so that all of them
// must be in one statement, however many there are.
func (x *txn) prune(ctx context.Context, b *bound, w *applier.Write) error {
	parents, keys := w.Table.Parents, w.Table.Keys
	applier.Statement(ctx, func() string {
		s := b.newSource(fromValues, parents, 1, 1, "")
		return b.removeBut(s, b.newSource(fromValues, keys, min(len(w.Keep), 1), s.next(), "")).sql
	})
	if len(w.Rows)*len(parents)+len(w.Keep)*len(keys) <= mostParameters && len(w.Rows) <= mostRows && len(w.Keep) <= mostRows {
		args, err := x.arguments(b, w, parents, w.Rows)
		if err != nil {
			return err
		}
		kept, err := x.arguments(b, w, keys, w.Keep)
		if err != nil {
			return err
		}
		s := b.newSource(fromValues, parents, len(w.Rows), 1, "")
		_, err = x.run(ctx, b.removeBut(s, b.newSource(fromValues, keys, len(w.Keep), s.next(), "")), append(args, kept...))
		return err
	}
	if !b.facts.bulk {
		return x.pruneJSON(ctx, b, w)
	}
	s, err := x.stage(ctx, b, w, parents, w.Rows)
	if err != nil {
		return err
	}
	k, err := x.stage(ctx, b, w, keys, w.Keep)
	if err != nil {
		return err
	}
	if _, err := x.exec(ctx, b.removeBut(s, k).sql); err != nil {
		return err
	}
	_, err = x.exec(ctx, "DROP TABLE "+s.table+"; DROP TABLE "+k.table)
	return err
}

// pruneJSON is the way without temporary tables: each list is one parameter.
func (x *txn) pruneJSON(ctx context.Context, b *bound, w *applier.Write) error {
	parents, err := b.jsonRows(w, w.Table.Parents, w.Rows)
	if err != nil {
		return err
	}
	kept, err := b.jsonRows(w, w.Table.Keys, w.Keep)
	if err != nil {
		return err
	}
	s := b.newSource(fromJSON, w.Table.Parents, len(w.Rows), 1, "")
	_, err = x.run(ctx, b.removeBut(s, b.newSource(fromJSON, w.Table.Keys, len(w.Keep), s.next(), "")), []any{parents, kept})
	return err
}

// removeBut deletes the rows with the columns of one source, but those with the columns of another.
func (b *bound) removeBut(s, keep *source) *sqlText {
	text := fmt.Sprintf("DELETE t FROM %s AS t INNER JOIN %s ON %s", b.relation.quoted(), s.from("s"), s.match("t", "s", s.columns))
	if keep.origin == fromValues && keep.rows == 0 {
		return s.text(text + ";")
	}
	text += fmt.Sprintf(" WHERE NOT EXISTS (SELECT 1 FROM %s WHERE %s);", keep.from("k"), keep.match("t", "k", keep.columns))
	return s.text(text, keep)
}

// insertDefaults inserts rows of which every column takes its default.
func (x *txn) insertDefaults(ctx context.Context, b *bound, w *applier.Write) error {
	applier.Statement(ctx, func() string { return b.defaults(1).sql })
	for left := len(w.Rows); left > 0; {
		n := chunk(left, 64)
		if _, err := x.exec(ctx, b.defaults(n).sql); err != nil {
			return err
		}
		left -= n
	}
	return nil
}
