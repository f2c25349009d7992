package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"slipstream/proto/fault"
	applierv1 "slipstream/proto/slipstream/applier/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// declared are the types of columns that auto_create makes. What nothing is known of is text, which takes every value.
var declared = map[pipelinev1.ColumnType]string{
	pipelinev1.ColumnType_COLUMN_TYPE_INTEGER:   "bigint",
	pipelinev1.ColumnType_COLUMN_TYPE_DECIMAL:   "numeric",
	pipelinev1.ColumnType_COLUMN_TYPE_DOUBLE:    "double precision",
	pipelinev1.ColumnType_COLUMN_TYPE_BOOLEAN:   "boolean",
	pipelinev1.ColumnType_COLUMN_TYPE_DATE:      "date",
	pipelinev1.ColumnType_COLUMN_TYPE_TIME:      "time",
	pipelinev1.ColumnType_COLUMN_TYPE_TIMESTAMP: "timestamptz",
	pipelinev1.ColumnType_COLUMN_TYPE_BINARY:    "bytea",
	pipelinev1.ColumnType_COLUMN_TYPE_JSON:      "jsonb",
	pipelinev1.ColumnType_COLUMN_TYPE_UUID:      "uuid",
}

// createTable writes the table an output needs: the type of a column is the one its job names, or that a sample of its
// values suggested.
func createTable(w *pipelinev1.RelationalWrite) string {
	name := quote(w.GetTable())
	if w.GetSchema() != "" {
		name = quote(w.GetSchema()) + "." + name
	}
	var columns, keys []string
	written := map[string]bool{}
	for _, c := range w.GetColumns() {
		kind := declared[c.GetType()]
		if kind == "" {
			kind = declared[c.GetInferred()]
		}
		if kind == "" {
			kind = "text"
		}
		text := quote(c.GetColumn()) + " " + kind
		if c.GetKey() && mirrors(w) {
			text += " NOT NULL"
			keys = append(keys, quote(c.GetColumn()))
		}
		columns = append(columns, text)
		written[strings.ToLower(c.GetColumn())] = true
	}
	for _, m := range w.GetInactiveRecordMapping() {
		if !written[strings.ToLower(closed(m))] {
			columns = append(columns, quote(closed(m))+" text")
		}
	}
	if len(keys) > 0 {
		columns = append(columns, "PRIMARY KEY ("+strings.Join(keys, ", ")+")")
	}
	return fmt.Sprintf("CREATE TABLE %s (%s);", name, strings.Join(columns, ", "))
}

// Prepare implements applier.Target.
func (t *target) Prepare(ctx context.Context, jobs []*pipelinev1.Job) *applierv1.PrepareResponse {
	ctx, cancel := t.limited(ctx)
	defer cancel()
	out := &applierv1.PrepareResponse{}
	conn, err := t.pool.Acquire(ctx)
	if err != nil {
		out.Problems = []*pipelinev1.Problem{t.problem(t.unreachable(err))}
		return out
	}
	defer conn.Release()
	for _, job := range jobs {
		for i, o := range job.GetOutputs() {
			w := o.GetRelational()
			if o.GetConnection() != t.name || !w.GetAutoCreate() {
				continue
			}
			_, err := readRelation(ctx, conn, w.GetSchema(), w.GetTable())
			if err == nil {
				continue
			}
			if errors.Is(err, errNoRelation) {
				text := createTable(w)
				if _, err = conn.Exec(ctx, text); err == nil {
					out.Created = append(out.Created, &applierv1.Statement{Job: job.GetName(), Output: uint32(i), Text: text})
					continue
				}
				if hasState(err, stateDuplicateTable, stateUniqueViolation) {
					continue // somebody else was as quick
				}
			}
			f := failed("creating table "+written(w), err)
			if f.Code == stateNoPrivilege {
				f.Class = flowv1.FaultClass_FAULT_CLASS_PERMISSION
				f = f.WithFix(createTable(w) + "\n" + fmt.Sprintf("GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO %s;", quote(w.GetTable()), quote(t.user)))
			}
			out.Problems = append(out.Problems, finding{message: f.Error(), fix: f.Fix}.problem(job, o, t.name))
		}
	}
	return out
}

// mayCreate tells whether the account may create tables in a schema; empty is the default one.
func mayCreate(ctx context.Context, q querier, schema string) (may bool, err error) {
	err = q.QueryRow(ctx, `SELECT coalesce(bool_or(has_schema_privilege(n.oid, 'CREATE') AND has_schema_privilege(n.oid, 'USAGE')), false)
FROM pg_catalog.pg_namespace n WHERE n.nspname = CASE WHEN $1::text = '' THEN current_schema() ELSE $1 END`, schema).Scan(&may)
	return may, err
}

// checkIndex tells whether the row index can be used, or created.
func (t *target) checkIndex(ctx context.Context, q querier, response *applierv1.CheckResponse) error {
	r, err := readRelation(ctx, q, t.rows.schema, t.rows.name)
	switch {
	case errors.Is(err, errNoRelation):
		may, err := mayCreate(ctx, q, t.rows.schema)
		if err != nil {
			return err
		}
		if !may {
			response.Problems = append(response.Problems, t.problem(fault.Errorf(flowv1.FaultClass_FAULT_CLASS_PERMISSION,
				"the row index %s does not exist and user %s may not create it", t.rows.quoted, t.user).WithFix(t.rowDDL())))
			return nil
		}
		for _, text := range t.rows.create {
			response.Plan = append(response.Plan, &applierv1.Statement{Text: text})
		}
	case err != nil:
		return err
	default:
		if g := r.grants; !g.usage || !g.selects || !g.inserts || !g.updates || !g.deletes {
			response.Problems = append(response.Problems, t.problem(fault.Errorf(flowv1.FaultClass_FAULT_CLASS_PERMISSION,
				"user %s may not read and write the row index %s", t.user, r.label()).WithFix(t.rowGrant())))
		}
	}
	return nil
}

// keepsIndex tells whether any output to a connection keeps a row index.
func keepsIndex(jobs []*pipelinev1.Job, connection string) bool {
	for _, job := range jobs {
		for _, o := range job.GetOutputs() {
			if o.GetConnection() == connection && o.GetRelational().GetRowIndex() {
				return true
			}
		}
	}
	return false
}
