package jmespath

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"slipstream/transformer/record"
)

var listFunctions = map[string]*function{
	"contains": {parameters: []kind{list | text, anything}, call: contains},
	"in": {parameters: []kind{anything, list}, call: func(_ *state, arguments []any) (any, error) {
		return holds(arguments[1].([]any), arguments[0]), nil
	}},
	"join": {parameters: []kind{text, list}, call: join},
	"length": {parameters: []kind{text | list | object}, call: func(_ *state, arguments []any) (any, error) {
		switch v := arguments[0].(type) {
		case string:
			return record.Integer(int64(utf8.RuneCountInString(v))), nil
		case []any:
			return record.Integer(int64(len(v))), nil
		}
		return record.Integer(int64(len(arguments[0].(map[string]any)))), nil
	}},
	"map":     {parameters: []kind{reference, list}, call: mapEach},
	"max":     {parameters: []kind{list}, call: extreme(1)},
	"min":     {parameters: []kind{list}, call: extreme(-1)},
	"max_by":  {parameters: []kind{list, reference}, call: extreme(1)},
	"min_by":  {parameters: []kind{list, reference}, call: extreme(-1)},
	"sort":    {parameters: []kind{list}, call: sorted},
	"sort_by": {parameters: []kind{list, reference}, call: sorted},
	"reverse": {parameters: []kind{list | text}, call: func(_ *state, arguments []any) (any, error) {
		if s, ok := arguments[0].(string); ok {
			runes := []rune(s)
			slices.Reverse(runes)
			return string(runes), nil
		}
		out := slices.Clone(arguments[0].([]any))
		slices.Reverse(out)
		return out, nil
	}},
	"to_array": {parameters: []kind{anything}, call: func(_ *state, arguments []any) (any, error) {
		if _, ok := arguments[0].([]any); ok {
			return arguments[0], nil
		}
		return []any{arguments[0]}, nil
	}},
	"not_null": {parameters: []kind{anything}, variadic: true, call: func(_ *state, arguments []any) (any, error) {
		for _, argument := range arguments {
			if argument != nil {
				return argument, nil
			}
		}
		return nil, nil
	}},
}

func contains(_ *state, arguments []any) (any, error) {
	if s, ok := arguments[0].(string); ok {
		part, ok := arguments[1].(string)
		return ok && strings.Contains(s, part), nil
	}
	return holds(arguments[0].([]any), arguments[1]), nil
}

func holds(elements []any, value any) bool {
	return slices.ContainsFunc(elements, func(element any) bool { return record.Equal(element, value) })
}

func join(_ *state, arguments []any) (any, error) {
	elements := arguments[1].([]any)
	texts := make([]string, len(elements))
	for i, element := range elements {
		var ok bool
		if texts[i], ok = element.(string); !ok {
			return nil, fmt.Errorf("element %d is %s (%s); it accepts an array of strings", i, shown(element), kindOf(element))
		}
	}
	return strings.Join(texts, arguments[0].(string)), nil
}

func mapEach(_ *state, arguments []any) (any, error) {
	each, elements := arguments[0].(deferred), arguments[1].([]any)
	out := make([]any, len(elements))
	for i, element := range elements {
		var err error
		if out[i], err = each(element); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// keyed is an element and what it is ordered by.
type keyed struct{ key, element any }

// keys computes what the elements of the first argument are ordered by: the second argument, or the elements themselves.
// They must be all numbers or all strings.
func keys(arguments []any) ([]keyed, error) {
	elements := arguments[0].([]any)
	out := make([]keyed, len(elements))
	var first kind
	for i, element := range elements {
		out[i] = keyed{element, element}
		if len(arguments) > 1 {
			key, err := arguments[1].(deferred)(element)
			if err != nil {
				return nil, err
			}
			out[i].key = key
		}
		k := kindOf(out[i].key)
		if i == 0 {
			first = k
		}
		if k != first || k&(numeric|text) == 0 {
			return nil, fmt.Errorf("element %d is ordered by %s (%s): %w", i, shown(out[i].key), k, errMixed)
		}
	}
	return out, nil
}

// extreme finds the first element than which no other is greater, for sign 1, or smaller, for -1.
func extreme(sign int) func(*state, []any) (any, error) {
	return func(_ *state, arguments []any) (any, error) {
		all, err := keys(arguments)
		if err != nil || len(all) == 0 {
			return nil, err
		}
		best := all[0]
		for _, candidate := range all[1:] {
			if order, _ := compare(candidate.key, best.key); order*sign > 0 {
				best = candidate
			}
		}
		return best.element, nil
	}
}

func sorted(_ *state, arguments []any) (any, error) {
	all, err := keys(arguments)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(all, func(a, b keyed) int {
		order, _ := compare(a.key, b.key)
		return order
	})
	out := make([]any, len(all))
	for i, k := range all {
		out[i] = k.element
	}
	return out, nil
}
