package engine

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"slipstream/applier"
	"slipstream/applier/value"
	applierv1 "slipstream/proto/slipstream/applier/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
)

// model is a table in memory: key "parent/item" to the columns x and y.
type model map[string][2]string

// event is a row of a batch for the model.
type event struct {
	op           applierv1.RowOp
	change       uint32
	parent, item string
	values       [2]string // "-" is absent
}

// apply does what the database would do if each event were written by itself.
func (c model) apply(e event) {
	key := e.parent + "/" + e.item
	switch e.op {
	case applierv1.RowOp_ROW_OP_UPSERT:
		row := c[key]
		for i, v := range e.values {
			if v != "-" {
				row[i] = v
			}
		}
		c[key] = row
	case applierv1.RowOp_ROW_OP_DELETE:
		delete(c, key)
	case applierv1.RowOp_ROW_OP_PRUNE:
		maps.DeleteFunc(c, func(k string, _ [2]string) bool { return k[:len(e.parent)+1] == e.parent+"/" })
	}
}

// write does what a dialect does with a Write.
func (c model) write(t *rapid.T, w *applier.Write) {
	at := func(column int, row int32) string { return string(w.Values.Columns[column].At(row)) }
	for i, row := range w.Rows {
		key := at(0, row) + "/" + at(1, row)
		if i > 0 && w.Verb != applier.Prune {
			last := w.Rows[i-1]
			if a, b := appendKey(nil, w.Table, w.Values, w.Table.Keys, last), appendKey(nil, w.Table, w.Values, w.Table.Keys, row); bytes.Compare(a, b) >= 0 {
				t.Fatalf("rows are not sorted, or a key comes twice: %q, %q", a, b)
			}
		}
		switch w.Verb {
		case applier.Upsert:
			old := c[key]
			for _, column := range w.Columns[2:] {
				old[column-2] = at(column, row)
			}
			c[key] = old
		case applier.Delete:
			delete(c, key)
		case applier.Prune:
			keep := map[string]bool{}
			for _, k := range w.Keep {
				keep[at(0, k)+"/"+at(1, k)] = true
			}
			maps.DeleteFunc(c, func(k string, _ [2]string) bool {
				return k[:len(at(0, row))+1] == at(0, row)+"/" && !keep[k]
			})
		}
	}
}

func foldTable() *applier.Table {
	return &applier.Table{
		Name: "t", Keys: []int{0, 1}, Parents: []int{0},
		Columns: []applier.TableColumn{
			{Name: "parent", Key: true, Type: value.Type{Kind: value.Integer, Bits: 64}},
			{Name: "item", Key: true, Type: value.Type{Kind: value.Text}},
			{Name: "x", Type: value.Type{Kind: value.Text}},
			{Name: "y", Type: value.Type{Kind: value.Text}},
		},
	}
}

// rowsFor is the message for events.
func rowsFor(events []event) *applierv1.Rows {
	r := &applierv1.Rows{Count: uint32(len(events)), Columns: []*applierv1.Column{{}, {}, {}, {}}}
	for _, e := range events {
		r.Ops = append(r.Ops, byte(e.op))
		r.Changes = append(r.Changes, e.change)
		values := []string{e.parent, e.item, e.values[0], e.values[1]}
		for i, v := range values {
			kind := applierv1.ValueKind_VALUE_KIND_STRING
			switch {
			case v == "-":
				kind, v = applierv1.ValueKind_VALUE_KIND_ABSENT, ""
			case i == 1 && e.op == applierv1.RowOp_ROW_OP_PRUNE, i > 1 && e.op != applierv1.RowOp_ROW_OP_UPSERT:
				kind, v = applierv1.ValueKind_VALUE_KIND_UNSPECIFIED, ""
			}
			c := r.Columns[i]
			c.Text = append(c.Text, v...)
			c.Ends = append(c.Ends, uint32(len(c.Text)))
			c.Kinds = append(c.Kinds, byte(kind))
		}
	}
	return r
}

func prepareEvents(t interface{ Fatalf(string, ...any) }, events []event) *prepared {
	p, err := prepare(&applierv1.RowBatch{Sequence: 1, Tables: []*applierv1.Rows{rowsFor(events)}}, tableSet{0: foldTable()})
	if err != nil {
		t.Fatalf("preparing: %v", err)
	}
	return p
}

// drawEvents makes events as a transformer would: the prunes of a change come before its other rows, and a row whose key
// was removed before in the batch sets all its columns (what it does not touch would be the old row's: see package
// comment).
func drawEvents(t *rapid.T) []event {
	var events []event
	gone := map[string]bool{}
	for change := range uint32(rapid.IntRange(1, 12).Draw(t, "changes")) {
		parent := strconv.Itoa(rapid.IntRange(1, 3).Draw(t, "parent"))
		if rapid.Bool().Draw(t, "prune") {
			events = append(events, event{op: applierv1.RowOp_ROW_OP_PRUNE, change: change, parent: parent})
			for _, item := range []string{"a", "b", "c"} {
				gone[parent+"/"+item] = true
			}
		}
		for range rapid.IntRange(0, 3).Draw(t, "rows") {
			e := event{change: change, parent: parent, item: rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "item")}
			e.op = rapid.SampledFrom([]applierv1.RowOp{applierv1.RowOp_ROW_OP_UPSERT, applierv1.RowOp_ROW_OP_UPSERT, applierv1.RowOp_ROW_OP_DELETE}).Draw(t, "op")
			for i := range e.values {
				e.values[i] = rapid.SampledFrom([]string{"-", "1", "2", "3"}).Draw(t, "value")
				if e.values[i] == "-" && gone[parent+"/"+e.item] {
					e.values[i] = "4"
				}
			}
			if e.op == applierv1.RowOp_ROW_OP_DELETE {
				gone[parent+"/"+e.item] = true
			}
			events = append(events, e)
		}
	}
	return events
}

// TestFoldIsEquivalent: the folded writes leave the table as the events one by one would have, with any changes left
// out (spec 5.2).
func TestFoldIsEquivalent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		events := drawEvents(t)
		want, got := model{}, model{}
		for _, parent := range []string{"1", "2", "3"} {
			for _, item := range []string{"a", "b", "c"} {
				if rapid.Bool().Draw(t, "exists") {
					want[parent+"/"+item] = [2]string{"old", "old"}
				}
			}
		}
		maps.Copy(got, want)
		p := prepareEvents(t, events)
		for round := range 2 { // folding again, with one change left out, must not see the first time
			w, g := maps.Clone(want), maps.Clone(got)
			out := refused{}
			if round == 1 && len(events) > 0 && allPresent(events) {
				out.add(0, events[0].change, &flowv1.Reject{})
			}
			for _, e := range events {
				if out[0][e.change] == nil {
					w.apply(e)
				}
			}
			steps, err := plan(p, out, nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range steps {
				g.write(t, s.write)
			}
			if !maps.Equal(w, g) {
				t.Fatalf("round %d: folded gives %v, one by one %v", round, g, w)
			}
		}
	})
}

func allPresent(events []event) bool {
	return !slices.ContainsFunc(events, func(e event) bool { return e.values[0] == "-" || e.values[1] == "-" })
}

// keyOf is the key of a row with these texts.
func keyOf(parent, item string) string {
	v := &applier.Values{Count: 1, Columns: make([]applier.Column, 2)}
	for i, text := range []string{parent, item} {
		v.Columns[i] = applier.Column{
			Text: []byte(text), Start: []uint32{0}, End: []uint32{uint32(len(text))}, States: []applier.State{applier.Present},
		}
	}
	return string(appendKey(nil, foldTable(), v, []int{0, 1}, 0))
}

func TestKeyOrder(t *testing.T) {
	sorted := []string{"-9223372036854775808", "-10", "-9", "0", "9", "10", "9223372036854775807"}
	for i := range sorted[1:] {
		if keyOf(sorted[i], "z") >= keyOf(sorted[i+1], "a") {
			t.Errorf("%s does not sort before %s", sorted[i], sorted[i+1])
		}
	}
	seen := map[string]string{}
	for _, item := range []string{"", "\x00", "\x00\x00", "a", "a\x00", "a\x00b", "\x00\xff", "\xff", "\xff\x00"} {
		key := keyOf("1", item)
		if other, known := seen[key]; known {
			t.Errorf("%q and %q have one key", item, other)
		}
		seen[key] = item
	}
}

func TestRowsOfARejectedRecord(t *testing.T) {
	events := []event{
		{op: applierv1.RowOp_ROW_OP_UPSERT, change: 0, parent: "1", item: "a"},
		{op: applierv1.RowOp_ROW_OP_UPSERT, change: 1, parent: "1", item: "b"},
		{op: applierv1.RowOp_ROW_OP_UPSERT, change: 1, parent: "no number", item: "c"},
		{op: applierv1.RowOp_ROW_OP_UPSERT, change: 2, parent: "-", item: "d"},
	}
	p := prepareEvents(t, events)
	steps, err := plan(p, refused{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if rows := tally(steps); rows[applier.Upsert] != 1 {
		t.Errorf("%d rows are written, want the first alone", rows[applier.Upsert])
	}
	var got []string
	for _, change := range []uint32{1, 2} {
		got = append(got, p.outputs[0].bad[change].GetReason())
	}
	want := "[cannot convert 'no number' to  for column parent: it is not a number missing key column parent on upsert]"
	if fmt.Sprint(got) != want {
		t.Errorf("reasons %v\nwant %s", got, want)
	}
}
