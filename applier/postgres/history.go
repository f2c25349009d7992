package postgres

import (
	"fmt"
	"strings"

	"slipstream/applier"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// mirrors tells whether an output keeps one row a key, as all do but those of APPEND and TYPE2 (spec 5.2).
func mirrors(w *pipelinev1.RelationalWrite) bool {
	switch w.GetLoadStrategy() {
	case pipelinev1.LoadStrategy_LOAD_STRATEGY_APPEND, pipelinev1.LoadStrategy_LOAD_STRATEGY_TYPE2:
		return false
	}
	return true
}

// closes is what TYPE2 sets to close a row, and which rows are active: SQL of the user.
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
	if w.GetLoadStrategy() != pipelinev1.LoadStrategy_LOAD_STRATEGY_TYPE2 {
		return c, nil
	}
	if len(w.GetInactiveRecordMapping()) == 0 {
		return c, []finding{{
			message: "load_strategy TYPE2 closes rows, and nothing says how",
			fix:     "write inactive_record_mapping: [{source: now(), target: <column>}]",
		}}
	}
	var sets []string
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
		sets = append(sets, quote(r.columns[at].name)+" = ("+m.GetSource()+")")
	}
	c.sets = strings.Join(sets, ", ")
	if w.GetActiveRecordIndicator() != "" {
		c.active = " AND (" + w.GetActiveRecordIndicator() + ")"
	}
	return c, findings
}

// insert inserts rows whatever is there.
func (b *bound) insert(columns []int) *sqlText {
	t := &sqlText{}
	from, values := t.input(b, "u", columns, false)
	t.sql = b.into(columns) + fmt.Sprintf("SELECT %s FROM %s", strings.Join(values, ", "), from)
	return t
}

// into is the head of an insert. Columns that the server numbers are written only where the job asks for it.
func (b *bound) into(columns []int) string {
	var names []string
	overriding := ""
	for _, i := range columns {
		names = append(names, b.names[i])
		if b.relation.columns[b.columns[i]].always {
			overriding = "OVERRIDING SYSTEM VALUE "
		}
	}
	return fmt.Sprintf("INSERT INTO %s (%s) %s", b.relation.quoted(), strings.Join(names, ", "), overriding)
}

// shut closes active rows. The keys come from a sub-select, so that names in the user's SQL mean columns of the table.
func (b *bound) shut(columns []int) *sqlText {
	t := &sqlText{}
	from, values := t.input(b, "u", columns, false)
	t.sql = fmt.Sprintf("UPDATE %s SET %s WHERE (%s) IN (SELECT %s FROM %s)%s", b.relation.quoted(), b.closes.sets,
		strings.Join(b.listed(columns), ", "), strings.Join(values, ", "), from, b.closes.active)
	return t
}

func (b *bound) listed(columns []int) []string {
	var names []string
	for _, i := range columns {
		names = append(names, b.names[i])
	}
	return names
}

var verbs = map[applier.Verb]string{
	applier.Upsert: "writing to", applier.Delete: "deleting from", applier.Prune: "deleting from",
	applier.Insert: "inserting into", applier.Close: "closing rows of",
}
