package sqlexpr

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"slipstream/transformer/path"
	"slipstream/transformer/pattern"
	"slipstream/transformer/record"
)

// analyse reads an expression: it finds the fields, replaces them and the clock by parameters, and refuses what is no
// scalar expression. It knows just enough grammar to tell a field from a keyword; SQLite judges the rest.
func analyse(expression string) (*Expression, error) {
	if len(expression) > expressionLimit {
		return nil, fmt.Errorf("the expression is longer than %d bytes", expressionLimit)
	}
	tokens, err := tokenise(expression)
	if err != nil {
		return nil, err
	}
	if len(tokens) == 0 {
		return nil, errors.New("the expression is empty")
	}
	a := analysis{tokens: tokens, expression: &Expression{text: expression}, operand: true}
	for a.at < len(tokens) {
		if err := a.step(); err != nil {
			return nil, fmt.Errorf("%w (at offset %d)", err, tokens[min(a.at, len(tokens)-1)].offset)
		}
	}
	if len(a.open) > 0 {
		return nil, errors.New("a ( is not closed")
	}
	a.flush(nil)
	if err := a.simplify(); err != nil {
		return nil, err
	}
	return a.expression, nil
}

// call is an open parenthesis, with the function it belongs to, if any.
type call struct {
	name     string // lower case; empty for a plain parenthesis
	opened   int    // index of the token
	argument int    // index of the argument being read
}

type analysis struct {
	tokens     []token
	at         int
	expression *Expression
	sql        strings.Builder
	open       []call
	operand    bool // a value is expected next, not an operator
	negated    bool // the last token was the NOT of x NOT LIKE y
}

func (a *analysis) peek(ahead int) token {
	if i := a.at + ahead; i >= 0 && i < len(a.tokens) {
		return a.tokens[i]
	}
	return token{}
}

// emit copies SQL; words are kept apart by blanks.
func (a *analysis) emit(sql string) {
	if a.sql.Len() > 0 {
		a.sql.WriteByte(' ')
	}
	a.sql.WriteString(sql)
}

// flush ends the fragment with a parameter, or without one at the end of the expression.
func (a *analysis) flush(p *parameter) {
	a.expression.fragments = append(a.expression.fragments, fragment{a.sql.String(), p})
	a.sql.Reset()
}

// copyToken emits the token at hand; operand says whether a value is expected after it.
func (a *analysis) copyToken(operand bool) {
	a.emit(a.peek(0).text)
	a.operand = operand
	a.at++
}

// bind puts a parameter where the token at hand stands.
func (a *analysis) bind(p parameter) {
	a.flush(&p)
	a.operand = false
	a.at++
}

func (a *analysis) step() error {
	switch t := a.peek(0); t.kind {
	case symbol:
		return a.symbol(t)
	case quoted:
		return a.field(t)
	case str:
		return a.literal(t)
	case number, blob:
		a.copyToken(false)
		return nil
	}
	return a.word()
}

func (a *analysis) symbol(t token) error {
	switch t.text {
	case "(":
		return a.openCall("")
	case ")":
		return a.closeCall()
	case ",":
		if len(a.open) == 0 {
			return errors.New("a comma stands outside of parentheses: only one expression can stand here")
		}
		a.open[len(a.open)-1].argument++
	case ".":
		return a.dotted()
	case "*":
		if a.operand {
			return errors.New("a * stands where a value is expected")
		}
	}
	a.copyToken(true)
	return nil
}

// dotted refuses the names around the dot at hand, and writes the whole of them as they should be.
func (a *analysis) dotted() error {
	name := func(t token) string {
		if t.kind == quoted {
			return t.value
		}
		return t.text
	}
	whole := name(a.peek(-1))
	for i := 0; a.peek(i).is("."); i += 2 {
		whole += "." + name(a.peek(i+1))
	}
	return fmt.Errorf("nested fields are written in backticks: `%s`", whole)
}

// field replaces a quoted name, whose content is a path, by a parameter.
func (a *analysis) field(t token) error {
	if a.peek(1).is("(") {
		return fmt.Errorf("%s cannot be called: names of functions are not quoted", t.text)
	}
	parsed, err := path.Parse(t.value)
	if err != nil {
		return err
	}
	return a.use(parsed)
}

// use binds a field.
func (a *analysis) use(field path.Path) error {
	if !a.operand {
		return fmt.Errorf("an operator is missing before %s", a.peek(0).text)
	}
	if a.peek(1).is(".") {
		a.at++
		return a.dotted()
	}
	a.expression.refer(field)
	p := parameter{source: fromField, field: field}
	if a.isTimeValue() {
		p.source = fromTimeField
	}
	a.bind(p)
	return nil
}

// literal copies a string, unless it names the present in a date function.
func (a *analysis) literal(t token) error {
	if a.isTimeValue() {
		switch strings.ToLower(t.value) {
		case "now":
			a.bind(parameter{source: fromNow})
			return nil
		case "subsec", "subsecond":
			// As the only time value of a function it means the present, with its fraction.
			if _, direct := timeValues[a.open[len(a.open)-1].name]; direct {
				a.flush(&parameter{source: fromNow})
				a.emit(",")
			}
		}
	}
	if a.peek(-1).upper() == "REGEXP" {
		if _, err := pattern.Compile(t.value); err != nil {
			return err
		}
	}
	a.copyToken(false)
	return nil
}

// passing are the functions that give one of their arguments as it is.
var passing = set("coalesce ifnull iif if")

// isTimeValue reports whether the token at hand is, as a whole, a time value of a date function, or what may become one
// by parentheses, CASE or a function that passes it on.
func (a *analysis) isTimeValue() bool {
	before, after := a.peek(-1), a.peek(1)
	if !before.is("(") && !before.is(",") && before.upper() != "THEN" && before.upper() != "ELSE" ||
		!after.is(")") && !after.is(",") && after.upper() != "WHEN" && after.upper() != "ELSE" && after.upper() != "END" {
		return false
	}
	for i := len(a.open) - 1; i >= 0; i-- {
		c := a.open[i]
		if first, ok := timeValues[c.name]; ok {
			return c.argument == first || c.name == "timediff" && c.argument < 2
		}
		if c.name != "" && !passing[c.name] {
			return false
		}
	}
	return false
}

// openCall enters parentheses; name is the function they belong to.
func (a *analysis) openCall(name string) error {
	if name == "" && !a.operand {
		return errors.New("an operator is missing before (")
	}
	a.open = append(a.open, call{name: name, opened: a.at})
	a.copyToken(true)
	return nil
}

func (a *analysis) closeCall() error {
	if len(a.open) == 0 {
		return errors.New("a ) closes nothing")
	}
	c := a.open[len(a.open)-1]
	empty := c.opened == a.at-1
	if (c.name == "min" || c.name == "max") && c.argument == 0 {
		return fmt.Errorf("%s() of one argument is an aggregate; it takes two or more values here", c.name)
	}
	if first, ok := timeValues[c.name]; ok && c.name != "timediff" {
		// Without a time value these functions take the present.
		switch {
		case empty && first == 0:
			a.flush(&parameter{source: fromNow})
		case !empty && first == 1 && c.argument == 0:
			a.emit(",")
			a.flush(&parameter{source: fromNow})
		}
	}
	a.open = a.open[:len(a.open)-1]
	a.copyToken(false)
	return nil
}

// simplify recognises the expressions that need no SQLite.
func (a *analysis) simplify() error {
	if len(a.tokens) != 1 {
		return nil
	}
	switch t := a.tokens[0]; t.kind {
	case str:
		a.expression.constant = &constant{value: t.value}
	case number:
		if n, err := strconv.ParseInt(t.text, 10, 64); err == nil {
			a.expression.constant = &constant{value: record.Integer(n)}
		}
	default:
		if len(a.expression.fields) == 1 {
			a.expression.constant = &constant{field: a.expression.fields[0]}
		}
	}
	return nil
}
