package engine

import (
	"cmp"
	"slices"

	"slipstream/applier"
	flowv1 "slipstream/proto/slipstream/flow/v1"
)

// step is a write and the output it belongs to.
type step struct {
	write  *applier.Write
	output *converted
}

// refused tells which records are left out of a batch, by output and change.
type refused map[uint32]map[uint32]*flowv1.Reject

// add refuses the record of a row; the first reason stands.
func (r refused) add(output, change uint32, why *flowv1.Reject) {
	of := r[output]
	if of == nil {
		of = map[uint32]*flowv1.Reject{}
		r[output] = of
	}
	if _, known := of[change]; !known {
		of[change] = why
	}
}

func (r refused) count() int {
	n := 0
	for _, of := range r {
		n += len(of)
	}
	return n
}

// plan lists the writes of a batch without its refused records: upserts in the order of the outputs, then removals in
// reverse (design D7). Where two outputs write one table, or two keys may be one to the server, only the order of events
// is right.
//
// Ledgers are those of the outputs that keep a row index.
func plan(p *prepared, out refused, ledgers map[uint32]*ledger) ([]step, error) {
	var steps, removals []step
	shared := false
	tables := map[string]bool{}
	for _, c := range p.outputs {
		skip := make(map[uint32]bool, len(c.bad))
		for change := range c.bad {
			skip[change] = true
		}
		for change := range out[c.rows.Output] {
			skip[change] = true
		}
		f, err := outcomes(c, skip, ledgers[c.rows.Output])
		if err != nil {
			return nil, err
		}
		for _, w := range f.writes {
			steps = append(steps, step{w, c})
		}
		own := make([]step, 0, len(f.removals))
		for _, w := range f.removals {
			own = append(own, step{w, cmp.Or(f.removed, c)})
		}
		removals = append(own, removals...)
		shared = shared || tables[c.table.Name] || alike(c, f)
		tables[c.table.Name] = true
	}
	steps = append(steps, removals...)
	if shared {
		return eventOrder(steps), nil
	}
	return steps, nil
}

// alike tells whether two rows that are written have keys that the server may take for equal (value.Type.Loose).
func alike(c *converted, f *folded) bool {
	loose := func(k int) bool { return c.table.Columns[k].Type.Loose != nil }
	if !slices.ContainsFunc(c.table.Keys, loose) {
		return false
	}
	exact := map[string]string{}
	var key, folding []byte
	for _, w := range slices.Concat(f.writes, f.removals) {
		if w.Verb == applier.Prune || w.Verb == applier.Insert {
			continue // by parents; and what is inserted finds no row
		}
		for _, row := range w.Rows {
			key, folding = key[:0], folding[:0]
			for _, k := range c.table.Keys {
				text := w.Values.Columns[k].At(row)
				key = append(append(key, text...), 0)
				if loose(k) {
					folding = append(c.table.Columns[k].Type.Loose(folding, text), 0)
				} else {
					folding = append(append(folding, text...), 0)
				}
			}
			if other, known := exact[string(folding)]; known && other != string(key) {
				return true
			}
			exact[string(folding)] = string(key)
		}
	}
	return false
}

// outcomes makes the writes of one output.
func outcomes(c *converted, skip map[uint32]bool, g *ledger) (*folded, error) {
	switch {
	case g != nil:
		return g.settle(skip)
	case appends(c.rows):
		return &folded{converted: c, writes: history(c, skip)}, nil
	}
	return fold(c, skip), nil
}

// eventOrder cuts writes so that they follow the order of events.
func eventOrder(steps []step) []step {
	var singles []step
	for _, s := range steps {
		singles = append(singles, s.singles()...)
	}
	sortByEvent(singles)
	return singles
}

// singles are the rows of a step one by one.
func (s step) singles() []step {
	out := make([]step, 0, len(s.write.Rows))
	for i := range s.write.Rows {
		out = append(out, step{s.write.Slice(i, i+1), s.output})
	}
	return out
}

// change is the change that the first row of a step comes from.
func (s step) change() uint32 { return s.output.rows.Changes[s.write.Rows[0]] }

func sortByEvent(singles []step) {
	slices.SortStableFunc(singles, func(a, b step) int {
		if d := cmp.Compare(a.change(), b.change()); d != 0 {
			return d
		}
		if d := cmp.Compare(a.output.rows.Output, b.output.rows.Output); d != 0 {
			return d
		}
		return cmp.Compare(a.write.Rows[0], b.write.Rows[0])
	})
}

// tally counts the rows of a plan by verb.
func tally(steps []step) (rows [applier.Verbs]int) {
	for _, s := range steps {
		rows[s.write.Verb] += len(s.write.Rows)
	}
	return rows
}
