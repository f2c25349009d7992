package engine

import (
	"bytes"
	"cmp"
	"slices"

	"slipstream/applier"
	applierv1 "slipstream/proto/slipstream/applier/v1"
)

// folded are the writes of one output: each row of the target is touched by one of them at most.
type folded struct {
	converted *converted
	writes    []*applier.Write // upserts, one for each set of columns; what REPLACE deletes and inserts
	removals  []*applier.Write // a prune, then deletes
	removed   *converted       // whose rows the removals are, where they are not those of converted
}

// keyed is a row and the bytes it is sorted by.
type keyed struct {
	row int32
	key []byte
}

// folder folds the rows of one output.
type folder struct {
	c      *converted
	values *applier.Values // those of c, or a copy where rows had to be merged
	arena  []byte
	prunes map[string]int32 // parent to the last row that prunes it
}

// fold keeps the last operation on each row of the target, in the order of events. Rows of changes in skip are left out
// before that, so an older change of the same row stands again when the newer one is rejected.
func fold(c *converted, skip map[uint32]bool) *folded {
	f := &folder{c: c, values: c.values}
	items := f.items(skip)
	slices.SortFunc(items, func(a, b keyed) int {
		if d := bytes.Compare(a.key, b.key); d != 0 {
			return d
		}
		return cmp.Compare(a.row, b.row)
	})
	var upserts, deletes []int32
	for len(items) > 0 {
		n := 1
		for n < len(items) && bytes.Equal(items[n].key, items[0].key) {
			n++
		}
		row, remove := f.last(items[:n])
		items = items[n:]
		switch {
		case row < 0:
		case remove:
			deletes = append(deletes, row)
		default:
			upserts = append(upserts, row)
		}
	}
	out := &folded{converted: c}
	out.write(f, upserts)
	if prune := f.prune(upserts); prune != nil {
		out.removals = append(out.removals, prune)
	}
	if len(deletes) > 0 {
		out.removals = append(out.removals, &applier.Write{
			Table: c.table, Verb: applier.Delete, Columns: c.table.Keys, Rows: deletes, Values: f.values,
		})
	}
	return out
}

// write adds the writes that leave rows behind. Rows are in the order of their keys.
func (out *folded) write(f *folder, rows []int32) {
	var upserts, replaced []int32
	for _, row := range rows {
		if applierv1.RowOp(f.c.rows.Ops[row]) == applierv1.RowOp_ROW_OP_REPLACE {
			replaced = append(replaced, row)
		} else {
			upserts = append(upserts, row)
		}
	}
	out.writes = f.split(applier.Upsert, upserts)
	if len(replaced) > 0 {
		out.writes = append(out.writes, &applier.Write{
			Table: f.c.table, Verb: applier.Delete, Columns: f.c.table.Keys, Rows: replaced, Values: f.values,
		})
		out.writes = append(out.writes, f.split(applier.Insert, replaced)...)
	}
}

// sorted puts rows in the order of their keys.
func (f *folder) sorted(rows []int32) []int32 {
	items := make([]keyed, len(rows))
	for i, row := range rows {
		items[i] = keyed{row, f.key(row, f.c.table.Keys)}
	}
	slices.SortFunc(items, func(a, b keyed) int { return bytes.Compare(a.key, b.key) })
	for i := range items {
		rows[i] = items[i].row
	}
	return rows
}

// items lists the rows to write with their keys, and notes the prunes among them.
func (f *folder) items(skip map[uint32]bool) []keyed {
	rows := f.c.rows
	items := make([]keyed, 0, rows.Count)
	f.arena = make([]byte, 0, int(rows.Count)*16)
	for i := range rows.Ops {
		if skip[rows.Changes[i]] {
			continue
		}
		row := int32(i)
		if applierv1.RowOp(rows.Ops[i]) == applierv1.RowOp_ROW_OP_PRUNE {
			if f.prunes == nil {
				f.prunes = map[string]int32{}
			}
			f.prunes[string(f.key(row, f.c.table.Parents))] = row
			continue
		}
		items = append(items, keyed{row, f.key(row, f.c.table.Keys)})
	}
	return items
}

// key puts a row's key into the arena. An arena that is full is left to its keys and a new one begun.
func (f *folder) key(row int32, columns []int) []byte {
	from := len(f.arena)
	grown := appendKey(f.arena, f.c.table, f.values, columns, row)
	f.arena = grown
	return grown[from:len(grown):len(grown)]
}

// last folds the rows of one key, oldest first: the row that counts, or -1, and whether it is a delete. What a later
// prune of the parent takes away does not count; columns that a row does not touch come from the row before it.
func (f *folder) last(same []keyed) (row int32, remove bool) {
	row = -1
	for _, k := range same {
		if f.pruned(k.row) {
			continue
		}
		if applierv1.RowOp(f.c.rows.Ops[k.row]) == applierv1.RowOp_ROW_OP_DELETE {
			row, remove = k.row, true
			continue
		}
		if row >= 0 && !remove && applierv1.RowOp(f.c.rows.Ops[k.row]) == applierv1.RowOp_ROW_OP_UPSERT {
			f.merge(row, k.row)
		}
		row, remove = k.row, false
	}
	return row, remove
}

func (f *folder) pruned(row int32) bool {
	if f.prunes == nil {
		return false
	}
	last, ok := f.prunes[string(f.key(row, f.c.table.Parents))]
	return ok && last > row
}

// merge gives the columns that row does not touch the values they have in older.
func (f *folder) merge(older, row int32) {
	for i := range f.values.Columns {
		if f.values.Columns[i].States[row] != applier.Absent || f.values.Columns[i].States[older] == applier.Absent {
			continue
		}
		if f.values == f.c.values { // what was converted stays as it is: the batch may be folded again
			f.values = cloneLayout(f.c.values)
		}
		c := &f.values.Columns[i]
		c.Start[row], c.End[row], c.States[row] = c.Start[older], c.End[older], c.States[older]
	}
}

func cloneLayout(v *applier.Values) *applier.Values {
	out := &applier.Values{Count: v.Count, Columns: make([]applier.Column, len(v.Columns))}
	for i, c := range v.Columns {
		out.Columns[i] = applier.Column{
			Text: c.Text, Start: slices.Clone(c.Start), End: slices.Clone(c.End), States: slices.Clone(c.States),
		}
	}
	return out
}

// prune makes one write of all prunes: one row a parent, and the rows of these parents that stay.
func (f *folder) prune(upserts []int32) *applier.Write {
	if f.prunes == nil {
		return nil
	}
	w := &applier.Write{Table: f.c.table, Verb: applier.Prune, Columns: f.c.table.Parents, Values: f.values}
	parents := make([]keyed, 0, len(f.prunes))
	for key, row := range f.prunes {
		parents = append(parents, keyed{row, []byte(key)})
	}
	slices.SortFunc(parents, func(a, b keyed) int { return bytes.Compare(a.key, b.key) })
	for _, p := range parents {
		w.Rows = append(w.Rows, p.row)
	}
	for _, row := range upserts {
		if _, ok := f.prunes[string(f.key(row, f.c.table.Parents))]; ok {
			w.Keep = append(w.Keep, row)
		}
	}
	return w
}

// split groups rows by the columns that they touch; most batches have one group.
func (f *folder) split(verb applier.Verb, rows []int32) []*applier.Write {
	if len(rows) == 0 {
		return nil
	}
	groups := map[string]*applier.Write{}
	var writes []*applier.Write
	mask := make([]byte, len(f.values.Columns))
	var current *applier.Write
	var currentMask string
	for _, row := range rows {
		for i := range f.values.Columns {
			mask[i] = 0
			if f.values.Columns[i].States[row] == applier.Absent {
				mask[i] = 1
			}
		}
		if current == nil || currentMask != string(mask) {
			currentMask = string(mask)
			current = groups[currentMask]
		}
		if current == nil {
			current = &applier.Write{Table: f.c.table, Verb: verb, Values: f.values}
			for i := range mask {
				if mask[i] == 0 {
					current.Columns = append(current.Columns, i)
				}
			}
			groups[currentMask] = current
			writes = append(writes, current)
		}
		current.Rows = append(current.Rows, row)
	}
	return writes
}
