package sqlite

import (
	"context"
	"database/sql/driver"
	"fmt"
	"strings"

	"slipstream/proto/fault"
	applierv1 "slipstream/proto/slipstream/applier/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// Check compares the outputs of jobs with the file.
func (t *target) Check(ctx context.Context, jobs []*pipelinev1.Job) *applierv1.CheckResponse {
	out := &applierv1.CheckResponse{}
	for _, key := range t.options.unknown {
		t.problem(out, pipelinev1.Severity_SEVERITY_WARNING, fmt.Sprintf("%s means nothing to SQLite", key), "remove it")
	}
	if t.creates(jobs) { // the file comes with its tables
		for _, job := range jobs {
			for i, o := range job.GetOutputs() {
				if o.GetConnection() == t.name {
					out.Plan = append(out.Plan, &applierv1.Statement{Job: job.GetName(), Output: uint32(i), Text: createTable(o.GetRelational())})
				}
			}
		}
		return out
	}
	if err := t.reader.take(ctx); err != nil {
		fix := fault.Of(err).Fix
		if tables := t.schema(jobs); tables != "" {
			fix += "\n" + tables
		}
		t.problem(out, pipelinev1.Severity_SEVERITY_ERROR, err.Error(), fix)
		return out
	}
	defer t.reader.give()
	err := t.reader.query(ctx, func(v []driver.Value) error {
		out.Server = "SQLite " + text(v[0])
		return nil
	}, "SELECT sqlite_version()")
	if err == nil {
		err = t.writable(ctx)
	}
	if err != nil {
		t.problem(out, pipelinev1.Severity_SEVERITY_ERROR, err.Error(), fault.Of(err).Fix)
	}
	if out.Plan, err = t.own(ctx, jobs); err != nil {
		t.problem(out, pipelinev1.Severity_SEVERITY_ERROR, err.Error(), fault.Of(err).Fix)
	}
	for _, job := range jobs {
		for i, o := range job.GetOutputs() {
			if o.GetConnection() == t.name && o.GetRelational() != nil {
				t.checkOutput(ctx, out, job, i)
			}
		}
	}
	return out
}

// writable tries for the right to write, and gives it back. A file that somebody else writes to is one that can be.
func (t *target) writable(ctx context.Context) error {
	if err := t.reader.exec(ctx, "BEGIN IMMEDIATE"); err != nil {
		if classOf(code(err)) == classOf(codeBusy) {
			return nil
		}
		return err
	}
	return t.reader.exec(ctx, "ROLLBACK")
}

func (t *target) checkOutput(ctx context.Context, out *applierv1.CheckResponse, job *pipelinev1.Job, index int) {
	o := job.GetOutputs()[index]
	d, err := t.reader.describe(ctx, o.GetRelational().GetTable())
	if err != nil {
		t.problem(out, pipelinev1.Severity_SEVERITY_ERROR, err.Error(), fault.Of(err).Fix)
		return
	}
	if !d.exists && o.GetRelational().GetAutoCreate() {
		out.Plan = append(out.Plan, &applierv1.Statement{Job: job.GetName(), Output: uint32(index), Text: createTable(o.GetRelational())})
		return
	}
	for _, f := range d.compare(o.GetRelational()) {
		p := &pipelinev1.Problem{
			Severity: f.severity, Job: job.GetName(), Connection: t.name, Path: f.path, Message: f.message, Fix: f.fix,
		}
		if p.Path == "" {
			p.Path = o.GetPath()
		}
		out.Problems = append(out.Problems, p)
	}
	if !d.exists {
		return
	}
	table := &applierv1.Table{Job: job.GetName(), Output: uint32(index)}
	for _, c := range d.columns {
		table.Columns = append(table.Columns, &applierv1.TableColumn{
			Name: c.name, Type: c.declared, Nullable: c.nullable, HasDefault: c.hasDefault, Generated: c.generated,
		})
	}
	out.Tables = append(out.Tables, table)
}

// problem adds a finding about the connection as a whole.
func (t *target) problem(out *applierv1.CheckResponse, severity pipelinev1.Severity, message, fix string) {
	out.Problems = append(out.Problems, &pipelinev1.Problem{
		Severity: severity, Connection: t.name, Message: fmt.Sprintf("connection %q: %s", t.name, message), Fix: fix,
	})
}

// schema is the DDL of all tables the jobs write to on this connection, for a file that has yet to be made.
func (t *target) schema(jobs []*pipelinev1.Job) string {
	var tables []string
	for _, job := range jobs {
		for _, o := range job.GetOutputs() {
			if o.GetConnection() == t.name && len(keyNames(o.GetRelational())) > 0 {
				tables = append(tables, createTable(o.GetRelational()))
			}
		}
	}
	return strings.Join(tables, "\n")
}
