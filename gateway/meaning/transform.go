package meaning

import (
	"fmt"
	"slices"
	"strings"

	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// transform compares the blocks, in their order. What both begin and end with is the same; between, blocks are paired.
func (c *comparison) transform() {
	a, b := c.old.GetTransform(), c.new.GetTransform()
	for len(a) > 0 && len(b) > 0 && sameBlock(a[0], b[0]) {
		a, b = a[1:], b[1:]
	}
	for len(a) > 0 && len(b) > 0 && sameBlock(a[len(a)-1], b[len(b)-1]) {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	n := min(len(a), len(b))
	for i := range n {
		if !sameBlock(a[i], b[i]) {
			c.stale(b[i].GetPath(), arrow(kind(b[i]), describe(a[i], b[i]), describe(b[i], a[i])), c.dropped(b[i]))
		}
	}
	for _, gone := range a[n:] {
		c.stale(gone.GetPath(), kind(gone)+" is gone: "+describe(gone, gone), "")
	}
	for _, added := range b[n:] {
		c.stale(added.GetPath(), kind(added)+" is new: "+describe(added, added), c.dropped(added))
	}
}

// dropped is what stays when a block drops records that it let pass before.
func (c *comparison) dropped(b *pipelinev1.Block) string {
	if b.GetFilter() == nil {
		return ""
	}
	for _, o := range c.new.GetOutputs() {
		if o.GetRelational().GetOnFiltered() != pipelinev1.OnFiltered_ON_FILTERED_DELETE {
			return "rows of records that no longer pass, without on_filtered: delete"
		}
	}
	return ""
}

// sameBlock compares blocks but for where they stand in the file, how they are written and what they remember.
func sameBlock(a, b *pipelinev1.Block) bool {
	return equal(a, b, func(b *pipelinev1.Block) {
		b.Path = ""
		switch {
		case b.GetFilter() != nil:
			b.GetFilter().Cache = nil
		case b.GetAddField() != nil:
			b.GetAddField().Multi = false
			for _, f := range b.GetAddField().GetFields() {
				f.Cache = nil
			}
		case b.GetRemoveField() != nil:
			b.GetRemoveField().Multi = false
		case b.GetRenameField() != nil:
			b.GetRenameField().Multi = false
		case b.GetMap() != nil:
			b.GetMap().Cache = nil
		case b.GetRedisLookup() != nil:
			l := b.GetRedisLookup()
			l.Cache, l.LookupCache, l.BatchSize = nil, nil, 0
		}
	})
}

func kind(b *pipelinev1.Block) string {
	switch {
	case b.GetFilter() != nil:
		return "filter"
	case b.GetAddField() != nil:
		return "add_field"
	case b.GetRemoveField() != nil:
		return "remove_field"
	case b.GetRenameField() != nil:
		return "rename_field"
	case b.GetMap() != nil:
		return "map"
	case b.GetRedisLookup() != nil:
		return "redis.lookup"
	}
	return "block"
}

// describe is a block in words, as far as it differs from another one.
func describe(b, other *pipelinev1.Block) string {
	var parts, known []string
	name := ""
	if kind(b) != kind(other) {
		name = kind(b) + " "
	} else if b != other {
		known = partsOf(other)
	}
	for _, p := range partsOf(b) {
		if !slices.Contains(known, p) {
			parts = append(parts, p)
		}
	}
	if len(parts) == 0 {
		return name + "otherwise"
	}
	return name + strings.Join(parts, ", ")
}

func partsOf(b *pipelinev1.Block) (parts []string) {
	switch {
	case b.GetFilter() != nil:
		return []string{expression(b.GetFilter().GetExpression())}
	case b.GetAddField() != nil:
		for _, f := range b.GetAddField().GetFields() {
			parts = append(parts, f.GetField()+" = "+expression(f.GetExpression()))
		}
	case b.GetRemoveField() != nil:
		return b.GetRemoveField().GetFields()
	case b.GetRenameField() != nil:
		for _, f := range b.GetRenameField().GetFields() {
			parts = append(parts, f.GetFromField()+" to "+f.GetToField())
		}
	case b.GetMap() != nil:
		if m := b.GetMap(); m.GetText() != "" {
			return []string{expression(&pipelinev1.Expression{Language: m.GetLanguage(), Text: m.GetText()})}
		}
		return members("", b.GetMap().GetMembers())
	case b.GetRedisLookup() != nil:
		l := b.GetRedisLookup()
		parts = append(parts, fmt.Sprintf("%s = %s on %s", l.GetField(), l.GetCmd(), l.GetConnection()))
		for _, a := range l.GetArgs() {
			parts = append(parts, expression(a))
		}
		if l.GetWhen() != nil {
			parts = append(parts, "when "+expression(l.GetWhen()))
		}
	}
	return parts
}

func members(above string, all []*pipelinev1.MapMember) (parts []string) {
	for _, m := range all {
		name := above + m.GetName()
		if len(m.GetMembers()) > 0 {
			parts = append(parts, members(name+".", m.GetMembers())...)
			continue
		}
		parts = append(parts, name+" = "+quoted(m.GetExpression()))
	}
	return parts
}

func expression(e *pipelinev1.Expression) string {
	return quoted(e.GetText()) + " (" + word(e.GetLanguage().String(), "LANGUAGE_") + ")"
}
