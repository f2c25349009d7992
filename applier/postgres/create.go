package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"

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

// declaredType is the type of a new column: the one its job names, or that a sample of its values suggested.
func declaredType(c *pipelinev1.OutputColumn) string {
	for _, kind := range []pipelinev1.ColumnType{c.GetType(), c.GetInferred()} {
		if name := declared[kind]; name != "" {
			return name
		}
	}
	return "text"
}

// quotedName is the table of an output as SQL, as the job writes it.
func quotedName(w *pipelinev1.RelationalWrite) string {
	if w.GetSchema() == "" {
		return quote(w.GetTable())
	}
	return quote(w.GetSchema()) + "." + quote(w.GetTable())
}

// createTable writes the table an output needs. The columns that TYPE2 sets and nothing else writes have the types that
// the server gives to what they are set to; it is asked without running anything. A table of TYPE2 has an index by which
// active rows are found.
func createTable(ctx context.Context, conn *pgxpool.Conn, w *pipelinev1.RelationalWrite) (string, error) {
	var columns, keys, row []string
	written := map[string]bool{}
	for _, c := range w.GetColumns() {
		text := quote(c.GetColumn()) + " " + declaredType(c)
		row = append(row, "NULL::"+declaredType(c)+" AS "+quote(c.GetColumn()))
		written[strings.ToLower(c.GetColumn())] = true
		if c.GetKey() {
			keys = append(keys, quote(c.GetColumn()))
			if mirrors(w) {
				text += " NOT NULL"
			}
		}
		columns = append(columns, text)
	}
	if isType2(w) {
		for _, m := range w.GetInactiveRecordMapping() {
			if written[strings.ToLower(closed(m))] {
				continue
			}
			kind, err := typeOfExpression(ctx, conn, m.GetSource(), "(SELECT "+strings.Join(row, ", ")+") AS "+quote(w.GetTable()))
			if err != nil {
				return "", err
			}
			columns = append(columns, quote(closed(m))+" "+kind)
			written[strings.ToLower(closed(m))] = true
		}
	}
	if len(keys) > 0 && mirrors(w) {
		columns = append(columns, "PRIMARY KEY ("+strings.Join(keys, ", ")+")")
	}
	text := fmt.Sprintf("CREATE TABLE %s (%s);", quotedName(w), strings.Join(columns, ", "))
	if len(keys) > 0 && isType2(w) {
		text += fmt.Sprintf("\nCREATE INDEX ON %s (%s);", quotedName(w), strings.Join(keys, ", "))
	}
	return text, nil
}

// typeOfExpression asks the server what type an expression has. Where the expression is wrong, or names a column that no
// one knows, the column is text: what is wrong shows when the table is there.
func typeOfExpression(ctx context.Context, conn *pgxpool.Conn, expression, from string) (string, error) {
	described, err := conn.Conn().Prepare(ctx, "", "SELECT ("+expression+"\n) FROM "+from)
	if err != nil {
		if class, code := classOf(err); class == flowv1.FaultClass_FAULT_CLASS_CONNECTION || code == "" {
			return "", err
		}
		return "text", nil
	}
	var name string
	err = conn.QueryRow(ctx, "SELECT format_type($1::oid, -1)", described.Fields[0].DataTypeOID).Scan(&name)
	return name, err
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
			text, err := t.prepare(ctx, conn, w)
			if err != nil {
				f := failed("creating table "+written(w), err)
				out.Problems = append(out.Problems, finding{message: f.Error(), fix: f.Fix}.problem(job, o, t.name))
			} else if text != "" {
				out.Created = append(out.Created, &applierv1.Statement{Job: job.GetName(), Output: uint32(i), Text: text})
			}
		}
	}
	return out
}

// prepare creates the table of an output where it is missing, and returns what was run.
func (t *target) prepare(ctx context.Context, conn *pgxpool.Conn, w *pipelinev1.RelationalWrite) (string, error) {
	if _, err := readRelation(ctx, conn, w.GetSchema(), w.GetTable()); !errors.Is(err, errNoRelation) {
		return "", err
	}
	text, err := createTable(ctx, conn, w)
	if err != nil {
		return "", err
	}
	_, err = conn.Conn().PgConn().Exec(ctx, text).ReadAll() // all of it in one transaction
	switch {
	case err == nil:
		return text, nil
	case madeMeanwhile(err):
		return "", nil // somebody else was as quick
	}
	f := failed("creating table "+written(w), err)
	switch f.Code {
	case stateNoPrivilege:
		return "", f.WithFix(t.tableDDL(w, text))
	case stateNoSchema:
		return "", f.WithFix("CREATE SCHEMA " + quote(w.GetSchema()) + ";")
	}
	return "", f
}

// tableDDL is what somebody who may create tables has to run, so that this account can write.
func (t *target) tableDDL(w *pipelinev1.RelationalWrite, create string) string {
	return create + "\n" + fmt.Sprintf("GRANT %s ON %s TO %s;", strings.Join(needs(w), ", "), quotedName(w), quote(t.user))
}

// checkCreate plans the table of an output with auto_create that is missing, or says why it cannot be created.
func (t *target) checkCreate(ctx context.Context, conn *pgxpool.Conn, w *pipelinev1.RelationalWrite) (text string, findings []finding, err error) {
	if text, err = createTable(ctx, conn, w); err != nil {
		return "", nil, err
	}
	if w.GetSchema() != "" {
		var there bool
		err := conn.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = $1)`, w.GetSchema()).Scan(&there)
		if err != nil {
			return "", nil, err
		}
		if !there {
			return "", []finding{{
				message: fmt.Sprintf("schema %s, in which auto_create would make table %s, does not exist in database %s",
					w.GetSchema(), w.GetTable(), t.database),
				fix: fmt.Sprintf("CREATE SCHEMA %s;\nGRANT USAGE, CREATE ON SCHEMA %s TO %s;", quote(w.GetSchema()), quote(w.GetSchema()), quote(t.user)),
			}}, nil
		}
	}
	may, err := mayCreate(ctx, conn, w.GetSchema())
	if err != nil || may {
		return text, nil, err
	}
	return "", []finding{{
		message: fmt.Sprintf("table %s does not exist in database %s and user %s may not create it", written(w), t.database, t.user),
		fix:     t.tableDDL(w, text),
	}}, nil
}

// mayCreate tells whether the account may create tables in a schema; empty is the default one.
func mayCreate(ctx context.Context, q querier, schema string) (may bool, err error) {
	err = q.QueryRow(ctx, `SELECT coalesce(bool_or(has_schema_privilege(n.oid, 'CREATE') AND has_schema_privilege(n.oid, 'USAGE')), false)
FROM pg_catalog.pg_namespace n WHERE n.nspname = CASE WHEN $1::text = '' THEN current_schema() ELSE $1 END`, schema).Scan(&may)
	return may, err
}

// indexColumns are what the statements on the row index use.
var indexColumns = []string{"pipeline", "job", "connection", "output", "row_key", "redis_key", "last_ms", "last_seq", "before"}

// checkIndex tells whether the row index can be used, or created.
func (t *target) checkIndex(ctx context.Context, q querier, response *applierv1.CheckResponse) error {
	add := func(fix, format string, args ...any) {
		f := fault.Errorf(flowv1.FaultClass_FAULT_CLASS_PERMISSION, format, args...).WithFix(fix)
		response.Problems = append(response.Problems, t.problem(f))
	}
	r, err := readRelation(ctx, q, t.rows.schema, t.rows.name)
	if errors.Is(err, errNoRelation) {
		may, err := mayCreate(ctx, q, t.rows.schema)
		if err != nil {
			return err
		}
		if !may {
			add(t.rowDDL(), "the row index %s does not exist and user %s may not create it", t.rows.quoted, t.user)
			return nil
		}
		for _, text := range t.rows.create {
			response.Plan = append(response.Plan, &applierv1.Statement{Text: text})
		}
		return nil
	}
	if err != nil {
		return err
	}
	if missing := r.lacks(indexColumns); len(missing) > 0 {
		add("set applier.row_table to another name", "table %s is not a row index: it has no %s", r.label(), strings.Join(missing, ", "))
		return nil
	}
	if g := r.grants; !g.usage || !g.selects || !g.inserts || !g.updates || !g.deletes {
		add(t.rowGrant(), "user %s may not read and write the row index %s", t.user, r.label())
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
