package row

import (
	applierv1 "slipstream/proto/slipstream/applier/v1"
)

// Table gathers the rows of an output for one batch. Its memory is used again after Reset.
type Table struct {
	output *Output
	rows   applierv1.Rows
	column []applierv1.Column
}

// NewTable makes an empty table.
func NewTable(o *Output) *Table {
	t := &Table{output: o, column: make([]applierv1.Column, len(o.columns))}
	t.rows.Output = o.Index
	t.rows.Columns = make([]*applierv1.Column, len(o.columns))
	for i := range t.column {
		t.rows.Columns[i] = &t.column[i]
	}
	return t
}

// Output is what the table belongs to.
func (t *Table) Output() *Output { return t.output }

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
		c := &t.column[i]
		length := uint32(0)
		if m.rows > 0 {
			length = c.Ends[m.rows-1]
		}
		c.Text, c.Ends, c.Kinds = c.Text[:length], c.Ends[:m.rows], c.Kinds[:m.rows]
	}
}

// begin adds a row whose columns follow.
func (t *Table) begin(op applierv1.RowOp, change uint32) {
	t.rows.Ops = append(t.rows.Ops, byte(op))
	t.rows.Changes = append(t.rows.Changes, change)
}
