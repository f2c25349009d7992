package oracle

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"slipstream/proto/fault"
	applierv1 "slipstream/proto/slipstream/applier/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// The oldest version that this applier writes to.
const oldestMajor, oldestMinor = 12, 2

// Check implements applier.Target.
func (t *target) Check(ctx context.Context, jobs []*pipelinev1.Job) *applierv1.CheckResponse {
	ctx, cancel := t.limited(ctx)
	defer cancel()
	response := &applierv1.CheckResponse{}
	conn, err := t.db.Conn(ctx)
	if err != nil {
		f := t.failed("connecting to "+quote(t.name), err)
		response.Fault, response.Problems = f.Class, []*pipelinev1.Problem{t.problem(f)}
		return response
	}
	defer func() { _ = conn.Close() }() // what was wrong with it was said
	if err := t.checkAll(ctx, conn, jobs, response); err != nil {
		f := t.failed("reading the catalogue", err)
		response.Fault, response.Problems = f.Class, append(response.Problems, t.problem(f))
	}
	return response
}

func (t *target) checkAll(ctx context.Context, conn querier, jobs []*pipelinev1.Job, response *applierv1.CheckResponse) error {
	if err := t.checkServer(ctx, conn, response); err != nil {
		return err
	}
	own := ownTable{
		t.position.schema, t.position.name, positionColumns,
		[]string{"SELECT", "INSERT", "UPDATE"},
		"a position table", "applier.position_table",
		t.positionDDL(), t.positionGrant(),
		[]string{t.position.create},
	}
	if err := t.checkOwn(ctx, conn, response, own); err != nil {
		return err
	}
	if keepsIndex(jobs, t.name) {
		own := ownTable{
			t.rows.schema, t.rows.name, indexColumns,
			[]string{"SELECT", "INSERT", "UPDATE", "DELETE"},
			"a row index", "applier.row_table",
			t.rowDDL(), t.rowGrant(), t.rows.create,
		}
		if err := t.checkOwn(ctx, conn, response, own); err != nil {
			return err
		}
	}
	for _, job := range jobs {
		for i, output := range job.GetOutputs() {
			w := output.GetRelational()
			if output.GetConnection() != t.name || w == nil {
				continue
			}
			table, r, findings, err := t.bind(ctx, conn, w)
			if err != nil {
				return err
			}
			if r == nil && w.GetAutoCreate() {
				var text string
				if text, findings, err = t.checkCreate(ctx, conn, w); err != nil {
					return err
				}
				if text != "" {
					response.Plan = append(response.Plan, &applierv1.Statement{Job: job.GetName(), Output: uint32(i), Text: text})
				}
			}
			if table != nil {
				more, err := t.checkClosing(ctx, conn, table, w)
				if err != nil {
					return err
				}
				findings = append(findings, more...)
			}
			for _, f := range findings {
				response.Problems = append(response.Problems, f.problem(job, output, t.name))
			}
			if r != nil {
				response.Tables = append(response.Tables, r.proto(job.GetName(), uint32(i)))
			}
		}
	}
	return nil
}

// problem is a fault of the connection itself.
func (t *target) problem(f *fault.Error) *pipelinev1.Problem {
	return &pipelinev1.Problem{
		Severity: pipelinev1.Severity_SEVERITY_ERROR, Connection: t.name, Message: f.Error(), Fix: f.Fix,
	}
}

// problem is the finding as validate shows it.
func (f finding) problem(job *pipelinev1.Job, output *pipelinev1.Output, connection string) *pipelinev1.Problem {
	path := f.path
	if path == "" {
		path = output.GetPath()
	}
	return &pipelinev1.Problem{
		Severity: pipelinev1.Severity_SEVERITY_ERROR, File: job.GetFile(), Path: path, Job: job.GetName(),
		Connection: connection, Message: f.message, Fix: f.fix,
	}
}

const readServer = `SELECT (SELECT MAX(version) FROM product_component_version WHERE product LIKE 'Oracle%'),
  (SELECT value FROM nls_database_parameters WHERE parameter = 'NLS_CHARACTERSET'), NVL(SYS_CONTEXT('USERENV', 'DATABASE_ROLE'), 'PRIMARY') FROM dual`

// checkServer reads what the server is, whether it takes writes, and whether its texts hold every character.
func (t *target) checkServer(ctx context.Context, q querier, response *applierv1.CheckResponse) error {
	var version, characters, role string
	err := each(ctx, q, func(rows *sql.Rows) error { return rows.Scan(&version, &characters, &role) }, readServer)
	if err != nil {
		return err
	}
	response.Server = "Oracle " + version
	add := func(severity pipelinev1.Severity, message, fix string) {
		response.Problems = append(response.Problems, &pipelinev1.Problem{Severity: severity, Connection: t.name, Message: message, Fix: fix})
	}
	parts := append(strings.Split(version, "."), "0", "0")
	major, err := strconv.Atoi(parts[0])
	minor, err2 := strconv.Atoi(parts[1])
	if err == nil && err2 == nil && (major < oldestMajor || major == oldestMajor && minor < oldestMinor) {
		add(pipelinev1.Severity_SEVERITY_ERROR, fmt.Sprintf("the server is Oracle %s; %d.%d is the oldest this applier writes to", version, oldestMajor, oldestMinor),
			"upgrade the server")
	}
	if role != "PRIMARY" {
		add(pipelinev1.Severity_SEVERITY_ERROR, fmt.Sprintf("the server is a %s and takes no writes", strings.ToLower(role)), "connect to the primary database")
	}
	if characters != "AL32UTF8" && characters != "UTF8" {
		add(pipelinev1.Severity_SEVERITY_WARNING, fmt.Sprintf("the database's character set is %s: the server replaces characters that it lacks, in columns that are not NVARCHAR2, NCHAR or NCLOB",
			characters), "use such columns where other characters may come")
	}
	return nil
}

// positionColumns and indexColumns are what the statements on our own tables use.
var (
	positionColumns = []string{
		"SOURCE", "PIPELINE", "JOB", "CONNECTION", "LAYOUT", "SHARD", "PARTITION", "INCARNATION", "LAST_ID", "LAST_SIDE_ID",
		"EPOCH", "STATE", "OWNER", "UPDATED_AT",
	}
	indexColumns = []string{"PIPELINE", "JOB", "CONNECTION", "OUTPUT", "ROW_KEY", "REDIS_KEY", "LAST_MS", "LAST_SEQ", "BEFORE"}
)

// ownTable is a table of our own, with what is said of it.
type ownTable struct {
	schema, name   string
	columns, needs []string
	what, setting  string
	ddl, grant     string
	create         []string
}

// checkOwn tells whether a table of our own can be used, or created.
func (t *target) checkOwn(ctx context.Context, q querier, response *applierv1.CheckResponse, own ownTable) error {
	add := func(fix, format string, args ...any) {
		response.Problems = append(response.Problems, &pipelinev1.Problem{
			Severity: pipelinev1.Severity_SEVERITY_ERROR, Connection: t.name, Message: fmt.Sprintf(format, args...), Fix: fix,
		})
	}
	r, err := readRelation(ctx, q, own.schema, own.name)
	if errors.Is(err, errNoRelation) {
		may, err := t.mayCreate(ctx, q, own.schema)
		if err != nil {
			return err
		}
		if !may {
			add(own.ddl, "table %s, %s, does not exist and user %s may not create it", own.name, own.what, t.user)
			return nil
		}
		for _, text := range own.create {
			response.Plan = append(response.Plan, &applierv1.Statement{Text: text})
		}
		return nil
	}
	if err != nil {
		return err
	}
	if missing := r.lacks(own.columns); len(missing) > 0 {
		add("set "+own.setting+" to another name", "table %s is not %s: it has no %s", r.label(), own.what, strings.Join(missing, ", "))
		return nil
	}
	if len(t.missingGrants(r, own.needs)) > 0 {
		add(own.grant, "user %s may not read and write table %s, %s", t.user, r.label(), own.what)
	}
	return nil
}

// proto is the table as CheckResponse shows it.
func (r *relation) proto(job string, output uint32) *applierv1.Table {
	t := &applierv1.Table{Job: job, Output: output}
	for i := range r.columns {
		c := &r.columns[i]
		_, _, known := c.typ.mapped(c.name)
		t.Columns = append(t.Columns, &applierv1.TableColumn{
			Name: c.name, Type: c.typ.shown(), Nullable: !c.notNull, HasDefault: c.hasDefault, Generated: c.generated || c.identity || !known,
		})
	}
	return t
}
