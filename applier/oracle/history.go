package oracle

import (
	"context"
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

// updates tells whether an output updates rows by MERGE: REPLACE deletes and inserts.
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
			fix:     "write inactive_record_mapping: [{source: SYSTIMESTAMP, target: <column>}]",
		}}
	}
	var sets, set []string
	var findings []finding
	for _, m := range w.GetInactiveRecordMapping() {
		at, ok := r.find(closed(m))
		if !ok {
			findings = append(findings, finding{
				message: fmt.Sprintf("%s column does not exist in %s table; it has %s", closed(m), r.label(), r.columnNames()),
				fix:     fmt.Sprintf("ALTER TABLE %s ADD (%s VARCHAR2(4000));", r.quoted(), newName(closed(m))),
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
			fix: "drop the constraint, or make a unique index on expressions that are NULL in closed rows: CREATE UNIQUE INDEX … (CASE WHEN <active> THEN <key> END);",
		}}
	}
	return nil
}

// parses asks the server whether it understands a statement; nothing is run.
const parses = `DECLARE c INTEGER := DBMS_SQL.OPEN_CURSOR; BEGIN DBMS_SQL.PARSE(c, :1, DBMS_SQL.NATIVE); DBMS_SQL.CLOSE_CURSOR(c); END;`

// checkClosing asks the server whether it understands the user's SQL.
func (t *target) checkClosing(ctx context.Context, q querier, table *applier.Table, w *pipelinev1.RelationalWrite) ([]finding, error) {
	b, ok := table.Native.(*bound)
	if !ok || !isType2(w) {
		return nil, nil
	}
	_, err := q.ExecContext(ctx, parses, b.shut(table.Keys, b.parameters(table.Keys)))
	if err == nil {
		return nil, nil
	}
	switch class, code := classOf(err); {
	case code == "":
		return nil, err
	case class != flowv1.FaultClass_FAULT_CLASS_SCHEMA && class != flowv1.FaultClass_FAULT_CLASS_DATA && class != flowv1.FaultClass_FAULT_CLASS_UNSPECIFIED:
		return nil, nil // grants have findings of their own
	}
	return []finding{{
		message: "the server does not understand inactive_record_mapping or active_record_indicator: " + t.failed("parsing", err).Error(),
		fix:     "correct the SQL in the job",
	}}, nil
}

// insert inserts a row whatever is there.
func (b *bound) insert(columns []int, values []string) string {
	if len(columns) == 0 { // every column takes its default
		return fmt.Sprintf("INSERT INTO %s (%s) VALUES (DEFAULT)", b.relation.quoted(), quote(b.relation.columns[0].name))
	}
	return fmt.Sprintf("INSERT INTO %s (%s) VALUES (%s)", b.relation.quoted(), strings.Join(b.listed(columns), ", "), strings.Join(values, ", "))
}

// shut closes the active rows of a key. The table has no other name, so that names in the user's SQL mean its columns.
func (b *bound) shut(columns []int, values []string) string {
	// The user's SQL may hold no parameter, and stands first: numbers tell the driver which value is which.
	return fmt.Sprintf("UPDATE %s SET %s WHERE %s%s", b.relation.quoted(), b.closes.sets, b.equal("", columns, values), b.closes.active)
}

// listed are columns as SQL.
func (b *bound) listed(columns []int) []string {
	names := make([]string, 0, len(columns))
	for _, i := range columns {
		names = append(names, b.names[i])
	}
	return names
}
