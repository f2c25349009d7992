package sqlserver

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"strings"

	"slipstream/applier"
	flowv1 "slipstream/proto/slipstream/flow/v1"
)

// rehearsal is a transaction for a preview.
type rehearsal struct{ *txn }

// Rehearse implements applier.Target. Where the row index is missing it is made inside of the transaction, and goes with
// it.
func (t *target) Rehearse(ctx context.Context, lane *flowv1.Lane) (applier.Rehearsal, error) {
	ctx, cancel := t.limited(ctx)
	defer cancel()
	there, err := t.hasIndex(ctx)
	if err != nil {
		return nil, err
	}
	x := &txn{session: &session{target: t, lane: laneArguments(lane)}}
	if err := x.start(ctx); err != nil {
		return nil, err
	}
	if !there {
		if err := x.do(ctx, func(ctx context.Context) error {
			_, err := x.exec(ctx, t.rows.create)
			return err
		}); err != nil {
			f := failed("beginning a rehearsal", err)
			x.abandon()
			return nil, f
		}
	}
	return &rehearsal{x}, nil
}

// Show implements applier.Rehearsal: the statement as a person would write it for one row, which has the effect of the
// one that runs.
func (r *rehearsal) Show(w *applier.Write, row int32) string {
	b, ok := w.Table.Native.(*bound)
	if !ok {
		return ""
	}
	table := b.relation.quoted()
	switch w.Verb {
	case applier.Upsert, applier.Insert:
		var values, set []string
		for _, i := range w.Columns {
			values = append(values, b.shown(w, i, row))
			if !w.Table.Columns[i].Key {
				set = append(set, b.names[i]+" = "+b.shown(w, i, row))
			}
		}
		insert := fmt.Sprintf("INSERT INTO %s (%s) VALUES (%s);", table, strings.Join(b.listed(w.Columns), ", "), strings.Join(values, ", "))
		switch {
		case len(w.Columns) == 0:
			return "INSERT INTO " + table + " DEFAULT VALUES;"
		case b.numbers(w.Columns):
			insert = fmt.Sprintf("SET IDENTITY_INSERT %s ON; %s SET IDENTITY_INSERT %s OFF;", table, insert, table)
		}
		if w.Verb == applier.Insert {
			return insert
		}
		where := b.agree(w, w.Table.Keys, row)
		if len(set) == 0 {
			return fmt.Sprintf("IF NOT EXISTS (SELECT 1 FROM %s WHERE %s) BEGIN %s END", table, where, insert)
		}
		return fmt.Sprintf("UPDATE %s SET %s WHERE %s; IF @@ROWCOUNT = 0 BEGIN %s END", table, strings.Join(set, ", "), where, insert)
	case applier.Close:
		return fmt.Sprintf("UPDATE %s SET %s WHERE %s%s;", table, b.closes.sets, b.agree(w, w.Columns, row), b.closes.active)
	case applier.Prune:
		var kept []string
		for _, k := range w.Keep {
			kept = append(kept, "("+b.agree(w, w.Table.Keys, k)+")")
		}
		but := ""
		if len(kept) > 0 {
			but = " AND NOT (" + strings.Join(kept, " OR ") + ")"
		}
		return fmt.Sprintf("DELETE FROM %s WHERE %s%s;", table, b.agree(w, w.Columns, row), but)
	}
	return fmt.Sprintf("DELETE FROM %s WHERE %s;", table, b.agree(w, w.Columns, row))
}

// shown is a value as SQL, read by the server as the column's type.
func (b *bound) shown(w *applier.Write, column int, row int32) string {
	text := w.Values.Columns[column].At(row)
	if text == nil {
		return "NULL"
	}
	typ := b.typ(column)
	switch b.travels[column] {
	case travelInteger, travelBit, travelFloat:
		return string(text)
	case travelBinary:
		return "0x" + hex.EncodeToString(text)
	}
	switch typ.name {
	case "char", "varchar", "nchar", "nvarchar", "text", "ntext", "xml", "json", "sql_variant":
		return literal(typ.wire(text))
	}
	return typ.cast(literal(typ.wire(text)))
}

// agree is the condition under which a row of the table has the values of a row in some columns.
func (b *bound) agree(w *applier.Write, columns []int, row int32) string {
	terms := make([]string, 0, len(columns))
	for _, i := range columns {
		terms = append(terms, b.names[i]+" = "+b.shown(w, i, row))
	}
	return strings.Join(terms, " AND ")
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
		list = append(list, b.printed(i))
	}
	var out [][][]byte
	err := r.do(ctx, func(ctx context.Context) error {
		out = nil
		for _, row := range rows {
			s := b.newSource(fromValues, by, 1, 1, "")
			args, err := r.arguments(b, w, by, []int32{row})
			if err != nil {
				return err
			}
			text := s.text(fmt.Sprintf("SELECT %s FROM %s AS t INNER JOIN %s ON %s", strings.Join(list, ", "), b.relation.quoted(),
				s.from("s"), s.match("t", "s", by)))
			if err := r.save(ctx); err != nil {
				return err
			}
			err = each(ctx, r.conn, func(scan func(...any) error) error {
				found, into := make([][]byte, len(columns)), make([]any, len(columns))
				for c := range found {
					into[c] = &found[c]
				}
				err := scan(into...)
				for c := range found {
					found[c] = bytes.Clone(found[c])
				}
				out = append(out, found)
				return err
			}, executeSQL, append([]any{text.sql, text.decl}, args...)...)
			if err != nil {
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

// printed is a column as text that does not depend on the language of the session.
func (b *bound) printed(i int) string {
	column, typ := "t."+b.names[i], b.typ(i)
	switch b.travels[i] {
	case travelBinary:
		return "CONVERT(varchar(max), " + column + ", 1)"
	case travelFloat:
		return "CONVERT(varchar(40), " + column + ", 3)"
	}
	switch typ.name {
	case "money", "smallmoney":
		return "CONVERT(varchar(40), " + column + ", 2)"
	case "date":
		return "CONVERT(varchar(40), " + column + ", 23)"
	case "datetime", "smalldatetime", "datetime2", "datetimeoffset":
		return "CONVERT(varchar(40), " + column + ", 121)"
	}
	return "CAST(" + column + " AS nvarchar(max))"
}

var _ applier.Rehearsal = (*rehearsal)(nil)

// Images implements applier.Rehearsal.
func (r *rehearsal) Images(ctx context.Context, output string, owners [][]byte) ([][]byte, error) {
	return r.session.Images(ctx, output, owners)
}
