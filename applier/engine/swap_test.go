package engine

import (
	"fmt"
	"slices"
	"testing"

	"slipstream/applier"
	"slipstream/applier/value"
)

// column makes a column of values of one row.
func column(text string) applier.Column {
	return applier.Column{Text: []byte(text), Start: []uint32{0}, End: []uint32{uint32(len(text))}, States: []applier.State{applier.Present}}
}

// A row gives its unique values up for made-up ones first, which rows that refer to them can follow, and for NULL only where
// no row can refer to them. Columns that are not unique, or that the write leaves alone, stay as they are.
func TestGivesUp(t *testing.T) {
	text := value.Type{Kind: value.Text, Length: 10}
	table := &applier.Table{Name: "t", Keys: []int{0}, Columns: []applier.TableColumn{
		{Name: "id", Type: value.Type{Kind: value.Integer, Bits: 64}, Key: true},
		{Name: "mail", Type: text, Unique: true, Nulls: true},
		{Name: "no", Type: value.Type{Kind: value.Integer, Bits: 16, Unsigned: true}, Unique: true},
		{Name: "born", Type: value.Type{Kind: value.Date}, Unique: true, Nulls: true},
		{Name: "plain", Type: text},
		{Name: "left", Type: text, Unique: true, Nulls: true},
	}}
	w := &applier.Write{Table: table, Verb: applier.Upsert, Columns: []int{0, 1, 2, 3, 4}, Rows: []int32{0}, Values: &applier.Values{Count: 1}}
	for _, v := range []string{"7", "x", "3", "2000-01-01", "p", ""} {
		w.Values.Columns = append(w.Values.Columns, column(v))
	}
	ways := givesUp(w)
	if len(ways) != 2 {
		t.Fatalf("%d ways", len(ways))
	}
	filled, empty := ways[0], ways[1]
	if !slices.Equal(filled.Columns, []int{0, 1, 2, 3}) || !slices.Equal(empty.Columns, []int{0, 1, 3}) {
		t.Errorf("the ways set the columns %v and %v", filled.Columns, empty.Columns)
	}
	at := func(w *applier.Write, c int) string { return string(w.Values.Columns[c].At(0)) }
	if at(filled, 0) != "7" || at(empty, 0) != "7" {
		t.Error("the key is another")
	}
	if mail, no := at(filled, 1), at(filled, 2); len(mail) != 10 || mail == "x" || no == "" || no == "3" {
		t.Errorf("made up are %q and %q", mail, no)
	}
	if filled.Values.Columns[3].At(0) != nil || empty.Values.Columns[1].At(0) != nil {
		t.Error("NULL is not NULL")
	}
	if again := givesUp(w); at(again[0], 1) != at(filled, 1) {
		t.Error("the next attempt makes something else up")
	}
	w.Values.Columns[0] = column("8")
	if other := givesUp(w); at(other[0], 1) == at(filled, 1) || at(other[0], 2) == at(filled, 2) {
		t.Error("two rows get one value")
	}
	w.Columns = []int{0, 4}
	if ways := givesUp(w); len(ways) != 0 {
		t.Errorf("%d ways without a unique column", len(ways))
	}
	w.Verb, w.Columns = applier.Delete, []int{0}
	if ways := givesUp(w); len(ways) != 0 {
		t.Errorf("%d ways for a delete", len(ways))
	}
}

// What is made up fits its column, or is nothing.
func TestFiller(t *testing.T) {
	for _, c := range []struct {
		typ  value.Type
		fits bool
	}{
		{value.Type{Kind: value.Text}, true},
		{value.Type{Kind: value.Text, Length: 4}, true},
		{value.Type{Kind: value.Text, Length: 2}, false},
		{value.Type{Kind: value.Integer, Bits: 64}, true},
		{value.Type{Kind: value.Integer, Bits: 8}, false},
		{value.Type{Kind: value.Decimal, Precision: 12, Scale: 2}, true},
		{value.Type{Kind: value.Decimal, Precision: 3, Scale: 2}, false},
		{value.Type{Kind: value.UUID}, true},
		{value.Type{Kind: value.Binary, Length: 16}, true},
		{value.Type{Kind: value.Boolean}, false},
		{value.Type{Kind: value.Other, Name: "mood"}, false},
		{value.Type{Kind: value.Text, Refuses: func([]byte, bool) string { return "never" }}, false},
	} {
		table := &applier.Table{Name: "t", Keys: []int{0}, Columns: []applier.TableColumn{{Name: "id", Key: true}, {Name: "u", Type: c.typ, Unique: true}}}
		for key := range 50 {
			w := &applier.Write{Table: table, Rows: []int32{0}, Values: &applier.Values{Count: 1, Columns: []applier.Column{column(fmt.Sprint(key)), column("x")}}}
			if text := filler(w, 1); text != nil && !c.fits || text == nil && c.fits {
				t.Fatalf("%v: %q", c.typ, text)
			}
		}
	}
}
