package engine

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"slipstream/applier"
	"slipstream/proto/fault"
	applierv1 "slipstream/proto/slipstream/applier/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// ledger works out who owns which row of one output after a batch (design D8): the entries of the row index that the
// batch touches, as they were found and as they become.
//
// The rows that one change writes are all that its Redis key owns from then on. So what it owned before and does not
// write again is deleted, whether a business key has changed, an array has shrunk, or the key is gone; but only what it
// still owns: a row that another key has written since is that key's.
type ledger struct {
	c      *converted
	output string
	found  []applier.Entry

	entries   map[string]*applier.Entry      // by row, as they become
	owned     map[string]map[string]struct{} // the rows of each owner
	touched   map[string]struct{}            // rows whose entry differs from what was found, or is gone
	last      map[string]outcome             // what happens to each row in the end
	takenOver int
	outdated  int
}

// outcome is what a row comes to: row is the one to write, or -1 where it is deleted by change.
type outcome struct {
	row    int32
	change uint32
}

// load reads and locks the entries that a batch touches, output by output.
func load(ctx context.Context, txn applier.Txn, p *prepared, job *pipelinev1.Job) (map[uint32]*ledger, error) {
	ledgers := map[uint32]*ledger{}
	for _, c := range p.outputs {
		if c.rows.Owners == nil {
			continue
		}
		g := &ledger{c: c, output: indexName(job, c.rows.Output)}
		owners, rows := g.touches()
		var err error
		if g.found, err = txn.Owned(ctx, g.output, owners, rows); err != nil {
			return nil, fmt.Errorf("reading the row index: %w", err)
		}
		ledgers[c.rows.Output] = g
	}
	return ledgers, nil
}

// touches lists the owners and the rows of a batch, each once and in order.
func (g *ledger) touches() (owners, rows [][]byte) {
	for i := range int(g.c.rows.Count) {
		owners = append(owners, g.owner(i))
		if writes(g.op(i)) && g.c.bad[g.c.rows.Changes[i]] == nil {
			rows = append(rows, g.row(int32(i)))
		}
	}
	return distinct(owners), distinct(rows)
}

func distinct(list [][]byte) [][]byte {
	slices.SortFunc(list, bytes.Compare)
	return slices.CompactFunc(list, bytes.Equal)
}

func (g *ledger) op(i int) applierv1.RowOp { return applierv1.RowOp(g.c.rows.Ops[i]) }

// owner is the Redis key of a row.
func (g *ledger) owner(i int) []byte {
	o := g.c.rows.Owners
	start := uint32(0)
	if i > 0 {
		start = o.Ends[i-1]
	}
	return o.Text[start:o.Ends[i]:o.Ends[i]]
}

// before is the image that comes with a row, nil where there is none.
func (g *ledger) before(i int) []byte {
	b := g.c.rows.Before
	if b == nil || b.Kinds[i] == byte(applierv1.ValueKind_VALUE_KIND_UNSPECIFIED) {
		return nil
	}
	start := uint32(0)
	if i > 0 {
		start = b.Ends[i-1]
	}
	return b.Text[start:b.Ends[i]:b.Ends[i]]
}

// row is the key of a row as the index has it.
func (g *ledger) row(i int32) []byte {
	values := make([][]byte, len(g.c.table.Keys))
	for n, column := range g.c.table.Keys {
		values[n] = g.c.values.Columns[column].At(i)
	}
	return applier.JoinKey(nil, values...)
}

// writes tells whether an operation leaves a row behind.
func writes(op applierv1.RowOp) bool {
	return op == applierv1.RowOp_ROW_OP_UPSERT || op == applierv1.RowOp_ROW_OP_REPLACE
}

// settle goes through the changes in order, without those in skip, and makes the writes they come to.
func (g *ledger) settle(skip map[uint32]bool) (*folded, error) {
	g.entries = make(map[string]*applier.Entry, len(g.found))
	g.owned = map[string]map[string]struct{}{}
	g.touched, g.last = map[string]struct{}{}, map[string]outcome{}
	g.takenOver, g.outdated = 0, 0
	for i := range g.found {
		e := g.found[i]
		g.give(string(e.Row), &e)
	}
	f := &folder{c: g.c, values: g.c.values}
	changes := g.c.rows.Changes
	for lo := 0; lo < len(changes); {
		hi := lo + 1
		for hi < len(changes) && changes[hi] == changes[lo] {
			hi++
		}
		if !skip[changes[lo]] {
			g.change(f, lo, hi)
		}
		lo = hi
	}
	return g.fold(f)
}

// change takes the rows of one change, from lo to hi.
func (g *ledger) change(f *folder, lo, hi int) {
	owner := string(g.owner(lo))
	ms, seq := g.c.rows.IdMs[lo], g.c.rows.IdSeq[lo]
	if len(g.c.rows.Guards) > 0 && g.c.rows.Guards[lo] != 0 {
		for row := range g.owned[owner] {
			if g.entries[row].Newer(ms, seq) {
				g.outdated++
				return
			}
		}
	}
	kept := map[string]int32{}
	for i := lo; i < hi; i++ {
		if writes(g.op(i)) {
			kept[string(g.row(int32(i)))] = int32(i)
		}
	}
	for row := range g.owned[owner] {
		if _, ok := kept[row]; !ok {
			g.take(row)
			g.last[row] = outcome{-1, g.c.rows.Changes[lo]}
		}
	}
	for i := lo; i < hi; i++ {
		if !writes(g.op(i)) {
			continue
		}
		row := string(g.row(int32(i)))
		if kept[row] != int32(i) {
			continue // a later element of the same change writes it
		}
		if old := g.entries[row]; old != nil && string(old.Owner) != owner {
			g.takenOver++
		}
		if before, ok := g.last[row]; ok && before.row >= 0 {
			f.merge(before.row, int32(i))
		}
		g.take(row)
		g.give(row, &applier.Entry{Row: []byte(row), Owner: []byte(owner), Ms: ms, Seq: seq, Before: g.before(i)})
		g.touched[row] = struct{}{}
		g.last[row] = outcome{int32(i), g.c.rows.Changes[i]}
	}
}

// give makes an entry's owner the owner of its row.
func (g *ledger) give(row string, e *applier.Entry) {
	g.entries[row] = e
	of := g.owned[string(e.Owner)]
	if of == nil {
		of = map[string]struct{}{}
		g.owned[string(e.Owner)] = of
	}
	of[row] = struct{}{}
}

// take leaves a row without an owner.
func (g *ledger) take(row string) {
	e := g.entries[row]
	if e == nil {
		return
	}
	delete(g.owned[string(e.Owner)], row)
	delete(g.entries, row)
	g.touched[row] = struct{}{}
}

// fold makes the writes of what every row has come to.
func (g *ledger) fold(f *folder) (*folded, error) {
	var items []keyed
	var gone []string
	for row, o := range g.last {
		if o.row < 0 {
			gone = append(gone, row)
			continue
		}
		items = append(items, keyed{o.row, f.key(o.row, g.c.table.Keys)})
	}
	slices.SortFunc(items, func(a, b keyed) int { return bytes.Compare(a.key, b.key) })
	rows := make([]int32, len(items))
	for i, item := range items {
		rows[i] = item.row
	}
	out := &folded{converted: g.c}
	out.write(f, rows)
	if len(gone) == 0 {
		return out, nil
	}
	removed, err := g.removed(gone)
	if err != nil {
		return nil, err
	}
	out.removed = removed
	order := make([]int32, len(gone))
	keys := make([][]byte, len(gone))
	for i := range gone {
		order[i] = int32(i)
		keys[i] = appendKey(nil, g.c.table, removed.values, g.c.table.Keys, int32(i))
	}
	slices.SortFunc(order, func(a, b int32) int { return bytes.Compare(keys[a], keys[b]) })
	out.removals = append(out.removals, &applier.Write{
		Table: g.c.table, Verb: applier.Delete, Columns: g.c.table.Keys, Rows: order, Values: removed.values,
	})
	return out, nil
}

// removed are the rows that go because their owner left them: their keys come from the index, not from the batch.
func (g *ledger) removed(gone []string) (*converted, error) {
	t := g.c.table
	r := &converted{
		rows: &applierv1.Rows{Output: g.c.rows.Output, Count: uint32(len(gone))}, table: t,
		values: &applier.Values{Count: len(gone), Columns: make([]applier.Column, len(t.Columns))},
	}
	for i := range r.values.Columns {
		r.values.Columns[i] = applier.Column{
			Start: make([]uint32, len(gone)), End: make([]uint32, len(gone)), States: make([]applier.State, len(gone)),
		}
	}
	for n, row := range gone {
		r.rows.Changes = append(r.rows.Changes, g.last[row].change)
		values, err := applier.SplitKey([]byte(row), len(t.Keys))
		if err != nil {
			return nil, fault.New(flowv1.FaultClass_FAULT_CLASS_SCHEMA, err).
				WithFix("the keys of the output have changed: empty the job's rows of the row index and load the job anew")
		}
		for i, column := range t.Keys {
			c := &r.values.Columns[column]
			c.Start[n] = uint32(len(c.Text))
			c.Text = append(c.Text, values[i]...)
			c.End[n] = uint32(len(c.Text))
			c.States[n] = applier.Present
		}
	}
	return r, nil
}

// own writes what the index has become.
func (g *ledger) own(ctx context.Context, txn applier.Txn) error {
	rows := make([]string, 0, len(g.touched))
	for row := range g.touched {
		rows = append(rows, row)
	}
	slices.Sort(rows)
	var entries []applier.Entry
	var gone [][]byte
	for _, row := range rows {
		if e := g.entries[row]; e != nil {
			entries = append(entries, *e)
		} else {
			gone = append(gone, []byte(row))
		}
	}
	if len(entries)+len(gone) == 0 {
		return nil
	}
	if err := txn.Own(ctx, g.output, entries, gone); err != nil {
		return fmt.Errorf("writing the row index: %w", err)
	}
	return nil
}
