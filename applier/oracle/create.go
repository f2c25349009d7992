package oracle

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	applierv1 "slipstream/proto/slipstream/applier/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// declared are the types of columns that auto_create makes. What nothing is known of is text, which takes every value up
// to its length; a key has to fit an index.
var declared = map[pipelinev1.ColumnType]string{
	pipelinev1.ColumnType_COLUMN_TYPE_INTEGER:   "NUMBER(19)",
	pipelinev1.ColumnType_COLUMN_TYPE_DECIMAL:   "NUMBER",
	pipelinev1.ColumnType_COLUMN_TYPE_DOUBLE:    "BINARY_DOUBLE",
	pipelinev1.ColumnType_COLUMN_TYPE_BOOLEAN:   "NUMBER(1)",
	pipelinev1.ColumnType_COLUMN_TYPE_DATE:      "DATE",
	pipelinev1.ColumnType_COLUMN_TYPE_TIME:      "VARCHAR2(40)",
	pipelinev1.ColumnType_COLUMN_TYPE_TIMESTAMP: "TIMESTAMP(6) WITH TIME ZONE",
	pipelinev1.ColumnType_COLUMN_TYPE_BINARY:    "BLOB",
	pipelinev1.ColumnType_COLUMN_TYPE_JSON:      "CLOB",
	pipelinev1.ColumnType_COLUMN_TYPE_UUID:      "VARCHAR2(36)",
}

// declaredType is the type of a new column: the one its job names, or that a sample of its values suggested.
func declaredType(c *pipelinev1.OutputColumn) string {
	name := ""
	for _, kind := range []pipelinev1.ColumnType{c.GetType(), c.GetInferred()} {
		if name == "" {
			name = declared[kind]
		}
	}
	switch {
	case name == "" && c.GetKey():
		return "VARCHAR2(400 CHAR)"
	case name == "":
		return "CLOB"
	case c.GetKey() && name == "BLOB":
		return "RAW(1000)"
	case c.GetKey() && name == "CLOB":
		return "VARCHAR2(400 CHAR)"
	}
	return name
}

// quotedName is the table of an output as SQL.
func quotedName(w *pipelinev1.RelationalWrite) string {
	if w.GetSchema() == "" {
		return newName(w.GetTable())
	}
	return newName(w.GetSchema()) + "." + newName(w.GetTable())
}

// createTable writes the table an output needs. The columns that TYPE2 sets and nothing else writes have the types that
// the server gives to what they are set to. A table of TYPE2 has an index by which active rows are found.
func createTable(ctx context.Context, q querier, w *pipelinev1.RelationalWrite) (string, error) {
	var columns, keys, row []string
	written := map[string]bool{}
	for _, c := range w.GetColumns() {
		text := newName(c.GetColumn()) + " " + declaredType(c)
		row = append(row, "CAST(NULL AS "+castable(declaredType(c))+") "+newName(c.GetColumn()))
		written[strings.ToLower(c.GetColumn())] = true
		if c.GetKey() {
			keys = append(keys, newName(c.GetColumn()))
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
			kind, err := typeOfExpression(ctx, q, m.GetSource(), row)
			if err != nil {
				return "", err
			}
			columns = append(columns, newName(closed(m))+" "+kind)
			written[strings.ToLower(closed(m))] = true
		}
	}
	if len(keys) > 0 && mirrors(w) {
		columns = append(columns, "PRIMARY KEY ("+strings.Join(keys, ", ")+")")
	}
	text := fmt.Sprintf("CREATE TABLE %s (%s);", quotedName(w), strings.Join(columns, ", "))
	if len(keys) > 0 && isType2(w) {
		index := newName(newCase(w.GetTable()) + "_KEY")
		if w.GetSchema() != "" {
			index = newName(w.GetSchema()) + "." + index
		}
		text += fmt.Sprintf("\nCREATE INDEX %s ON %s (%s);", index, quotedName(w), strings.Join(keys, ", "))
	}
	return text, nil
}

// castable is a type that NULL can be cast to.
func castable(name string) string {
	if name == "CLOB" || name == "BLOB" {
		return "VARCHAR2(4000)"
	}
	return name
}

// kinds are the types that the driver's names of an expression's type stand for.
var kinds = map[string]string{
	"NUMBER": "NUMBER", "DATE": "DATE", "TimeStampDTY": "TIMESTAMP(6)", "TIMESTAMP": "TIMESTAMP(6)",
	"TimeStampTZ_DTY": "TIMESTAMP(6) WITH TIME ZONE", "TimeStampTZ": "TIMESTAMP(6) WITH TIME ZONE",
	"TimeStampLTZ_DTY": "TIMESTAMP(6) WITH TIME ZONE", "TimeStampeLTZ": "TIMESTAMP(6) WITH TIME ZONE",
	"IBDouble": "BINARY_DOUBLE", "IBFloat": "BINARY_FLOAT", "BDouble": "BINARY_DOUBLE", "BFloat": "BINARY_FLOAT",
}

// typeOfExpression asks the server what type an expression has, without a row. Where the expression is wrong the column is
// text: what is wrong shows when the table is there.
func typeOfExpression(ctx context.Context, q querier, expression string, row []string) (kind string, err error) {
	from := "DUAL"
	if len(row) > 0 {
		from = "(SELECT " + strings.Join(row, ", ") + " FROM DUAL)"
	}
	rows, err := q.QueryContext(ctx, "SELECT ("+expression+"\n) FROM "+from+" WHERE 1 = 0")
	if err != nil {
		if class, code := classOf(err); class == flowv1.FaultClass_FAULT_CLASS_CONNECTION || code == "" {
			return "", err
		}
		return "VARCHAR2(4000)", nil
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	types, err := rows.ColumnTypes()
	if err != nil {
		return "", err
	}
	if name, ok := kinds[types[0].DatabaseTypeName()]; ok {
		return name, rows.Err()
	}
	return "VARCHAR2(4000)", rows.Err()
}

// Prepare implements applier.Target.
func (t *target) Prepare(ctx context.Context, jobs []*pipelinev1.Job) *applierv1.PrepareResponse {
	ctx, cancel := t.limited(ctx)
	defer cancel()
	out := &applierv1.PrepareResponse{}
	for _, job := range jobs {
		for i, o := range job.GetOutputs() {
			w := o.GetRelational()
			if o.GetConnection() != t.name || !w.GetAutoCreate() {
				continue
			}
			text, err := t.prepare(ctx, w)
			if err != nil {
				f := t.failed("creating table "+written(w), err)
				out.Problems = append(out.Problems, finding{message: f.Error(), fix: f.Fix}.problem(job, o, t.name))
			} else if text != "" {
				out.Created = append(out.Created, &applierv1.Statement{Job: job.GetName(), Output: uint32(i), Text: text})
			}
		}
	}
	return out
}

// prepare creates the table of an output where it is missing, and returns what was run.
func (t *target) prepare(ctx context.Context, w *pipelinev1.RelationalWrite) (string, error) {
	if _, err := readRelation(ctx, t.db, w.GetSchema(), w.GetTable()); !errors.Is(err, errNoRelation) {
		return "", err
	}
	text, err := createTable(ctx, t.db, w)
	if err != nil {
		return "", err
	}
	err = run(ctx, t.db, strings.Split(text, "\n")...)
	switch {
	case err == nil:
		return text, nil
	case has(err, oraNameTaken):
		return "", nil // somebody else was as quick
	}
	f := t.failed("creating table "+written(w), err)
	if has(err, oraNoPrivilege, oraNoQuota) {
		return "", f.WithFix(t.tableDDL(w, text))
	}
	return "", f
}

// tableDDL is what somebody who may create tables has to run, so that this account can write.
func (t *target) tableDDL(w *pipelinev1.RelationalWrite, create string) string {
	grant := fmt.Sprintf("GRANT %s ON %s TO %s;", strings.Join(needs(w), ", "), quotedName(w), t.account())
	schema := w.GetSchema()
	return t.ddl(schema, quotedName(w), grant, create)
}

// checkCreate plans the table of an output with auto_create that is missing, or says why it cannot be created.
func (t *target) checkCreate(ctx context.Context, q querier, w *pipelinev1.RelationalWrite) (text string, findings []finding, err error) {
	if text, err = createTable(ctx, q, w); err != nil {
		return "", nil, err
	}
	may, err := t.mayCreate(ctx, q, w.GetSchema())
	if err != nil || may {
		return text, nil, err
	}
	return "", []finding{{
		message: fmt.Sprintf("table %s does not exist and user %s may not create it", written(w), t.user),
		fix:     t.tableDDL(w, text),
	}}, nil
}

// mayCreate tells whether the account may create tables in a schema; empty is its own.
func (t *target) mayCreate(ctx context.Context, q querier, schema string) (may bool, err error) {
	err = each(ctx, q, func(rows *sql.Rows) error {
		var n int
		err := rows.Scan(&n)
		may = n > 0
		return err
	}, `SELECT COUNT(*) FROM session_privs WHERE privilege = 'CREATE ANY TABLE' OR privilege = 'CREATE TABLE'
  AND UPPER(NVL(:1, SYS_CONTEXT('USERENV', 'CURRENT_SCHEMA'))) = SYS_CONTEXT('USERENV', 'SESSION_USER')`, optional(schema))
	return may, err
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
