package sqlexpr

import (
	"errors"
	"fmt"
	"strings"

	"slipstream/transformer/path"
)

// operators are the words that stand between values, and whether a value is expected after them.
var operators = map[string]bool{
	"AND": true, "OR": true, "IS": true, "IN": true, "BETWEEN": true, "LIKE": true, "GLOB": true, "REGEXP": true,
	"ESCAPE": true, "NOT": true, "WHEN": true, "THEN": true, "ELSE": true,
	"END": false, "ISNULL": false, "NOTNULL": false,
}

// word handles a keyword, a function or a field.
func (a *analysis) word() error {
	keyword := a.peek(0).upper()
	switch keyword {
	case "SELECT", "EXISTS":
		return errors.New("sub-selects are not allowed in expressions")
	case "RAISE":
		return errors.New("RAISE is not allowed in expressions")
	}
	if a.operand {
		return a.wordAsOperand(keyword)
	}
	return a.wordAsOperator(keyword)
}

func (a *analysis) wordAsOperand(keyword string) error {
	before := a.peek(-1).upper()
	if a.negated {
		// The word after x NOT is an operator, unless it is NULL.
		a.negated = false
		if operand, ok := operators[keyword]; ok {
			a.copyToken(operand)
			return nil
		}
	}
	switch keyword {
	case "NOT", "CASE":
		a.copyToken(true)
		return nil
	case "AND", "OR", "IS", "IN", "BETWEEN", "THEN", "ELSE", "WHEN":
		// Only CASE WHEN is right here; SQLite says what is wrong with the others.
		a.copyToken(true)
		return nil
	case "NULL", "TRUE", "FALSE":
		a.copyToken(false)
		return nil
	case "DISTINCT":
		if before == "IS" || before == "NOT" {
			a.copyToken(true)
			return nil
		}
	case "FROM":
		if before == "DISTINCT" {
			a.copyToken(true)
			return nil
		}
	case "CURRENT_TIMESTAMP":
		a.bind(parameter{source: fromTimestamp})
		return nil
	case "CURRENT_DATE":
		a.bind(parameter{source: fromDate})
		return nil
	case "CURRENT_TIME":
		a.bind(parameter{source: fromTime})
		return nil
	}
	if a.peek(1).is("(") {
		return a.function()
	}
	if before == "IN" {
		return errors.New("IN needs its values in parentheses")
	}
	return a.use(path.Path{a.peek(0).text})
}

func (a *analysis) wordAsOperator(keyword string) error {
	switch keyword {
	case "COLLATE":
		a.copyToken(false)
		if a.peek(0).kind != word {
			return errors.New("COLLATE needs the name of a collation")
		}
		a.copyToken(false)
		return nil
	case "AS":
		if len(a.open) == 0 || a.open[len(a.open)-1].name != "cast" {
			return errors.New("AS is allowed in CAST only")
		}
		return a.castType()
	case "OVER", "FILTER":
		return errors.New("window functions and aggregates are not allowed in expressions")
	case "MATCH":
		return errors.New("MATCH needs a full-text table; use LIKE, GLOB or REGEXP")
	}
	operand, ok := operators[keyword]
	if !ok {
		return fmt.Errorf("an operator is missing before %s", a.peek(0).text)
	}
	a.negated = keyword == "NOT"
	a.copyToken(operand)
	if keyword == "IN" && !a.peek(0).is("(") {
		return errors.New("IN needs its values in parentheses")
	}
	return nil
}

// castType copies the type after CAST(x AS: names, and lengths in parentheses.
func (a *analysis) castType() error {
	a.copyToken(false)
	if a.peek(0).kind != word {
		return errors.New("CAST needs a type after AS")
	}
	for depth := 0; a.at < len(a.tokens); {
		switch t := a.peek(0); {
		case t.is("("):
			depth++
		case t.is(")"):
			if depth == 0 {
				return nil
			}
			depth--
		case t.kind != word && t.kind != number && !t.is(",") && !t.is("+") && !t.is("-"):
			return fmt.Errorf("%s does not belong into a type", t.text)
		}
		a.copyToken(false)
	}
	return errors.New("a CAST is not closed")
}

// function begins a call.
func (a *analysis) function() error {
	name := strings.ToLower(a.peek(0).text)
	if err := refused(name); err != nil {
		return err
	}
	a.copyToken(true)
	return a.openCall(name)
}
