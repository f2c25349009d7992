package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"slipstream/proto/fault"
	applierv1 "slipstream/proto/slipstream/applier/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// declared are the types of columns that auto_create makes. What nothing is known of is text, which takes every value.
// Timestamps are datetime, which does not end in 2038. A decimal here has a precision always: the most there is.
var declared = map[pipelinev1.ColumnType]string{
	pipelinev1.ColumnType_COLUMN_TYPE_INTEGER:   "bigint",
	pipelinev1.ColumnType_COLUMN_TYPE_DECIMAL:   "decimal(65,30)",
	pipelinev1.ColumnType_COLUMN_TYPE_DOUBLE:    "double",
	pipelinev1.ColumnType_COLUMN_TYPE_BOOLEAN:   "boolean",
	pipelinev1.ColumnType_COLUMN_TYPE_TEXT:      "longtext",
	pipelinev1.ColumnType_COLUMN_TYPE_DATE:      "date",
	pipelinev1.ColumnType_COLUMN_TYPE_TIME:      "time(6)",
	pipelinev1.ColumnType_COLUMN_TYPE_TIMESTAMP: "datetime(6)",
	pipelinev1.ColumnType_COLUMN_TYPE_BINARY:    "longblob",
	pipelinev1.ColumnType_COLUMN_TYPE_JSON:      "json",
	pipelinev1.ColumnType_COLUMN_TYPE_UUID:      "char(36)",
}

// keyTypes take the place of types that no index can be made on. An index holds 3,072 bytes; three such columns fit.
var keyTypes = map[string]string{
	"longtext": "varchar(255) COLLATE utf8mb4_bin", "json": "varchar(255) COLLATE utf8mb4_bin", "longblob": "varbinary(255)",
}

// declaredType is the type of a new column: the one its job names, or that a sample of its values suggested. Keys compare
// as bytes, as those of Redis do.
func declaredType(c *pipelinev1.OutputColumn, indexed bool) string {
	name := "longtext"
	for _, kind := range []pipelinev1.ColumnType{c.GetInferred(), c.GetType()} {
		if n := declared[kind]; n != "" {
			name = n
		}
	}
	if k, ok := keyTypes[name]; ok && indexed {
		return k
	}
	return name
}

// createTable writes the table an output needs. The columns that TYPE2 sets and nothing else writes have the types that
// the server gives to what they are set to; it is asked without reading a row. A table of TYPE2 has an index by which
// active rows are found.
func (t *target) createTable(ctx context.Context, l *link, w *pipelinev1.RelationalWrite) (string, error) {
	var columns, keys, row []string
	known := map[string]bool{}
	for _, c := range w.GetColumns() {
		kind := declaredType(c, c.GetKey() && !isAppend(w))
		text := quote(c.GetColumn()) + " " + kind
		row = append(row, sample[strings.TrimSuffix(strings.SplitN(kind, "(", 2)[0], " ")]+" AS "+quote(c.GetColumn()))
		known[strings.ToLower(c.GetColumn())] = true
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
			if known[strings.ToLower(closed(m))] {
				continue
			}
			kind, err := l.typeOfExpression(ctx, m.GetSource(), "(SELECT "+strings.Join(row, ", ")+") AS "+quote(w.GetTable()))
			if err != nil {
				return "", err
			}
			columns = append(columns, quote(closed(m))+" "+kind)
			known[strings.ToLower(closed(m))] = true
		}
	}
	if len(keys) > 0 && mirrors(w) {
		columns = append(columns, "PRIMARY KEY ("+strings.Join(keys, ", ")+")")
	}
	if len(keys) > 0 && isType2(w) {
		columns = append(columns, "INDEX ("+strings.Join(keys, ", ")+")")
	}
	return fmt.Sprintf("CREATE TABLE %s (%s) ENGINE=InnoDB CHARACTER SET utf8mb4;",
		t.writtenName(w), strings.Join(columns, ", ")), nil
}

// writtenName is the table of an output as SQL, with a database where the job names one.
func (t *target) writtenName(w *pipelinev1.RelationalWrite) string {
	if w.GetSchema() == "" {
		return quote(w.GetTable())
	}
	return quote(w.GetSchema()) + "." + quote(w.GetTable())
}

// sample is a value of each declared type, for asking what becomes of it.
var sample = map[string]string{
	"bigint": "CAST(0 AS SIGNED)", "decimal": "CAST(0 AS DECIMAL(65,30))", "double": "1e0", "boolean": "TRUE", "longtext": "''",
	"varchar": "''", "date": "CAST(NULL AS DATE)", "time": "CAST(NULL AS TIME(6))", "datetime": "CAST(NULL AS DATETIME(6))",
	"longblob": "CAST('' AS BINARY)", "varbinary": "CAST('' AS BINARY)", "json": "''", "char": "''",
}

// resultTypes are the types of columns that hold what an expression gives, by what the driver calls those of a result.
var resultTypes = map[string]string{
	"BIGINT": "bigint", "INT": "bigint", "MEDIUMINT": "bigint", "SMALLINT": "bigint", "TINYINT": "bigint",
	"UNSIGNED BIGINT": "bigint unsigned", "UNSIGNED INT": "bigint", "DECIMAL": "decimal(65,30)", "DOUBLE": "double", "FLOAT": "double",
	"DATE": "date", "TIME": "time(6)", "DATETIME": "datetime(6)", "TIMESTAMP": "datetime(6)", "YEAR": "year",
	"BINARY": "longblob", "VARBINARY": "longblob", "BLOB": "longblob",
}

// typeOfExpression asks the server what type an expression has. Where the expression is wrong, or names a column that no
// one knows, the column is text: what is wrong shows when the table is there.
func (l *link) typeOfExpression(ctx context.Context, expression, from string) (kind string, err error) {
	l.open = true
	var rows *sql.Rows
	rows, err = l.conn.QueryContext(ctx, "SELECT ("+expression+"\n) FROM "+from+" LIMIT 0")
	if err != nil {
		if class, code := classOf(err); class == flowv1.FaultClass_FAULT_CLASS_CONNECTION || code == "" {
			return "", err
		}
		return "longtext", nil
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	types, err := rows.ColumnTypes()
	if err != nil || len(types) != 1 {
		return "longtext", err
	}
	if kind, ok := resultTypes[types[0].DatabaseTypeName()]; ok {
		return kind, rows.Err()
	}
	return "longtext", rows.Err()
}

// Prepare implements applier.Target.
func (t *target) Prepare(ctx context.Context, jobs []*pipelinev1.Job) *applierv1.PrepareResponse {
	ctx, cancel := t.limited(ctx)
	defer cancel()
	out := &applierv1.PrepareResponse{}
	l, err := t.link(ctx)
	if err != nil {
		out.Problems = []*pipelinev1.Problem{t.problem(fault.Of(err))}
		return out
	}
	defer l.release()
	for _, job := range jobs {
		for i, o := range job.GetOutputs() {
			w := o.GetRelational()
			if o.GetConnection() != t.name || !w.GetAutoCreate() {
				continue
			}
			text, err := t.prepare(ctx, l, w)
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
func (t *target) prepare(ctx context.Context, l *link, w *pipelinev1.RelationalWrite) (string, error) {
	if _, err := t.readRelation(ctx, l, w.GetSchema(), w.GetTable()); !errors.Is(err, errNoRelation) {
		return "", err
	}
	text, err := t.createTable(ctx, l, w)
	if err != nil {
		return "", err
	}
	_, err = l.exec(ctx, text)
	switch {
	case err == nil:
		return text, nil
	case hasNumber(err, erTableExists):
		return "", nil // somebody else was as quick
	}
	f := failed("creating table "+written(w), err)
	switch {
	case missesGrant(f.Code):
		return "", f.WithFix(t.tableDDL(l, w, text))
	case hasNumber(err, erNoDatabase):
		return "", f.WithFix(t.databaseDDL(l, w))
	}
	return "", f
}

// tableDDL is what somebody who may create tables has to run, so that this account can write.
func (t *target) tableDDL(l *link, w *pipelinev1.RelationalWrite, create string) string {
	return create + "\n" + grant(needs(w), t.qualified(w.GetSchema(), w.GetTable()), l.server.account)
}

// databaseDDL makes the database of an output.
func (t *target) databaseDDL(l *link, w *pipelinev1.RelationalWrite) string {
	return fmt.Sprintf("CREATE DATABASE %s CHARACTER SET utf8mb4;\n%s", quote(t.schemaOf(w)),
		grant([]string{"SELECT", "INSERT", "UPDATE", "DELETE", "CREATE"}, quote(t.schemaOf(w))+".*", l.server.account))
}

// checkCreate plans the table of an output with auto_create that is missing, or says why it cannot be created.
func (t *target) checkCreate(ctx context.Context, l *link, w *pipelinev1.RelationalWrite) (text string, findings []finding, err error) {
	if text, err = t.createTable(ctx, l, w); err != nil {
		return "", nil, err
	}
	may, err := l.mayCreate(ctx, t.qualified(w.GetSchema(), w.GetTable()))
	if err != nil {
		return "", nil, err
	}
	if !may {
		return "", []finding{{
			message: fmt.Sprintf("table %s does not exist in database %s and user %s may not create it", w.GetTable(), t.schemaOf(w), l.server.account),
			fix:     t.tableDDL(l, w, text),
		}}, nil
	}
	there, err := l.texts(ctx, "SELECT SCHEMA_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = "+literal(t.schemaOf(w)))
	if err != nil || len(there) > 0 {
		return text, nil, err
	}
	return "", []finding{{
		message: fmt.Sprintf("database %s, in which auto_create would make table %s, does not exist", t.schemaOf(w), w.GetTable()),
		fix:     t.databaseDDL(l, w),
	}}, nil
}
