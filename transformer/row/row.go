// Package row turns records into the rows of one output, column by column (spec 5.1 to 5.3, design D7).
//
// Words: an [Output] is a compiled writer of a job, immutable; a [Table] gathers its rows for one batch; a [Plan] says
// for one list of hash fields where each column comes from, so that a hash goes from its values straight into columns.
//
// What holds:
//
//   - A record writes all its rows or none: what fails takes back the rows it wrote.
//   - Rows stand in event order, and Rows.changes never falls. The PRUNE of a foreach stands before its rows.
//   - No row is deleted by a key column that is null, missing, or doubtful (package block): the record is rejected with
//     "missing key column <c> on delete" (G7, spec 1.6 A4). Rows that are written need their key columns too.
//   - In an output with a row index each row says which Redis key it belongs to and of which change it is; what a key
//     owned and does not write again is the applier's to delete (design D8). So a delete needs no key columns there.
//   - Outputs only read the record, so none sees what another did (spec 3.6).
//   - Both ways of a hash, by plan and by record, give the same rows; a property test says so.
//
// In full format a path that begins with key., before. or after., and the path opcode, start at the record; any other
// starts at after (spec 5.1), and on a delete at before where after has nothing. A foreach expression starts at the
// record if it mentions a member of one, otherwise at after. Column expressions always see the record.
package row

import (
	"fmt"

	applierv1 "slipstream/proto/slipstream/applier/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"

	"slipstream/transformer/expression"
	"slipstream/transformer/path"
)

// Error says why a record gave no rows for an output.
type Error struct {
	// Class is "transform" where an expression failed, otherwise "validation".
	Class string
	// Block is the part of the output that failed, for example "output[0] relational.write".
	Block string
	// Column is the column that failed, where it was one.
	Column string
	// Err is why, in one sentence.
	Err error
}

func (e *Error) Error() string { return e.Err.Error() }

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Classes of rejects that the transformer makes (spec 9.4).
const (
	Transform  = "transform"
	Validation = "validation"
)

// Output is the compiled writer.
type Output struct {
	// Index of the output in the job.
	Index uint32
	// Writer is the name of the block, for example "relational.write".
	Writer string
	// Connection written to.
	Connection string
	// Table as messages show it, with its schema where one is set.
	Table string

	name     string // "output[0] relational.write"
	at       string // path of its with
	full     bool
	columns  []column
	foreach  *foreach
	strategy pipelinev1.LoadStrategy
	opcode   *column // opcode_field
	history  bool    // APPEND writes deletes too, because a column takes the opcode
	planned  bool

	indexed  bool // the target knows by a row index which Redis key owns which row (design D8)
	redis    bool // values that are bytes are written as bytes
	images   bool // and keeps the value of the key with it (before_image: full)
	unfilter bool // on_filtered: delete
}

// Indexed tells whether the target keeps a row index for the output.
func (o *Output) Indexed() bool { return o.indexed }

// RemovesFiltered tells whether the rows of a record that a filter drops are deleted (A8).
func (o *Output) RemovesFiltered() bool { return o.unfilter }

// KeepImages makes the output the one whose rows carry the values that are the before images of the next changes.
func (o *Output) KeepImages() { o.images = true }

// column is where the value of a column comes from.
type column struct {
	name   string
	key    bool
	parent bool
	keep   bool
	from   source
	place  string // for the seed of its expression

	field      path.Path // from the root of the record; in partial format before the alias is resolved
	before     path.Path // on a delete in full format, where field is missing
	element    bool      // field starts at the element of foreach
	expression *expression.Expression
	constant   cell
	document   *several
	prefix     string // put before what is not null
}

type source uint8

const (
	fromField source = iota
	fromExpression
	fromConstant
	fromDocument
	fromRedisKey
)

// foreach explodes a record.
type foreach struct {
	name       string
	expression *expression.Expression
	inAfter    bool
	sync       bool
	leave      bool // the job wants rows of elements that go away to stay
}

// Planned tells whether hashes can be written by plan: no foreach, no opcode_field, no expressions.
func (o *Output) Planned() bool { return o.planned }

// Columns are the names of the columns, in their order.
func (o *Output) Columns() []string {
	names := make([]string, len(o.columns))
	for i := range o.columns {
		names[i] = o.columns[i].name
	}
	return names
}

// fails is an error of this output.
func (o *Output) fails(class, column, format string, args ...any) *Error {
	return &Error{Class: class, Block: o.name, Column: column, Err: fmt.Errorf(format, args...)}
}

// operation is what an opcode means under the strategy of the output (spec 5.2); unspecified means nothing to write.
func (o *Output) operation(opcode string) (applierv1.RowOp, *Error) {
	deleting := opcode == "d"
	if !deleting && opcode != "c" && opcode != "u" && opcode != "r" {
		return 0, o.fails(Validation, "", "unknown opcode '%s'", opcode)
	}
	switch o.strategy {
	case pipelinev1.LoadStrategy_LOAD_STRATEGY_APPEND:
		if deleting && !o.history {
			return applierv1.RowOp_ROW_OP_UNSPECIFIED, nil
		}
		return applierv1.RowOp_ROW_OP_INSERT, nil
	case pipelinev1.LoadStrategy_LOAD_STRATEGY_REPLACE:
		if !deleting {
			return applierv1.RowOp_ROW_OP_REPLACE, nil
		}
	case pipelinev1.LoadStrategy_LOAD_STRATEGY_TYPE2:
		if deleting {
			return applierv1.RowOp_ROW_OP_CLOSE, nil
		}
		return applierv1.RowOp_ROW_OP_SUPERSEDE, nil
	}
	switch {
	case deleting && o.indexed:
		return applierv1.RowOp_ROW_OP_DELETE_OWNED, nil
	case deleting:
		return applierv1.RowOp_ROW_OP_DELETE, nil
	}
	return applierv1.RowOp_ROW_OP_UPSERT, nil
}

// keysOnly tells whether a row of this operation carries its key columns alone.
func keysOnly(op applierv1.RowOp) bool {
	return op == applierv1.RowOp_ROW_OP_DELETE || op == applierv1.RowOp_ROW_OP_CLOSE
}

// noKey is the rejection of a row without one of its key columns.
func (o *Output) noKey(c *column, deleting bool) *Error {
	if deleting {
		return o.fails(Validation, c.name, "missing key column %s on delete", c.name)
	}
	return o.fails(Validation, c.name, "key column %s is null", c.name)
}
