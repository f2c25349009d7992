package cassandra

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"slipstream/proto/fault"
	applierv1 "slipstream/proto/slipstream/applier/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

const oldestVersion = 3

// weaker is what validate says of every connection of this type (G9).
const weaker = "Cassandra has no transactions: rows are written at least once, each with a timestamp that keeps older values from coming back, and the position follows; rows of one batch become visible one by one"

// Check implements applier.Target.
func (t *target) Check(ctx context.Context, jobs []*pipelinev1.Job) *applierv1.CheckResponse {
	ctx, cancel := limited(ctx)
	defer cancel()
	response := &applierv1.CheckResponse{}
	report := func(err error) *applierv1.CheckResponse {
		f := t.failed("reading the catalogue", err)
		response.Fault, response.Problems = f.Class, append(response.Problems, t.problem(f))
		return response
	}
	if err := t.checkServer(ctx, response); err != nil {
		return report(err)
	}
	if err := t.checkOwn(ctx, response, jobs); err != nil {
		return report(err)
	}
	for _, job := range jobs {
		for i, output := range job.GetOutputs() {
			w := output.GetRelational()
			if output.GetConnection() != t.name || w == nil {
				continue
			}
			table, r, findings, err := t.bind(ctx, w)
			if err != nil {
				return report(err)
			}
			if r == nil && w.GetAutoCreate() && t.refused(w) == nil {
				if _, err := t.readRelation(ctx, t.keyspaceOf(w), w.GetTable()); !errors.Is(err, errNoKeyspace) {
					response.Plan = append(response.Plan, &applierv1.Statement{Job: job.GetName(), Output: uint32(i), Text: t.createTable(w)})
					findings = nil
				}
			}
			if table != nil {
				f, err := t.mayWrite(ctx, table.Native.(*bound))
				if err != nil {
					return report(err)
				}
				findings = append(findings, f...)
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

// mayWrite finds out whether the account may write to a table. It asks for an insert whose key is null, which no node
// carries out: one that forbids writing says so before it looks at the key, others say that the key is missing.
func (t *target) mayWrite(ctx context.Context, b *bound) ([]finding, error) {
	r := b.relation
	var names, marks []string
	var args []any
	for _, k := range r.primary() {
		names = append(names, quote(r.columns[k].name))
		marks = append(marks, "?")
		args = append(args, wire(nil))
	}
	text := fmt.Sprintf("INSERT INTO %s (%s) VALUES (%s)", r.quoted(), strings.Join(names, ", "), strings.Join(marks, ", "))
	err := t.cluster.run(ctx, own, []cql{{text, args}})
	switch {
	case err == nil, hasCode(err, codeInvalid):
		return nil, nil
	case hasCode(err, codeUnauthorized):
		return []finding{{
			message: fmt.Sprintf("user %s may not write to table %s", t.user, r.label()), fix: t.grant(r.keyspace, r.name),
		}}, nil
	}
	return nil, err
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

// checkServer reads what the cluster is.
func (t *target) checkServer(ctx context.Context, response *applierv1.CheckResponse) error {
	rows, err := t.cluster.rows(ctx, catalogue, cql{text: readServer})
	if err != nil {
		return err
	}
	if len(rows) == 0 {
		return errors.New("the node does not say what it is")
	}
	version := string(rows[0][0])
	response.Server = "Cassandra " + version
	response.Problems = append(response.Problems, &pipelinev1.Problem{
		Severity: pipelinev1.Severity_SEVERITY_WARNING, Connection: t.name, Message: weaker,
		Fix: "nothing, if that is enough; a relational database gives more",
	})
	major, _, _ := strings.Cut(version, ".")
	if n, err := strconv.Atoi(major); err == nil && n < oldestVersion {
		response.Problems = append(response.Problems, &pipelinev1.Problem{
			Severity: pipelinev1.Severity_SEVERITY_ERROR, Connection: t.name, Fix: "upgrade the cluster",
			Message: fmt.Sprintf("the cluster runs Cassandra %s; %d.0 is the oldest this applier writes to", version, oldestVersion),
		})
	}
	return nil
}

// checkOwn tells whether the tables of our own can be used, or are to be created.
func (t *target) checkOwn(ctx context.Context, response *applierv1.CheckResponse, jobs []*pipelinev1.Job) error {
	own := []ownTable{{t.position.keyspace, t.position.name, positionColumns, "a position table", "applier.position_table", t.position.create}}
	if keepsIndex(jobs, t.name) {
		own = append(own,
			ownTable{t.rows.keyspace, t.rows.name, rowColumns, "a row index", "applier.row_table", t.rows.create[0]},
			ownTable{t.rows.keyspace, t.rows.owner, ownerColumns, "a row index", "applier.row_table", t.rows.create[1]})
	}
	for _, o := range own {
		if err := t.placed(o.keyspace); err != nil {
			response.Problems = append(response.Problems, t.problem(fault.Of(err)))
			return nil
		}
		r, err := t.readRelation(ctx, o.keyspace, o.name)
		switch {
		case errors.Is(err, errNoKeyspace):
			response.Problems = append(response.Problems, t.problem(t.noKeyspace(o.keyspace)))
			return nil
		case errors.Is(err, errNoRelation):
			response.Plan = append(response.Plan, &applierv1.Statement{Text: o.create})
			continue
		case err != nil:
			return err
		}
		if err := t.checkColumns(r, o.columns, o.what, o.setting, o.create); err != nil {
			response.Problems = append(response.Problems, t.problem(fault.Of(err)))
			continue
		}
		findings, err := t.mayWrite(ctx, &bound{relation: r})
		if err != nil {
			return err
		}
		for _, f := range findings {
			response.Problems = append(response.Problems, &pipelinev1.Problem{
				Severity: pipelinev1.Severity_SEVERITY_ERROR, Connection: t.name, Message: f.message, Fix: f.fix,
			})
		}
	}
	return nil
}

// ownTable is a table of our own, with what is said of it.
type ownTable struct {
	keyspace, name string
	columns        []string
	what, setting  string
	create         string
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
			Name: c.name, Type: c.shown, Nullable: c.kind == "regular" || c.static,
			Generated: c.typ == nil || c.typ.name == counter, // not to be written to
		})
	}
	return t
}
