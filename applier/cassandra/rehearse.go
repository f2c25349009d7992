package cassandra

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"slipstream/applier"
	flowv1 "slipstream/proto/slipstream/flow/v1"
)

// rehearsal is a transaction for a preview: it is never sent. What it would change is laid over what is read.
type rehearsal struct{ *txn }

// Rehearse implements applier.Target.
func (t *target) Rehearse(ctx context.Context, lane *flowv1.Lane) (applier.Rehearsal, error) {
	s := &session{target: t, lane: lane}
	x := &txn{session: s, tables: map[string]*bound{}, owners: map[string]wire{}, try: func([]op) error { return nil }}
	s.txn = x
	if _, err := t.names(ctx, readKeyspaces); err != nil { // whether anybody is there
		return nil, t.failed("beginning a rehearsal", err)
	}
	return &rehearsal{x}, nil
}

// Commit implements applier.Txn: a rehearsal has nothing to commit.
func (r *rehearsal) Commit(context.Context) error { return r.Rollback() }

// Owned implements applier.Txn. Where there is no row index yet, nobody owns a row.
func (r *rehearsal) Owned(ctx context.Context, output string, owners, rows [][]byte) ([]applier.Entry, error) {
	t := r.session.target
	for _, name := range []string{t.rows.name, t.rows.owner} {
		if _, err := t.readRelation(ctx, t.rows.keyspace, name); errors.Is(err, errNoRelation) {
			return nil, nil
		}
	}
	return r.txn.Owned(ctx, output, owners, rows)
}

// Show implements applier.Rehearsal. The write timestamp, which only a lane has, is left out.
func (r *rehearsal) Show(w *applier.Write, row int32) string {
	b, ok := w.Table.Native.(*bound)
	if !ok {
		return ""
	}
	switch w.Verb {
	case applier.Upsert, applier.Insert:
		var names, values, sets []string
		something := false
		for _, i := range w.Columns {
			name, value := quote(w.Table.Columns[i].Name), b.shown(w, i, row)
			names, values = append(names, name), append(values, value)
			if !w.Table.Columns[i].Key {
				sets = append(sets, name+" = "+value)
				something = something || value != "NULL"
			}
		}
		if w.Verb == applier.Upsert && something && !b.statics {
			return fmt.Sprintf("UPDATE %s SET %s WHERE %s;", b.relation.quoted(), strings.Join(sets, ", "), b.agree(w, w.Table.Keys, row))
		}
		return fmt.Sprintf("INSERT INTO %s (%s) VALUES (%s);", b.relation.quoted(), strings.Join(names, ", "), strings.Join(values, ", "))
	case applier.Prune:
		text := fmt.Sprintf("DELETE FROM %s WHERE %s;", b.relation.quoted(), b.agree(w, w.Columns, row))
		var kept []string
		for _, k := range w.Keep {
			kept = append(kept, b.agree(w, w.Table.Keys, k))
		}
		if len(kept) > 0 {
			text += " -- but not " + strings.Join(kept, "; ")
		}
		return text
	}
	return fmt.Sprintf("DELETE FROM %s WHERE %s;", b.relation.quoted(), b.agree(w, w.Columns, row))
}

// bare are the types whose constants stand without quotes.
var bare = map[string]bool{
	"tinyint": true, "smallint": true, "int": true, "bigint": true, "varint": true, "decimal": true, "float": true, "double": true,
	"uuid": true, "timeuuid": true,
}

// shown is a value as CQL.
func (b *bound) shown(w *applier.Write, column int, row int32) string {
	text := w.Values.Columns[column].At(row)
	typ := b.relation.columns[b.columns[column]].typ
	switch {
	case text == nil:
		return "NULL"
	case typ.name == "blob":
		return "0x" + hex.EncodeToString(text)
	case typ.name == "boolean":
		return map[byte]string{'1': "true"}[text[0]] + map[byte]string{'0': "false"}[text[0]]
	case bare[typ.name], typ.name == "duration":
		return string(text)
	case typ.compound():
		return "fromJson(" + literal(string(text)) + ")"
	}
	return literal(string(text))
}

// agree is the condition under which a row of the table has the values of a row in some columns.
func (b *bound) agree(w *applier.Write, columns []int, row int32) string {
	terms := make([]string, 0, len(columns))
	for _, i := range columns {
		terms = append(terms, quote(w.Table.Columns[i].Name)+" = "+b.shown(w, i, row))
	}
	return strings.Join(terms, " AND ")
}

// Read implements applier.Rehearsal: what is there, and over it what the rehearsal has written so far.
func (r *rehearsal) Read(
	ctx context.Context, t *applier.Table, by []int, v *applier.Values, rows []int32, columns []int,
) ([][][]byte, error) {
	b, ok := t.Native.(*bound)
	if !ok {
		return nil, nil
	}
	w := &applier.Write{Table: t, Values: v}
	var names, terms []string
	for i := range t.Columns {
		names = append(names, quote(t.Columns[i].Name))
	}
	for _, i := range by {
		terms = append(terms, quote(t.Columns[i].Name)+" = ?")
	}
	text := fmt.Sprintf("SELECT %s FROM %s WHERE %s", strings.Join(names, ", "), b.relation.quoted(), strings.Join(terms, " AND "))
	var out [][][]byte
	for _, row := range rows {
		var args []any
		var same []wire
		for _, i := range by {
			value, err := b.value(w, i, row)
			if err != nil {
				return nil, err
			}
			args, same = append(args, value), append(same, value)
		}
		found, err := r.session.target.cluster.rows(ctx, own, cql{text, args})
		if err != nil {
			return nil, r.session.target.sort(ctx, b, "reading rows of "+t.Name, err)
		}
		found = r.laid(b, t, found, func(row []wire) bool {
			for n, i := range by {
				if !bytes.Equal(row[i], same[n]) {
					return false
				}
			}
			return true
		})
		for _, values := range found {
			shown := make([][]byte, len(columns))
			for n, i := range columns {
				shown[n] = b.relation.columns[b.columns[i]].typ.decode(values[i])
			}
			out = append(out, shown)
		}
	}
	return out, nil
}

// laid lays the writes so far over rows, as far as they are about those that were asked for.
func (r *rehearsal) laid(b *bound, t *applier.Table, rows [][]wire, asked func([]wire) bool) [][]wire {
	for _, w := range r.seen {
		native, ok := w.Table.Native.(*bound)
		if !ok || w.Table.Name != t.Name || native != b {
			continue
		}
		kept := map[string]bool{}
		for _, k := range w.Keep {
			if key, err := b.key(w, k); err == nil {
				kept[key] = true
			}
		}
		for _, at := range w.Rows {
			written := make([]wire, len(t.Columns))
			for _, i := range w.Columns {
				written[i], _ = b.value(w, i, at) // it was encoded when it was written
			}
			match := func(columns []int) func([]wire) bool {
				return func(row []wire) bool {
					return !slices.ContainsFunc(columns, func(i int) bool { return !bytes.Equal(row[i], written[i]) })
				}
			}
			switch w.Verb {
			case applier.Delete:
				rows = slices.DeleteFunc(rows, match(t.Keys))
			case applier.Prune:
				of := match(w.Columns)
				rows = slices.DeleteFunc(rows, func(row []wire) bool { return of(row) && !kept[joinKey(t, row)] })
			default:
				i := slices.IndexFunc(rows, match(t.Keys))
				if i < 0 {
					if !asked(written) {
						continue
					}
					rows = append(rows, make([]wire, len(t.Columns)))
					i = len(rows) - 1
				}
				for _, c := range w.Columns {
					rows[i][c] = written[c]
				}
			}
		}
	}
	return rows
}

// joinKey is the key of a row as bound.key makes it.
func joinKey(t *applier.Table, row []wire) string {
	var id wire
	for _, k := range t.Keys {
		id = appendSized(id, row[k])
	}
	return string(id)
}

// Images implements applier.Rehearsal.
func (r *rehearsal) Images(ctx context.Context, output string, owners [][]byte) ([][]byte, error) {
	return r.session.Images(ctx, output, owners)
}
