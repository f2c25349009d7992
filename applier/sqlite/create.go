package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"slipstream/proto/fault"
	applierv1 "slipstream/proto/slipstream/applier/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// declared are the types of columns that auto_create makes. What nothing is known of is TEXT, which takes every value.
var declared = map[pipelinev1.ColumnType]string{
	pipelinev1.ColumnType_COLUMN_TYPE_INTEGER:   "INTEGER",
	pipelinev1.ColumnType_COLUMN_TYPE_DECIMAL:   "DECIMAL",
	pipelinev1.ColumnType_COLUMN_TYPE_DOUBLE:    "DOUBLE",
	pipelinev1.ColumnType_COLUMN_TYPE_BOOLEAN:   "BOOLEAN",
	pipelinev1.ColumnType_COLUMN_TYPE_DATE:      "DATE",
	pipelinev1.ColumnType_COLUMN_TYPE_TIME:      "TIME",
	pipelinev1.ColumnType_COLUMN_TYPE_TIMESTAMP: "TIMESTAMP",
	pipelinev1.ColumnType_COLUMN_TYPE_BINARY:    "BLOB",
	pipelinev1.ColumnType_COLUMN_TYPE_JSON:      "JSON",
	pipelinev1.ColumnType_COLUMN_TYPE_UUID:      "UUID",
}

// createTable is the statement that makes the table an output needs: the type of a column is the one its job names, or
// that a sample of its values suggested.
func createTable(w *pipelinev1.RelationalWrite) string {
	var columns []string
	written := map[string]bool{}
	for _, c := range w.GetColumns() {
		kind := declared[c.GetType()]
		if kind == "" {
			kind = declared[c.GetInferred()]
		}
		if kind == "" {
			kind = "TEXT"
		}
		if c.GetKey() && mirrors(w) {
			kind += " NOT NULL"
		}
		columns = append(columns, quote(c.GetColumn())+" "+kind)
		written[strings.ToLower(c.GetColumn())] = true
	}
	for _, m := range w.GetInactiveRecordMapping() {
		if name := closed(m); !written[strings.ToLower(name)] {
			columns = append(columns, quote(name)+" TEXT")
		}
	}
	if keys := keyNames(w); mirrors(w) && len(keys) > 0 {
		columns = append(columns, "PRIMARY KEY ("+quoted(keys)+")")
	}
	return "CREATE TABLE " + quote(w.GetTable()) + " (" + strings.Join(columns, ", ") + ");"
}

// Prepare creates the missing tables of outputs with auto_create, and the file where it is missing too: who asks for
// tables to be created has no empty database hidden from him.
func (t *target) Prepare(ctx context.Context, jobs []*pipelinev1.Job) *applierv1.PrepareResponse {
	out := &applierv1.PrepareResponse{}
	failed := func(path, job string, err error) {
		out.Problems = append(out.Problems, &pipelinev1.Problem{
			Severity: pipelinev1.Severity_SEVERITY_ERROR, Job: job, Path: path, Connection: t.name,
			Message: fmt.Sprintf("connection %q: %s", t.name, err), Fix: fault.Of(err).Fix,
		})
	}
	if t.creates(jobs) {
		f, err := os.OpenFile(t.path, os.O_RDWR|os.O_CREATE, 0o644)
		if err != nil {
			failed("", "", missingFile(t.path, err))
			return out
		}
		if err := f.Close(); err != nil {
			failed("", "", err)
			return out
		}
	}
	if err := t.writer.take(ctx); err != nil {
		failed("", "", err)
		return out
	}
	defer t.writer.give()
	for _, job := range jobs {
		for i, o := range job.GetOutputs() {
			w := o.GetRelational()
			if o.GetConnection() != t.name || !w.GetAutoCreate() {
				continue
			}
			d, err := t.writer.describe(ctx, w.GetTable())
			if err == nil && !d.exists {
				err = t.writer.exec(ctx, strings.Replace(createTable(w), "CREATE TABLE", "CREATE TABLE IF NOT EXISTS", 1))
				if err == nil {
					out.Created = append(out.Created, &applierv1.Statement{Job: job.GetName(), Output: uint32(i), Text: createTable(w)})
				}
			}
			if err != nil {
				failed(o.GetPath(), job.GetName(), err)
			}
		}
	}
	return out
}

// creates tells whether the file is missing and every output that writes to it may create its table.
func (t *target) creates(jobs []*pipelinev1.Job) bool {
	if _, err := os.Stat(t.path); !errors.Is(err, fs.ErrNotExist) {
		return false
	}
	some := false
	for _, job := range jobs {
		for _, o := range job.GetOutputs() {
			if o.GetConnection() == t.name && o.GetRelational() != nil {
				some = true
				if !o.GetRelational().GetAutoCreate() {
					return false
				}
			}
		}
	}
	return some
}

// own lists the tables that Slipstream keeps for itself and that are not there yet.
func (t *target) own(ctx context.Context, jobs []*pipelinev1.Job) ([]*applierv1.Statement, error) {
	var plan []*applierv1.Statement
	d, err := t.reader.describe(ctx, t.options.positionTable)
	if err != nil {
		return nil, err
	}
	if !d.exists {
		plan = append(plan, &applierv1.Statement{Text: fmt.Sprintf(positionDDL, quote(t.options.positionTable)) + ";"})
	}
	if !keepsIndex(jobs, t.name) {
		return plan, nil
	}
	if d, err = t.reader.describe(ctx, t.options.rowTable); err != nil {
		return nil, err
	}
	if !d.exists {
		for _, text := range indexDDL(t.options.rowTable) {
			plan = append(plan, &applierv1.Statement{Text: text + ";"})
		}
	}
	return plan, nil
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
