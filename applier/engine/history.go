package engine

import (
	"slices"

	"slipstream/applier"
	applierv1 "slipstream/proto/slipstream/applier/v1"
)

// appends tells whether an output keeps history: its rows are never folded (spec 5.2, APPEND and TYPE2).
func appends(rows *applierv1.Rows) bool {
	return slices.ContainsFunc(rows.Ops, func(op byte) bool {
		switch applierv1.RowOp(op) {
		case applierv1.RowOp_ROW_OP_INSERT, applierv1.RowOp_ROW_OP_SUPERSEDE, applierv1.RowOp_ROW_OP_CLOSE:
			return true
		}
		return false
	})
}

// history makes the writes of an output that keeps history, in the order of events: APPEND inserts every row; TYPE2
// closes the active row of a key and inserts the next. Rows that close are gathered in rounds, one row a key in each,
// since what one round inserts is what the next has to close.
func history(c *converted, skip map[uint32]bool) []*applier.Write {
	f := &folder{c: c, values: c.values}
	type round struct{ closes, inserts []int32 }
	var rounds []round
	turn := map[string]int{} // the round in which a key comes next
	for i, op := range c.rows.Ops {
		row := int32(i)
		if skip[c.rows.Changes[i]] {
			continue
		}
		n := 0
		if applierv1.RowOp(op) != applierv1.RowOp_ROW_OP_INSERT {
			key := string(f.key(row, c.table.Keys))
			n = turn[key]
			turn[key] = n + 1
		}
		for n >= len(rounds) {
			rounds = append(rounds, round{})
		}
		r := &rounds[n]
		if applierv1.RowOp(op) != applierv1.RowOp_ROW_OP_INSERT {
			r.closes = append(r.closes, row)
		}
		if applierv1.RowOp(op) != applierv1.RowOp_ROW_OP_CLOSE {
			r.inserts = append(r.inserts, row)
		}
	}
	var writes []*applier.Write
	for _, r := range rounds {
		if len(r.closes) > 0 {
			writes = append(writes, &applier.Write{
				Table: c.table, Verb: applier.Close, Columns: c.table.Keys, Rows: f.sorted(r.closes), Values: c.values,
			})
		}
		writes = append(writes, f.split(applier.Insert, r.inserts)...)
	}
	return writes
}
