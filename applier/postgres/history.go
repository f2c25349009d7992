package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

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

// updates tells whether an output updates rows by ON CONFLICT: REPLACE deletes and inserts.
func updates(w *pipelinev1.RelationalWrite) bool {
	return mirrors(w) && w.GetLoadStrategy() != pipelinev1.LoadStrategy_LOAD_STRATEGY_REPLACE
}

// needs are the grants that an output needs on its table.
func needs(w *pipelinev1.RelationalWrite) []string {
	switch {
	case isAppend(w):
		return []string{"INSERT"}
	case isType2(w):
		return []string{"SELECT", "INSERT", "UPDATE"}
	}
	return []string{"SELECT", "INSERT", "UPDATE", "DELETE"}
}

// closes is what TYPE2 sets to close a row, and which rows are active: SQL of the user, as written. A line ends behind
// it, in case that it ends with a comment.
type closes struct{ sets, active string }

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
			fix:     "write inactive_record_mapping: [{source: now(), target: <column>}]",
		}}
	}
	var sets, set []string
	var findings []finding
	for _, m := range w.GetInactiveRecordMapping() {
		at, ok := r.find(closed(m))
		if !ok {
			findings = append(findings, finding{
				message: fmt.Sprintf("%s column does not exist in %s table; it has %s", closed(m), r.label(), r.columnNames()),
				fix:     fmt.Sprintf("ALTER TABLE %s ADD COLUMN %s text;", r.quoted(), quote(closed(m))),
			})
			continue
		}
		set = append(set, r.columns[at].name)
		sets = append(sets, quote(r.columns[at].name)+" = ("+m.GetSource()+"\n)")
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
	for _, index := range r.unique {
		if !subset(index, keys) || slices.ContainsFunc(set, func(c string) bool { return slices.Contains(index, c) }) {
			continue
		}
		return []finding{{
			message: fmt.Sprintf("load_strategy TYPE2 keeps several rows a key, and table %s has a unique index on %s",
				r.label(), strings.Join(index, ", ")),
			fix: "drop the index, or make it a partial one on active rows: CREATE UNIQUE INDEX … WHERE (<active_record_indicator>);",
		}}
	}
	return nil
}

// checkClosing asks the server whether it understands the user's SQL; nothing is run.
func checkClosing(ctx context.Context, conn *pgxpool.Conn, table *applier.Table, w *pipelinev1.RelationalWrite) ([]finding, error) {
	b, ok := table.Native.(*bound)
	if !ok || !isType2(w) {
		return nil, nil
	}
	t := b.shut(table.Keys)
	_, err := conn.Conn().PgConn().Prepare(ctx, "", t.sql, t.oids)
	var e *pgconn.PgError
	if err == nil || !errors.As(err, &e) {
		return nil, err
	}
	if class, _ := classOf(err); class != flowv1.FaultClass_FAULT_CLASS_SCHEMA && class != flowv1.FaultClass_FAULT_CLASS_DATA {
		return nil, nil // grants have findings of their own
	}
	message := "the server does not understand inactive_record_mapping or active_record_indicator: " + e.Message
	if at := int(e.Position); at > 0 && at <= len(t.sql) {
		message += ", near: " + strings.SplitN(string([]rune(t.sql)[at-1:]), "\n", 2)[0]
	}
	return []finding{{message: message, fix: e.Hint}}, nil
}

// insert inserts rows whatever is there, in their order.
func (b *bound) insert(columns []int) *sqlText {
	t := &sqlText{}
	if len(columns) == 0 { // every column takes its default
		t.sql = fmt.Sprintf("INSERT INTO %s SELECT FROM generate_series(1, $1)", b.relation.quoted())
		t.oids = []uint32{oidInt8}
		t.counts = true
		return t
	}
	from, values := t.input(b, "u", columns, false)
	t.sql = b.into(columns) + fmt.Sprintf("SELECT %s FROM %s", strings.Join(values, ", "), from)
	return t
}

// into is the head of an insert. Columns that the server numbers are written only where the job asks for it.
func (b *bound) into(columns []int) string {
	overriding := ""
	for _, i := range columns {
		if b.relation.columns[b.columns[i]].always {
			overriding = "OVERRIDING SYSTEM VALUE "
		}
	}
	return fmt.Sprintf("INSERT INTO %s (%s) %s", b.relation.quoted(), strings.Join(b.listed(columns), ", "), overriding)
}

// shut closes active rows. The keys come from a sub-select, so that names in the user's SQL mean columns of the table.
func (b *bound) shut(columns []int) *sqlText {
	t := &sqlText{}
	from, values := t.input(b, "u", columns, false)
	t.sql = fmt.Sprintf("UPDATE %s SET %s WHERE (%s) IN (SELECT %s FROM %s)%s", b.relation.quoted(), b.closes.sets,
		strings.Join(b.listed(columns), ", "), strings.Join(values, ", "), from, b.closes.active)
	return t
}

// listed are columns as SQL.
func (b *bound) listed(columns []int) []string {
	names := make([]string, 0, len(columns))
	for _, i := range columns {
		names = append(names, b.names[i])
	}
	return names
}
