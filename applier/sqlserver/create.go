package sqlserver

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	applierv1 "slipstream/proto/slipstream/applier/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// declared are the types of columns that auto_create makes. What nothing is known of is text, which takes every value.
var declared = map[pipelinev1.ColumnType]string{
	pipelinev1.ColumnType_COLUMN_TYPE_INTEGER:   "bigint",
	pipelinev1.ColumnType_COLUMN_TYPE_DECIMAL:   "decimal(38,12)",
	pipelinev1.ColumnType_COLUMN_TYPE_DOUBLE:    "float",
	pipelinev1.ColumnType_COLUMN_TYPE_BOOLEAN:   "bit",
	pipelinev1.ColumnType_COLUMN_TYPE_DATE:      "date",
	pipelinev1.ColumnType_COLUMN_TYPE_TIME:      "time",
	pipelinev1.ColumnType_COLUMN_TYPE_TIMESTAMP: "datetimeoffset(6)",
	pipelinev1.ColumnType_COLUMN_TYPE_UUID:      "uniqueidentifier",
}

// mostKey is how many bytes the key of a clustered index may have.
const mostKey = 900

// declaredType is the type of a new column: the one its job names, or that a sample of its values suggested. keys is how
// many columns share an index with it, if any: text without a limit cannot be indexed.
func declaredType(c *pipelinev1.OutputColumn, keys int) string {
	kind := c.GetType()
	if kind == pipelinev1.ColumnType_COLUMN_TYPE_UNSPECIFIED {
		kind = c.GetInferred()
	}
	if name := declared[kind]; name != "" {
		return name
	}
	room := mostKey / max(keys, 1)
	switch {
	case kind == pipelinev1.ColumnType_COLUMN_TYPE_BINARY && keys > 0:
		return fmt.Sprintf("varbinary(%d)", room)
	case kind == pipelinev1.ColumnType_COLUMN_TYPE_BINARY:
		return "varbinary(max)"
	case keys > 0:
		return fmt.Sprintf("nvarchar(%d)", room/2)
	}
	return "nvarchar(max)"
}

// quotedName is the table of an output as SQL, as the job writes it.
func quotedName(w *pipelinev1.RelationalWrite) string {
	if w.GetSchema() == "" {
		return quote(w.GetTable())
	}
	return quote(w.GetSchema()) + "." + quote(w.GetTable())
}

// createTable writes the table an output needs. The columns that TYPE2 sets and nothing else writes have the types that
// the server gives to what they are set to. A table of TYPE2 has an index by which active rows are found.
func createTable(ctx context.Context, conn *sql.Conn, w *pipelinev1.RelationalWrite) (string, error) {
	var columns, keys, row []string
	count := 0
	for _, c := range w.GetColumns() {
		if c.GetKey() && !isAppend(w) {
			count++
		}
	}
	seen := map[string]bool{}
	for _, c := range w.GetColumns() {
		shared := 0
		if c.GetKey() {
			shared = count
		}
		kind := declaredType(c, shared)
		text := quote(c.GetColumn()) + " " + kind
		row = append(row, "CAST(NULL AS "+kind+") AS "+quote(c.GetColumn()))
		seen[strings.ToLower(c.GetColumn())] = true
		switch {
		case c.GetKey() && mirrors(w):
			text += " NOT NULL"
		default:
			text += " NULL" // whatever the defaults of the database are
		}
		if c.GetKey() {
			keys = append(keys, quote(c.GetColumn()))
		}
		columns = append(columns, text)
	}
	if isType2(w) {
		for _, m := range w.GetInactiveRecordMapping() {
			if seen[strings.ToLower(closed(m))] {
				continue
			}
			kind, err := typeOfExpression(ctx, conn, m.GetSource(), "(SELECT "+strings.Join(row, ", ")+") AS "+quote(w.GetTable()))
			if err != nil {
				return "", err
			}
			columns = append(columns, quote(closed(m))+" "+kind+" NULL")
			seen[strings.ToLower(closed(m))] = true
		}
	}
	if len(keys) > 0 && mirrors(w) {
		columns = append(columns, "PRIMARY KEY ("+strings.Join(keys, ", ")+")")
	}
	text := fmt.Sprintf("CREATE TABLE %s (%s);", quotedName(w), strings.Join(columns, ", "))
	if len(keys) > 0 && isType2(w) {
		text += fmt.Sprintf("\nCREATE INDEX %s ON %s (%s);", quote("slipstream_"+w.GetTable()), quotedName(w), strings.Join(keys, ", "))
	}
	return text, nil
}

// typeOfExpression asks the server what type an expression has; no row is read. Where the expression is wrong, or names a
// column that no one knows, the column is text: what is wrong shows when the table is there.
func typeOfExpression(ctx context.Context, conn *sql.Conn, expression, from string) (kind string, err error) {
	kind = "nvarchar(max)"
	rows, err := conn.QueryContext(ctx, "SELECT TOP (0) ("+expression+"\n) AS c FROM "+from)
	if err != nil {
		if number(err) == 0 {
			return "", err
		}
		return kind, nil
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	types, err := rows.ColumnTypes()
	if err != nil || len(types) != 1 {
		return kind, err
	}
	switch name := strings.ToLower(types[0].DatabaseTypeName()); name {
	case "decimal", "numeric":
		precision, scale, ok := types[0].DecimalSize()
		if ok {
			kind = fmt.Sprintf("decimal(%d,%d)", precision, scale)
		}
	case "tinyint", "smallint", "int", "bigint", "bit", "float", "real", "money", "smallmoney", "date", "time", "datetime", "smalldatetime",
		"datetime2", "datetimeoffset", "uniqueidentifier", "xml", "sql_variant":
		kind = name
	case "binary", "varbinary":
		kind = "varbinary(max)"
	}
	return kind, rows.Err()
}

// Prepare implements applier.Target.
func (t *target) Prepare(ctx context.Context, jobs []*pipelinev1.Job) *applierv1.PrepareResponse {
	ctx, cancel := t.limited(ctx)
	defer cancel()
	out := &applierv1.PrepareResponse{}
	conn, err := t.take(ctx)
	if err != nil {
		out.Problems = []*pipelinev1.Problem{t.problem(failed("connecting", err))}
		return out
	}
	defer t.give(conn)
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
func (t *target) prepare(ctx context.Context, conn *sql.Conn, w *pipelinev1.RelationalWrite) (string, error) {
	if _, err := lookUp(ctx, conn, w.GetSchema(), w.GetTable()); !errors.Is(err, errNoRelation) {
		return "", err
	}
	text, err := createTable(ctx, conn, w)
	if err != nil {
		return "", err
	}
	_, err = exec(ctx, conn, text)
	switch number(err) {
	case 0:
		return text, err
	case errObjectExists:
		return "", nil // somebody else was as quick
	}
	f := failed("creating table "+written(w), err)
	switch number(err) {
	case errNoPermission, errNoCreate:
		return "", f.WithFix(t.tableDDL(w, text))
	case errNoSchema:
		return "", f.WithFix("CREATE SCHEMA " + quote(w.GetSchema()) + ";")
	}
	return "", f
}

// tableDDL is what somebody who may create tables has to run, so that this account can write.
func (t *target) tableDDL(w *pipelinev1.RelationalWrite, create string) string {
	return create + "\n" + fmt.Sprintf("GRANT %s ON %s TO %s;", strings.Join(needs(&relation{}, w), ", "), quotedName(w), quote(t.user))
}

// checkCreate plans the table of an output with auto_create that is missing, or says why it cannot be created.
func (t *target) checkCreate(ctx context.Context, conn *sql.Conn, w *pipelinev1.RelationalWrite) (text string, findings []finding, err error) {
	if text, err = createTable(ctx, conn, w); err != nil {
		return "", nil, err
	}
	if w.GetSchema() != "" {
		var there int
		if _, err := either(ctx, conn, func(scan func(...any) error) error { return scan(&there) },
			[]string{`SELECT CASE WHEN SCHEMA_ID(@p1) IS NULL THEN 0 ELSE 1 END`}, w.GetSchema()); err != nil {
			return "", nil, err
		}
		if there == 0 {
			return "", []finding{{
				message: fmt.Sprintf("schema %s, in which auto_create would make table %s, does not exist in database %s",
					w.GetSchema(), w.GetTable(), t.database),
				fix: fmt.Sprintf("CREATE SCHEMA %s AUTHORIZATION %s;", quote(w.GetSchema()), quote(t.user)),
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

// readMayCreate asks for both grants that a new table takes.
var readMayCreate = []string{
	`SELECT HAS_PERMS_BY_NAME(DB_NAME(), 'DATABASE', 'CREATE TABLE'), HAS_PERMS_BY_NAME(QUOTENAME(COALESCE(NULLIF(@p1, N''), SCHEMA_NAME())), 'SCHEMA', 'ALTER')`,
}

// mayCreate tells whether the account may create tables in a schema; empty is the default one. A server that does not say
// is taken to allow it: creating will tell.
func mayCreate(ctx context.Context, q querier, schema string) (bool, error) {
	var table, alter sql.NullBool
	known, err := either(ctx, q, func(scan func(...any) error) error { return scan(&table, &alter) }, readMayCreate, schema)
	if err != nil || !known {
		return true, err
	}
	return (!table.Valid || table.Bool) && (!alter.Valid || alter.Bool), nil
}
