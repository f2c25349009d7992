package sqlite

import (
	"context"
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"

	"slipstream/applier"
)

// parameters is the most values a statement takes (SQLITE_MAX_VARIABLE_NUMBER).
const parameters = 32766

// inChunks runs a statement made for n rows until all rows are done. The first statements have as many rows as settings
// and SQLite allow, the rest is cut into powers of two, so that few texts are prepared whatever sizes batches have.
func (t *txn) inChunks(ctx context.Context, w *applier.Write, rows []int32, columns []int, text func(w *applier.Write, n int) string) error {
	applier.Statement(ctx, func() string { return text(w, 1) })
	most := max(1, min(t.handle.options.rows, parameters/max(1, len(columns))))
	for len(rows) > 0 {
		n := most
		if len(rows) < most {
			for n = 1; n*2 <= len(rows); {
				n *= 2
			}
		}
		args := t.handle.slots(n * len(columns))
		if err := fill(args, w, columns, rows[:n]); err != nil {
			return err
		}
		if _, err := t.handle.run(ctx, text(w, n), args); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}

// upsert is INSERT … ON CONFLICT (keys) DO UPDATE: unlike INSERT OR REPLACE it keeps the row, and with it the columns
// that are not set, and fires no delete.
func (t *txn) upsert(ctx context.Context, w *applier.Write) error {
	conflict := onConflict(w)
	return t.inChunks(ctx, w, w.Rows, w.Columns, func(w *applier.Write, n int) string { return insertText(w, n) + conflict })
}

// insertText inserts n rows.
func insertText(w *applier.Write, n int) string {
	return "INSERT INTO " + quote(w.Table.Name) + " (" + row(w, w.Columns, "") + ") VALUES " + tuples(n, len(w.Columns))
}

func onConflict(w *applier.Write) string {
	var sets []string
	for _, c := range w.Columns {
		if name := quote(w.Table.Columns[c].Name); !w.Table.Columns[c].Key {
			sets = append(sets, name+" = excluded."+name)
		}
	}
	target := " ON CONFLICT (" + row(w, w.Table.Keys, "") + ") DO "
	if len(sets) == 0 { // keys only: insert what is not there (spec 5.2)
		return target + "NOTHING"
	}
	return target + "UPDATE SET " + strings.Join(sets, ", ")
}

// deleteText deletes n rows by key.
func deleteText(w *applier.Write, n int) string {
	return "DELETE FROM " + quote(w.Table.Name) + " WHERE " + among(w, n)
}

// closeText sets what inactive_record_mapping says in the active rows of n keys (spec 5.2, TYPE2).
func closeText(w *applier.Write, n int) string {
	history, _ := w.Table.Native.(*historized)
	return "UPDATE " + quote(w.Table.Name) + " SET " + history.sets + " WHERE " + among(w, n) + history.active
}

// updateText sets columns in n rows that are there.
func updateText(w *applier.Write, n int) string {
	var sets, same []string
	for i, c := range w.Columns {
		name, given := quote(w.Table.Columns[c].Name), "v.column"+strconv.Itoa(i+1)
		if w.Table.Columns[c].Key {
			same = append(same, "t."+name+" = "+given)
		} else {
			sets = append(sets, name+" = "+given)
		}
	}
	return "UPDATE " + quote(w.Table.Name) + " AS t SET " + strings.Join(sets, ", ") + " FROM (VALUES " + tuples(n, len(w.Columns)) +
		") AS v WHERE " + strings.Join(same, " AND ")
}

// among compares the columns of a write with n tuples.
func among(w *applier.Write, n int) string {
	if len(w.Columns) == 1 {
		return row(w, w.Columns, "") + " IN " + tuples(1, n)
	}
	return "(" + row(w, w.Columns, "") + ") IN (VALUES " + tuples(n, len(w.Columns)) + ")"
}

// prune deletes the rows of some parents but those to keep. Both lists go through temporary tables, since they may be
// longer than a statement is allowed to be. The tables are made from the columns they are compared with, so that values
// in them take the same form, and are kept for the next batch.
func (t *txn) prune(ctx context.Context, w *applier.Write) error {
	parents, err := t.list(ctx, w, "parent", w.Columns, w.Rows)
	if err != nil {
		return err
	}
	keep, err := t.list(ctx, w, "keep", w.Table.Keys, w.Keep)
	if err != nil {
		return err
	}
	var same strings.Builder
	for i, c := range w.Table.Keys {
		if i > 0 {
			same.WriteString(" AND ")
		}
		same.WriteString("t." + quote(w.Table.Columns[c].Name) + " = k.c" + strconv.Itoa(i))
	}
	text := "DELETE FROM " + quote(w.Table.Name) + " AS t WHERE (" + row(w, w.Columns, "t.") + ") IN (SELECT * FROM " + parents +
		") AND NOT EXISTS (SELECT 1 FROM " + keep + " AS k WHERE " + same.String() + ")"
	applier.Statement(ctx, func() string { return text })
	for _, text := range []string{text, "DELETE FROM " + parents, "DELETE FROM " + keep} {
		if _, err := t.handle.run(ctx, text, nil); err != nil {
			return err
		}
	}
	return nil
}

// list puts some columns of some rows into a temporary table and names it. The name changes with the declared types.
func (t *txn) list(ctx context.Context, w *applier.Write, what string, columns []int, rows []int32) (string, error) {
	name := fnv.New64a()
	var copied, indexed []string
	for i, c := range columns {
		column := w.Table.Columns[c]
		name.Write([]byte(column.Name + "\x00" + column.Type.Name + "\x00"))
		copied = append(copied, quote(column.Name)+" AS c"+strconv.Itoa(i))
		indexed = append(indexed, "c"+strconv.Itoa(i))
	}
	bare := fmt.Sprintf("slipstream_%s_%s_%016x", what, w.Table.Name, name.Sum64())
	table := "temp." + quote(bare)
	for _, text := range []string{
		"CREATE TABLE IF NOT EXISTS " + table + " AS SELECT " + strings.Join(copied, ", ") + " FROM main." + quote(w.Table.Name) + " WHERE 0",
		"CREATE INDEX IF NOT EXISTS temp." + quote(bare+"_index") + " ON " + quote(bare) + " (" + strings.Join(indexed, ", ") + ")",
	} {
		if err := t.handle.exec(ctx, text); err != nil {
			return "", err
		}
	}
	return table, t.inChunks(ctx, w, rows, columns, func(_ *applier.Write, n int) string {
		return "INSERT INTO " + table + " VALUES " + tuples(n, len(columns))
	})
}

// row lists columns of the table.
func row(w *applier.Write, columns []int, prefix string) string {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = prefix + quote(w.Table.Columns[c].Name)
	}
	return strings.Join(names, ", ")
}

// tuples is n tuples of placeholders.
func tuples(n, columns int) string {
	one := "(" + strings.TrimSuffix(strings.Repeat("?,", columns), ",") + ")"
	return strings.TrimSuffix(strings.Repeat(one+",", n), ",")
}
