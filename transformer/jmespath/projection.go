package jmespath

import (
	"errors"
	"strings"

	"github.com/jmespath-community/go-jmespath/pkg/parsing"

	"slipstream/transformer/record"
)

func compareStrings(left, right string) int { return strings.Compare(left, right) }

// projection compiles list[*].x, list[?c].x, list[].x, object.*.x and slices: the elements of a list, each taken
// through the rest of the expression, nulls left out.
func (c *compiler) projection(node parsing.ASTNode, atRoot bool) (evaluation, error) {
	list, err := c.compile(node.Children[0], atRoot)
	if err != nil {
		return nil, err
	}
	if node.NodeType == parsing.ASTFlatten {
		return flatten(list), nil
	}
	each, err := c.compile(node.Children[1], false)
	if err != nil {
		return nil, err
	}
	var keep evaluation
	if node.NodeType == parsing.ASTFilterProjection {
		if keep, err = c.compile(node.Children[2], false); err != nil {
			return nil, err
		}
	}
	elements := listElements
	if node.NodeType == parsing.ASTValueProjection {
		elements = memberValues
	}
	return func(s *state, current any) (any, error) {
		value, err := list(s, current)
		if err != nil {
			return nil, err
		}
		all, ok := elements(value)
		if !ok {
			return nil, nil
		}
		return project(s, all, keep, each)
	}, nil
}

func project(s *state, elements []any, keep, each evaluation) (any, error) {
	out := make([]any, 0, len(elements))
	for _, element := range elements {
		if keep != nil {
			verdict, err := keep(s, element)
			if err != nil {
				return nil, err
			}
			if isFalse(verdict) {
				continue
			}
		}
		value, err := each(s, element)
		if err != nil {
			return nil, err
		}
		if value != nil {
			out = append(out, value)
		}
	}
	return out, nil
}

func listElements(value any) ([]any, bool) {
	list, ok := value.([]any)
	return list, ok
}

func memberValues(value any) ([]any, bool) {
	object, ok := value.(map[string]any)
	if !ok {
		return nil, false
	}
	out := make([]any, 0, len(object))
	for _, name := range record.Names(object) {
		out = append(out, object[name])
	}
	return out, true
}

func flatten(list evaluation) evaluation {
	return func(s *state, current any) (any, error) {
		value, err := list(s, current)
		if err != nil {
			return nil, err
		}
		elements, ok := value.([]any)
		if !ok {
			return nil, nil
		}
		out := make([]any, 0, len(elements))
		for _, element := range elements {
			if inner, ok := element.([]any); ok {
				out = append(out, inner...)
			} else {
				out = append(out, element)
			}
		}
		return out, nil
	}
}

func index(at int) evaluation {
	return func(_ *state, current any) (any, error) {
		list, ok := current.([]any)
		if !ok {
			return nil, nil
		}
		i := at
		if i < 0 {
			i += len(list)
		}
		if i < 0 || i >= len(list) {
			return nil, nil
		}
		return list[i], nil
	}
}

// slice compiles [start:stop:step].
func slice(parts []*int) (evaluation, error) {
	step := 1
	if parts[2] != nil {
		step = *parts[2]
	}
	if step == 0 {
		return nil, errors.New("the step of a slice cannot be 0")
	}
	return func(_ *state, current any) (any, error) {
		list, ok := current.([]any)
		if !ok {
			return nil, nil
		}
		start, stop := 0, len(list)
		if step < 0 {
			start, stop = len(list)-1, -1
		}
		if parts[0] != nil {
			start = bound(*parts[0], len(list), step)
		}
		if parts[1] != nil {
			stop = bound(*parts[1], len(list), step)
		}
		out := []any{}
		for i := start; step > 0 && i < stop || step < 0 && i > stop; i += step {
			out = append(out, list[i])
			if step > len(list) || -step > len(list) {
				break // and never overflow i
			}
		}
		return out, nil
	}, nil
}

// bound turns an end of a slice into an index of a list: negative ones count from its end.
func bound(at, length, step int) int {
	if at < 0 {
		at += length
	}
	low, high := 0, length
	if step < 0 {
		low, high = -1, length-1
	}
	return max(low, min(at, high))
}
