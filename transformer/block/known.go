package block

import (
	"slices"

	"slipstream/transformer/expression"
	"slipstream/transformer/path"
)

// Knowledge is what follows from the Redis key alone: the paths of the record whose values are the same on every change
// of a key, its delete included. Blocks carry it along as they carry the record; so what it holds at the end of a chain
// is what a delete can find its row by, without a row index (design D8).
type Knowledge struct {
	full  bool
	paths []path.Path
}

// NewKnowledge begins with the fields cut from the key; in full format also with the members of the record that name
// the key.
func NewKnowledge(full bool, cut []string) *Knowledge {
	k := &Knowledge{full: full}
	for _, name := range cut {
		if full {
			k.paths = append(k.paths, path.Path{After, name})
		} else {
			k.paths = append(k.paths, path.Path{name})
		}
	}
	if full {
		k.paths = append(k.paths, path.Path{Key}, path.Path{"db"})
	}
	return k
}

// resolve applies the alias of partial records (A3).
func (k *Knowledge) resolve(p path.Path) path.Path {
	if !k.full && len(p) > 1 && p[0] == After {
		return p[1:]
	}
	return p
}

// Has tells whether the value at a path is known.
func (k *Knowledge) Has(p path.Path) bool {
	p = k.resolve(p)
	return slices.ContainsFunc(k.paths, func(q path.Path) bool { return len(q) <= len(p) && slices.Equal(q, p[:len(q)]) })
}

// Computes tells whether the value of an expression is known: it looks at known paths only, and gives the same each time.
func (k *Knowledge) Computes(e *expression.Expression) bool {
	return !e.Volatile() && !slices.ContainsFunc(e.References(), func(p path.Path) bool { return len(p) == 0 || !k.Has(p) })
}

// set says whether the value at a path is known from now on.
func (k *Knowledge) set(p path.Path, known bool) {
	p = k.resolve(p)
	k.paths = slices.DeleteFunc(k.paths, func(q path.Path) bool {
		n := min(len(p), len(q))
		return slices.Equal(p[:n], q[:n]) // what is below it, and what is above and now another object
	})
	if known {
		k.paths = append(k.paths, p)
	}
}

// Known carries knowledge through the blocks.
func (c Chain) Known(k *Knowledge) {
	for _, s := range c {
		s.known(k)
	}
}

func (f *filter) known(*Knowledge) {}

func (b *addField) known(k *Knowledge) {
	for _, f := range b.fields {
		k.set(f.field, k.Computes(f.expression))
	}
}

func (b *removeField) known(k *Knowledge) {
	for _, f := range b.fields {
		k.set(f, false)
	}
}

func (b *renameField) known(k *Knowledge) {
	for _, f := range b.fields {
		known := k.Has(f.from)
		k.set(f.from, false)
		k.set(f.to, known)
	}
}

func (b *mapping) known(k *Knowledge) {
	made := &Knowledge{full: k.full}
	isRecord := false
	for _, l := range b.leaves {
		isRecord = isRecord || l.at[0] == After || l.at[0] == Opcode || l.at[0] == Key
		if k.Computes(l.expression) {
			made.paths = append(made.paths, l.at)
		}
	}
	for _, m := range b.members.members {
		isRecord = isRecord || m.name == After || m.name == Key
	}
	if k.full && !isRecord { // the map is the new after; the rest of the record stays
		for i, p := range made.paths {
			made.paths[i] = append(path.Path{After}, p...)
		}
		for _, p := range k.paths {
			if p[0] != After {
				made.paths = append(made.paths, p)
			}
		}
	} else if k.full && !slices.ContainsFunc(b.leaves, func(l leaf) bool { return l.at[0] == Key }) {
		for _, p := range k.paths {
			if p[0] == Key {
				made.paths = append(made.paths, p)
			}
		}
	}
	k.paths = made.paths
}

// Mentions tells whether an expression or a path of a block begins with a member of the record.
func (c Chain) Mentions(member string) bool {
	return slices.ContainsFunc(c, func(s step) bool {
		return slices.ContainsFunc(s.mentions(), func(p path.Path) bool { return len(p) == 0 || p[0] == member })
	})
}

func (f *filter) mentions() []path.Path { return f.condition.References() }

func (b *addField) mentions() (paths []path.Path) {
	for _, f := range b.fields {
		paths = append(paths, f.expression.References()...)
	}
	return paths
}

func (b *removeField) mentions() []path.Path { return nil }

func (b *renameField) mentions() (paths []path.Path) {
	for _, f := range b.fields {
		paths = append(paths, f.from)
	}
	return paths
}

func (b *mapping) mentions() (paths []path.Path) {
	for _, l := range b.leaves {
		paths = append(paths, l.expression.References()...)
	}
	return paths
}
