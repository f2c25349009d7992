package postgres

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"strings"

	"slipstream/applier"
	"slipstream/applier/value"
	flowv1 "slipstream/proto/slipstream/flow/v1"
)

// rehearsal is a transaction for a preview.
type rehearsal struct{ *txn }

// Rehearse implements applier.Target. Where the row index is missing it is made inside of the transaction, and goes with
// it.
func (t *target) Rehearse(ctx context.Context, lane *flowv1.Lane) (applier.Rehearsal, error) {
	s := &session{target: t, lane: laneValues(lane), epoch: "0"}
	x := &txn{session: s, begun: true, first: []statement{
		{sql: "BEGIN ISOLATION LEVEL READ COMMITTED"},
		{sql: `SELECT ` + setTimeouts("$1", "$2"), values: t.timeouts(), oids: []uint32{oidText, oidText}},
	}}
	s.txn = x
	r := &rehearsal{x}
	missing := false
	probe := statement{sql: `SELECT to_regclass($1) IS NULL`, values: [][]byte{[]byte(t.rows.quoted)}, oids: []uint32{oidText}}
	probe.row = func(v [][]byte) { missing = string(v[0]) == "t" }
	err := x.send(ctx, only(probe))
	if err == nil && missing {
		err = x.send(ctx, func(send func(statement) error) error {
			for _, text := range t.rows.create {
				if err := send(statement{sql: text}); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err != nil {
		f := failed("beginning a rehearsal", err)
		if err := r.Rollback(); err != nil {
			return nil, err
		}
		return nil, f
	}
	return r, nil
}

// Show implements applier.Rehearsal: the statement as a person would write it for one row, which has the effect of the
// one that runs.
func (r *rehearsal) Show(w *applier.Write, row int32) string {
	b, ok := w.Table.Native.(*bound)
	if !ok {
		return ""
	}
	switch w.Verb {
	case applier.Upsert, applier.Insert:
		var values, set []string
		for _, i := range w.Columns {
			values = append(values, shown(w, i, row))
			if !w.Table.Columns[i].Key {
				set = append(set, b.names[i]+" = excluded."+b.names[i])
			}
		}
		text := b.into(w.Columns) + "VALUES (" + strings.Join(values, ", ") + ")"
		if w.Verb == applier.Insert {
			return text + ";"
		}
		text += " ON CONFLICT (" + strings.Join(b.listed(w.Table.Keys), ", ") + ") DO "
		if len(set) == 0 {
			return text + "NOTHING;"
		}
		return text + "UPDATE SET " + strings.Join(set, ", ") + ";"
	case applier.Close:
		return fmt.Sprintf("UPDATE %s SET %s WHERE %s%s;", b.relation.quoted(), b.closes.sets, b.agree(w, w.Columns, row), b.closes.active)
	case applier.Prune:
		var kept []string
		for _, k := range w.Keep {
			kept = append(kept, "("+b.agree(w, w.Table.Keys, k)+")")
		}
		but := ""
		if len(kept) > 0 {
			but = " AND NOT (" + strings.Join(kept, " OR ") + ")"
		}
		return fmt.Sprintf("DELETE FROM %s WHERE %s%s;", b.relation.quoted(), b.agree(w, w.Columns, row), but)
	}
	return fmt.Sprintf("DELETE FROM %s WHERE %s;", b.relation.quoted(), b.agree(w, w.Columns, row))
}

// shown is a value as SQL. The server reads a quoted text by the type of its column.
func shown(w *applier.Write, column int, row int32) string {
	text := w.Values.Columns[column].At(row)
	if text == nil {
		return "NULL"
	}
	switch w.Table.Columns[column].Type.Kind {
	case value.Integer, value.Decimal, value.Float:
		if len(text) > 0 && (text[len(text)-1] >= '0' && text[len(text)-1] <= '9') {
			return string(text)
		}
	case value.Binary:
		return `'\x` + hex.EncodeToString(text) + `'`
	}
	return literal(string(text))
}

// Read implements applier.Rehearsal.
func (r *rehearsal) Read(
	ctx context.Context, t *applier.Table, by []int, v *applier.Values, rows []int32, columns []int,
) ([][][]byte, error) {
	b, ok := t.Native.(*bound)
	if !ok {
		return nil, nil
	}
	w := &applier.Write{Table: t, Values: v}
	var list []string
	for _, i := range columns {
		list = append(list, b.names[i]+"::text")
	}
	var out [][][]byte
	keep := func(values [][]byte) {
		found := make([][]byte, len(values))
		for c, value := range values {
			found[c] = bytes.Clone(value)
		}
		out = append(out, found)
	}
	err := r.send(ctx, func(send func(statement) error) error {
		for _, row := range rows {
			sql := fmt.Sprintf("SELECT %s FROM %s WHERE %s", strings.Join(list, ", "), b.relation.quoted(), b.agree(w, by, row))
			if err := send(statement{sql: sql, row: keep}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, failed("reading rows of "+t.Name, err)
	}
	return out, nil
}

// agree is the condition under which a row of the table has the values of a row in some columns.
func (b *bound) agree(w *applier.Write, columns []int, row int32) string {
	terms := make([]string, 0, len(columns))
	for _, i := range columns {
		terms = append(terms, b.names[i]+" = "+shown(w, i, row))
	}
	return strings.Join(terms, " AND ")
}

// Images implements applier.Rehearsal.
func (r *rehearsal) Images(ctx context.Context, output string, owners [][]byte) ([][]byte, error) {
	return r.session.Images(ctx, output, owners)
}
