package oracle

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"slipstream/applier"
	"slipstream/proto/fault"
	flowv1 "slipstream/proto/slipstream/flow/v1"
)

const (
	// defaultRows is how many rows a statement is bound to where the settings do not say.
	defaultRows = 1000
	// statementBytes bounds the values of a statement, which client and server hold whole.
	statementBytes = 8 << 20
	// mostListed bounds the parameters of a statement with lists: the server takes 65,535.
	mostListed = 60_000
	// listedAtOnce is how many parents one statement prunes, unless one of them alone has more to keep.
	listedAtOnce = 200
)

var doing = map[applier.Verb]string{
	applier.Upsert: "writing to", applier.Delete: "deleting from", applier.Prune: "deleting from",
	applier.Insert: "inserting into", applier.Close: "closing rows of",
	applier.Update: "updating",
}

// Write implements applier.Txn.
func (x *txn) Write(ctx context.Context, w *applier.Write) error {
	b, ok := w.Table.Native.(*bound)
	if !ok {
		return fault.Errorf(flowv1.FaultClass_FAULT_CLASS_SCHEMA, "table %s was not bound by this dialect", w.Table.Name)
	}
	if len(w.Rows) == 0 {
		return nil
	}
	if err := keysThere(w); err != nil {
		return err
	}
	ctx, cancel := x.target.limited(ctx)
	defer cancel()
	err := x.write(ctx, w, b)
	if err == nil {
		return nil
	}
	f := x.target.failed(fmt.Sprintf("%s %s", doing[w.Verb], w.Table.Name), err)
	if f.Fix == "" && has(err, oraNoPrivilege) {
		f = f.WithFix(x.target.grantText(b.relation, b.needs))
	}
	return f
}

// keysThere is G7's guard: an empty string is NULL here, and no row is written or deleted by a key that is NULL.
func keysThere(w *applier.Write) error {
	columns := w.Table.Keys
	switch w.Verb {
	case applier.Insert:
		return nil
	case applier.Prune:
		columns = w.Columns
	}
	for _, k := range columns {
		for _, row := range w.Rows {
			if empty(w.Values.Columns[k].At(row)) {
				return fault.Errorf(flowv1.FaultClass_FAULT_CLASS_DATA,
					"missing key column %s: an empty string is NULL in Oracle", w.Table.Columns[k].Name)
			}
		}
	}
	return nil
}

func (x *txn) write(ctx context.Context, w *applier.Write, b *bound) error {
	if w.Verb == applier.Prune {
		return x.prune(ctx, w, b)
	}
	text, err := b.text(w)
	if err != nil {
		return err
	}
	applier.Statement(ctx, func() string { return text })
	// Rows with a value that must travel as a large object, which costs round trips, go by themselves.
	var narrow, wide []int32
	for _, row := range w.Rows {
		if b.wide(w, row) {
			wide = append(wide, row)
		} else {
			narrow = append(narrow, row)
		}
	}
	for i, rows := range [][]int32{narrow, wide} {
		for len(rows) > 0 {
			n := b.chunk(w, rows, x.target.rowsPerStatement)
			if err := x.array(ctx, w, b, text, rows[:n], i == 1); err != nil {
				return err
			}
			rows = rows[n:]
		}
	}
	return nil
}

// chunk is how many of the rows go into one statement.
func (b *bound) chunk(w *applier.Write, rows []int32, most int) int {
	n, size := 0, 0
	for n < len(rows) && n < most {
		for _, i := range w.Columns {
			size += len(w.Values.Columns[i].At(rows[n])) + 4
		}
		if n > 0 && size > statementBytes {
			break
		}
		n++
	}
	return n
}

// array runs a statement for some rows.
func (x *txn) array(ctx context.Context, w *applier.Write, b *bound, text string, rows []int32, wide bool) error {
	if len(w.Columns) == 0 { // every column takes its default
		for range rows {
			if _, err := x.tx.ExecContext(ctx, text); err != nil {
				return err
			}
		}
		return nil
	}
	args := make([]any, len(w.Columns))
	for n, i := range w.Columns {
		var err error
		if args[n], err = b.column(w, i, rows, wide); err != nil {
			return err
		}
	}
	_, err := x.tx.ExecContext(ctx, text, args...)
	return err
}

// text returns the statement of a write, made once for a table. Its parameters are the columns of the write, in order.
func (b *bound) text(w *applier.Write) (string, error) {
	id := make([]byte, 0, 64)
	id = append(id, byte(w.Verb))
	for _, i := range w.Columns {
		id = append(id, byte(i), byte(i>>8))
	}
	if t, ok := b.statements.Load(string(id)); ok {
		return t.(string), nil
	}
	var t string
	switch w.Verb {
	case applier.Upsert:
		t = b.merge(w.Table, w.Columns, b.parameters(w.Columns), true)
	case applier.Delete:
		t = fmt.Sprintf("DELETE FROM %s t WHERE %s", b.relation.quoted(), b.equal("t.", w.Columns, b.parameters(w.Columns)))
	case applier.Insert:
		t = b.insert(w.Columns, b.parameters(w.Columns))
	case applier.Update:
		t = b.merge(w.Table, w.Columns, b.parameters(w.Columns), false)
	case applier.Close:
		t = b.shut(w.Columns, b.parameters(w.Columns))
	default:
		return "", fault.Errorf(flowv1.FaultClass_FAULT_CLASS_SCHEMA, "verb %s is not known to this dialect", w.Verb)
	}
	b.statements.Store(string(id), t)
	return t, nil
}

// parameters are expressions that make the columns' types of the parameters of a statement.
func (b *bound) parameters(columns []int) []string {
	var out []string
	for n, i := range columns {
		out = append(out, fmt.Sprintf(b.forms[i].expr, ":"+strconv.Itoa(n+1)))
	}
	return out
}

// merge updates one row where its key is there and, if it may, inserts it where it is not.
func (b *bound) merge(table *applier.Table, columns []int, values []string, inserts bool) string {
	var source, match, set, names, inserted []string
	for n, i := range columns {
		c := fmt.Sprintf("c%d", n)
		source = append(source, values[n]+" "+c)
		names = append(names, b.names[i])
		inserted = append(inserted, "s."+c)
		if table.Columns[i].Key {
			match = append(match, fmt.Sprintf("t.%s = s.%s", b.names[i], c))
		} else {
			set = append(set, fmt.Sprintf("t.%s = s.%s", b.names[i], c))
		}
	}
	text := fmt.Sprintf("MERGE INTO %s t USING (SELECT %s FROM DUAL) s ON (%s)", b.relation.quoted(), strings.Join(source, ", "), strings.Join(match, " AND "))
	if len(set) > 0 {
		text += " WHEN MATCHED THEN UPDATE SET " + strings.Join(set, ", ")
	}
	if !inserts {
		return text
	}
	return text + fmt.Sprintf(" WHEN NOT MATCHED THEN INSERT (%s) VALUES (%s)", strings.Join(names, ", "), strings.Join(inserted, ", "))
}

// equal compares columns of the table with values.
func (b *bound) equal(prefix string, columns []int, values []string) string {
	var terms []string
	for n, i := range columns {
		terms = append(terms, prefix+b.names[i]+" = "+values[n])
	}
	return strings.Join(terms, " AND ")
}

// prune deletes the rows of some parents that are not to be kept, some parents at a time.
func (x *txn) prune(ctx context.Context, w *applier.Write, b *bound) error {
	keep := map[string][]int32{} // by parent
	for _, row := range w.Keep {
		keep[parentOf(w, row)] = append(keep[parentOf(w, row)], row)
	}
	for rows := w.Rows; len(rows) > 0; {
		n, listed := 0, 0
		var kept []int32
		for n < len(rows) {
			of := keep[parentOf(w, rows[n])]
			more := len(w.Columns) + len(of)*len(w.Table.Keys)
			if n > 0 && (n >= listedAtOnce || listed+more > mostListed/4) {
				break
			}
			if listed += more; listed > mostListed/2 {
				return fault.Errorf(flowv1.FaultClass_FAULT_CLASS_DATA, "the record has %d rows, more than one statement can list", len(of))
			}
			kept = append(kept, of...)
			n++
		}
		text, args, err := b.pruning(w, padded(rows[:n:n]), kept)
		if err != nil {
			return err
		}
		applier.Statement(ctx, func() string { return text })
		if _, err := x.tx.ExecContext(ctx, text, args...); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}

func parentOf(w *applier.Write, row int32) string {
	values := make([][]byte, len(w.Columns))
	for n, i := range w.Columns {
		values[n] = w.Values.Columns[i].At(row)
	}
	return string(applier.JoinKey(nil, values...))
}

// pruning makes the statement that deletes the rows of parents but those of kept.
func (b *bound) pruning(w *applier.Write, parents, kept []int32) (string, []any, error) {
	var args []any
	row := func(columns []int, row int32, named bool) (string, error) {
		var values []string
		for n, i := range columns {
			column, err := b.column(w, i, []int32{row}, false)
			if err != nil {
				return "", err
			}
			args = append(args, only(column))
			value := fmt.Sprintf(b.forms[i].expr, ":"+strconv.Itoa(len(args)))
			if named {
				value += fmt.Sprintf(" c%d", n)
			}
			values = append(values, value)
		}
		return strings.Join(values, ", "), nil
	}
	var listed, names, union []string
	for _, p := range parents {
		values, err := row(w.Columns, p, false)
		if err != nil {
			return "", nil, err
		}
		listed = append(listed, "("+values+")")
	}
	for _, i := range w.Columns {
		names = append(names, "t."+b.names[i])
	}
	text := fmt.Sprintf("DELETE FROM %s t WHERE (%s) IN (%s)", b.relation.quoted(), strings.Join(names, ", "), strings.Join(listed, ", "))
	if len(kept) == 0 {
		return text, args, nil
	}
	for _, k := range padded(kept) {
		values, err := row(w.Table.Keys, k, true)
		if err != nil {
			return "", nil, err
		}
		union = append(union, "SELECT "+values+" FROM DUAL")
	}
	var match []string
	for n, i := range w.Table.Keys {
		match = append(match, fmt.Sprintf("k.c%d = t.%s", n, b.names[i]))
	}
	return text + fmt.Sprintf(" AND NOT EXISTS (SELECT 1 FROM (%s) k WHERE %s)", strings.Join(union, " UNION ALL "), strings.Join(match, " AND ")), args, nil
}
