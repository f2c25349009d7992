package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"slipstream/applier"
	"slipstream/applier/value"
	"slipstream/proto/flow"
	applierv1 "slipstream/proto/slipstream/applier/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// prepared is a batch whose values are converted by the types of its tables.
type prepared struct {
	batch   *applierv1.RowBatch
	outputs []*converted
}

// converted are the rows of one output.
type converted struct {
	rows   *applierv1.Rows
	table  *applier.Table
	values *applier.Values
	bad    map[uint32]*flowv1.Reject // by change: what does not fit its column
}

// prepare converts a batch. It fails only where the batch is malformed or asks for what no dialect does.
func prepare(batch *applierv1.RowBatch, tables tableSet) (*prepared, error) {
	p := &prepared{batch: batch, outputs: make([]*converted, 0, len(batch.Tables))}
	for _, rows := range batch.Tables {
		c := &converted{rows: rows, table: tables[rows.Output], bad: map[uint32]*flowv1.Reject{}}
		if err := wellFormed(rows, c.table); err != nil {
			return nil, fmt.Errorf("batch %d, output %d: %w", batch.Sequence, rows.Output, err)
		}
		c.values = &applier.Values{Count: int(rows.Count), Columns: make([]applier.Column, len(rows.Columns))}
		for i, column := range rows.Columns {
			c.convert(i, column)
		}
		p.outputs = append(p.outputs, c)
	}
	return p, nil
}

// bindTable binds an output to the catalogue, with the conversions that the job chose (spec 10.3). What a dialect says of
// its own types holds where the job says nothing.
func bindTable(ctx context.Context, target applier.Target, o *pipelinev1.Output) (*applier.Table, error) {
	table, err := target.Table(ctx, o)
	if err != nil {
		return nil, err
	}
	w := o.GetRelational()
	for i := range table.Columns {
		if i < len(w.GetColumns()) {
			table.Columns[i].Type = table.Columns[i].Type.With(value.RulesOf(w, w.GetColumns()[i]))
		}
	}
	return table, nil
}

// fresh tells whether the tables are still those the batch was prepared with.
func (p *prepared) fresh(tables tableSet) bool {
	for _, c := range p.outputs {
		if tables[c.rows.Output] != c.table {
			return false
		}
	}
	return true
}

// indexed tells whether any output keeps a row index.
func (p *prepared) indexed() bool {
	return slices.ContainsFunc(p.outputs, func(c *converted) bool { return c.rows.Owners != nil })
}

// wellFormed checks what the code below relies on, so that a message from elsewhere cannot crash the process.
func wellFormed(rows *applierv1.Rows, table *applier.Table) error {
	n := int(rows.Count)
	if len(rows.Ops) != n || len(rows.Changes) != n {
		return fmt.Errorf("%w: %d rows with %d operations and %d changes", flow.ErrProtocol, n, len(rows.Ops), len(rows.Changes))
	}
	if len(rows.Columns) != len(table.Columns) {
		return fmt.Errorf("%w: %d columns, table %s is bound with %d", flow.ErrProtocol, len(rows.Columns), table.Name, len(table.Columns))
	}
	for i, op := range rows.Ops {
		switch applierv1.RowOp(op) {
		case applierv1.RowOp_ROW_OP_UNSPECIFIED:
			return fmt.Errorf("%w: row %d has no operation", flow.ErrProtocol, i)
		case applierv1.RowOp_ROW_OP_DELETE_OWNED:
			if rows.Owners == nil {
				return fmt.Errorf("%w: row %d is deleted by its owner, and has none", flow.ErrProtocol, i)
			}
		}
		if applierv1.RowOp(op) > applierv1.RowOp_ROW_OP_CLOSE {
			return fmt.Errorf("%w: row %d has operation %d", flow.ErrProtocol, i, op)
		}
	}
	for i, c := range rows.Columns {
		if err := laidOut(c, n); err != nil {
			return fmt.Errorf("column %d: %w", i, err)
		}
	}
	if rows.Before != nil {
		if err := laidOut(rows.Before, n); err != nil {
			return fmt.Errorf("before images: %w", err)
		}
	}
	if rows.Owners == nil {
		return nil
	}
	if len(rows.IdMs) != n || len(rows.IdSeq) != n || len(rows.Guards) != 0 && len(rows.Guards) != n {
		return fmt.Errorf("%w: %d rows with owners have %d and %d IDs and %d guards",
			flow.ErrProtocol, n, len(rows.IdMs), len(rows.IdSeq), len(rows.Guards))
	}
	if err := laidOut(rows.Owners, n); err != nil {
		return fmt.Errorf("owners: %w", err)
	}
	return nil
}

// laidOut checks that a column has n values one behind the other.
func laidOut(c *applierv1.Column, n int) error {
	if len(c.GetEnds()) != n || len(c.GetKinds()) != n {
		return fmt.Errorf("%w: %d values of %d kinds for %d rows", flow.ErrProtocol, len(c.GetEnds()), len(c.GetKinds()), n)
	}
	last := uint32(0)
	for _, end := range c.Ends {
		if end < last || int(end) > len(c.Text) {
			return fmt.Errorf("%w: values are not laid out in order", flow.ErrProtocol)
		}
		last = end
	}
	return nil
}

// used tells whether an operation looks at a column.
func used(op applierv1.RowOp, key, parent bool) bool {
	switch op {
	case applierv1.RowOp_ROW_OP_UPSERT, applierv1.RowOp_ROW_OP_INSERT, applierv1.RowOp_ROW_OP_REPLACE, applierv1.RowOp_ROW_OP_SUPERSEDE:
		return true
	case applierv1.RowOp_ROW_OP_DELETE, applierv1.RowOp_ROW_OP_CLOSE:
		return key
	case applierv1.RowOp_ROW_OP_PRUNE:
		return parent
	}
	return false // DELETE_OWNED looks at the row index
}

// convert fills in one column for all rows whose operation looks at it.
func (c *converted) convert(index int, in *applierv1.Column) {
	column := &c.table.Columns[index]
	parent := false
	for _, p := range c.table.Parents {
		parent = parent || p == index
	}
	n := len(in.Kinds)
	out := applier.Column{
		Text:   make([]byte, 0, len(in.Text)+len(in.Text)/8),
		Start:  make([]uint32, n),
		End:    make([]uint32, n),
		States: make([]applier.State, n),
	}
	start := uint32(0)
	for i, kind := range in.Kinds {
		text := in.Text[start:in.Ends[i]]
		start = in.Ends[i]
		op := applierv1.RowOp(c.rows.Ops[i])
		if !used(op, column.Key, parent) {
			continue
		}
		var null bool
		var err error
		out.Start[i] = uint32(len(out.Text))
		out.Text, null, err = value.Convert(out.Text, &column.Type, applierv1.ValueKind(kind), text)
		out.End[i] = uint32(len(out.Text))
		switch {
		case err != nil:
			c.reject(i, unfit(column, err))
		case !null:
			out.States[i] = applier.Present
		case column.Key && op != applierv1.RowOp_ROW_OP_INSERT: // what is only appended is never looked for
			c.reject(i, missingKey(column, op))
		case applierv1.ValueKind(kind) == applierv1.ValueKind_VALUE_KIND_ABSENT, c.table.SkipNulls && !column.Key:
			out.States[i] = applier.Absent
		}
	}
	c.values.Columns[index] = out
}

// reject marks the change of a row: none of its rows of this output will be written.
func (c *converted) reject(row int, r *flowv1.Reject) {
	change := c.rows.Changes[row]
	if _, known := c.bad[change]; !known {
		c.bad[change] = r
	}
}

func unfit(column *applier.TableColumn, err error) *flowv1.Reject {
	var e *value.Error
	if errors.As(err, &e) && e.Column == "" {
		named := *e
		named.Column = column.Name
		err = &named
	}
	return &flowv1.Reject{Reason: err.Error(), ErrorClass: "validation", Column: column.Name}
}

// missingKey is G7's guard: no DELETE runs with a NULL key, and no row is written that could not be found again.
func missingKey(column *applier.TableColumn, op applierv1.RowOp) *flowv1.Reject {
	on := "upsert"
	if !used(op, false, false) {
		on = "delete"
	}
	return &flowv1.Reject{
		Reason:     fmt.Sprintf("missing key column %s on %s", column.Name, on),
		ErrorClass: "validation", Column: column.Name,
	}
}
