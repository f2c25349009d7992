package jmespath

import (
	"fmt"
	"maps"

	"slipstream/transformer/record"
)

var objectFunctions = map[string]*function{
	"keys": {parameters: []kind{object}, call: func(_ *state, arguments []any) (any, error) {
		names := record.Names(arguments[0].(map[string]any))
		out := make([]any, len(names))
		for i, name := range names {
			out[i] = name
		}
		return out, nil
	}},
	"values": {parameters: []kind{object}, call: func(_ *state, arguments []any) (any, error) {
		out, _ := memberValues(arguments[0])
		return out, nil
	}},
	"merge": {parameters: []kind{object}, variadic: true, call: func(_ *state, arguments []any) (any, error) {
		out := map[string]any{}
		for _, argument := range arguments {
			maps.Copy(out, argument.(map[string]any))
		}
		return out, nil
	}},
	"type": {parameters: []kind{anything}, call: func(_ *state, arguments []any) (any, error) {
		return record.Kind(arguments[0]), nil
	}},
	"to_entries":     {parameters: []kind{object | null}, nullable: true, call: toEntries},
	"from_entries":   {parameters: []kind{list | null}, nullable: true, call: fromEntries},
	"filter_entries": {parameters: []kind{object | null, text}, nullable: true, bind: bindFilterEntries},
}

func entry(name string, value any) map[string]any {
	return map[string]any{"key": name, "value": value}
}

func toEntries(_ *state, arguments []any) (any, error) {
	object := arguments[0].(map[string]any)
	out := make([]any, 0, len(object))
	for _, name := range record.Names(object) {
		out = append(out, entry(name, object[name]))
	}
	return out, nil
}

func fromEntries(_ *state, arguments []any) (any, error) {
	out := map[string]any{}
	for _, element := range arguments[0].([]any) {
		object, ok := element.(map[string]any)
		if !ok || object["key"] == nil {
			continue
		}
		out[record.Text(object["key"])] = object["value"]
	}
	return out, nil
}

// bindFilterEntries compiles the predicate, which is an expression in a string. An entry for which it fails is dropped.
func bindFilterEntries(c *compiler, literals []constant) (func(*state, []any) (any, error), error) {
	nullText := c.nullText
	predicates := newCache(func(text string) (*Expression, error) { return compile(text, []Option{NullText(nullText)}) })
	if literals[1].known {
		if _, err := predicates.load(literals[1].value.(string)); err != nil {
			return nil, fmt.Errorf("predicate %q: %w", literals[1].value, err)
		}
	}
	return func(s *state, arguments []any) (any, error) {
		predicate, err := predicates.load(arguments[1].(string))
		if err != nil {
			return nil, fmt.Errorf("predicate %q: %w", cut(arguments[1].(string), 64), err)
		}
		out := map[string]any{}
		object := arguments[0].(map[string]any)
		for _, name := range record.Names(object) { // in order, as the predicate may draw values
			if verdict, err := predicate.run(s, entry(name, object[name])); err == nil && !isFalse(verdict) {
				out[name] = object[name]
			}
		}
		return out, nil
	}, nil
}
