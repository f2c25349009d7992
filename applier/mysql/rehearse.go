package mysql

import (
	"context"
	"fmt"
	"strings"

	"slipstream/applier"
	flowv1 "slipstream/proto/slipstream/flow/v1"
)

// rehearsal is a transaction for a preview.
type rehearsal struct{ *txn }

// Rehearse implements applier.Target.
func (t *target) Rehearse(ctx context.Context, lane *flowv1.Lane) (applier.Rehearsal, error) {
	s := &session{target: t, lane: keyOf(lane), epoch: "0"}
	x, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	err = x.query(ctx, t.rows.probe(), func([][]byte) {})
	if hasNumber(err, erNoSuchTable, erNoDatabase) {
		x.memory, err = newMemory(), nil
	}
	if err == nil {
		return &rehearsal{x}, nil
	}
	if f := failed("beginning a rehearsal", err); !missesGrant(f.Code) {
		_ = x.Rollback() // nothing was written
		return nil, f
	}
	x.memory = newMemory() // an account without rights on it keeps no row index
	return &rehearsal{x}, nil
}

// Show implements applier.Rehearsal: the statement as a person would write it for one row, which has the effect of the
// one that runs.
func (r *rehearsal) Show(w *applier.Write, row int32) string {
	b, ok := w.Table.Native.(*bound)
	if !ok {
		return ""
	}
	at := b.relation.quoted()
	switch w.Verb {
	case applier.Upsert, applier.Insert:
		return b.showUpsert(w, row)
	case applier.Close:
		return fmt.Sprintf("UPDATE %s SET %s WHERE %s%s;", at, b.closes.sets, b.agree(w, w.Columns, row, b.shown), b.closes.active)
	case applier.Prune:
		var kept []string
		for _, k := range w.Keep {
			kept = append(kept, "("+b.agree(w, w.Table.Keys, k, b.shown)+")")
		}
		but := ""
		if len(kept) > 0 {
			but = " AND NOT (" + strings.Join(kept, " OR ") + ")"
		}
		return fmt.Sprintf("DELETE FROM %s WHERE %s%s;", at, b.agree(w, w.Columns, row, b.shown), but)
	}
	return fmt.Sprintf("DELETE FROM %s WHERE %s;", at, b.agree(w, w.Columns, row, b.shown))
}

// showUpsert writes the insert of one row, and what becomes of a row that is there.
func (b *bound) showUpsert(w *applier.Write, row int32) string {
	at := b.relation.quoted()
	var values, set []string
	for _, i := range w.Columns {
		values = append(values, b.shown(w, i, row))
		if !w.Table.Columns[i].Key {
			set = append(set, b.names[i]+" = "+b.shown(w, i, row))
		}
	}
	into := fmt.Sprintf("INSERT INTO %s (%s) ", at, strings.Join(b.listed(w.Columns), ", "))
	list := strings.Join(values, ", ")
	if w.Verb == applier.Insert {
		return into + "VALUES (" + list + ");"
	}
	if b.direct(w.Table, w.Columns) {
		if len(set) == 0 {
			key := b.names[w.Table.Keys[0]]
			set = append(set, key+" = "+key)
		}
		return into + "VALUES (" + list + ") ON DUPLICATE KEY UPDATE " + strings.Join(set, ", ") + ";"
	}
	same := b.agree(w, w.Table.Keys, row, b.shown)
	text := into + "SELECT " + list + " FROM DUAL WHERE NOT EXISTS (SELECT 1 FROM " + at + " WHERE " + same + ");"
	if len(set) > 0 {
		text = fmt.Sprintf("UPDATE %s SET %s WHERE %s;\n", at, strings.Join(set, ", "), same) + text
	}
	return text
}

// shown is a value as SQL for sessions as most people have them, in which a backslash escapes.
func (b *bound) shown(w *applier.Write, column int, row int32) string {
	text := b.spelled(w, column, row)
	if strings.ContainsRune(text, '\'') {
		text = strings.ReplaceAll(text, `\`, `\\`)
	}
	return text
}

// spelled is a value as SQL for sessions of ours. What cannot be spelled was refused before.
func (b *bound) spelled(w *applier.Write, column int, row int32) string {
	text, err := b.spellers[column].append(nil, w.Values.Columns[column].At(row))
	if err != nil {
		return "NULL"
	}
	return string(text)
}

// agree is the condition under which a row of the table has the values of a row in some columns.
func (b *bound) agree(w *applier.Write, columns []int, row int32, spell func(*applier.Write, int, int32) string) string {
	terms := make([]string, 0, len(columns))
	for _, i := range columns {
		terms = append(terms, b.names[i]+" = "+spell(w, i, row))
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
		list = append(list, b.readable(i))
	}
	var out [][][]byte
	for _, row := range rows {
		sql := fmt.Sprintf("SELECT %s FROM %s WHERE %s", strings.Join(list, ", "), b.relation.quoted(), b.agree(w, by, row, b.spelled))
		err := r.query(ctx, sql, func(v [][]byte) {
			found := make([][]byte, len(v))
			for c, value := range v {
				found[c] = clone(value)
			}
			out = append(out, found)
		})
		if err != nil {
			return nil, failed("reading rows of "+t.Name, err)
		}
	}
	return out, nil
}

// readable is a column as text: what the database prints, and of bytes and shapes what a person can read.
func (b *bound) readable(column int) string {
	switch name := b.names[column]; b.spellers[column].form {
	case asBytes, asPadded:
		return "CONCAT('0x', LOWER(HEX(" + name + ")))"
	case asGeometry:
		return "ST_AsText(" + name + ")"
	case asNumber:
		return name + " + 0" // bits, too
	default:
		return "CAST(" + name + " AS CHAR)"
	}
}

// Images implements applier.Rehearsal.
func (r *rehearsal) Images(ctx context.Context, output string, owners [][]byte) ([][]byte, error) {
	return r.session.Images(ctx, output, owners)
}
