package mysql

import (
	"context"
	"errors"
	"strings"

	"slipstream/proto/fault"
	applierv1 "slipstream/proto/slipstream/applier/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// Check implements applier.Target.
func (t *target) Check(ctx context.Context, jobs []*pipelinev1.Job) *applierv1.CheckResponse {
	ctx, cancel := t.limited(ctx)
	defer cancel()
	response := &applierv1.CheckResponse{}
	l, err := t.link(ctx)
	if err != nil {
		f := fault.Of(err)
		response.Fault, response.Problems = f.Class, []*pipelinev1.Problem{t.problem(f)}
		return response
	}
	defer l.release()
	if err := t.enter(ctx, l); err != nil {
		f := fault.Of(err)
		response.Fault, response.Problems = f.Class, []*pipelinev1.Problem{t.problem(f)}
		return response
	}
	report := func(err error) *applierv1.CheckResponse {
		f := failed("reading the catalogue", err)
		response.Fault, response.Problems = f.Class, append(response.Problems, t.problem(f))
		return response
	}
	if err := t.checkServer(ctx, l, response); err != nil {
		return report(err)
	}
	if err := t.checkPosition(ctx, l, response); err != nil {
		return report(err)
	}
	if keepsIndex(jobs, t.name) {
		if err := t.checkIndex(ctx, l, response); err != nil {
			return report(err)
		}
	}
	for _, job := range jobs {
		for i, output := range job.GetOutputs() {
			if output.GetConnection() != t.name || output.GetRelational() == nil {
				continue
			}
			findings, err := t.checkOutput(ctx, l, job, i, response)
			if err != nil {
				return report(err)
			}
			for _, f := range findings {
				response.Problems = append(response.Problems, f.problem(job, output, t.name))
			}
		}
	}
	return response
}

// checkOutput compares an output with the catalogue.
func (t *target) checkOutput(ctx context.Context, l *link, job *pipelinev1.Job, i int, response *applierv1.CheckResponse) ([]finding, error) {
	w := job.GetOutputs()[i].GetRelational()
	table, r, findings, err := t.bind(ctx, l, w)
	if err != nil {
		return nil, err
	}
	if r == nil && w.GetAutoCreate() {
		var text string
		if text, findings, err = t.checkCreate(ctx, l, w); err != nil {
			return nil, err
		}
		if text != "" {
			response.Plan = append(response.Plan, &applierv1.Statement{Job: job.GetName(), Output: uint32(i), Text: text})
		}
	}
	if table != nil {
		closing, err1 := l.checkClosing(ctx, table, w)
		grants, err2 := l.missingGrants(ctx, table)
		if err := errors.Join(err1, err2); err != nil {
			return nil, err
		}
		findings = append(append(findings, closing...), grants...)
	}
	if r != nil {
		response.Tables = append(response.Tables, r.proto(job.GetName(), uint32(i)))
	}
	return findings, nil
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

// adder adds errors about the connection to a response.
func (t *target) adder(response *applierv1.CheckResponse) func(fix, format string, args ...any) {
	return func(fix, format string, args ...any) {
		f := fault.Errorf(flowv1.FaultClass_FAULT_CLASS_SCHEMA, format, args...).WithFix(fix)
		response.Problems = append(response.Problems, t.problem(f))
	}
}

// checkServer tells what the server is, and whether it takes our writes.
func (t *target) checkServer(ctx context.Context, l *link, response *applierv1.CheckResponse) error {
	response.Server = l.server.product()
	add := t.adder(response)
	if oldest := l.server.tooOld(); oldest != "" {
		add("upgrade the server", "the server is %s; %s is the oldest this applier writes to", l.server.product(), oldest)
	}
	var readOnly, mode, log string
	err := l.query(ctx, "SELECT @@global.read_only, @@session.binlog_format, @@global.log_bin", func(v [][]byte) {
		readOnly, mode, log = string(v[0]), string(v[1]), string(v[2])
	})
	if err != nil {
		return err
	}
	if readOnly != "0" && !strings.EqualFold(readOnly, "OFF") && !strings.EqualFold(readOnly, "NO_LOCK") {
		exempt, err := l.texts(ctx, "SELECT PRIVILEGE_TYPE FROM information_schema.USER_PRIVILEGES"+
			" WHERE PRIVILEGE_TYPE IN ('SUPER', 'READ_ONLY ADMIN', 'READ ONLY ADMIN', 'CONNECTION_ADMIN')")
		if err != nil {
			return err
		}
		if len(exempt) == 0 {
			add("connect to the primary, or run there: SET GLOBAL read_only = OFF;", "the server is read-only")
		}
	}
	if log == "1" && strings.EqualFold(mode, "STATEMENT") {
		add("SET GLOBAL binlog_format = 'MIXED';", "binlog_format is STATEMENT, which cannot log transactions that are READ COMMITTED")
	}
	return nil
}

// positionColumns are what the statements on the position table use.
var positionColumns = []string{
	"source", "pipeline", "job", "connection", "layout", "shard", "partition", "incarnation", "last_id", "last_side_id",
	"epoch", "state", "owner", "updated_at",
}

// checkPosition tells whether the position table can be used, or created.
func (t *target) checkPosition(ctx context.Context, l *link, response *applierv1.CheckResponse) error {
	return t.checkOwn(ctx, l, response, own{
		schema: t.position.schema, name: t.position.name, what: "position table", setting: "applier.position_table",
		columns: positionColumns, create: t.position.create, ddl: t.positionDDL(l.server), grant: t.positionGrant(l.server),
		rights: []string{"SELECT", "INSERT", "UPDATE"},
	})
}

// own is a table that the applier keeps for itself.
type own struct {
	schema, name       string
	what, setting      string
	columns            []string
	create, ddl, grant string
	rights             []string
}

// checkOwn tells whether such a table can be used, or created.
func (t *target) checkOwn(ctx context.Context, l *link, response *applierv1.CheckResponse, o own) error {
	add := t.adder(response)
	quoted := t.qualified(o.schema, o.name)
	r, err := t.readRelation(ctx, l, o.schema, o.name)
	if errors.Is(err, errNoRelation) {
		may, err := l.mayCreate(ctx, quoted)
		if err != nil {
			return err
		}
		if may {
			response.Plan = append(response.Plan, &applierv1.Statement{Text: o.create})
		} else {
			add(o.ddl, "the %s %s does not exist and user %s may not create it", o.what, quoted, l.server.account)
		}
		return nil
	}
	if err != nil {
		return err
	}
	if missing := r.lacks(o.columns); len(missing) > 0 {
		add("set "+o.setting+" to another name", "table %s is not a %s: it has no %s", r.label(), o.what, strings.Join(missing, ", "))
		return nil
	}
	if f := r.unwritable(); f != nil {
		add(f.fix, "%s", f.message)
		return nil
	}
	may, err := l.mayUse(ctx, quoted, quote(o.columns[0]), o.rights...)
	if err != nil {
		return err
	}
	if !may {
		add(o.grant, "user %s may not read and write the %s %s", l.server.account, o.what, r.label())
	}
	return nil
}

// proto is the table as CheckResponse shows it.
func (r *relation) proto(job string, output uint32) *applierv1.Table {
	t := &applierv1.Table{Job: job, Output: output}
	for i := range r.columns {
		c := &r.columns[i]
		t.Columns = append(t.Columns, &applierv1.TableColumn{
			Name: c.name, Type: c.shown, Nullable: !c.notNull, HasDefault: c.hasDefault, Generated: c.generated || c.auto,
		})
	}
	return t
}
