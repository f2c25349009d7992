// Package jmespath is the JMESPath of transformation blocks (spec 6.1, 6.2): the standard language, its built-in
// functions, and the functions RDI adds.
//
// Words: an [Expression] is compiled once and evaluated for each record, by any number of goroutines. It is parsed by the
// community library and evaluated here, because values here keep numbers as text (package record) and need an
// environment (package eval); what that library accepts beyond the standard (arithmetic, let, $) is refused.
//
// What holds:
//
//   - Unknown functions, wrong numbers of arguments, bad patterns, predicates and algorithms written as literals, and
//     missing commas are errors when compiling. Types of arguments are checked when evaluating; the error names the
//     function, the value and what it accepts.
//   - A literal in backticks that is not JSON is a string: `pumps:events`. One that begins like JSON ({, [ or ") must be.
//   - Numbers compare by value and exactly, whatever their text; a number never equals a string. Strings order by code
//     point. Ordering anything else, a string against a number too, gives null.
//   - Results of arithmetic are exact for decimals of ordinary size: sum(`[0.1, 0.2]`) is 0.3.
//   - keys, values, to_entries and * go through members in name order (package record).
//   - Characters are Unicode code points. A selection {…} or […] on null is null, as in the reference implementation.
//   - The time and every drawn value come from the environment, so the same change gives the same result again.
//   - regex_replace is bounded in time (package pattern).
//
// A result may share parts with the value it was computed from; who stores it into that value clones it first.
package jmespath

import (
	"errors"
	"fmt"
	"strings"

	"github.com/jmespath-community/go-jmespath/pkg/parsing"

	"slipstream/transformer/eval"
	"slipstream/transformer/path"
)

// Expression is a compiled expression, safe for concurrent use.
type Expression struct {
	text       string
	run        evaluation
	references []path.Path
}

// evaluation computes a node of the expression; current is the value at that place of it.
type evaluation func(s *state, current any) (any, error)

// state is one call of Evaluate.
type state struct {
	env   eval.Env
	drawn uint64
}

// Option changes how an expression is compiled.
type Option func(*compiler)

// NullText sets what concat writes for null; the default is None, as in RDI.
func NullText(text string) Option {
	return func(c *compiler) { c.nullText = text }
}

// RootAlias makes name mean the root value wherever it is used at the root and the root has no member of that name: in
// partial records, after.psi means psi (spec 1.6, A3).
func RootAlias(name string) Option {
	return func(c *compiler) { c.alias = name }
}

// lengthLimit bounds an expression, and with it the depth of the recursions over it.
const lengthLimit = 64 << 10

// Compile compiles an expression. Its errors say what is wrong, where, and, where that is known, what to write instead.
func Compile(expression string, options ...Option) (*Expression, error) {
	compiled, err := compile(expression, options)
	if err != nil {
		return nil, fmt.Errorf("compiling JMESPath %q: %w", cut(expression, 200), err)
	}
	return compiled, nil
}

func compile(expression string, options []Option) (*Expression, error) {
	if len(expression) > lengthLimit {
		return nil, fmt.Errorf("the expression is longer than %d bytes", lengthLimit)
	}
	source, err := scan(expression)
	if err != nil {
		return nil, err
	}
	root, err := parse(source)
	if err != nil {
		return nil, err
	}
	c := compiler{literals: source.literals, nullText: "None"}
	for _, option := range options {
		option(&c)
	}
	run, err := c.compile(root, true)
	if err != nil {
		return nil, err
	}
	return &Expression{text: expression, run: run, references: references(root)}, nil
}

// parse runs the library's parser, whose panics, if any expression provokes one, are syntax errors here.
func parse(source source) (root parsing.ASTNode, err error) {
	defer func() {
		if caught := recover(); caught != nil {
			err = errors.New("the syntax is wrong")
		}
	}()
	root, err = parsing.NewParser().Parse(source.rewritten)
	var syntax parsing.SyntaxError
	if errors.As(err, &syntax) {
		return root, fmt.Errorf("%s (at offset %d)", readable(syntax), source.original(syntax.Offset))
	}
	if err != nil {
		return root, fmt.Errorf("parsing: %w", err)
	}
	return root, nil
}

// marks are the names the parser gives to tokens, and how people write them.
var marks = strings.NewReplacer(
	"SyntaxError: ", "", "TOKEOF", "the end", "TOKStar", "*", "TOKDot", ".", "TOKFilter", "[?", "TOKFlatten", "[]", "TOKLparen", "(",
	"TOKRparen", ")", "TOKLbracket", "[", "TOKRbracket", "]", "TOKLbrace", "{", "TOKRbrace", "}", "TOKOr", "||", "TOKPipe", "|",
	"TOKNumber", "a number", "tNumber", "a number", "TOKUnquotedIdentifier", "a name", "tUnquotedIdentifier", "a name",
	"TOKQuotedIdentifier", "a quoted name", "tQuotedIdentifier", "a quoted name", "TOKComma", "a comma", "TOKColon", "a colon",
	"tColon", "a colon", "TOKPlus", "+", "TOKMinus", "-", "TOKMultiply", "*", "TOKDivide", "/", "TOKModulo", "%", "TOKDiv", "//",
	"TOKLTE", "<=", "TOKLT", "<", "TOKGTE", ">=", "TOKGT", ">", "TOKEQ", "==", "TOKNE", "!=", "TOKJSONLiteral", "a literal",
	"TOKCurrent", "@", "TOKExpref", "&", "TOKAnd", "&&", "TOKNot", "!",
)

func readable(syntax parsing.SyntaxError) string {
	text := marks.Replace(syntax.Error())
	if text == "" {
		return "the syntax is wrong"
	}
	return strings.ToLower(text[:1]) + text[1:]
}

// String is the expression as it was written.
func (e *Expression) String() string { return e.text }

// Evaluate computes the expression for a value. Errors concern this value alone; the expression stays usable.
func (e *Expression) Evaluate(env eval.Env, value any) (any, error) {
	result, err := e.run(&state{env: env}, value)
	if err != nil {
		return nil, fmt.Errorf("evaluating JMESPath %q: %w", cut(e.text, 200), err)
	}
	return result, nil
}

// References lists the paths, from the root, of the values the expression looks at, sorted and without duplicates. The
// empty path stands for the whole value. What is selected further from inside lists is covered by the path of the list.
func (e *Expression) References() []path.Path { return e.references }

func cut(text string, limit int) string {
	runes := []rune(text)
	if len(runes) <= limit {
		return text
	}
	return string(runes[:limit]) + "…"
}
