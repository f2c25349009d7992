package mysql

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	driver "github.com/go-sql-driver/mysql"

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

// updates tells whether an output updates rows by their keys: REPLACE deletes and inserts.
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
				fix:     fmt.Sprintf("ALTER TABLE %s ADD COLUMN %s longtext;", r.quoted(), quote(closed(m))),
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
		if !subset(index.columns, keys) || slices.ContainsFunc(set, func(c string) bool { return slices.Contains(index.columns, c) }) {
			continue
		}
		drop := fmt.Sprintf("ALTER TABLE %s DROP INDEX %s;", r.quoted(), quote(index.name))
		if index.name == "PRIMARY" {
			drop = fmt.Sprintf("ALTER TABLE %s DROP PRIMARY KEY;", r.quoted())
		}
		return []finding{{
			message: fmt.Sprintf("load_strategy TYPE2 keeps several rows a key, and table %s has a unique index on %s",
				r.label(), strings.Join(index.columns, ", ")),
			fix: drop,
		}}
	}
	return nil
}

// checkClosing asks the server whether it understands the user's SQL; nothing is run.
func (l *link) checkClosing(ctx context.Context, table *applier.Table, w *pipelinev1.RelationalWrite) ([]finding, error) {
	b, ok := table.Native.(*bound)
	if !ok || !isType2(w) {
		return nil, nil
	}
	keys := strings.Join(b.listed(table.Keys), " IS NULL AND ") + " IS NULL"
	err := l.understands(ctx, "UPDATE "+b.relation.quoted()+" SET "+b.closes.sets+" WHERE ("+keys+")"+b.closes.active)
	var e *driver.MySQLError
	if err == nil || !errors.As(err, &e) {
		return nil, err
	}
	if class, _ := classOf(err); class != flowv1.FaultClass_FAULT_CLASS_SCHEMA && class != flowv1.FaultClass_FAULT_CLASS_DATA {
		return nil, nil // grants have findings of their own
	}
	return []finding{{message: "the server does not understand inactive_record_mapping or active_record_indicator: " + e.Message}}, nil
}
