package applier

import (
	"slipstream/applier/value"
)

// Table is an output bound to the catalogue. It is read only once it was returned, and shared by goroutines.
type Table struct {
	// Name tells the table from all others of the target, for messages and comparison: schema and table as the
	// catalogue spells them, joined with a dot, the schema left out where it is the default one.
	Name string
	// Columns in the order of the output's compiled column list.
	Columns []TableColumn
	// Keys are the indexes of the key columns in Columns, ascending.
	Keys []int
	// Parents are the indexes of those key columns that identify the parent of a foreach (spec 5.3).
	Parents []int
	// SkipNulls says that a null leaves its column alone, as an absent value does (skip_nulls, spec 5.4); those of key
	// columns are rejected as ever.
	SkipNulls bool
	// Native is what the dialect keeps with the table, such as statement texts. Nobody else looks at it.
	Native any
}

// TableColumn is a column of a bound table.
type TableColumn struct {
	// Name as the catalogue spells it.
	Name string
	// Type decides conversions (spec 10.3).
	Type value.Type
	// Key says that the column belongs to the business key.
	Key bool
	// Unique says that the column, no key, is in a unique index: rows of a batch may want each other's values.
	Unique bool
	// Nulls says that such a column takes NULL, that each of its indexes takes any number of them, and that no row elsewhere
	// refers to its values.
	Nulls bool
}

// Verb is what to do with rows.
type Verb uint8

// The verbs of mirror semantics (spec 5.2).
const (
	// Upsert inserts a row, or sets its columns where its key exists. With key columns alone it inserts what is not
	// there. Columns that are not listed keep their value on update and take their default on insert.
	Upsert Verb = iota + 1
	// Delete deletes rows by key. A row that is not there is no error.
	Delete
	// Prune deletes all rows that have the parent columns of one of Rows, but not those with the key of one of Keep.
	Prune
	// Insert inserts rows whatever is there (load_strategy APPEND, and the second half of REPLACE and TYPE2). Rows stand
	// in event order and several may have the same key, or none.
	Insert
	// Close sets what inactive_record_mapping says in the active rows of the keys (load_strategy TYPE2). The dialect
	// keeps both texts, which are SQL of the user, with the table.
	Close
	// Update sets columns that are no keys in the rows that are there; it inserts none. Only dialects that mark columns as
	// Unique are asked to.
	Update
)

// Verbs is the number of verbs, for tallies.
const Verbs = Update + 1

// String is the verb in lower case, for spans, metrics and messages.
func (v Verb) String() string {
	switch v {
	case Upsert:
		return "upsert"
	case Delete:
		return "delete"
	case Prune:
		return "prune"
	case Insert:
		return "insert"
	case Close:
		return "close"
	case Update:
		return "update"
	default:
		return "none"
	}
}

// Write is one thing to do with many rows of one table.
type Write struct {
	// Table says where.
	Table *Table
	// Verb says what.
	Verb Verb
	// Columns are the indexes, ascending, of the table's columns that take part. Upsert and Insert: all that the rows
	// set. Delete and Close: the keys. Prune: the parents.
	Columns []int
	// Rows are indexes into Values. But for Insert they are sorted by key, no two have the same key, and no key value is
	// null.
	Rows []int32
	// Keep are the rows that survive a Prune, by their keys; also rows of other parents may be among them.
	Keep []int32
	// Values holds the values.
	Values *Values
}

// Slice is the same write for the rows from lo to hi.
func (w *Write) Slice(lo, hi int) *Write {
	part := *w
	part.Rows = w.Rows[lo:hi]
	return &part
}

// Values are converted rows of one output, column by column, in the order of Table.Columns.
type Values struct {
	// Count is the number of rows.
	Count int
	// Columns has one member a column of the table.
	Columns []Column
}

// State says what a value is.
type State uint8

// The states of a value.
const (
	// Null is SQL NULL.
	Null State = iota
	// Present has a text.
	Present
	// Absent means that the row does not touch the column.
	Absent
)

// Column holds the values of one column: value i is Text[Start[i]:End[i]] where States[i] is Present. Rows may share
// their text.
type Column struct {
	// Text holds the canonical texts (package value).
	Text []byte
	// Start and End delimit each value in Text.
	Start, End []uint32
	// States tell null and absent from present.
	States []State
}

// At is the canonical text of a row's value. It is nil for anything that is not present, and not nil for an empty text.
// The caller must not change it.
func (c *Column) At(row int32) []byte {
	if c.States[row] != Present {
		return nil
	}
	return c.Text[c.Start[row]:c.End[row]:c.End[row]]
}
