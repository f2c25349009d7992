package sqlite

import (
	"fmt"
	"slices"
	"strings"

	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// historized is what an output with load_strategy TYPE2 needs to close rows: SQL of the user (spec 5.2).
type historized struct {
	sets   string // "valid_to = (datetime('now'))"
	active string // " AND (valid_to IS NULL)", or empty
}

// mirrors tells whether an output keeps one row a key, as all do but those of APPEND and TYPE2.
func mirrors(w *pipelinev1.RelationalWrite) bool {
	switch w.GetLoadStrategy() {
	case pipelinev1.LoadStrategy_LOAD_STRATEGY_APPEND, pipelinev1.LoadStrategy_LOAD_STRATEGY_TYPE2:
		return false
	}
	return true
}

// closed is the column that a mapping sets: named like its source where it has no name of its own.
func closed(m *pipelinev1.InactiveRecordMapping) string {
	if m.GetTarget() != "" {
		return m.GetTarget()
	}
	return m.GetSource()
}

func historyOf(w *pipelinev1.RelationalWrite) *historized {
	if w.GetLoadStrategy() != pipelinev1.LoadStrategy_LOAD_STRATEGY_TYPE2 {
		return nil
	}
	h := &historized{}
	var sets []string
	for _, m := range w.GetInactiveRecordMapping() {
		sets = append(sets, quote(closed(m))+" = ("+m.GetSource()+")")
	}
	h.sets = strings.Join(sets, ", ")
	if w.GetActiveRecordIndicator() != "" {
		h.active = " AND (" + w.GetActiveRecordIndicator() + ")"
	}
	return h
}

// compareHistory looks at what TYPE2 sets.
func (d *description) compareHistory(w *pipelinev1.RelationalWrite) []finding {
	if w.GetLoadStrategy() != pipelinev1.LoadStrategy_LOAD_STRATEGY_TYPE2 {
		return nil
	}
	if len(w.GetInactiveRecordMapping()) == 0 {
		return []finding{{
			severity: pipelinev1.Severity_SEVERITY_ERROR, message: "load_strategy TYPE2 closes rows, and nothing says how",
			fix: "write inactive_record_mapping: [{source: CURRENT_TIMESTAMP, target: <column>}]",
		}}
	}
	var found []finding
	for _, m := range w.GetInactiveRecordMapping() {
		if d.column(closed(m)) == nil {
			found = append(found, finding{
				severity: pipelinev1.Severity_SEVERITY_ERROR,
				message:  fmt.Sprintf("%s column does not exist in %s table", closed(m), d.name),
				fix:      fmt.Sprintf("ALTER TABLE %s ADD COLUMN %s TEXT;", quote(d.name), quote(closed(m))),
			})
		}
	}
	return append(found, d.oneVersion(w)...)
}

// oneVersion finds unique indexes that let no second version of a row in: those on keys alone, none of which closing
// changes.
func (d *description) oneVersion(w *pipelinev1.RelationalWrite) []finding {
	free := map[string]bool{} // keys that closing leaves alone
	for _, c := range w.GetColumns() {
		free[strings.ToLower(c.GetColumn())] = c.GetKey()
	}
	for _, m := range w.GetInactiveRecordMapping() {
		free[strings.ToLower(closed(m))] = false
	}
	for _, index := range d.uniques {
		if slices.ContainsFunc(index, func(name string) bool { return !free[name] }) {
			continue
		}
		return []finding{{
			severity: pipelinev1.Severity_SEVERITY_ERROR,
			message: fmt.Sprintf("load_strategy TYPE2 keeps several rows a key, and table %s has a unique index on %s",
				d.name, strings.Join(index, ", ")),
			fix: "make the table without it, or with a partial index on active rows: CREATE UNIQUE INDEX … WHERE <active_record_indicator>;",
		}}
	}
	return nil
}
