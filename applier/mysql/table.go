package mysql

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
	denied  bool // the account lacks a right
}

// bound is what this dialect keeps with a table (applier.Table.Native).
type bound struct {
	relation   *relation
	server     *server
	columns    []int    // the relation's column of each column of the output
	names      []string // quoted
	spellers   []speller
	closes     closes   // of TYPE2
	needs      []string // grants
	updates    bool     // rows by their keys
	index      string   // the unique index of the keys; empty where none is needed
	statements sync.Map // by verb and columns: []*template
}

// Table implements applier.Target.
func (t *target) Table(ctx context.Context, o *pipelinev1.Output) (*applier.Table, error) {
	w := o.GetRelational()
	ctx, cancel := t.limited(ctx)
	defer cancel()
	l, err := t.link(ctx)
	if err != nil {
		return nil, err
	}
	defer l.release()
	table, _, findings, err := t.bind(ctx, l, w)
	if err != nil {
		return nil, failed(fmt.Sprintf("reading the catalogue for table %s", written(w)), err)
	}
	if len(findings) > 0 {
		return nil, findings[0].fault()
	}
	return table, nil
}

// fault is the finding at run time.
func (f finding) fault() *fault.Error {
	class := flowv1.FaultClass_FAULT_CLASS_SCHEMA
	if f.denied {
		class = flowv1.FaultClass_FAULT_CLASS_PERMISSION
	}
	return fault.Errorf(class, "%s", f.message).WithFix(f.fix)
}

// written is the table's name as the job writes it.
func written(w *pipelinev1.RelationalWrite) string {
	if w.GetSchema() == "" {
		return w.GetTable()
	}
	return w.GetSchema() + "." + w.GetTable()
}

// bind looks an output up in the catalogue. Where findings exist the table is nil; where the table does not exist the
// relation is. Grants are not looked at: at run time a statement that lacks one says so.
func (t *target) bind(ctx context.Context, l *link, w *pipelinev1.RelationalWrite) (*applier.Table, *relation, []finding, error) {
	r, err := t.readRelation(ctx, l, w.GetSchema(), w.GetTable())
	if errors.Is(err, errNoRelation) {
		f, err := t.missing(ctx, l, w)
		return nil, nil, []finding{f}, err
	}
	if err != nil {
		return nil, nil, nil, err
	}
	if f := r.unwritable(); f != nil {
		if f.fix == nameTable {
			if f.fix, err = l.nameBehind(ctx, r); err != nil {
				return nil, nil, nil, err
			}
		}
		return nil, r, []finding{*f}, nil
	}
	table := &applier.Table{Name: r.label()}
	b := &bound{relation: r, server: l.server, needs: needs(w), updates: updates(w)}
	var findings []finding
	for i, c := range w.GetColumns() {
		f, at := r.fit(w, c, b.columns)
		if f != nil {
			findings = append(findings, *f)
			continue
		}
		col := &r.columns[at]
		typ := col.valueType()
		table.Columns = append(table.Columns, applier.TableColumn{
			Name: col.name, Type: typ, Key: c.GetKey(), Unique: col.unique && !c.GetKey(), Nulls: !col.notNull && !col.referred,
		})
		b.columns = append(b.columns, at)
		b.names = append(b.names, quote(col.name))
		b.spellers = append(b.spellers, col.speller(typ, l.server))
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
	b.closes, wrong = r.history(w)
	if findings = append(findings, wrong...); len(findings) > 0 {
		return nil, r, findings, nil
	}
	b.index = r.keyIndex(table, w)
	table.Native = b
	return table, r, nil, nil
}

// missing says that the table of an output is not there, or that the account is not shown it.
func (t *target) missing(ctx context.Context, l *link, w *pipelinev1.RelationalWrite) (finding, error) {
	if err := t.enter(ctx, l); err != nil {
		return finding{}, err
	}
	denied, err := l.denies(ctx, "SELECT 1 FROM "+t.qualified(w.GetSchema(), w.GetTable()))
	if err != nil {
		return finding{}, err
	}
	if denied {
		return finding{
			message: fmt.Sprintf("user %s has no right on table %s, if there is one", l.server.account, written(w)),
			fix:     grant(needs(w), t.qualified(w.GetSchema(), w.GetTable()), l.server.account),
			denied:  true,
		}, nil
	}
	create, err := t.createTable(ctx, l, w)
	return finding{message: fmt.Sprintf("table %s does not exist in database %s", w.GetTable(), t.schemaOf(w)), fix: create}, err
}

// schemaOf is the database of an output.
func (t *target) schemaOf(w *pipelinev1.RelationalWrite) string {
	if w.GetSchema() == "" {
		return t.database
	}
	return w.GetSchema()
}

// qualified is a table as SQL, with its database.
func (t *target) qualified(schema, table string) string {
	if schema == "" {
		schema = t.database
	}
	return quote(schema) + "." + quote(table)
}

// unwritable says why nothing can be written to what has the table's name, or nothing that a rollback undoes.
func (r *relation) unwritable() *finding {
	switch {
	case strings.Contains(r.kind, "VIEW"):
		return &finding{
			message: fmt.Sprintf("%s is a view; rows can only be written to a table", r.label()),
			fix:     nameTable,
		}
	case r.kind == "SEQUENCE":
		return &finding{
			message: fmt.Sprintf("%s is a sequence; rows can only be written to a table", r.label()),
			fix:     "name a table",
		}
	case !strings.EqualFold(r.engine, "InnoDB"):
		return &finding{
			message: fmt.Sprintf("table %s is kept by %s, which has no transactions: rows and position must commit together", r.label(), r.engine),
			fix:     fmt.Sprintf("ALTER TABLE %s ENGINE=InnoDB;", r.quoted()),
		}
	}
	return nil
}

// fit finds the column of an output's column, or says what is wrong with it.
func (r *relation) fit(w *pipelinev1.RelationalWrite, c *pipelinev1.OutputColumn, taken []int) (*finding, int) {
	at, ok := r.find(c.GetColumn())
	switch {
	case !ok:
		return &finding{
			path:    c.GetPath(),
			message: fmt.Sprintf("%s column does not exist in %s table; it has %s", c.GetColumn(), r.label(), r.columnNames()),
			fix:     fmt.Sprintf("ALTER TABLE %s ADD COLUMN %s %s;", r.quoted(), quote(c.GetColumn()), declaredType(c, false)),
		}, 0
	case slices.Contains(taken, at):
		return &finding{
			path:    c.GetPath(),
			message: fmt.Sprintf("column %s of table %s is written twice", r.columns[at].name, r.label()),
			fix:     "keep one of the two in keys and mapping",
		}, 0
	case r.columns[at].auto && !c.GetKey() && !w.GetAllowGenerated():
		return &finding{
			path:    c.GetPath(),
			message: fmt.Sprintf("column %s of table %s is numbered by the server", r.columns[at].name, r.label()),
			fix:     "leave it out of mapping, or write allow_generated: true",
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

// checkKeys looks for the unique index that an upsert finds rows by (spec 5.2).
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
	var names, quoted []string
	for _, k := range t.Keys {
		names = append(names, t.Columns[k].Name)
		quoted = append(quoted, quote(t.Columns[k].Name))
	}
	if !updates(w) || r.uniqueOn(names) >= 0 {
		return nil
	}
	return []finding{{
		message: fmt.Sprintf("table %s has no unique index on exactly %s, which rows are found by", r.label(), strings.Join(names, ", ")),
		fix:     fmt.Sprintf("CREATE UNIQUE INDEX %s ON %s (%s);", quote(indexName(r.name)), r.quoted(), strings.Join(quoted, ", ")),
	}}
}

// keyIndex is the name of the unique index that an upsert finds rows by.
func (r *relation) keyIndex(t *applier.Table, w *pipelinev1.RelationalWrite) string {
	if !updates(w) {
		return ""
	}
	var names []string
	for _, k := range t.Keys {
		names = append(names, t.Columns[k].Name)
	}
	return r.unique[r.uniqueOn(names)].name
}

// indexName names an index of ours on a table; names end at 64 characters.
func indexName(table string) string {
	const most = 64 - len("_slipstream")
	if r := []rune(table); len(r) > most {
		table = string(r[:most])
	}
	return table + "_slipstream"
}

func (r *relation) columnNames() string {
	var names []string
	for i := range r.columns {
		names = append(names, r.columns[i].name)
	}
	return strings.Join(names, ", ")
}
