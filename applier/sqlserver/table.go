package sqlserver

import (
	"context"
	"database/sql"
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
	grant   bool // the account lacks a grant, which it may have by other ways than the catalogue knows
	warning bool
}

// bound is what this dialect keeps with a table (applier.Table.Native).
type bound struct {
	relation   *relation
	facts      *facts
	columns    []int    // the relation's column of each column of the output
	names      []string // quoted
	travels    []travel
	closes     closes   // of TYPE2
	needs      []string // grants
	statements sync.Map // by verb, columns, source and number of rows: *sqlText
}

// typ is the server's type of an output's column.
func (b *bound) typ(i int) *typeRow { return &b.relation.columns[b.columns[i]].typ }

// Table implements applier.Target.
func (t *target) Table(ctx context.Context, o *pipelinev1.Output) (*applier.Table, error) {
	w := o.GetRelational()
	ctx, cancel := t.limited(ctx)
	defer cancel()
	conn, err := t.take(ctx)
	if err != nil {
		return nil, err
	}
	defer t.give(conn)
	table, _, findings, err := t.bind(ctx, conn, w)
	if err != nil {
		return nil, failed(fmt.Sprintf("reading the catalogue for table %s", written(w)), err)
	}
	for _, f := range findings {
		if !f.grant && !f.warning {
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

// bind looks an output up in the catalogue. Where findings other than grants and warnings exist the table is nil; where
// the table does not exist the relation is.
func (t *target) bind(ctx context.Context, conn *sql.Conn, w *pipelinev1.RelationalWrite) (*applier.Table, *relation, []finding, error) {
	f, err := t.facts(ctx, conn)
	if err != nil {
		return nil, nil, nil, err
	}
	r, err := readRelation(ctx, conn, f, w.GetSchema(), w.GetTable())
	if errors.Is(err, errNoRelation) {
		create, err := createTable(ctx, conn, w)
		return nil, nil, []finding{{
			message: fmt.Sprintf("table %s does not exist in database %s, or user %s may not see it", written(w), t.database, t.user),
			fix:     create,
		}}, err
	}
	if err != nil {
		return nil, nil, nil, err
	}
	if r.view {
		return nil, r, []finding{{
			message: fmt.Sprintf("%s is a view; rows can only be written to a table", r.label()),
			fix:     "name the table behind it",
		}}, nil
	}
	table := &applier.Table{Name: r.label()}
	native := &bound{relation: r, facts: f, needs: needs(r, w)}
	var findings []finding
	for i, c := range w.GetColumns() {
		f, at := r.fit(w, c, native.columns)
		if f != nil {
			findings = append(findings, *f)
			continue
		}
		col := &r.columns[at]
		table.Columns = append(table.Columns, applier.TableColumn{
			Name: col.name, Type: col.typ.valueType(col.name), Key: c.GetKey(),
			Unique: !c.GetKey() && slices.ContainsFunc(r.unique, func(x index) bool { return slices.Contains(x.columns, col.name) }),
		})
		native.columns = append(native.columns, at)
		native.names = append(native.names, quote(col.name))
		native.travels = append(native.travels, col.typ.travels())
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
	findings = append(findings, r.warnings()...)
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
			fix:     fmt.Sprintf("ALTER TABLE %s ADD %s %s NULL;", r.quoted(), quote(c.GetColumn()), declaredType(c, 0)),
		}, 0
	}
	col := &r.columns[at]
	wrong := func(fix, format string, args ...any) (*finding, int) {
		return &finding{path: c.GetPath(), message: fmt.Sprintf(format, args...), fix: fix}, 0
	}
	switch {
	case slices.Contains(taken, at):
		return wrong("keep one of the two in keys and mapping", "column %s of table %s is written twice", col.name, r.label())
	case col.typ.name == "timestamp" || col.typ.name == "rowversion":
		return wrong("leave it out of keys and mapping",
			"column %s of table %s is a rowversion, which the server alone writes", col.name, r.label())
	case col.computed:
		return wrong("leave it out of keys and mapping",
			"column %s of table %s is computed by the server and takes no value", col.name, r.label())
	case col.always:
		return wrong("leave it out of keys and mapping",
			"column %s of table %s is filled in by the server and takes no value", col.name, r.label())
	case col.identity && !w.GetAllowGenerated():
		return wrong("leave it out of keys and mapping, or write allow_generated: true",
			"column %s of table %s is numbered by the server", col.name, r.label())
	case col.identity && !c.GetKey() && updates(w):
		return wrong("make it one of the keys, or leave it out of mapping",
			"column %s of table %s is numbered by the server, which lets a number be inserted but never updated", col.name, r.label())
	}
	return nil, at
}

// checkKeys looks for the unique index without which the upsert would lock and read the whole table (spec 5.2).
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
		message: fmt.Sprintf("table %s has no unique index on exactly %s, which rows are found by", r.label(), strings.Join(names, ", ")),
		fix:     r.createIndex(t),
	}}
}

// createIndex writes the index that an upsert needs.
func (r *relation) createIndex(t *applier.Table) string {
	var quoted []string
	name := "slipstream_" + r.name
	for _, k := range t.Keys {
		quoted = append(quoted, quote(t.Columns[k].Name))
		name += "_" + t.Columns[k].Name
	}
	const longest = 128
	if runes := []rune(name); len(runes) > longest {
		name = string(runes[:longest])
	}
	return fmt.Sprintf("CREATE UNIQUE INDEX %s ON %s (%s);", quote(name), r.quoted(), strings.Join(quoted, ", "))
}

// warnings are what is odd about a table and no error.
func (r *relation) warnings() []finding {
	var out []finding
	for _, x := range r.unique {
		if x.drops {
			out = append(out, finding{
				warning: true,
				message: fmt.Sprintf("index %s of table %s has IGNORE_DUP_KEY: rows that it has already vanish without an error", x.name, r.label()),
				fix:     fmt.Sprintf("ALTER INDEX %s ON %s SET (IGNORE_DUP_KEY = OFF);", quote(x.name), r.quoted()),
			})
		}
	}
	if r.instead {
		out = append(out, finding{
			warning: true,
			message: fmt.Sprintf("table %s has an INSTEAD OF trigger: what becomes of rows is up to it", r.label()),
			fix:     "see that it writes the rows, or disable it",
		})
	}
	return out
}

// missingGrants lists what the account may not do and has to.
func (t *target) missingGrants(r *relation, needed []string) []finding {
	granted := map[string]bool{
		"SELECT": r.grants.selects, "INSERT": r.grants.inserts, "UPDATE": r.grants.updates, "DELETE": r.grants.deletes,
		"ALTER": r.grants.alters,
	}
	var missing []string
	for _, word := range needed {
		if !granted[word] {
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
	return fmt.Sprintf("GRANT %s ON %s TO %s;", strings.Join(needed, ", "), r.quoted(), quote(t.user))
}
