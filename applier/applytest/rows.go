package applytest

import (
	"fmt"

	applierv1 "slipstream/proto/slipstream/applier/v1"
	changev1 "slipstream/proto/slipstream/change/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// Values of rows, beside string, []byte, bool and nil.
type (
	number   string   // a JSON number
	document string   // a JSON object or array
	absent   struct{} // the row does not touch the column
)

// out describes an output: its table and columns, keys marked with a star, keys of the parent with two.
func out(table string, columns ...string) *pipelinev1.Output {
	w := &pipelinev1.RelationalWrite{Table: table}
	for i, c := range columns {
		column := &pipelinev1.OutputColumn{Path: fmt.Sprintf("output[0].with.mapping[%d]", i)}
		for c != "" && c[0] == '*' {
			column.Parent = column.Key
			column.Key = true
			c = c[1:]
		}
		column.Column = c
		column.Source = &pipelinev1.OutputColumn_Field{Field: c}
		w.Columns = append(w.Columns, column)
	}
	return &pipelinev1.Output{
		Path: "output[0]", Connection: "db", Writer: &pipelinev1.Output_Relational{Relational: w},
	}
}

func job(outputs ...*pipelinev1.Output) *pipelinev1.Job {
	for i, o := range outputs {
		o.Path = fmt.Sprintf("output[%d]", i)
	}
	return &pipelinev1.Job{Name: "job", Enabled: true, Outputs: outputs}
}

// rowsOf builds the rows of one output.
type rowsOf struct {
	rows *applierv1.Rows
}

func table(output uint32) *rowsOf { return &rowsOf{&applierv1.Rows{Output: output}} }

func (r *rowsOf) upsert(change uint32, values ...any) *rowsOf {
	return r.add(applierv1.RowOp_ROW_OP_UPSERT, change, values)
}

func (r *rowsOf) del(change uint32, values ...any) *rowsOf {
	return r.add(applierv1.RowOp_ROW_OP_DELETE, change, values)
}

func (r *rowsOf) prune(change uint32, values ...any) *rowsOf {
	return r.add(applierv1.RowOp_ROW_OP_PRUNE, change, values)
}

func (r *rowsOf) add(op applierv1.RowOp, change uint32, values []any) *rowsOf {
	r.rows.Count++
	r.rows.Ops = append(r.rows.Ops, byte(op))
	r.rows.Changes = append(r.rows.Changes, change)
	for len(r.rows.Columns) < len(values) {
		r.rows.Columns = append(r.rows.Columns, &applierv1.Column{})
	}
	for i, v := range values {
		c := r.rows.Columns[i]
		kind := applierv1.ValueKind_VALUE_KIND_UNSPECIFIED
		switch v := v.(type) {
		case nil:
		case string:
			kind = applierv1.ValueKind_VALUE_KIND_STRING
			c.Text = append(c.Text, v...)
		case number:
			kind = applierv1.ValueKind_VALUE_KIND_NUMBER
			c.Text = append(c.Text, v...)
		case document:
			kind = applierv1.ValueKind_VALUE_KIND_DOCUMENT
			c.Text = append(c.Text, v...)
		case bool:
			kind = applierv1.ValueKind_VALUE_KIND_BOOLEAN
			c.Text = fmt.Append(c.Text, v)
		case []byte:
			kind = applierv1.ValueKind_VALUE_KIND_BYTES
			c.Text = append(c.Text, v...)
		case absent:
			kind = applierv1.ValueKind_VALUE_KIND_ABSENT
		}
		c.Kinds = append(c.Kinds, byte(kind))
		c.Ends = append(c.Ends, uint32(len(c.Text)))
	}
	return r
}

// batch makes batch n, whose position is n-0, of rows.
func batch(n uint64, tables ...*rowsOf) *applierv1.RowBatch {
	b := &applierv1.RowBatch{Sequence: n, Position: at(n)}
	for _, t := range tables {
		b.Tables = append(b.Tables, t.rows)
		for _, c := range t.rows.Changes {
			b.Changes = max(b.Changes, c+1)
		}
	}
	return b
}

// at is the position n-0.
func at(n uint64) *changev1.Position {
	return &changev1.Position{Main: &changev1.StreamId{Ms: n}, Side: &changev1.StreamId{Ms: 7, Seq: n}}
}
