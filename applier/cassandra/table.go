package cassandra

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

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
}

// bound is what this dialect keeps with a table (applier.Table.Native).
type bound struct {
	relation *relation
	columns  []int // the relation's column of each column of the output
	texts    texted
	complete bool // the output writes every column that is no key
	statics  bool // all that it writes besides keys are static columns
}

// texted are the statements on a table.
type texted struct {
	update, insert, remove string
	sweep                  string // all rows of a parent
	list                   string // the keys of all rows of a parent
	parent                 []int  // the columns that the two above compare
}

// bindTable is Table without the context's bound.
func (t *target) bindTable(ctx context.Context, w *pipelinev1.RelationalWrite, skipNulls bool) (*applier.Table, error) {
	table, _, findings, err := t.bind(ctx, w)
	if err != nil {
		return nil, t.failed("reading the catalogue for table "+written(w), err)
	}
	for _, f := range findings {
		return nil, fault.Errorf(flowv1.FaultClass_FAULT_CLASS_SCHEMA, "%s", f.message).WithFix(f.fix)
	}
	table.SkipNulls = skipNulls
	return table, nil
}

// written is the table's name as the job writes it.
func written(w *pipelinev1.RelationalWrite) string {
	if w.GetSchema() == "" {
		return w.GetTable()
	}
	return w.GetSchema() + "." + w.GetTable()
}

// keyspaceOf is the keyspace of an output.
func (t *target) keyspaceOf(w *pipelinev1.RelationalWrite) string {
	if w.GetSchema() == "" {
		return t.keyspace
	}
	return w.GetSchema()
}

// bind looks an output up in the catalogue. Where findings exist the table is nil; where the table does not exist the
// relation is.
func (t *target) bind(ctx context.Context, w *pipelinev1.RelationalWrite) (*applier.Table, *relation, []finding, error) {
	if f := t.refused(w); f != nil {
		return nil, nil, []finding{*f}, nil
	}
	r, err := t.readRelation(ctx, t.keyspaceOf(w), w.GetTable())
	switch {
	case errors.Is(err, errNoKeyspace):
		return nil, nil, []finding{{
			message: fmt.Sprintf("keyspace %s does not exist", t.keyspaceOf(w)),
			fix: fmt.Sprintf("CREATE KEYSPACE %s WITH replication = {'class': 'NetworkTopologyStrategy', '<data center>': 3};",
				quote(t.keyspaceOf(w))),
		}}, nil
	case errors.Is(err, errNoRelation):
		return nil, nil, []finding{{
			message: fmt.Sprintf("table %s does not exist", written(w)),
			fix:     t.createTable(w),
		}}, nil
	case err != nil:
		return nil, nil, nil, err
	case r.view:
		return nil, r, []finding{{
			message: fmt.Sprintf("%s is a materialized view; rows can only be written to a table", r.label()),
			fix:     "name the table behind it",
		}}, nil
	}
	table := &applier.Table{Name: r.label()}
	native := &bound{relation: r}
	var findings []finding
	for i, c := range w.GetColumns() {
		f, at := r.fit(c, native.columns)
		if f != nil {
			findings = append(findings, *f)
			continue
		}
		col := &r.columns[at]
		table.Columns = append(table.Columns, applier.TableColumn{
			Name: col.name, Type: col.typ.valueType(col.name), Key: c.GetKey(),
		})
		native.columns = append(native.columns, at)
		if c.GetKey() {
			table.Keys = append(table.Keys, i)
			if c.GetParent() {
				table.Parents = append(table.Parents, i)
			}
		}
	}
	if len(findings) == 0 {
		findings = native.checkKeys(table, w)
	}
	if len(findings) > 0 {
		return nil, r, findings, nil
	}
	native.prepare(table)
	table.Native = native
	return table, r, nil, nil
}

// refused says what of an output cannot be done here, whatever the catalogue says.
func (t *target) refused(w *pipelinev1.RelationalWrite) *finding {
	switch w.GetLoadStrategy() {
	case pipelinev1.LoadStrategy_LOAD_STRATEGY_APPEND, pipelinev1.LoadStrategy_LOAD_STRATEGY_TYPE2:
		return &finding{
			message: "a history cannot be kept in Cassandra: rows and position do not commit together, so an entry could be written twice",
			fix:     "remove load_strategy, or write the history to a relational database",
		}
	}
	if t.keyspaceOf(w) == "" {
		return &finding{message: "the output names no keyspace, and neither does its connection", fix: "write keyspace: <keyspace>"}
	}
	return nil
}

// fit finds the column of an output's column, or says what is wrong with it.
func (r *relation) fit(c *pipelinev1.OutputColumn, taken []int) (*finding, int) {
	at, ok := r.find(c.GetColumn())
	switch {
	case !ok:
		return &finding{
			path:    c.GetPath(),
			message: fmt.Sprintf("%s column does not exist in %s table; it has %s", c.GetColumn(), r.label(), strings.Join(r.columnNames(), ", ")),
			fix:     fmt.Sprintf("ALTER TABLE %s ADD %s %s;", r.quoted(), quote(c.GetColumn()), declaredType(c)),
		}, 0
	case slices.Contains(taken, at):
		return &finding{
			path:    c.GetPath(),
			message: fmt.Sprintf("column %s of table %s is written twice", r.columns[at].name, r.label()),
			fix:     "keep one of the two in keys and mapping",
		}, 0
	case r.columns[at].typ != nil && r.columns[at].typ.name == counter:
		return &finding{
			path: c.GetPath(),
			message: fmt.Sprintf("column %s of table %s is a counter, which can be added to and never set: a write that is done twice would count twice",
				r.columns[at].name, r.label()),
			fix: "leave it out of mapping, or keep the number in a bigint column",
		}, 0
	case r.columns[at].typ == nil:
		return &finding{
			path:    c.GetPath(),
			message: fmt.Sprintf("column %s of table %s has type %s, which this applier does not write", r.columns[at].name, r.label(), r.columns[at].shown),
			fix:     "leave it out of mapping",
		}, 0
	}
	return nil, at
}

// checkKeys demands that keys are the primary key (spec 5.4), and that the parent of a foreach can be looked for.
func (b *bound) checkKeys(t *applier.Table, w *pipelinev1.RelationalWrite) []finding {
	r := b.relation
	var keys []int
	for _, k := range t.Keys {
		keys = append(keys, b.columns[k])
	}
	if primary := r.primary(); len(keys) != len(primary) || !subset(primary, keys) {
		return []finding{{
			message: fmt.Sprintf("keys of the output are %s, and the primary key of table %s is %s; it takes all of them to write a row",
				orNone(r.named(keys)), r.label(), r.named(primary)),
			fix: fmt.Sprintf("write keys: [%s]", r.named(primary)),
		}}
	}
	if !w.GetForeach().GetSync() || len(t.Parents) == 0 {
		return nil
	}
	var parents []int
	for _, p := range t.Parents {
		parents = append(parents, b.columns[p])
	}
	if slices.ContainsFunc(r.partition, func(c int) bool { return !slices.Contains(parents, c) }) ||
		!subset(parents, r.primary()[:len(parents)]) {
		return []finding{{
			message: fmt.Sprintf("the rows of a parent of foreach cannot be found by %s: the primary key of table %s has to begin with them",
				r.named(parents), r.label()),
			fix: "make a table whose partition key is the parent's columns and whose clustering columns are the element's, or write foreach_sync: none",
		}}
	}
	return nil
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

// subset tells whether every member of a is one of b.
func subset(a, b []int) bool {
	return !slices.ContainsFunc(a, func(x int) bool { return !slices.Contains(b, x) })
}

// named lists columns.
func (r *relation) named(columns []int) string {
	var names []string
	for _, c := range columns {
		names = append(names, r.columns[c].name)
	}
	return strings.Join(names, ", ")
}

func (r *relation) columnNames() []string {
	var names []string
	for i := range r.columns {
		names = append(names, r.columns[i].name)
	}
	return names
}

// prepare makes the statements. There is one of each kind whatever the columns of a write: what a row does not touch is
// sent as unset. The write timestamp is a value of each.
func (b *bound) prepare(t *applier.Table) {
	r := b.relation
	var keys, sets, all, marks []string
	b.statics = true
	for i, at := range b.columns {
		name := quote(r.columns[at].name)
		all = append(all, name)
		marks = append(marks, "?")
		if t.Columns[i].Key {
			keys = append(keys, name+" = ?")
			continue
		}
		sets = append(sets, name+" = ?")
		b.statics = b.statics && r.columns[at].static
	}
	b.complete = len(b.columns) == len(r.columns)
	if len(sets) > 0 {
		b.texts.update = fmt.Sprintf("UPDATE %s USING TIMESTAMP ? SET %s WHERE %s", r.quoted(), strings.Join(sets, ", "), strings.Join(keys, " AND "))
	}
	b.texts.insert = fmt.Sprintf("INSERT INTO %s (%s) VALUES (%s) USING TIMESTAMP ?", r.quoted(), strings.Join(all, ", "), strings.Join(marks, ", "))
	b.texts.remove = fmt.Sprintf("DELETE FROM %s USING TIMESTAMP ? WHERE %s", r.quoted(), strings.Join(keys, " AND "))
	if len(t.Parents) == 0 {
		return
	}
	var parent, names []string
	for _, p := range t.Parents {
		parent = append(parent, quote(r.columns[b.columns[p]].name)+" = ?")
	}
	for _, k := range t.Keys {
		names = append(names, quote(r.columns[b.columns[k]].name))
	}
	b.texts.parent = t.Parents
	b.texts.sweep = fmt.Sprintf("DELETE FROM %s USING TIMESTAMP ? WHERE %s", r.quoted(), strings.Join(parent, " AND "))
	b.texts.list = fmt.Sprintf("SELECT %s FROM %s WHERE %s", strings.Join(names, ", "), r.quoted(), strings.Join(parent, " AND "))
}

// Table implements applier.Target.
func (t *target) Table(ctx context.Context, o *pipelinev1.Output) (*applier.Table, error) {
	ctx, cancel := limited(ctx)
	defer cancel()
	return t.bindTable(ctx, o.GetRelational(), o.GetCassandra().GetSkipNulls())
}
