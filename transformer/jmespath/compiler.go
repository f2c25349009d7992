package jmespath

import (
	"errors"
	"fmt"

	"github.com/jmespath-community/go-jmespath/pkg/parsing"

	"slipstream/transformer/record"
)

// compiler turns the parsed tree into nested functions.
type compiler struct {
	literals []any
	nullText string
	alias    string
}

// compile compiles a node. atRoot tells that the current value is the root of the record there.
func (c *compiler) compile(node parsing.ASTNode, atRoot bool) (evaluation, error) {
	switch node.NodeType {
	case parsing.ASTIdentity, parsing.ASTCurrentNode:
		return func(_ *state, current any) (any, error) { return current, nil }, nil
	case parsing.ASTField:
		return c.field(node.Value.(string), atRoot), nil
	case parsing.ASTLiteral:
		return c.literal(node)
	case parsing.ASTIndex:
		return index(node.Value.(int)), nil
	case parsing.ASTSlice:
		return slice(node.Value.([]*int))
	case parsing.ASTSubexpression, parsing.ASTIndexExpression, parsing.ASTPipe:
		return c.chain(node, atRoot)
	case parsing.ASTComparator:
		return c.comparator(node, atRoot)
	case parsing.ASTOrExpression, parsing.ASTAndExpression:
		return c.junction(node, atRoot)
	case parsing.ASTNotExpression:
		operand, err := c.compile(node.Children[0], atRoot)
		return func(s *state, current any) (any, error) {
			value, err := operand(s, current)
			return isFalse(value), err
		}, err
	case parsing.ASTMultiSelectHash:
		return c.selectHash(node, atRoot)
	case parsing.ASTMultiSelectList:
		return c.selectList(node, atRoot)
	case parsing.ASTProjection, parsing.ASTFilterProjection, parsing.ASTValueProjection, parsing.ASTFlatten:
		return c.projection(node, atRoot)
	case parsing.ASTFunctionExpression:
		return c.call(node, atRoot)
	case parsing.ASTExpRef:
		return nil, errors.New("&expression may only be an argument of a function that takes one, as in sort_by(list, &name)")
	case parsing.ASTArithmeticExpression, parsing.ASTArithmeticUnaryExpression:
		return nil, errors.New(`JMESPath has no arithmetic: use language: sql; a name with a minus is written "in-quotes"`)
	}
	return nil, fmt.Errorf("this is not standard JMESPath (%s)", node.NodeType)
}

func (c *compiler) compileAll(nodes []parsing.ASTNode, atRoot bool) ([]evaluation, error) {
	out := make([]evaluation, len(nodes))
	for i, node := range nodes {
		var err error
		if out[i], err = c.compile(node, atRoot); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (c *compiler) field(name string, atRoot bool) evaluation {
	aliased := atRoot && c.alias != "" && name == c.alias
	return func(_ *state, current any) (any, error) {
		object, ok := current.(map[string]any)
		if !ok {
			return nil, nil
		}
		value, ok := object[name]
		if !ok && aliased {
			return current, nil
		}
		return value, nil
	}
}

// literalAt is the literal that the number in the rewritten source stands for.
func (c *compiler) literalAt(node parsing.ASTNode) (any, bool) {
	at, ok := node.Value.(float64)
	if node.NodeType != parsing.ASTLiteral || !ok || int(at) >= len(c.literals) {
		return nil, false
	}
	return c.literals[int(at)], true
}

func (c *compiler) literal(node parsing.ASTNode) (evaluation, error) {
	value, ok := c.literalAt(node)
	if !ok {
		return nil, errors.New("a literal is not understood")
	}
	switch value.(type) {
	case []any, map[string]any:
		// A record may take the literal in and be changed later.
		return func(*state, any) (any, error) { return record.Clone(value), nil }, nil
	}
	return func(*state, any) (any, error) { return value, nil }, nil
}

// chain feeds the result of the first node to the second.
func (c *compiler) chain(node parsing.ASTNode, atRoot bool) (evaluation, error) {
	first, err := c.compile(node.Children[0], atRoot)
	if err != nil {
		return nil, err
	}
	left := node.Children[0].NodeType
	second, err := c.compile(node.Children[1], atRoot && (left == parsing.ASTCurrentNode || left == parsing.ASTIdentity))
	if err != nil {
		return nil, err
	}
	return func(s *state, current any) (any, error) {
		value, err := first(s, current)
		if err != nil {
			return nil, err
		}
		return second(s, value)
	}, nil
}

func (c *compiler) comparator(node parsing.ASTNode, atRoot bool) (evaluation, error) {
	operands, err := c.compileAll(node.Children, atRoot)
	if err != nil {
		return nil, err
	}
	operator, left, right := node.Value, operands[0], operands[1]
	return func(s *state, current any) (any, error) {
		l, err := left(s, current)
		if err != nil {
			return nil, err
		}
		r, err := right(s, current)
		if err != nil {
			return nil, err
		}
		switch operator {
		case parsing.TOKEQ:
			return record.Equal(l, r), nil
		case parsing.TOKNE:
			return !record.Equal(l, r), nil
		}
		order, ok := compare(l, r)
		if !ok {
			return nil, nil
		}
		switch operator {
		case parsing.TOKLT:
			return order < 0, nil
		case parsing.TOKLTE:
			return order <= 0, nil
		case parsing.TOKGT:
			return order > 0, nil
		}
		return order >= 0, nil
	}, nil
}

func (c *compiler) junction(node parsing.ASTNode, atRoot bool) (evaluation, error) {
	operands, err := c.compileAll(node.Children, atRoot)
	if err != nil {
		return nil, err
	}
	// The left value decides when it is false for &&, true for ||.
	decisive := node.NodeType == parsing.ASTAndExpression
	return func(s *state, current any) (any, error) {
		value, err := operands[0](s, current)
		if err != nil || isFalse(value) == decisive {
			return value, err
		}
		return operands[1](s, current)
	}, nil
}

func (c *compiler) selectHash(node parsing.ASTNode, atRoot bool) (evaluation, error) {
	names := make([]string, len(node.Children))
	values := make([]evaluation, len(node.Children))
	for i, pair := range node.Children {
		var err error
		names[i] = pair.Value.(string)
		if values[i], err = c.compile(pair.Children[0], atRoot); err != nil {
			return nil, err
		}
	}
	return func(s *state, current any) (any, error) {
		if current == nil {
			return nil, nil
		}
		object := make(map[string]any, len(names))
		for i, value := range values {
			var err error
			if object[names[i]], err = value(s, current); err != nil {
				return nil, err
			}
		}
		return object, nil
	}, nil
}

func (c *compiler) selectList(node parsing.ASTNode, atRoot bool) (evaluation, error) {
	values, err := c.compileAll(node.Children, atRoot)
	if err != nil {
		return nil, err
	}
	return func(s *state, current any) (any, error) {
		if current == nil {
			return nil, nil
		}
		list := make([]any, len(values))
		for i, value := range values {
			var err error
			if list[i], err = value(s, current); err != nil {
				return nil, err
			}
		}
		return list, nil
	}, nil
}

// compare orders two numbers or two strings; nothing else has an order.
func compare(left, right any) (int, bool) {
	if l, ok := left.(string); ok {
		r, ok := right.(string)
		return compareStrings(l, r), ok
	}
	l, ok := record.AsNumber(left)
	if !ok {
		return 0, false
	}
	r, ok := record.AsNumber(right)
	return record.Compare(l, r), ok
}

// isFalse is falsehood inside the language (spec 6.1): other than for a filter's result, 0 is true.
func isFalse(value any) bool {
	switch v := value.(type) {
	case nil:
		return true
	case bool:
		return !v
	case string:
		return v == ""
	case []any:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	}
	return false
}
