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
	var text string
	switch w.Verb {
	case applier.Upsert:
		text = insertText(w, 1) + onConflict(w)
	case applier.Insert:
		text = insertText(w, 1)
	case applier.Delete:
		text = deleteText(w, 1)
	case applier.Close:
		text = closeText(w, 1)
	case applier.Prune:
		text = deleteText(w, 1) + r.but(w)
	}
	for _, c := range w.Columns {
		text = strings.Replace(text, "?", hole, 1)
		text = strings.Replace(text, hole, literal(&w.Table.Columns[c].Type, w.Values.Columns[c].At(i)), 1)
	}
	return text + ";"
}

// hole marks the place of a value; it occurs in no name.
const hole = "\x00"

// but excepts the rows that a prune keeps.
func (r *rehearsal) but(w *applier.Write) string {
	if len(w.Keep) == 0 {
		return ""
	}
	var kept []string
	for _, row := range w.Keep {
		var values []string
		for _, k := range w.Table.Keys {
			values = append(values, literal(&w.Table.Columns[k].Type, w.Values.Columns[k].At(row)))
		}
		kept = append(kept, "("+strings.Join(values, ", ")+")")
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

// Read reads columns of rows by their keys.
func (r *rehearsal) Read(ctx context.Context, t *applier.Table, v *applier.Values, rows []int32, columns []int) ([][][]byte, error) {
	w := &applier.Write{Table: t, Columns: t.Keys, Values: v}
	out := make([][][]byte, len(rows))
	for n, i := range rows {
		args := make([]driver.NamedValue, len(t.Keys))
		for a := range args {
			args[a].Ordinal = a + 1
		}
		if err := fill(args, w, t.Keys, []int32{i}); err != nil {
			return nil, err
		}
		values := make([]any, len(args))
		for a := range args {
			values[a] = args[a].Value
		}
		err := r.handle.query(ctx, func(found []driver.Value) error {
			out[n] = make([][]byte, len(found))
			for c, f := range found {
				if f != nil {
					out[n][c] = []byte(text(f))
				}
			}
			return nil
		}, "SELECT "+row(&applier.Write{Table: t}, columns, "")+" FROM "+quote(t.Name)+" WHERE "+among(w, 1), values...)
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}
