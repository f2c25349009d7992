package meaning

import (
	"cmp"
	"slices"
	"strings"

	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// columns compares the columns of two outputs; their order says nothing.
func (c *comparison) columns(a, b *pipelinev1.Output) {
	old, now := a.GetRelational().GetColumns(), b.GetRelational().GetColumns()
	if x, y := keyNames(old), keyNames(now); !slices.Equal(x, y) {
		c.stale(b.GetPath()+".with.keys", arrow("the key columns", list(x), list(y)),
			"rows under the old key, where the target keeps no row index")
	}
	for _, n := range now {
		o := find(old, n.GetColumn())
		switch {
		case o == nil:
			c.stale(cmp.Or(n.GetPath(), b.GetPath()), "column "+n.GetColumn()+" is new: "+origin(n), "")
		case !sameColumn(o, n):
			stays := ""
			if n.GetKey() && o.GetKey() {
				stays = "rows under the old key, where the target keeps no row index"
			}
			from, to := origin(o), origin(n)
			if from == to {
				from, to = traits(o), traits(n)
			}
			c.stale(cmp.Or(n.GetPath(), b.GetPath()), arrow("column "+n.GetColumn(), from, to), stays)
		}
	}
	for _, o := range old {
		if find(now, o.GetColumn()) != nil {
			continue
		}
		path, message := cmp.Or(o.GetPath(), a.GetPath()), "column "+o.GetColumn()+" is no longer written"
		if strategyOf(b.GetRelational()) == pipelinev1.LoadStrategy_LOAD_STRATEGY_REPLACE {
			c.stale(path, message, "")
		} else {
			c.tell(path, message, "its values")
		}
	}
}

func keyNames(columns []*pipelinev1.OutputColumn) (names []string) {
	for _, c := range columns {
		if c.GetKey() {
			names = append(names, c.GetColumn())
		}
	}
	slices.Sort(names)
	return names
}

func find(columns []*pipelinev1.OutputColumn, name string) *pipelinev1.OutputColumn {
	i := slices.IndexFunc(columns, func(c *pipelinev1.OutputColumn) bool { return c.GetColumn() == name })
	if i < 0 {
		return nil
	}
	return columns[i]
}

// sameColumn compares columns but for where they stand, whether they are keys, which is said of all together, and what
// only a table that is created shows.
func sameColumn(a, b *pipelinev1.OutputColumn) bool {
	return equal(a, b, func(c *pipelinev1.OutputColumn) {
		c.Path, c.Key, c.Inferred = "", false, 0
		c.OnMissing = cmp.Or(c.GetOnMissing(), pipelinev1.OnMissing_ON_MISSING_NULL)
		for _, f := range c.GetDocument().GetFields() {
			f.Path = ""
		}
	})
}

// origin is where the value of a column comes from, in words.
func origin(c *pipelinev1.OutputColumn) string {
	var from string
	switch c.GetSource().(type) {
	case *pipelinev1.OutputColumn_Field:
		from = c.GetField()
	case *pipelinev1.OutputColumn_Expression:
		from = expression(c.GetExpression())
	case *pipelinev1.OutputColumn_Constant:
		from = "constant " + quoted(c.GetConstant())
	case *pipelinev1.OutputColumn_RedisKey:
		from = "the Redis key"
	case *pipelinev1.OutputColumn_Document:
		from = "a document of " + fieldsOf(c.GetDocument())
	default:
		from = "nothing"
	}
	if c.GetPrefix() != "" {
		from = quoted(c.GetPrefix()) + " and " + from
	}
	return from
}

func fieldsOf(d *pipelinev1.Document) string {
	if d.GetAll() {
		return "all fields"
	}
	var names []string
	for _, f := range d.GetFields() {
		name := f.GetField()
		if f.GetTarget() != f.GetField() {
			name += " as " + f.GetTarget()
		}
		names = append(names, name)
	}
	return list(names)
}

// traits is how a value is converted, in words.
func traits(c *pipelinev1.OutputColumn) string {
	words := []string{
		"on_missing " + word(cmp.Or(c.GetOnMissing(), pipelinev1.OnMissing_ON_MISSING_NULL).String(), "ON_MISSING_"),
	}
	for _, trait := range []struct{ name, value, prefix string }{
		{"type", c.GetType().String(), "COLUMN_TYPE_"},
		{"unit", c.GetUnit().String(), "TIME_UNIT_"},
		{"binary", c.GetBinary().String(), "BINARY_ENCODING_"},
	} {
		if w := word(trait.value, trait.prefix); w != "unspecified" {
			words = append(words, trait.name+" "+w)
		}
	}
	if c.GetTruncate() {
		words = append(words, "truncate")
	}
	if c.GetParent() {
		words = append(words, "of the parent")
	}
	return strings.Join(words, ", ")
}
