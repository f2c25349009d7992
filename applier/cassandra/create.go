package cassandra

import (
	"context"
	"errors"
	"fmt"
	"strings"

	applierv1 "slipstream/proto/slipstream/applier/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// declared are the types of columns that auto_create makes. What nothing is known of is text, which takes every value.
var declared = map[pipelinev1.ColumnType]string{
	pipelinev1.ColumnType_COLUMN_TYPE_INTEGER:   "bigint",
	pipelinev1.ColumnType_COLUMN_TYPE_DECIMAL:   "decimal",
	pipelinev1.ColumnType_COLUMN_TYPE_DOUBLE:    "double",
	pipelinev1.ColumnType_COLUMN_TYPE_BOOLEAN:   "boolean",
	pipelinev1.ColumnType_COLUMN_TYPE_DATE:      "date",
	pipelinev1.ColumnType_COLUMN_TYPE_TIME:      "time",
	pipelinev1.ColumnType_COLUMN_TYPE_TIMESTAMP: "timestamp",
	pipelinev1.ColumnType_COLUMN_TYPE_BINARY:    "blob",
	pipelinev1.ColumnType_COLUMN_TYPE_JSON:      "text",
	pipelinev1.ColumnType_COLUMN_TYPE_UUID:      "uuid",
}

// declaredType is the type of a new column: the one its job names, or that a sample of its values suggested.
func declaredType(c *pipelinev1.OutputColumn) string {
	for _, kind := range []pipelinev1.ColumnType{c.GetType(), c.GetInferred()} {
		if name := declared[kind]; name != "" {
			return name
		}
	}
	return "text"
}

// createTable writes the table an output needs. The partition key is what identifies the parent of a foreach, whose
// elements cluster below it, else the first key column; the other key columns cluster.
func (t *target) createTable(w *pipelinev1.RelationalWrite) string {
	var columns, partition, clustering []string
	parents := false
	for _, c := range w.GetColumns() {
		parents = parents || c.GetKey() && c.GetParent()
	}
	for _, c := range w.GetColumns() {
		name := quote(c.GetColumn())
		columns = append(columns, name+" "+declaredType(c))
		switch {
		case !c.GetKey():
		case parents && c.GetParent(), !parents && len(partition) == 0:
			partition = append(partition, name)
		default:
			clustering = append(clustering, name)
		}
	}
	key := "(" + strings.Join(partition, ", ") + ")"
	if len(clustering) > 0 {
		key += ", " + strings.Join(clustering, ", ")
	}
	return fmt.Sprintf("CREATE TABLE %s.%s (%s, PRIMARY KEY (%s));", quote(t.keyspaceOf(w)), quote(w.GetTable()), strings.Join(columns, ", "), key)
}

// Prepare implements applier.Target.
func (t *target) Prepare(ctx context.Context, jobs []*pipelinev1.Job) *applierv1.PrepareResponse {
	ctx, cancel := limited(ctx)
	defer cancel()
	out := &applierv1.PrepareResponse{}
	for _, job := range jobs {
		for i, o := range job.GetOutputs() {
			w := o.GetRelational()
			if o.GetConnection() != t.name || !w.GetAutoCreate() {
				continue
			}
			_, err := t.readRelation(ctx, t.keyspaceOf(w), w.GetTable())
			if err == nil {
				continue
			}
			text := t.createTable(w)
			if errors.Is(err, errNoRelation) {
				err = t.create(ctx, text)
			}
			if err != nil {
				f := t.failed("creating table "+written(w), err)
				out.Problems = append(out.Problems, finding{message: f.Error(), fix: f.Fix}.problem(job, o, t.name))
				continue
			}
			out.Created = append(out.Created, &applierv1.Statement{Job: job.GetName(), Output: uint32(i), Text: text})
		}
	}
	return out
}

// create runs a statement that makes something; what somebody else made a moment ago is no problem.
func (t *target) create(ctx context.Context, text string) error {
	err := t.cluster.run(ctx, own, []cql{{text: strings.TrimSuffix(text, ";")}})
	if hasCode(err, codeAlreadyExists) {
		return nil
	}
	return err
}
