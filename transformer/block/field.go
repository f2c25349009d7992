package block

import (
	"fmt"

	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"

	"slipstream/transformer/expression"
	"slipstream/transformer/path"
	"slipstream/transformer/record"
)

// field parses a field path of a block at a path below with.
func (c *compiler) field(text, at string) path.Path {
	p, err := path.Parse(text)
	if err != nil {
		c.found.Error(at, `write names joined by dots, as in location.bay; a dot inside a name is \.`, "%v", err)
		return nil
	}
	lintPath(c.found, p, c.full, at)
	return p
}

// addField sets fields in order; each sees the ones before it (spec 4.3).
type addField struct{ fields []added }

type added struct {
	place      string
	field      path.Path
	expression *expression.Expression
}

func (c *compiler) add(a *pipelinev1.AddField) block {
	b := &addField{}
	for i, f := range a.GetFields() {
		at := c.at
		if a.GetMulti() {
			at = fmt.Sprintf("%s.fields[%d]", c.at, i)
		}
		b.fields = append(b.fields, added{at, c.field(f.GetField(), at+".field"), c.cached(f.GetExpression(), at+".expression", f.GetCache(), at+".cache")})
		c.makes(f.GetField())
	}
	if len(b.fields) == 0 {
		c.found.Error(c.at, "write field, expression and language, or a list of them under fields", "add_field adds no field")
	}
	return b
}

func (b *addField) apply(r *expression.Runner, rec *Record) (bool, error) {
	for i := range b.fields {
		if err := b.fields[i].set(r, rec); err != nil {
			return false, err
		}
	}
	return true, nil
}

func (a *added) set(r *expression.Runner, rec *Record) error {
	env := rec.Env(a.expression.Draws(), a.place)
	value, err := r.Evaluate(a.expression, env, rec.Root)
	switch {
	case err == nil:
	case rec.Deleted && rec.Null(a.expression.References()):
		value = nil // spec 4.1
	default:
		return err
	}
	doubtful := rec.Deleted && rec.Guess(r, a.expression, env, value)
	field := rec.Resolve(a.field)
	if err := rec.put(field, record.Clone(value)); err != nil {
		return err
	}
	if rec.Deleted {
		rec.mark(field, doubtful)
	}
	return nil
}

// removeField removes fields; parents stay (spec 4.4).
type removeField struct{ fields []path.Path }

func (c *compiler) remove(x *pipelinev1.RemoveField) block {
	b := &removeField{}
	for i, text := range x.GetFields() {
		at := c.at + ".field"
		if x.GetMulti() {
			at = fmt.Sprintf("%s.fields[%d].field", c.at, i)
		}
		b.fields = append(b.fields, c.field(text, at))
	}
	if len(b.fields) == 0 {
		c.found.Error(c.at, "write field, or a list of them under fields", "remove_field removes no field")
	}
	return b
}

func (b *removeField) apply(_ *expression.Runner, rec *Record) (bool, error) {
	for _, f := range b.fields {
		f = rec.Resolve(f)
		f.Remove(rec.Root)
		if rec.Deleted {
			rec.mark(f, false)
		}
	}
	return true, nil
}

// renameField moves fields; what is not there stays not there (spec 4.5).
type renameField struct{ fields []renamed }

type renamed struct{ from, to path.Path }

func (c *compiler) rename(x *pipelinev1.RenameField) block {
	b := &renameField{}
	for i, f := range x.GetFields() {
		at := c.at
		if x.GetMulti() {
			at = fmt.Sprintf("%s.fields[%d]", c.at, i)
		}
		b.fields = append(b.fields, renamed{c.field(f.GetFromField(), at+".from_field"), c.field(f.GetToField(), at+".to_field")})
	}
	if len(b.fields) == 0 {
		c.found.Error(c.at, "write from_field and to_field, or a list of them under fields", "rename_field renames no field")
	}
	return b
}

func (b *renameField) apply(_ *expression.Runner, rec *Record) (bool, error) {
	for _, f := range b.fields {
		from, to := rec.Resolve(f.from), rec.Resolve(f.to)
		moved, err := path.Rename(rec.Root, from, to)
		if err != nil {
			return false, err
		}
		if moved && rec.Deleted {
			rec.moveDoubt(from, to)
		}
	}
	return true, nil
}
