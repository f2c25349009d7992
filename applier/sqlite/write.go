package sqlite

import (
	"context"
	"strconv"
	"strings"

	"slipstream/applier"
)

// parameters is the most values a statement takes (SQLITE_MAX_VARIABLE_NUMBER).
const parameters = 32766

// inChunks runs a statement made for n rows until all rows are done. The first statements have as many rows as settings
// and SQLite allow, the rest is cut into powers of two, so that few texts are prepared whatever sizes batches have.
func (t *txn) inChunks(ctx context.Context, w *applier.Write, rows []int32, columns []int, text func(w *applier.Write, n int) string) error {
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
	var keys []string
	for _, k := range w.Table.Keys {
		keys = append(keys, w.Table.Columns[k].Name)
	}
	var head, tail strings.Builder
	head.WriteString("INSERT INTO " + quote(w.Table.Name) + " (")
	sets := 0
	for i, c := range w.Columns {
		name := quote(w.Table.Columns[c].Name)
		if i > 0 {
			head.WriteString(", ")
		}
		head.WriteString(name)
		if w.Table.Columns[c].Key {
			continue
		}
		if sets++; sets > 1 {
			tail.WriteString(", ")
		}
		tail.WriteString(name + " = excluded." + name)
	}
	head.WriteString(") VALUES ")
	conflict := " ON CONFLICT (" + quoted(keys) + ") DO UPDATE SET " + tail.String()
	if sets == 0 { // keys only: insert what is not there (spec 5.2)
		conflict = " ON CONFLICT (" + quoted(keys) + ") DO NOTHING"
	}
	return t.inChunks(ctx, w, w.Rows, w.Columns, func(_ *applier.Write, n int) string {
		return head.String() + tuples(n, len(w.Columns)) + conflict
	})
}

// deleteText deletes n rows by key.
func deleteText(w *applier.Write, n int) string {
	if len(w.Columns) == 1 {
		return "DELETE FROM " + quote(w.Table.Name) + " WHERE " + row(w, w.Columns, "") + " IN " + tuples(1, n)
	}
	return "DELETE FROM " + quote(w.Table.Name) + " WHERE (" + row(w, w.Columns, "") + ") IN (VALUES " + tuples(n, len(w.Columns)) + ")"
}

// prune deletes the rows of some parents but those to keep. Both lists go through temporary tables: they may be longer
// than a statement is allowed to be.
func (t *txn) prune(ctx context.Context, w *applier.Write) error {
	parents := "temp.slipstream_parent_" + strconv.Itoa(len(w.Columns))
	keep := "temp.slipstream_keep_" + strconv.Itoa(len(w.Table.Keys))
	lists := []struct {
		table   string
		columns []int
		rows    []int32
	}{{parents, w.Columns, w.Rows}, {keep, w.Table.Keys, w.Keep}}
	for _, l := range lists {
		if err := t.handle.exec(ctx, "CREATE TABLE IF NOT EXISTS "+l.table+" ("+places(len(l.columns))+")"); err != nil {
			return err
		}
		err := t.inChunks(ctx, w, l.rows, l.columns, func(_ *applier.Write, n int) string {
			return "INSERT INTO " + l.table + " VALUES " + tuples(n, len(l.columns))
		})
		if err != nil {
			return err
		}
	}
	text := "DELETE FROM " + quote(w.Table.Name) + " AS t WHERE (" + row(w, w.Columns, "t.") + ") IN (SELECT * FROM " + parents +
		") AND (" + row(w, w.Table.Keys, "t.") + ") NOT IN (SELECT * FROM " + keep + ")"
	for _, text := range []string{text, "DELETE FROM " + parents, "DELETE FROM " + keep} {
		if _, err := t.handle.run(ctx, text, nil); err != nil {
			return err
		}
	}
	return nil
}

// row lists columns of the table.
func row(w *applier.Write, columns []int, prefix string) string {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = prefix + quote(w.Table.Columns[c].Name)
	}
	return strings.Join(names, ", ")
}

// places names n columns of a temporary list.
func places(n int) string {
	names := make([]string, n)
	for i := range names {
		names[i] = "c" + strconv.Itoa(i)
	}
	return strings.Join(names, ", ")
}

// tuples is n tuples of placeholders.
func tuples(n, columns int) string {
	one := "(" + strings.TrimSuffix(strings.Repeat("?,", columns), ",") + ")"
	return strings.TrimSuffix(strings.Repeat(one+",", n), ",")
}
