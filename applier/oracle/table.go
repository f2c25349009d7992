package oracle

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

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
	columns    []int    // the relation's column of each column of the output
	names      []string // quoted
	forms      []form
	closes     closes   // of TYPE2
	needs      []string // grants
	statements sync.Map // by verb and columns: string
}

// bindTable binds an output to the catalogue.
func (t *target) bindTable(ctx context.Context, w *pipelinev1.RelationalWrite) (*applier.Table, error) {
	ctx, cancel := t.limited(ctx)
	defer cancel()
	table, _, findings, err := t.bind(ctx, t.db, w)
	if err != nil {
		return nil, t.failed(fmt.Sprintf("reading the catalogue for table %s", written(w)), err)
	}
	for _, f := range findings {
		if !f.grant {
			return nil, fault.Errorf(flowv1.FaultClass_FAULT_CLASS_SCHEMA, "%s", f.message).WithFix(f.fix)
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
func (t *target) bind(ctx context.Context, q querier, w *pipelinev1.RelationalWrite) (*applier.Table, *relation, []finding, error) {
	r, err := readRelation(ctx, q, w.GetSchema(), w.GetTable())
	if errors.Is(err, errNoRelation) {
		create, err := createTable(ctx, q, w)
		return nil, nil, []finding{{message: fmt.Sprintf("table %s does not exist, or user %s may not see it", written(w), t.user), fix: create}}, err
	}
	if err != nil {
		return nil, nil, nil, err
	}
	if r.kind != "TABLE" {
		return nil, r, []finding{{
			message: fmt.Sprintf("%s is a %s; rows can only be written to a table", r.label(), strings.ToLower(r.kind)),
			fix:     "name the table behind it",
		}}, nil
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
		typ, how, _ := col.typ.mapped(col.name)
		table.Columns = append(table.Columns, applier.TableColumn{
			Name: col.name, Type: typ, Key: c.GetKey(),
			Unique: !c.GetKey() && slices.ContainsFunc(r.unique, func(index []string) bool { return slices.Contains(index, col.name) }),
		})
		native.columns = append(native.columns, at)
		native.names = append(native.names, quote(col.name))
		native.forms = append(native.forms, how)
		if c.GetKey() {
			table.Keys = append(table.Keys, i)
			if c.GetParent() {
				table.Parents = append(table.Parents, i)
			}
		}
	}
	if len(findings) == 0 {
		findings = r.checkKeys(table, native, w)
	}
	var wrong []finding
	native.closes, wrong = r.history(w)
	findings = append(findings, wrong...)
	complete := len(findings) == 0
	findings = append(findings, t.missingGrants(r, native.needs)...)
	if !complete {
		return nil, r, findings, nil
	}
	table.Native = native
	return table, r, findings, nil
}

// fit finds the column of an output's column, or says what is wrong with it.
func (r *relation) fit(w *pipelinev1.RelationalWrite, c *pipelinev1.OutputColumn, taken []int) (*finding, int) {
	at, ok := r.find(c.GetColumn())
	if !ok {
		return &finding{
			path:    c.GetPath(),
			message: fmt.Sprintf("%s column does not exist in %s table; it has %s", c.GetColumn(), r.label(), r.columnNames()),
			fix:     fmt.Sprintf("ALTER TABLE %s ADD (%s %s);", r.quoted(), newName(c.GetColumn()), declaredType(c)),
		}, 0
	}
	col := &r.columns[at]
	switch _, _, known := col.typ.mapped(col.name); {
	case slices.Contains(taken, at):
		return &finding{
			path:    c.GetPath(),
			message: fmt.Sprintf("column %s of table %s is written twice", col.name, r.label()),
			fix:     "keep one of the two in keys and mapping",
		}, 0
	case !known:
		return &finding{
			path:    c.GetPath(),
			message: fmt.Sprintf("column %s of table %s has type %s, which this applier does not write", col.name, r.label(), col.typ.shown()),
			fix:     "leave it out of keys and mapping",
		}, 0
	case col.generated:
		return &finding{
			path:    c.GetPath(),
			message: fmt.Sprintf("column %s of table %s is computed by the server and takes no value", col.name, r.label()),
			fix:     "leave it out of keys and mapping",
		}, 0
	case col.always:
		// There is no way around it, as there is in other databases: ORA-32795.
		return &finding{
			path:    c.GetPath(),
			message: fmt.Sprintf("column %s of table %s is numbered by the server", col.name, r.label()),
			fix: fmt.Sprintf("leave it out of keys and mapping, or ALTER TABLE %s MODIFY (%s GENERATED BY DEFAULT AS IDENTITY);",
				r.quoted(), quote(col.name)),
		}, 0
	case col.identity && !w.GetAllowGenerated():
		return &finding{
			path:    c.GetPath(),
			message: fmt.Sprintf("column %s of table %s is numbered by the server where it is given no value", col.name, r.label()),
			fix:     "leave it out of keys and mapping, or write allow_generated: true",
		}, 0
	}
	return nil, at
}

// checkKeys looks for the unique index without which two lanes could insert one key twice, and for keys that cannot be
// compared.
func (r *relation) checkKeys(t *applier.Table, b *bound, w *pipelinev1.RelationalWrite) []finding {
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
		if b.forms[k].large {
			return []finding{{
				message: fmt.Sprintf("column %s of table %s has type %s, which cannot be compared: it is no key", t.Columns[k].Name, r.label(), t.Columns[k].Type.Name),
				fix:     "list other columns under keys",
			}}
		}
	}
	if !updates(w) || r.hasUnique(names) {
		return nil
	}
	return []finding{{
		message: fmt.Sprintf("table %s has no unique index on exactly %s, which rows are found by", r.label(), strings.Join(names, ", ")),
		fix:     r.createIndex(t),
	}}
}

// createIndex writes the constraint that an upsert needs.
func (r *relation) createIndex(t *applier.Table) string {
	var quoted []string
	for _, k := range t.Keys {
		quoted = append(quoted, quote(t.Columns[k].Name))
	}
	return fmt.Sprintf("ALTER TABLE %s ADD UNIQUE (%s);", r.quoted(), strings.Join(quoted, ", "))
}

// missingGrants lists what the account may not do and has to.
func (t *target) missingGrants(r *relation, needed []string) []finding {
	var missing []string
	for _, word := range needed {
		if !r.granted[word] {
			missing = append(missing, word)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return []finding{{
		grant:   true,
		message: fmt.Sprintf("user %s has no %s on table %s", t.user, strings.Join(missing, ", "), r.label()),
		fix:     t.grantText(r, needed),
	}}
}

func (t *target) grantText(r *relation, needed []string) string {
	return fmt.Sprintf("GRANT %s ON %s TO %s;", strings.Join(needed, ", "), r.quoted(), t.account())
}

func (r *relation) columnNames() string {
	var names []string
	for i := range r.columns {
		names = append(names, r.columns[i].name)
	}
	return strings.Join(names, ", ")
}

// Table implements applier.Target.
func (t *target) Table(ctx context.Context, o *pipelinev1.Output) (*applier.Table, error) {
	return t.bindTable(ctx, o.GetRelational())
}
