// Package sqlexpr is the SQL expressions of transformation blocks (spec 6.3): scalar expressions of SQLite, evaluated on
// an embedded SQLite.
//
// Words: an [Expression] is analysed and checked once by [Compile] and shared; an [Evaluator] owns one SQLite in memory
// and belongs to one lane; a [Statement] evaluates several expressions of one record in one step.
//
// What holds when compiling:
//
//   - A bare name is a field at the top of the record. Names in backticks or double quotes are field paths (package path):
//     `location.bay` is a nested field, `fw\.rev` has a dot in its name. location.bay without quotes is refused.
//   - Syntax errors, unknown functions, wrong numbers of arguments, bad patterns after REGEXP, sub-selects, aggregates,
//     windows, parameters and statements are errors.
//
// What holds when evaluating:
//
//   - Field names are case-sensitive. A missing field, null, and a path through something that is no object are NULL.
//   - Strings are TEXT, integers that fit 64 bits INTEGER, other numbers REAL, booleans 1 and 0, objects and lists their
//     compact JSON as TEXT.
//   - Results are nil, string or json.Number. An INTEGER has its decimal text; a REAL the shortest text that reads back
//     the same, with .0 when it would look like an integer (so that 41.0 stays a REAL); a BLOB is a string in base64,
//     as binary values are everywhere (spec 1.6). An infinite result is an error.
//   - An expression that is nothing but a field or a literal does not go through SQLite; a number then keeps its source
//     text.
//   - REGEXP searches, with patterns in Python syntax and a bound on time (package pattern).
//   - Now is the environment's: current_timestamp, current_date, current_time, 'now' as time value of a date function
//     (also through CASE, coalesce, ifnull and iif), a date function without one, and a field there that holds the word
//     now. Only an expression that spells the word by other means sees the clock of the process. random() and randomblob() draw from the environment's seed; so a retry gives the same
//     values (design D5).
//   - No value grows beyond [LengthLimit] bytes.
package sqlexpr

import (
	"errors"
	"fmt"
	"slices"

	"slipstream/transformer/path"
)

// LengthLimit is the size in bytes a text or blob may reach in an expression; what would be longer is an error.
const LengthLimit = 64 << 20

// expressionLimit bounds the text of an expression.
const expressionLimit = 64 << 10

// Expression is a checked expression, immutable and safe for use by any number of evaluators.
type Expression struct {
	text  string
	alias string
	// fragments is the expression as SQL with holes for parameters.
	fragments []fragment
	// constant is set for an expression that needs no SQLite: a literal or a single field.
	constant *constant
	fields   []path.Path
}

// fragment is literal SQL, followed by a parameter if there is one.
type fragment struct {
	sql       string
	parameter *parameter
}

// parameter is a value bound for each record.
type parameter struct {
	source source
	field  path.Path
}

type source int

const (
	fromField     source = iota
	fromTimeField        // a field as a time value, where the word now means the environment's time
	fromNow              // the time in milliseconds, for date functions
	fromDate
	fromTime
	fromTimestamp
)

// constant is the value of a literal, or the field that is the whole expression.
type constant struct {
	value any
	field path.Path
}

// Option changes how an expression is compiled.
type Option func(*Expression)

// RootAlias makes name, as the first part of a quoted path, mean the record itself when the record has no member of that
// name: in partial records, `after.psi` means psi (spec 1.6, A3).
func RootAlias(name string) Option {
	return func(e *Expression) { e.alias = name }
}

// Compile analyses an expression and lets SQLite check it.
func Compile(expression string, options ...Option) (*Expression, error) {
	compiled, err := analyse(expression)
	if err == nil {
		err = check(compiled)
	}
	if err != nil {
		return nil, fmt.Errorf("compiling SQL expression %q: %w", cut(expression, 200), err)
	}
	for _, option := range options {
		option(compiled)
	}
	return compiled, nil
}

// check prepares the expression on an evaluator of its own.
func check(e *Expression) error {
	if e.constant != nil {
		return nil
	}
	evaluator, err := NewEvaluator()
	if err != nil {
		return err
	}
	_, err = evaluator.prepare([]*Expression{e})
	return errors.Join(evaluator.explain(err), evaluator.Close())
}

// String is the expression as it was written.
func (e *Expression) String() string { return e.text }

// References lists the paths of the fields the expression uses, sorted and without duplicates.
func (e *Expression) References() []path.Path { return e.fields }

func (e *Expression) refer(field path.Path) {
	at, found := slices.BinarySearchFunc(e.fields, field, func(a, b path.Path) int { return slices.Compare(a, b) })
	if !found {
		e.fields = slices.Insert(e.fields, at, field)
	}
}

func cut(text string, limit int) string {
	runes := []rune(text)
	if len(runes) <= limit {
		return text
	}
	return string(runes[:limit]) + "…"
}
