package sqlite

import (
	"context"
	"database/sql/driver"
	"encoding/hex"
	"errors"
	"strings"

	"slipstream/applier"
	"slipstream/applier/value"
	flowv1 "slipstream/proto/slipstream/flow/v1"
)

// rehearsal is a transaction for a preview.
type rehearsal struct{ *txn }

// Rehearse takes the writer's turn without moving a position.
func (t *target) Rehearse(ctx context.Context, lane *flowv1.Lane) (applier.Rehearsal, error) {
	if err := t.writer.take(ctx); err != nil {
		return nil, err
	}
	s := &session{target: t, lane: lane}
	s.txn = &txn{session: s, handle: t.writer}
	r := &rehearsal{s.txn}
	err := t.writer.exec(ctx, "BEGIN IMMEDIATE")
	if err == nil {
		for _, text := range indexDDL(t.options.rowTable) { // undone with the rest
			err = errors.Join(err, t.writer.exec(ctx, text))
		}
	}
	if err != nil {
		return nil, errors.Join(err, r.Rollback())
	}
	return r, nil
}

// Show is the statement for one row, with its values in place.
func (r *rehearsal) Show(w *applier.Write, i int32) string {
	name := quote(w.Table.Name)
	switch w.Verb {
	case applier.Upsert, applier.Insert:
		text := "INSERT INTO " + name + " (" + row(w, w.Columns, "") + ") VALUES (" + strings.Join(literals(w, w.Columns, i), ", ") + ")"
		if w.Verb == applier.Upsert {
			text += onConflict(w)
		}
		return text + ";"
	case applier.Close:
		history, _ := w.Table.Native.(*historized)
		return "UPDATE " + name + " SET " + history.sets + " WHERE " + agree(w, w.Columns, i) + history.active + ";"
	case applier.Prune:
		return "DELETE FROM " + name + " WHERE " + agree(w, w.Columns, i) + r.but(w) + ";"
	}
	return "DELETE FROM " + name + " WHERE " + agree(w, w.Columns, i) + ";"
}

// agree is the condition under which a row of the table has the values of a row in some columns.
func agree(w *applier.Write, columns []int, i int32) string {
	values := literals(w, columns, i)
	terms := make([]string, len(columns))
	for n, c := range columns {
		terms[n] = quote(w.Table.Columns[c].Name) + " = " + values[n]
	}
	return strings.Join(terms, " AND ")
}

// literals are values of a row as SQLite reads them.
func literals(w *applier.Write, columns []int, i int32) []string {
	out := make([]string, len(columns))
	for n, c := range columns {
		out[n] = literal(&w.Table.Columns[c].Type, w.Values.Columns[c].At(i))
	}
	return out
}

// but excepts the rows that a prune keeps.
func (r *rehearsal) but(w *applier.Write) string {
	if len(w.Keep) == 0 {
		return ""
	}
	var kept []string
	for _, row := range w.Keep {
		kept = append(kept, "("+strings.Join(literals(w, w.Table.Keys, row), ", ")+")")
	}
	return " AND (" + row(w, w.Table.Keys, "") + ") NOT IN (VALUES " + strings.Join(kept, ", ") + ")"
}

// literal is a value as SQLite reads it.
func literal(t *value.Type, text []byte) string {
	switch {
	case text == nil:
		return "NULL"
	case t.Kind == value.Binary:
		return "x'" + hex.EncodeToString(text) + "'"
	case t.Kind == value.Integer, t.Kind == value.Boolean, t.Kind == value.Decimal, t.Kind == value.Float:
		return string(text)
	}
	return "'" + strings.ReplaceAll(string(text), "'", "''") + "'"
}

// Read reads columns of the rows that agree with others.
func (r *rehearsal) Read(
	ctx context.Context, t *applier.Table, by []int, v *applier.Values, rows []int32, columns []int,
) ([][][]byte, error) {
	w := &applier.Write{Table: t, Columns: by, Values: v}
	var out [][][]byte
	for _, i := range rows {
		args := make([]driver.NamedValue, len(by))
		for a := range args {
			args[a].Ordinal = a + 1
		}
		if err := fill(args, w, by, []int32{i}); err != nil {
			return nil, err
		}
		values := make([]any, len(args))
		for a := range args {
			values[a] = args[a].Value
		}
		err := r.handle.query(ctx, func(found []driver.Value) error {
			one := make([][]byte, len(found))
			for c, f := range found {
				if f != nil {
					one[c] = []byte(text(f))
				}
			}
			out = append(out, one)
			return nil
		}, "SELECT "+row(&applier.Write{Table: t}, columns, "")+" FROM "+quote(t.Name)+" WHERE "+among(w, 1), values...)
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Images implements applier.Rehearsal.
func (r *rehearsal) Images(ctx context.Context, output string, owners [][]byte) ([][]byte, error) {
	return r.session.Images(ctx, output, owners)
}
