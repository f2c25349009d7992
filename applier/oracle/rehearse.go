package oracle

import (
	"context"
	"database/sql"
	"encoding/hex"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"slipstream/applier"
	flowv1 "slipstream/proto/slipstream/flow/v1"
)

// rehearsal is a transaction for a preview.
type rehearsal struct {
	*txn
	lane  *flowv1.Lane
	index bool // there is a row index
}

// Rehearse implements applier.Target. Where there is no row index yet, nobody owns a row: making one would commit.
func (t *target) Rehearse(ctx context.Context, lane *flowv1.Lane) (applier.Rehearsal, error) {
	x, err := t.begin(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := t.limited(ctx)
	defer cancel()
	err = each(ctx, x.tx, func(*sql.Rows) error { return nil }, t.rows.probe)
	if err != nil && !has(err, oraNoTable) {
		f := t.rowFault("reading", err)
		if err := x.Rollback(); err != nil {
			return nil, err
		}
		return nil, f
	}
	return &rehearsal{txn: x, lane: lane, index: err == nil}, nil
}

// Commit implements applier.Txn: a rehearsal has nothing to commit.
func (r *rehearsal) Commit(context.Context) error { return r.Rollback() }

// Owned implements applier.Txn.
func (r *rehearsal) Owned(ctx context.Context, output string, owners, rows [][]byte) ([]applier.Entry, error) {
	if !r.index {
		return nil, nil
	}
	return r.owned(ctx, r.lane, output, owners, rows)
}

// Own implements applier.Txn.
func (r *rehearsal) Own(ctx context.Context, output string, entries []applier.Entry, gone [][]byte) error {
	if !r.index {
		return nil
	}
	return r.own(ctx, r.lane, output, entries, gone)
}

// Show implements applier.Rehearsal: the statement that runs, with the values of one row in place.
func (r *rehearsal) Show(w *applier.Write, row int32) string {
	b, ok := w.Table.Native.(*bound)
	if !ok {
		return ""
	}
	values := func(columns []int, row int32) []string {
		var out []string
		for _, i := range columns {
			out = append(out, b.shown(w, i, row))
		}
		return out
	}
	switch w.Verb {
	case applier.Upsert:
		return b.merge(w.Table, w.Columns, values(w.Columns, row), true) + ";"
	case applier.Insert:
		return b.insert(w.Columns, values(w.Columns, row)) + ";"
	case applier.Close:
		return b.shut(w.Columns, values(w.Columns, row)) + ";"
	case applier.Prune:
		text := fmt.Sprintf("DELETE FROM %s t WHERE %s", b.relation.quoted(), b.equal("t.", w.Columns, values(w.Columns, row)))
		var kept []string
		for _, k := range w.Keep {
			kept = append(kept, "("+b.equal("t.", w.Table.Keys, values(w.Table.Keys, k))+")")
		}
		if len(kept) > 0 {
			text += " AND NOT (" + strings.Join(kept, " OR ") + ")"
		}
		return text + ";"
	}
	return fmt.Sprintf("DELETE FROM %s t WHERE %s;", b.relation.quoted(), b.equal("t.", w.Columns, values(w.Columns, row)))
}

// shown is a value as SQL.
func (b *bound) shown(w *applier.Write, column int, row int32) string {
	text := w.Values.Columns[column].At(row)
	f := &b.forms[column]
	if len(text) == 0 {
		return "NULL"
	}
	if f.carrier == byBytes {
		return "HEXTORAW('" + hex.EncodeToString(text) + "')"
	}
	s, why := f.text(w.Table.Columns[column].Type.Kind, text)
	if why != fits {
		s = string(text)
	}
	constant := literal(s)
	if f.expr == "TO_NUMBER(%s)" {
		return s
	}
	if f.carrier == byNText {
		constant = "N" + constant
	}
	return fmt.Sprintf(f.expr, constant)
}

// Read implements applier.Rehearsal.
func (r *rehearsal) Read(
	ctx context.Context, t *applier.Table, by []int, v *applier.Values, rows []int32, columns []int,
) ([][][]byte, error) {
	b, ok := t.Native.(*bound)
	if !ok {
		return nil, nil
	}
	ctx, cancel := r.target.limited(ctx)
	defer cancel()
	w := &applier.Write{Table: t, Values: v}
	var list []string
	for _, i := range columns {
		list = append(list, fmt.Sprintf(b.forms[i].read, b.names[i]))
	}
	var out [][][]byte
	for _, row := range rows {
		var args []any
		var terms []string
		for _, i := range by {
			if empty(v.Columns[i].At(row)) {
				terms = append(terms, b.names[i]+" IS NULL")
				continue
			}
			column, err := b.column(w, i, []int32{row}, false)
			if err != nil {
				return nil, err
			}
			args = append(args, only(column))
			terms = append(terms, b.names[i]+" = "+fmt.Sprintf(b.forms[i].expr, ":"+strconv.Itoa(len(args))))
		}
		text := fmt.Sprintf("SELECT %s FROM %s WHERE %s", strings.Join(list, ", "), b.relation.quoted(), strings.Join(terms, " AND "))
		err := each(ctx, r.tx, func(rows *sql.Rows) error {
			found := make([][]byte, len(columns))
			into := make([]any, len(columns))
			texts := make([]sql.NullString, len(columns))
			for i := range found {
				into[i] = &texts[i]
			}
			if err := rows.Scan(into...); err != nil {
				return err
			}
			for i, s := range texts {
				if s.Valid {
					found[i] = []byte(s.String)
				}
			}
			out = append(out, found)
			return nil
		}, text, args...)
		if err != nil {
			return nil, r.target.failed("reading rows of "+t.Name, err)
		}
	}
	return out, nil
}

// only is the one member of an array.
func only(array any) any { return reflect.ValueOf(array).Index(0).Interface() }

// Images implements applier.Rehearsal.
func (r *rehearsal) Images(ctx context.Context, output string, owners [][]byte) ([][]byte, error) {
	return (&session{target: r.target, lane: r.lane}).Images(ctx, output, owners)
}
