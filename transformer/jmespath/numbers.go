package jmespath

import (
	"encoding/json"
	"errors"
	"fmt"

	"slipstream/transformer/record"
)

var errInfinite = errors.New("the result is not finite")

var numberFunctions = map[string]*function{
	"abs":   onNumber(record.Abs),
	"ceil":  onNumber(record.Ceil),
	"floor": onNumber(record.Floor),
	"sum": {parameters: []kind{list}, call: func(_ *state, arguments []any) (any, error) {
		numbers, err := numbersOf(arguments[0])
		if err != nil {
			return nil, err
		}
		return finite(record.Sum(numbers))
	}},
	"avg": {parameters: []kind{list}, call: func(_ *state, arguments []any) (any, error) {
		numbers, err := numbersOf(arguments[0])
		if err != nil || len(numbers) == 0 {
			return nil, err
		}
		return finite(record.Average(numbers))
	}},
	"to_number": {parameters: []kind{anything}, call: func(_ *state, arguments []any) (any, error) {
		if s, ok := arguments[0].(string); ok {
			if number, ok := record.ParseNumber(s); ok {
				return number, nil
			}
			return nil, nil
		}
		if number, ok := record.AsNumber(arguments[0]); ok {
			return number, nil
		}
		return nil, nil
	}},
}

func onNumber(f func(json.Number) json.Number) *function {
	return &function{parameters: []kind{numeric}, call: func(_ *state, arguments []any) (any, error) {
		number, _ := record.AsNumber(arguments[0])
		return f(number), nil
	}}
}

func finite(number json.Number, ok bool) (any, error) {
	if !ok {
		return nil, errInfinite
	}
	return number, nil
}

// numbersOf reads a list of numbers.
func numbersOf(value any) ([]json.Number, error) {
	elements := value.([]any)
	numbers := make([]json.Number, len(elements))
	for i, element := range elements {
		var ok bool
		if numbers[i], ok = record.AsNumber(element); !ok {
			return nil, fmt.Errorf("element %d is %s (%s); it accepts an array of numbers", i, shown(element), kindOf(element))
		}
	}
	return numbers, nil
}
