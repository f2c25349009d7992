package sqlserver

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"slipstream/applier"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// mirrors tells whether an output keeps one row a key, as all do but those of APPEND and TYPE2 (spec 5.2).
func mirrors(w *pipelinev1.RelationalWrite) bool { return !isAppend(w) && !isType2(w) }

func isAppend(w *pipelinev1.RelationalWrite) bool {
	return w.GetLoadStrategy() == pipelinev1.LoadStrategy_LOAD_STRATEGY_APPEND
}

func isType2(w *pipelinev1.RelationalWrite) bool {
	return w.GetLoadStrategy() == pipelinev1.LoadStrategy_LOAD_STRATEGY_TYPE2
}

// updates tells whether an output updates rows: REPLACE deletes and inserts.
func updates(w *pipelinev1.RelationalWrite) bool {
	return mirrors(w) && w.GetLoadStrategy() != pipelinev1.LoadStrategy_LOAD_STRATEGY_REPLACE
}

// needs are the grants that an output needs on its table. IDENTITY_INSERT takes ALTER.
func needs(r *relation, w *pipelinev1.RelationalWrite) []string {
	var grants []string
	switch {
	case isAppend(w):
		grants = []string{"INSERT"}
	case isType2(w):
		grants = []string{"SELECT", "INSERT", "UPDATE"}
	default:
		grants = []string{"SELECT", "INSERT", "UPDATE", "DELETE"}
	}
	for _, c := range w.GetColumns() {
		if at, ok := r.find(c.GetColumn()); ok && r.columns[at].identity {
			return append(grants, "ALTER")
		}
	}
	return grants
}

// closes is what TYPE2 sets to close a row, and which rows are active: SQL of the user, as written. A line ends behind
// it, in case that it ends with a comment.
type closes struct {
	sets, active string
	values       []string // the expressions alone
}

// closed is the column that a mapping sets: named like its source where it has no name of its own.
func closed(m *pipelinev1.InactiveRecordMapping) string {
	if m.GetTarget() != "" {
		return m.GetTarget()
	}
	return m.GetSource()
}

// history looks up what TYPE2 sets.
func (r *relation) history(w *pipelinev1.RelationalWrite) (closes, []finding) {
	var c closes
	if !isType2(w) {
		return c, nil
	}
	if len(w.GetInactiveRecordMapping()) == 0 {
		return c, []finding{{
			message: "load_strategy TYPE2 closes rows, and nothing says how",
			fix:     "write inactive_record_mapping: [{source: SYSUTCDATETIME(), target: <column>}]",
		}}
	}
	var sets, set []string
	var findings []finding
	for _, m := range w.GetInactiveRecordMapping() {
		at, ok := r.find(closed(m))
		if !ok {
			findings = append(findings, finding{
				message: fmt.Sprintf("%s column does not exist in %s table; it has %s", closed(m), r.label(), r.columnNames()),
				fix:     fmt.Sprintf("ALTER TABLE %s ADD %s nvarchar(max) NULL;", r.quoted(), quote(closed(m))),
			})
			continue
		}
		set = append(set, r.columns[at].name)
		sets = append(sets, quote(r.columns[at].name)+" = ("+m.GetSource()+"\n)")
		c.values = append(c.values, "("+m.GetSource()+"\n)")
	}
	c.sets = strings.Join(sets, ", ")
	if w.GetActiveRecordIndicator() != "" {
		c.active = " AND (" + w.GetActiveRecordIndicator() + "\n)"
	}
	return c, append(findings, r.oneVersion(w, set)...)
}

// oneVersion finds unique indexes that let no second version of a row in: those on keys alone, none of which closing
// changes.
func (r *relation) oneVersion(w *pipelinev1.RelationalWrite, set []string) []finding {
	var keys []string
	for _, c := range w.GetColumns() {
		if at, ok := r.find(c.GetColumn()); ok && c.GetKey() {
			keys = append(keys, r.columns[at].name)
		}
	}
	for _, x := range r.unique {
		if !subset(x.columns, keys) || slices.ContainsFunc(set, func(c string) bool { return slices.Contains(x.columns, c) }) {
			continue
		}
		return []finding{{
			message: fmt.Sprintf("load_strategy TYPE2 keeps several rows a key, and table %s has a unique index on %s",
				r.label(), strings.Join(x.columns, ", ")),
			fix: "drop the index, or make it a filtered one on active rows: CREATE UNIQUE INDEX … WHERE <active_record_indicator>;",
		}}
	}
	return nil
}

// checkClosing asks the server whether it understands the user's SQL. It reads no row.
func checkClosing(ctx context.Context, conn *sql.Conn, table *applier.Table, w *pipelinev1.RelationalWrite) ([]finding, error) {
	b, ok := table.Native.(*bound)
	if !ok || !isType2(w) {
		return nil, nil
	}
	query := fmt.Sprintf("SELECT TOP (0) %s FROM %s AS %s WHERE 1 = 1%s", strings.Join(b.closes.values, ", "), b.relation.quoted(),
		quote(b.relation.name), b.closes.active)
	err := each(ctx, conn, func(func(...any) error) error { return nil }, query)
	if err == nil {
		return nil, nil
	}
	if number(err) == 0 {
		return nil, err
	}
	if class, _ := classOf(err); class == flowv1.FaultClass_FAULT_CLASS_PERMISSION {
		return nil, nil // grants have findings of their own
	}
	return []finding{{
		message: "the server does not understand inactive_record_mapping or active_record_indicator: " + err.Error(),
		fix:     "correct it; it is Transact-SQL, names are those of columns",
	}}, nil
}

// insert inserts rows whatever is there, in their order: where the server numbers them, it does so in that order.
func (b *bound) insert(s *source, columns []int) *sqlText {
	text := b.into(columns, s.values("s", columns), s.from("s")+" ORDER BY s.n")
	return s.text(text)
}

// defaults inserts rows of which every column takes its default.
func (b *bound) defaults(rows int) *sqlText {
	return &sqlText{sql: strings.Repeat("INSERT INTO "+b.relation.quoted()+" DEFAULT VALUES;\n", rows)}
}

// into inserts what a query gives. Columns that the server numbers are written only where the job asks for it.
func (b *bound) into(columns []int, values []string, from string) string {
	text := fmt.Sprintf("INSERT INTO %s (%s) SELECT %s FROM %s;", b.relation.quoted(), strings.Join(b.listed(columns), ", "),
		strings.Join(values, ", "), from)
	if !b.numbers(columns) {
		return text
	}
	return fmt.Sprintf("SET IDENTITY_INSERT %s ON;\n%s\nSET IDENTITY_INSERT %s OFF;", b.relation.quoted(), text, b.relation.quoted())
}

// numbers tells whether one of the columns is numbered by the server.
func (b *bound) numbers(columns []int) bool {
	return slices.ContainsFunc(columns, func(i int) bool { return b.relation.columns[b.columns[i]].identity })
}

// shut closes active rows. The keys come from a sub-select, so that names in the user's SQL mean columns of the table, also
// those behind the table's name.
func (b *bound) shut(s *source, columns []int) *sqlText {
	table := quote(b.relation.name)
	return s.text(fmt.Sprintf("UPDATE %s SET %s FROM %s AS %s WHERE EXISTS (SELECT 1 FROM %s WHERE %s)%s;", table, b.closes.sets,
		b.relation.quoted(), table, s.from("s"), s.match(table, "s", columns), b.closes.active))
}

// listed are columns as SQL.
func (b *bound) listed(columns []int) []string {
	names := make([]string, 0, len(columns))
	for _, i := range columns {
		names = append(names, b.names[i])
	}
	return names
}
