package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5/pgxpool"

	"slipstream/applier"
	"slipstream/proto/fault"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// finding is something about an output that does not fit the catalogue.
type finding struct {
	path    string // of the column in the job's file; empty: the output as a whole
	message string
	fix     string
	grant   bool // the account lacks a grant, which a role it may take on could still have
}

// bound is what this dialect keeps with a table (applier.Table.Native).
type bound struct {
	relation   *relation
	columns    []int      // the relation's column of each column of the output
	names      []string   // quoted
	casts      [][]string // to the server's type, where its text travels
	arrays     []arrayType
	closes     closes   // of TYPE2
	needs      []string // grants
	statements sync.Map // by verb and columns: *sqlText
}

// Table implements applier.Target.
func (t *target) Table(ctx context.Context, o *pipelinev1.Output) (*applier.Table, error) {
	w := o.GetRelational()
	ctx, cancel := t.limited(ctx)
	defer cancel()
	conn, err := t.pool.Acquire(ctx)
	if err != nil {
		return nil, t.unreachable(err)
	}
	defer conn.Release()
	table, _, findings, err := t.bind(ctx, conn, w)
	if err != nil {
		return nil, failed(fmt.Sprintf("reading the catalogue for table %s", written(w)), err)
	}
	for _, f := range findings {
		if !f.grant {
			return nil, fault.Errorf(flowv1.FaultClass_FAULT_CLASS_SCHEMA, "%s", f.message).WithFix(f.fix)
		}
		if table == nil {
			return nil, fault.Errorf(flowv1.FaultClass_FAULT_CLASS_PERMISSION, "%s", f.message).WithFix(f.fix)
		}
	}
	return table, nil
}

// written is the table's name as the job writes it.
func written(w *pipelinev1.RelationalWrite) string {
	if w.GetSchema() == "" {
		return w.GetTable()
	}
	return w.GetSchema() + "." + w.GetTable()
}

// bind looks an output up in the catalogue. Where findings other than grants exist the table is nil; where the table does
// not exist the relation is.
func (t *target) bind(ctx context.Context, conn *pgxpool.Conn, w *pipelinev1.RelationalWrite) (*applier.Table, *relation, []finding, error) {
	r, err := readRelation(ctx, conn, w.GetSchema(), w.GetTable())
	if errors.Is(err, errNoRelation) {
		if f, err := t.hidden(ctx, conn, w.GetSchema(), w.GetTable()); f != nil || err != nil {
			return nil, nil, found(f), err
		}
		create, err := createTable(ctx, conn, w)
		return nil, nil, []finding{{
			message: fmt.Sprintf("table %s does not exist in database %s", written(w), t.database),
			fix:     create,
		}}, err
	}
	if err != nil {
		return nil, nil, nil, err
	}
	if kind, ok := notTables[r.kind]; ok {
		fix, err := r.nameBehind(ctx, conn)
		return nil, r, []finding{{
			message: fmt.Sprintf("%s is a %s; rows can only be written to a table", r.label(), kind),
			fix:     fix,
		}}, err
	}
	table := &applier.Table{Name: r.label()}
	native := &bound{relation: r, needs: needs(w)}
	var findings []finding
	for i, c := range w.GetColumns() {
		f, at := r.fit(w, c, native.columns)
		if f != nil {
			findings = append(findings, *f)
			continue
		}
		col := &r.columns[at]
		table.Columns = append(table.Columns, applier.TableColumn{
			Name: col.name, Type: col.typ.valueType(col.shown, col.name), Key: c.GetKey(),
			Unique: col.unique && !c.GetKey(), Nulls: col.nulls,
		})
		native.add(at)
		if c.GetKey() {
			table.Keys = append(table.Keys, i)
			if c.GetParent() {
				table.Parents = append(table.Parents, i)
			}
		}
	}
	if len(findings) == 0 {
		findings = r.checkKeys(table, w)
	}
	var wrong []finding
	native.closes, wrong = r.history(w)
	findings = append(findings, wrong...)
	complete := len(findings) == 0
	findings = append(findings, t.missingGrants(r, needs(w))...)
	if !complete {
		return nil, r, findings, nil
	}
	table.Native = native
	return table, r, findings, nil
}

// found is a list of what was found, if it was.
func found(f *finding) []finding {
	if f == nil {
		return nil
	}
	return []finding{*f}
}

// notTables are the kinds of relation that rows are not written to, with their names.
var notTables = map[string]string{"v": "view", "m": "materialized view", "f": "foreign table"}

// fit finds the column of an output's column, or says what is wrong with it.
func (r *relation) fit(w *pipelinev1.RelationalWrite, c *pipelinev1.OutputColumn, taken []int) (*finding, int) {
	at, ok := r.find(c.GetColumn())
	switch {
	case !ok:
		return &finding{
			path:    c.GetPath(),
			message: fmt.Sprintf("%s column does not exist in %s table; it has %s", c.GetColumn(), r.label(), r.columnNames()),
			fix:     fmt.Sprintf("ALTER TABLE %s ADD COLUMN %s %s;", r.quoted(), quote(c.GetColumn()), declaredType(c)),
		}, 0
	case slices.Contains(taken, at):
		return &finding{
			path:    c.GetPath(),
			message: fmt.Sprintf("column %s of table %s is written twice", r.columns[at].name, r.label()),
			fix:     "keep one of the two in keys and mapping",
		}, 0
	case r.columns[at].always && !w.GetAllowGenerated():
		return &finding{
			path:    c.GetPath(),
			message: fmt.Sprintf("column %s of table %s is numbered by the server", r.columns[at].name, r.label()),
			fix:     "leave it out of keys and mapping, or write allow_generated: true",
		}, 0
	case r.columns[at].always && !c.GetKey() && updates(w):
		return &finding{
			path: c.GetPath(),
			message: fmt.Sprintf("column %s of table %s is numbered by the server, which lets a number be inserted but never updated",
				r.columns[at].name, r.label()),
			fix: fmt.Sprintf("ALTER TABLE %s ALTER COLUMN %s SET GENERATED BY DEFAULT;", r.quoted(), quote(r.columns[at].name)),
		}, 0
	case r.columns[at].generated:
		return &finding{
			path:    c.GetPath(),
			message: fmt.Sprintf("column %s of table %s is computed by the server and takes no value", r.columns[at].name, r.label()),
			fix:     "leave it out of keys and mapping",
		}, 0
	}
	return nil, at
}

// checkKeys looks for the unique index that ON CONFLICT needs (spec 5.2).
func (r *relation) checkKeys(t *applier.Table, w *pipelinev1.RelationalWrite) []finding {
	if isAppend(w) {
		return nil
	}
	if len(t.Keys) == 0 {
		return []finding{{
			message: fmt.Sprintf("the output to table %s has no keys; rows are updated and deleted by them", r.label()),
			fix:     "list the columns of a unique index under keys",
		}}
	}
	var names []string
	for _, k := range t.Keys {
		names = append(names, t.Columns[k].Name)
	}
	if !updates(w) || r.hasUnique(names) {
		return nil
	}
	return []finding{{
		message: fmt.Sprintf("table %s has no unique index on exactly %s, which rows are found by",
			r.label(), strings.Join(names, ", ")),
		fix: r.createIndex(t),
	}}
}

// createIndex writes the index that ON CONFLICT needs.
func (r *relation) createIndex(t *applier.Table) string {
	var quoted []string
	for _, k := range t.Keys {
		quoted = append(quoted, quote(t.Columns[k].Name))
	}
	return fmt.Sprintf("CREATE UNIQUE INDEX ON %s (%s);", r.quoted(), strings.Join(quoted, ", "))
}

// missingGrants lists what the account may not do and has to.
func (t *target) missingGrants(r *relation, needed []string) []finding {
	granted := map[string]bool{
		"SELECT": r.grants.selects, "INSERT": r.grants.inserts, "UPDATE": r.grants.updates, "DELETE": r.grants.deletes,
	}
	var missing []string
	for _, word := range needed {
		if !granted[word] {
			missing = append(missing, word)
		}
	}
	var out []finding
	if !r.grants.usage {
		out = append(out, t.mayNotUse(r.schema))
	}
	if len(missing) > 0 {
		out = append(out, finding{
			grant:   true,
			message: fmt.Sprintf("user %s has no %s on table %s", t.user, strings.Join(missing, ", "), r.label()),
			fix:     t.grantText(r, needed),
		})
	}
	return out
}

func (t *target) grantText(r *relation, needed []string) string {
	return fmt.Sprintf("GRANT %s ON %s TO %s;", strings.Join(needed, ", "), r.quoted(), quote(t.user))
}

func (r *relation) columnNames() string {
	var names []string
	for i := range r.columns {
		names = append(names, r.columns[i].name)
	}
	return strings.Join(names, ", ")
}

// add takes a column of the relation into the output.
func (b *bound) add(at int) {
	c := &b.relation.columns[at]
	b.columns = append(b.columns, at)
	b.names = append(b.names, quote(c.name))
	array, cast := arrayOf(c.typ)
	b.arrays = append(b.arrays, array)
	b.casts = append(b.casts, cast)
}
