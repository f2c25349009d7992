package block

import (
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"

	"slipstream/transformer/expression"
	"slipstream/transformer/record"
)

// filter keeps the records its condition holds for (spec 4.2).
type filter struct {
	place     string
	condition *expression.Expression
	// parts are what && joins, where the condition is such a chain; otherwise the condition alone.
	parts []*expression.Expression
}

func (c *compiler) filter(f *pipelinev1.Filter) block {
	condition := c.cached(f.GetExpression(), c.at+".expression", f.GetCache(), c.at+".cache")
	if condition == nil {
		return nil
	}
	c.lintComparison(f.GetExpression(), c.at+".expression")
	return &filter{place: c.at, condition: condition, parts: parts(f.GetExpression(), condition, !c.full)}
}

// parts compiles the terms of a conjunction for themselves.
func parts(e *pipelinev1.Expression, whole *expression.Expression, partial bool) []*expression.Expression {
	terms := conjuncts(e.GetLanguage(), e.GetText())
	if len(terms) < 2 {
		return []*expression.Expression{whole}
	}
	compiled := make([]*expression.Expression, len(terms))
	for i, term := range terms {
		var err error
		compiled[i], err = expression.Compile(&pipelinev1.Expression{Language: e.GetLanguage(), Text: term}, partial)
		if err != nil {
			return []*expression.Expression{whole}
		}
	}
	return compiled
}

func (f *filter) apply(r *expression.Runner, rec *Record) (bool, error) {
	if rec.Missing(f.condition.References()) {
		return f.keepsDelete(r, rec), nil
	}
	value, err := r.Evaluate(f.condition, rec.Env(f.condition.Draws(), f.place), rec.Root)
	return record.Truthy(value), err
}

// keepsDelete decides about a delete that lacks fields: only a part that sees all it needs may drop it (design D8).
func (f *filter) keepsDelete(r *expression.Runner, rec *Record) bool {
	for _, part := range f.parts {
		if rec.Missing(part.References()) {
			continue
		}
		value, err := r.Evaluate(part, rec.Env(part.Draws(), f.place), rec.Root)
		if err == nil && !record.Truthy(value) {
			return false
		}
	}
	return true
}
