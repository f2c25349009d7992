package sqlserver

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"slipstream/proto/fault"
	applierv1 "slipstream/proto/slipstream/applier/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// oldestVersion is SQL Server 2016.
const oldestVersion = 13

// Check implements applier.Target.
func (t *target) Check(ctx context.Context, jobs []*pipelinev1.Job) *applierv1.CheckResponse {
	ctx, cancel := t.limited(ctx)
	defer cancel()
	response := &applierv1.CheckResponse{}
	conn, err := t.take(ctx)
	if err != nil {
		f := fault.Of(err)
		response.Fault, response.Problems = f.Class, []*pipelinev1.Problem{t.problem(f)}
		return response
	}
	defer t.give(conn)
	report := func(err error) *applierv1.CheckResponse {
		f := failed("reading the catalogue", err)
		response.Fault, response.Problems = f.Class, append(response.Problems, t.problem(f))
		return response
	}
	if err := t.checkServer(ctx, conn, response); err != nil {
		return report(err)
	}
	own := []ownTable{t.ownPositions()}
	if keepsIndex(jobs, t.name) {
		own = append(own, t.ownRows())
	}
	for _, o := range own {
		if err := t.checkOwn(ctx, conn, o, response); err != nil {
			return report(err)
		}
	}
	for _, job := range jobs {
		for i, output := range job.GetOutputs() {
			if output.GetConnection() != t.name || output.GetRelational() == nil {
				continue
			}
			if err := t.checkOutput(ctx, conn, job, i, response); err != nil {
				return report(err)
			}
		}
	}
	return response
}

// checkOutput compares one output with the catalogue.
func (t *target) checkOutput(ctx context.Context, conn *sql.Conn, job *pipelinev1.Job, i int, response *applierv1.CheckResponse) error {
	output := job.GetOutputs()[i]
	w := output.GetRelational()
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
		more, err := checkClosing(ctx, conn, table, w)
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
	p := &pipelinev1.Problem{
		Severity: pipelinev1.Severity_SEVERITY_ERROR, File: job.GetFile(), Path: f.path, Job: job.GetName(),
		Connection: connection, Message: f.message, Fix: f.fix,
	}
	if p.Path == "" {
		p.Path = output.GetPath()
	}
	if f.warning {
		p.Severity = pipelinev1.Severity_SEVERITY_WARNING
	}
	return p
}

// readUpdateability asks whether the database takes writes.
var readUpdateability = []string{`SELECT CAST(DATABASEPROPERTYEX(DB_NAME(), 'Updateability') AS nvarchar(60))`}

// checkServer reads what the server is, and whether it takes writes.
func (t *target) checkServer(ctx context.Context, conn *sql.Conn, response *applierv1.CheckResponse) error {
	f, err := t.facts(ctx, conn)
	if err != nil {
		return err
	}
	response.Server = f.version
	add := func(severity pipelinev1.Severity, message, fix string) {
		response.Problems = append(response.Problems, &pipelinev1.Problem{
			Severity: severity, Connection: t.name, Message: message, Fix: fix,
		})
	}
	if f.tooOld {
		add(pipelinev1.Severity_SEVERITY_ERROR,
			fmt.Sprintf("the server is %s; 2016 (%d) is the oldest this applier writes to", f.version, oldestVersion), "upgrade the server")
	}
	if !f.bulk && t.mayBulk { // G9
		add(pipelinev1.Severity_SEVERITY_WARNING,
			"bulk copy into temporary tables does not work here, so big batches are written with parameters, which is slower: "+f.noBulk,
			fmt.Sprintf("let user %s create temporary tables; or write bulk_copy: false below connect_args of connections.%s", t.user, t.name))
	}
	var mode sql.NullString
	if _, err := either(ctx, conn, func(scan func(...any) error) error { return scan(&mode) }, readUpdateability); err != nil {
		return err
	}
	if mode.String == "READ_ONLY" {
		add(pipelinev1.Severity_SEVERITY_ERROR, fmt.Sprintf("database %s is read-only here", t.database),
			fmt.Sprintf("connect to the primary replica, or ALTER DATABASE %s SET READ_WRITE;", quote(t.database)))
	}
	return nil
}

// ownTable is one of our own tables as Check looks at it.
type ownTable struct {
	what, setting        string
	schema, name, quoted string
	columns              []string
	create, ddl, grant   string
	deletes              bool
}

func (t *target) ownPositions() ownTable {
	p := &t.position
	return ownTable{
		what: "position table", setting: "applier.position_table", schema: p.schema, name: p.name, quoted: p.quoted,
		columns: []string{
			"source", "pipeline", "job", "connection", "layout", "shard", "partition", "incarnation", "last_id", "last_side_id",
			"epoch", "state", "owner", "updated_at",
		},
		create: p.create, ddl: t.positionDDL(), grant: t.positionGrant(),
	}
}

func (t *target) ownRows() ownTable {
	r := &t.rows
	return ownTable{
		what: "row index", setting: "applier.row_table", schema: r.schema, name: r.name, quoted: r.quoted,
		columns: []string{
			"pipeline", "job", "connection", "output", "row_hash", "owner_hash", "row_key", "redis_key", "last_ms", "last_seq", "before",
		},
		create: r.create, ddl: t.rowDDL(), grant: t.rowGrant(), deletes: true,
	}
}

// checkOwn tells whether one of our own tables can be used, or created.
func (t *target) checkOwn(ctx context.Context, conn *sql.Conn, o ownTable, response *applierv1.CheckResponse) error {
	add := func(fix, format string, args ...any) {
		response.Problems = append(response.Problems, &pipelinev1.Problem{
			Severity: pipelinev1.Severity_SEVERITY_ERROR, Connection: t.name, Message: fmt.Sprintf(format, args...), Fix: fix,
		})
	}
	f, err := t.facts(ctx, conn)
	if err != nil {
		return err
	}
	r, err := readRelation(ctx, conn, f, o.schema, o.name)
	if errors.Is(err, errNoRelation) {
		may, err := mayCreate(ctx, conn, o.schema)
		if err != nil {
			return err
		}
		if may {
			response.Plan = append(response.Plan, &applierv1.Statement{Text: o.create})
		} else {
			add(o.ddl, "the %s %s does not exist and user %s may not create it", o.what, o.quoted, t.user)
		}
		return nil
	}
	if err != nil {
		return err
	}
	if missing := r.lacks(o.columns); len(missing) > 0 {
		add("set "+o.setting+" to another name", "table %s is no %s: it has no %s", r.label(), o.what, strings.Join(missing, ", "))
		return nil
	}
	if g := r.grants; !g.selects || !g.inserts || !g.updates || o.deletes && !g.deletes {
		add(o.grant, "user %s may not read and write the %s %s", t.user, o.what, r.label())
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

// proto is the table as CheckResponse shows it.
func (r *relation) proto(job string, output uint32) *applierv1.Table {
	t := &applierv1.Table{Job: job, Output: output}
	for i := range r.columns {
		c := &r.columns[i]
		t.Columns = append(t.Columns, &applierv1.TableColumn{
			Name: c.name, Type: c.typ.shown(), Nullable: !c.notNull, HasDefault: c.hasDefault,
			Generated: c.computed || c.identity || c.always,
		})
	}
	return t
}
