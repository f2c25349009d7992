package row

import (
	applierv1 "slipstream/proto/slipstream/applier/v1"
)

// Table gathers the rows of an output for one batch. Its memory is used again after Reset.
type Table struct {
	output *Output
	rows   applierv1.Rows
	column []applierv1.Column

	// Of an output with a row index.
	owner  Owner
	owners applierv1.Column
	before applierv1.Column
	imaged bool // the image of the change at hand is written
}

// Owner says of a change what the row index keeps with its rows.
type Owner struct {
	// Key is the Redis key.
	Key []byte
	// Ms and Seq are the ID the rows have in the index.
	Ms, Seq uint64
	// Guarded rows are written only where the index knows nothing of the key that has this ID or a later one.
	Guarded bool
	// Image is the value as captured, JSON text; nil where none is kept.
	Image []byte
}

// NewTable makes an empty table.
func NewTable(o *Output) *Table {
	t := &Table{output: o, column: make([]applierv1.Column, len(o.columns))}
	t.rows.Output = o.Index
	t.rows.Columns = make([]*applierv1.Column, len(o.columns))
	for i := range t.column {
		t.rows.Columns[i] = &t.column[i]
	}
	if o.indexed {
		t.rows.Owners = &t.owners
	}
	if o.images {
		t.rows.Before = &t.before
	}
	return t
}

// Output is what the table belongs to.
func (t *Table) Output() *Output { return t.output }

// Own says whose the rows are that are added next. Outputs without a row index do not ask.
func (t *Table) Own(o Owner) { t.owner, t.imaged = o, false }

// Disown adds the row that deletes what the owner has.
func (t *Table) Disown(change uint32) {
	t.begin(applierv1.RowOp_ROW_OP_DELETE_OWNED, change)
	for i := range t.column {
		end(&t.column[i], null)
	}
}

// Rows is what has been gathered; nil while there is nothing. It is valid until Reset.
func (t *Table) Rows() *applierv1.Rows {
	if len(t.rows.Ops) == 0 {
		return nil
	}
	t.rows.Count = uint32(len(t.rows.Ops))
	return &t.rows
}

// Reset empties the table and keeps its memory.
func (t *Table) Reset() { t.truncate(mark{}) }

// mark is a place to go back to.
type mark struct {
	rows int
}

func (t *Table) mark() mark { return mark{len(t.rows.Ops)} }

// truncate takes back the rows after a mark, and what was written of a row that is not complete.
func (t *Table) truncate(m mark) {
	t.rows.Ops = t.rows.Ops[:m.rows]
	t.rows.Changes = t.rows.Changes[:m.rows]
	t.rows.Count = uint32(m.rows)
	for i := range t.column {
		cut(&t.column[i], m.rows)
	}
	if !t.output.indexed {
		return
	}
	cut(&t.owners, m.rows)
	t.rows.IdMs, t.rows.IdSeq = t.rows.IdMs[:m.rows], t.rows.IdSeq[:m.rows]
	t.rows.Guards = t.rows.Guards[:min(m.rows, len(t.rows.Guards))]
	if t.output.images {
		cut(&t.before, m.rows)
	}
}

// cut keeps the first values of a column.
func cut(c *applierv1.Column, rows int) {
	length := uint32(0)
	if rows > 0 {
		length = c.Ends[rows-1]
	}
	c.Text, c.Ends, c.Kinds = c.Text[:length], c.Ends[:rows], c.Kinds[:rows]
}

// begin adds a row whose columns follow.
func (t *Table) begin(op applierv1.RowOp, change uint32) {
	t.rows.Ops = append(t.rows.Ops, byte(op))
	t.rows.Changes = append(t.rows.Changes, change)
	if t.output.indexed {
		t.own(op)
	}
}

// own adds what the row index wants to know of a row.
func (t *Table) own(op applierv1.RowOp) {
	t.owners.Text = append(t.owners.Text, t.owner.Key...)
	end(&t.owners, byte(applierv1.ValueKind_VALUE_KIND_BYTES))
	t.rows.IdMs, t.rows.IdSeq = append(t.rows.IdMs, t.owner.Ms), append(t.rows.IdSeq, t.owner.Seq)
	switch n := len(t.rows.Ops); {
	case t.owner.Guarded:
		for len(t.rows.Guards) < n-1 {
			t.rows.Guards = append(t.rows.Guards, 0)
		}
		t.rows.Guards = append(t.rows.Guards, 1)
	case len(t.rows.Guards) > 0:
		t.rows.Guards = append(t.rows.Guards, 0)
	}
	if !t.output.images {
		return
	}
	if t.imaged || t.owner.Image == nil || op == applierv1.RowOp_ROW_OP_DELETE_OWNED {
		end(&t.before, null)
		return
	}
	t.imaged = true
	t.before.Text = append(t.before.Text, t.owner.Image...)
	end(&t.before, byte(applierv1.ValueKind_VALUE_KIND_DOCUMENT))
}
