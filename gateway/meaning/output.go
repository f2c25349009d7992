package meaning

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// outputs compares what is written. Outputs are paired by where they write; what is left is paired in order, as an output
// that writes elsewhere now.
func (c *comparison) outputs() {
	gone := slices.Clone(c.old.GetOutputs())
	var left []*pipelinev1.Output
	for _, o := range c.new.GetOutputs() {
		i := slices.IndexFunc(gone, func(g *pipelinev1.Output) bool { return whereOf(g) == whereOf(o) })
		if i < 0 {
			left = append(left, o)
			continue
		}
		c.rows(gone[i], o)
		gone = slices.Delete(gone, i, i+1)
	}
	n := min(len(gone), len(left))
	for i := range n {
		c.moved(gone[i], left[i])
	}
	for _, o := range left[n:] {
		c.added(o, fmt.Sprintf("a new output writes %s", whereOf(o)), "")
	}
	for _, o := range gone[n:] {
		c.tell(o.GetPath(), fmt.Sprintf("%s is no longer written", whereOf(o)), "its rows")
	}
}

// place is where an output writes.
type place struct{ connection, schema, table string }

func whereOf(o *pipelinev1.Output) place {
	return place{o.GetConnection(), o.GetRelational().GetSchema(), o.GetRelational().GetTable()}
}

// String names the place as messages do.
func (p place) String() string {
	table := p.table
	if p.schema != "" {
		table = p.schema + "." + table
	}
	return table + " on " + p.connection
}

// moved notes an output that writes elsewhere now, and what is different about its rows.
func (c *comparison) moved(a, b *pipelinev1.Output) {
	from, to := whereOf(a), whereOf(b)
	c.added(b, arrow("the output writes elsewhere", from.String(), to.String()), "the rows of "+from.String())
	c.rows(a, b)
}

// added notes a place that the job did not write before. Lanes to a connection that is new to the job have no position
// there, and follow initial_load.
func (c *comparison) added(o *pipelinev1.Output, message, stays string) {
	known := slices.ContainsFunc(c.old.GetOutputs(), func(p *pipelinev1.Output) bool { return p.GetConnection() == o.GetConnection() })
	if !known && c.new.GetSource().GetInitialLoad() == pipelinev1.InitialLoad_INITIAL_LOAD_ALWAYS {
		c.tell(o.GetPath(), message+": loaded by its initial_load", stays)
		return
	}
	c.stale(o.GetPath(), message, stays)
}

// rows compares what two outputs make of a record.
func (c *comparison) rows(a, b *pipelinev1.Output) {
	x, y := a.GetRelational(), b.GetRelational()
	path := b.GetPath() + ".with"
	if s, t := strategyOf(x), strategyOf(y); s != t {
		c.stale(path+".load_strategy", arrow("load_strategy", word(s.String(), "LOAD_STRATEGY_"), word(t.String(), "LOAD_STRATEGY_")), "")
	}
	c.columns(a, b)
	c.foreach(path, x.GetForeach(), y.GetForeach())
	if x.GetOpcodeField() != y.GetOpcodeField() {
		c.stale(path+".opcode_field", arrow("opcode_field", or(x.GetOpcodeField(), "none"), or(y.GetOpcodeField(), "none")), "")
	}
	if del := pipelinev1.OnFiltered_ON_FILTERED_DELETE; y.GetOnFiltered() == del && x.GetOnFiltered() != del {
		c.stale(path+".on_filtered", "on_filtered: delete: rows of records that do not pass go", "")
	}
	if y.GetRowIndex() && !x.GetRowIndex() {
		c.stale(b.GetPath(), "the target keeps a row index now, and has no entry for keys written before: their deletes find no row", "")
	}
	for _, o := range options(a, b) {
		if o.from != o.to {
			c.stale(path+"."+o.name, arrow(o.name, o.from, o.to), "")
		}
	}
	c.merges(b)
	if !equal(x, y, known) {
		c.stale(path, "what it writes is different", "")
	}
}

// strategyOf is a strategy; upsert is another word for mirror.
func strategyOf(w *pipelinev1.RelationalWrite) pipelinev1.LoadStrategy {
	return cmp.Or(w.GetLoadStrategy(), pipelinev1.LoadStrategy_LOAD_STRATEGY_UPSERT)
}

// option is something about an output that has a name, and rows show.
type option struct{ name, from, to string }

func options(a, b *pipelinev1.Output) []option {
	x, y, r, s := a.GetRelational(), b.GetRelational(), a.GetRedis(), b.GetRedis()
	nulls := func(w *pipelinev1.RelationalWrite) string {
		return word(cmp.Or(w.GetEmptyAsNull(), pipelinev1.EmptyAsNull_EMPTY_AS_NULL_NON_TEXT).String(), "EMPTY_AS_NULL_")
	}
	overflow := func(w *pipelinev1.RelationalWrite) string {
		return word(cmp.Or(w.GetNumericOverflow(), pipelinev1.NumericOverflow_NUMERIC_OVERFLOW_REJECT).String(), "NUMERIC_OVERFLOW_")
	}
	update := func(r *pipelinev1.RedisForm) string {
		return word(cmp.Or(r.GetOnUpdate(), pipelinev1.OnUpdate_ON_UPDATE_REPLACE).String(), "ON_UPDATE_")
	}
	all := []option{
		{"active_record_indicator", x.GetActiveRecordIndicator(), y.GetActiveRecordIndicator()},
		{"inactive_record_mapping", closing(x), closing(y)},
		{"allow_generated", yes(x.GetAllowGenerated()), yes(y.GetAllowGenerated())},
		{"empty_as_null", nulls(x), nulls(y)},
		{"numeric_overflow", overflow(x), overflow(y)},
		{"strip_nul", yes(x.GetStripNul()), yes(y.GetStripNul())},
		{"skip_nulls", yes(a.GetCassandra().GetSkipNulls()), yes(b.GetCassandra().GetSkipNulls())},
		{"data_type", word(r.GetDataType().String(), "REDIS_TYPE_"), word(s.GetDataType().String(), "REDIS_TYPE_")},
		{"on_update", update(r), update(s)},
		{"expire", fmt.Sprint(r.GetExpireSeconds()), fmt.Sprint(s.GetExpireSeconds())},
		{"nest", or(r.GetNestPath(), "none"), or(s.GetNestPath(), "none")},
	}
	return all
}

func closing(w *pipelinev1.RelationalWrite) string {
	var all []string
	for _, m := range w.GetInactiveRecordMapping() {
		all = append(all, cmp.Or(m.GetTarget(), m.GetSource())+" = "+m.GetSource())
	}
	return strings.Join(all, ", ")
}

// known takes out of an output what is compared by name, and what no row shows. What is left is new to this package.
func known(w *pipelinev1.RelationalWrite) {
	w.Schema, w.Table, w.Columns, w.Foreach, w.LoadStrategy, w.OpcodeField = "", "", nil, nil, 0, ""
	w.RowIndex, w.ActiveRecordIndicator, w.InactiveRecordMapping, w.OnFiltered = false, "", nil, 0
	w.AllowGenerated, w.EmptyAsNull, w.NumericOverflow, w.StripNul = false, 0, 0, false
	w.AutoCreate = false
}

// merges compares the one setting of the pipeline that documents show.
func (c *comparison) merges(b *pipelinev1.Output) {
	r := b.GetRedis()
	if r.GetDataType() != pipelinev1.RedisType_REDIS_TYPE_JSON || r.GetOnUpdate() != pipelinev1.OnUpdate_ON_UPDATE_MERGE {
		return
	}
	if x, y := c.oldSettings.GetUseNativeJsonMerge(), c.newSettings.GetUseNativeJsonMerge(); x != y {
		c.stale(b.GetPath(), arrow("use_native_json_merge", yes(x), yes(y)), "")
	}
}

// foreach compares how a record becomes several rows.
func (c *comparison) foreach(path string, a, b *pipelinev1.Foreach) {
	show := func(f *pipelinev1.Foreach) string {
		if f == nil {
			return "none"
		}
		return f.GetName() + " in " + quoted(f.GetExpression())
	}
	if show(a) != show(b) {
		stays := ""
		if !b.GetSync() {
			stays = "rows of elements that are no longer among them"
		}
		c.stale(path+".foreach", arrow("foreach", show(a), show(b)), stays)
	}
	if b != nil && a != nil && b.GetSync() && !a.GetSync() {
		c.stale(path+".foreach", "rows of elements that are gone are deleted now", "")
	}
}
