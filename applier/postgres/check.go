package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"slipstream/proto/fault"
	applierv1 "slipstream/proto/slipstream/applier/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

const oldestVersion = 12

// Check implements applier.Target.
func (t *target) Check(ctx context.Context, jobs []*pipelinev1.Job) *applierv1.CheckResponse {
	ctx, cancel := t.limited(ctx)
	defer cancel()
	response := &applierv1.CheckResponse{}
	conn, err := t.pool.Acquire(ctx)
	if err != nil {
		f := t.unreachable(err)
		response.Fault, response.Problems = f.Class, []*pipelinev1.Problem{t.problem(f)}
		return response
	}
	defer conn.Release()
	report := func(err error) *applierv1.CheckResponse {
		f := failed("reading the catalogue", err)
		response.Fault, response.Problems = f.Class, append(response.Problems, t.problem(f))
		return response
	}
	if err := t.checkServer(ctx, conn, response); err != nil {
		return report(err)
	}
	if err := t.checkPosition(ctx, conn, response); err != nil {
		return report(err)
	}
	if keepsIndex(jobs, t.name) {
		if err := t.checkIndex(ctx, conn, response); err != nil {
			return report(err)
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
				return report(err)
			}
			if r == nil && w.GetAutoCreate() {
				var text string
				if text, findings, err = t.checkCreate(ctx, conn, w); err != nil {
					return report(err)
				}
				if text != "" {
					response.Plan = append(response.Plan, &applierv1.Statement{Job: job.GetName(), Output: uint32(i), Text: text})
				}
			}
			if table != nil {
				more, err := checkClosing(ctx, conn, table, w)
				if err != nil {
					return report(err)
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
	return response
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

// checkServer reads what the server is, and whether it takes writes.
func (t *target) checkServer(ctx context.Context, q querier, response *applierv1.CheckResponse) error {
	var version string
	var number int
	var standby, readOnly bool
	err := q.QueryRow(ctx, `SELECT current_setting('server_version'), current_setting('server_version_num')::int,
  pg_is_in_recovery(), current_setting('default_transaction_read_only')::bool`).Scan(&version, &number, &standby, &readOnly)
	if err != nil {
		return err
	}
	response.Server = "PostgreSQL " + version
	add := func(message, fix string) {
		response.Problems = append(response.Problems, &pipelinev1.Problem{
			Severity: pipelinev1.Severity_SEVERITY_ERROR, Connection: t.name, Message: message, Fix: fix,
		})
	}
	if number/10000 < oldestVersion {
		add(fmt.Sprintf("the server is PostgreSQL %s; %d is the oldest this applier writes to", version, oldestVersion),
			"upgrade the server")
	}
	switch {
	case standby:
		add("the server is a standby and takes no writes", "connect to the primary")
	case readOnly:
		add(fmt.Sprintf("transactions of user %s in database %s are read-only", t.user, t.database),
			fmt.Sprintf("ALTER ROLE %s IN DATABASE %s SET default_transaction_read_only = off;", quote(t.user), quote(t.database)))
	}
	return nil
}

// positionColumns are what the statements on the position table use.
var positionColumns = []string{
	"source", "pipeline", "job", "connection", "layout", "shard", "partition", "incarnation", "last_id", "last_side_id",
	"epoch", "state", "owner", "updated_at",
}

// checkPosition tells whether the position table can be used, or created.
func (t *target) checkPosition(ctx context.Context, q querier, response *applierv1.CheckResponse) error {
	add := func(message, fix string) {
		response.Problems = append(response.Problems, &pipelinev1.Problem{
			Severity: pipelinev1.Severity_SEVERITY_ERROR, Connection: t.name, Message: message, Fix: fix,
		})
	}
	r, err := readRelation(ctx, q, t.position.schema, t.position.name)
	if errors.Is(err, errNoRelation) {
		if f, err := t.hidden(ctx, q, t.position.schema, t.position.name); f != nil || err != nil {
			if f != nil {
				add(f.message, f.fix)
			}
			return err
		}
		may, err := mayCreate(ctx, q, t.position.schema)
		if err != nil {
			return err
		}
		if may {
			response.Plan = append(response.Plan, &applierv1.Statement{Text: t.position.create})
		}
		if !may {
			add(fmt.Sprintf("the position table %s does not exist and user %s may not create it", t.position.quoted, t.user),
				t.positionDDL())
		}
		return nil
	}
	if err != nil {
		return err
	}
	if missing := r.lacks(positionColumns); len(missing) > 0 {
		add(fmt.Sprintf("table %s is not a position table: it has no %s", r.label(), strings.Join(missing, ", ")),
			"set applier.position_table to another name")
		return nil
	}
	if g := r.grants; !g.usage || !g.selects || !g.inserts || !g.updates {
		add(fmt.Sprintf("user %s may not read and write the position table %s", t.user, r.label()), t.positionGrant())
	}
	return nil
}

// proto is the table as CheckResponse shows it.
func (r *relation) proto(job string, output uint32) *applierv1.Table {
	t := &applierv1.Table{Job: job, Output: output}
	for i := range r.columns {
		c := &r.columns[i]
		t.Columns = append(t.Columns, &applierv1.TableColumn{
			Name: c.name, Type: c.shown, Nullable: !c.notNull, HasDefault: c.hasDefault, Generated: c.generated || c.identity,
		})
	}
	return t
}
