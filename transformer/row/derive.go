package row

import (
	"slices"

	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
	transformerv1 "slipstream/proto/slipstream/transformer/v1"

	"slipstream/transformer/block"
	"slipstream/transformer/finding"
	"slipstream/transformer/path"
)

// Analyse says how the rows of the output can be found again when their key is deleted or its value has changed: by what
// the Redis key tells, which known is at the end of the job's blocks, or by a row index (design D8).
func (o *Output) Analyse(known *block.Knowledge) *transformerv1.OutputAnalysis {
	a := &transformerv1.OutputAnalysis{Output: o.Index, Derivable: true, Indexable: o.mirrors(), MentionsBefore: o.mentions(block.Before)}
	parents := 0
	for i := range o.columns {
		x := &o.columns[i]
		if !x.key {
			continue
		}
		if o.foreach != nil {
			if !x.parent {
				continue // found by the parent's columns
			}
			parents++
		}
		if !o.derives(x, known) {
			a.Derivable = false
			a.Underivable = append(a.Underivable, x.name)
		}
	}
	if o.foreach != nil && parents == 0 { // nothing but the elements says whose the rows are
		a.Derivable = false
		for i := range o.columns {
			if o.columns[i].key {
				a.Underivable = append(a.Underivable, o.columns[i].name)
			}
		}
	}
	if o.foreach != nil && o.foreach.leave { // the job does not want its rows looked after
		a.Derivable, a.Underivable = true, nil
	}
	return a
}

// mirrors tells whether the output keeps one row a key.
func (o *Output) mirrors() bool {
	switch o.strategy {
	case pipelinev1.LoadStrategy_LOAD_STRATEGY_APPEND, pipelinev1.LoadStrategy_LOAD_STRATEGY_TYPE2:
		return false
	}
	return true
}

// derives tells whether the value of a column follows from the Redis key alone.
func (o *Output) derives(x *column, known *block.Knowledge) bool {
	switch x.from {
	case fromConstant, fromRedisKey:
		return true
	case fromDocument:
		return false
	case fromExpression:
		return known.Computes(x.expression)
	}
	return !x.element && len(x.field) > 0 && known.Has(x.field)
}

// mentions tells whether a column or the foreach of a full-format output looks at a member of the record.
func (o *Output) mentions(member string) bool {
	if !o.full {
		return false
	}
	starts := func(paths []path.Path) bool {
		for _, p := range paths {
			if len(p) == 0 || p[0] == member {
				return true
			}
		}
		return false
	}
	if o.foreach != nil && o.foreach.expression != nil && starts(o.foreach.expression.References()) {
		return true
	}
	for i := range o.columns {
		x := &o.columns[i]
		if x.expression != nil && starts(x.expression.References()) || x.from == fromField && !x.element && starts([]path.Path{x.field}) {
			return true
		}
		if x.document != nil && slices.ContainsFunc(x.document.members, func(f field) bool { return starts([]path.Path{f.field}) }) {
			return true
		}
	}
	return false
}

// Warn tells of rows that nothing will find again, where the job keeps no row index for them (spec 1.6 A4, 3.7).
func (o *Output) Warn(a *transformerv1.OutputAnalysis, job *pipelinev1.Job, found *finding.List) {
	indexed := a.Indexable && job.GetBeforeImage() != pipelinev1.BeforeImage_BEFORE_IMAGE_NONE
	if a.Derivable || indexed {
		return
	}
	if o.strategy == pipelinev1.LoadStrategy_LOAD_STRATEGY_APPEND && !o.history {
		return
	}
	if o.foreach != nil && !o.foreach.sync {
		found.Warning(o.at+".foreach", "take a key column from the parent record and set foreach_sync",
			"rows of deleted keys and of elements that go away stay in %s", o.Table)
		return
	}
	for i := range o.columns {
		x := &o.columns[i]
		if !x.key || o.foreach != nil && !x.parent || !slices.Contains(a.Underivable, x.name) {
			continue
		}
		fix := "cut it from the key with source.keys, or remove before_image: none"
		if x.from == fromField && len(x.field) > 0 {
			fix = "cut it from the key: source.keys with fields: {" + x.field[len(x.field)-1] + ": <index>}"
			if a.Indexable {
				fix += "; or remove before_image: none"
			}
		}
		found.Warning(x.place, fix, "key column %s does not come from the Redis key, so a deleted key cannot find its row", x.name)
	}
}
