package jmespath

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jmespath-community/go-jmespath/pkg/parsing"

	"slipstream/transformer/nearest"
	"slipstream/transformer/record"
)

// kind is a set of types a parameter accepts.
type kind uint8

const (
	null kind = 1 << iota
	boolean
	text
	numeric
	list
	object
	reference // &expression
	anything  = null | boolean | text | numeric | list | object
)

var kindNames = []struct {
	kind kind
	name string
}{
	{null, "null"},
	{boolean, "boolean"},
	{text, "string"},
	{numeric, "number"},
	{list, "array"},
	{object, "object"},
	{reference, "&expression"},
}

func (k kind) String() string {
	if k == anything {
		return "anything"
	}
	var names []string
	for _, known := range kindNames {
		if k&known.kind != 0 {
			names = append(names, known.name)
		}
	}
	return strings.Join(names, ", ")
}

func kindOf(value any) kind {
	switch value.(type) {
	case nil:
		return null
	case bool:
		return boolean
	case string:
		return text
	case []any:
		return list
	case map[string]any:
		return object
	case deferred:
		return reference
	}
	return numeric
}

// deferred is the value of &expression: something to be evaluated for each element.
type deferred func(element any) (any, error)

// function is one entry of the table: what it is called, what it takes, what it does.
type function struct {
	parameters []kind
	optional   int  // how many of the last parameters may be left out
	variadic   bool // the last parameter may be repeated
	// nullable gives null for a null first argument, without a call.
	nullable bool
	call     func(s *state, arguments []any) (any, error)
	// bind makes call for one place in an expression, given the arguments that are literals there. It replaces call
	// for functions that compile something or can find errors early.
	bind func(c *compiler, literals []constant) (func(s *state, arguments []any) (any, error), error)
}

// constant is an argument whose value is known when compiling.
type constant struct {
	value any
	known bool
}

// functions is the table of all functions; it is never written after start.
var functions = map[string]*function{}

func init() {
	for _, group := range []map[string]*function{
		numberFunctions, listFunctions, objectFunctions, textFunctions, encodingFunctions, timeFunctions,
	} {
		maps.Copy(functions, group)
	}
}

// Functions lists the names of all functions, sorted.
func Functions() []string { return slices.Sorted(maps.Keys(functions)) }

func (f *function) checkCount(name string, count int) error {
	low, high := len(f.parameters)-f.optional, len(f.parameters)
	switch {
	case count >= low && (count <= high || f.variadic):
		return nil
	case f.variadic:
		return fmt.Errorf("%s() takes at least %d arguments, not %d", name, low, count)
	case low == high:
		return fmt.Errorf("%s() takes %d arguments, not %d", name, high, count)
	}
	return fmt.Errorf("%s() takes %d to %d arguments, not %d", name, low, high, count)
}

func (f *function) parameter(i int) kind {
	return f.parameters[min(i, len(f.parameters)-1)]
}

// call compiles the call of a function.
func (c *compiler) call(node parsing.ASTNode, atRoot bool) (evaluation, error) {
	name := node.Value.(string)
	f, ok := functions[name]
	if !ok {
		if meant, ok := nearest.Name(name, Functions()); ok {
			return nil, fmt.Errorf("there is no function %s(); did you mean %s()?", name, meant)
		}
		return nil, fmt.Errorf("there is no function %s()", name)
	}
	if err := f.checkCount(name, len(node.Children)); err != nil {
		return nil, err
	}
	arguments := make([]evaluation, len(node.Children))
	literals := make([]constant, len(node.Children))
	for i, child := range node.Children {
		var err error
		if arguments[i], literals[i], err = c.argument(name, f, i, child, atRoot); err != nil {
			return nil, err
		}
	}
	run := f.call
	if f.bind != nil {
		var err error
		if run, err = f.bind(c, literals); err != nil {
			return nil, fmt.Errorf("%s(): %w", name, err)
		}
	}
	return func(s *state, current any) (any, error) {
		values := make([]any, len(arguments))
		for i, argument := range arguments {
			var err error
			if values[i], err = argument(s, current); err != nil {
				return nil, err
			}
			if accepted := f.parameter(i); kindOf(values[i])&accepted == 0 {
				return nil, unaccepted(name, i, values[i], accepted)
			}
		}
		if f.nullable && values[0] == nil {
			return nil, nil
		}
		result, err := run(s, values)
		if err != nil {
			return nil, fmt.Errorf("%s(): %w", name, err)
		}
		return result, nil
	}, nil
}

// argument compiles one argument and checks what can be known of it already.
func (c *compiler) argument(name string, f *function, i int, node parsing.ASTNode, atRoot bool) (evaluation, constant, error) {
	wanted := f.parameter(i)
	if node.NodeType == parsing.ASTExpRef {
		if wanted&reference == 0 {
			return nil, constant{}, fmt.Errorf("%s(): argument %d must not be an &expression", name, i+1)
		}
		each, err := c.compile(node.Children[0], false)
		if err != nil {
			return nil, constant{}, err
		}
		return func(s *state, _ any) (any, error) {
			return deferred(func(element any) (any, error) { return each(s, element) }), nil
		}, constant{}, nil
	}
	if wanted == reference {
		return nil, constant{}, fmt.Errorf("%s(): argument %d must be an &expression", name, i+1)
	}
	value, known := c.literalAt(node)
	if known && kindOf(value)&wanted == 0 {
		return nil, constant{}, unaccepted(name, i, value, wanted)
	}
	argument, err := c.compile(node, atRoot)
	return argument, constant{value, known}, err
}

func unaccepted(name string, i int, value any, accepted kind) error {
	return fmt.Errorf("%s(): argument %d is %s (%s); it accepts %s", name, i+1, shown(value), kindOf(value), accepted)
}

// shown is a value in a message.
func shown(value any) string {
	if _, ok := value.(deferred); ok {
		return "&expression"
	}
	return cut(string(record.Encode(value)), 64)
}

// integer reads an argument that counts characters.
func integer(value any) (int, error) {
	number, _ := record.AsNumber(value)
	if !record.IsIntegral(number) {
		return 0, fmt.Errorf("%s is not an integer", shown(value))
	}
	n, ok := record.IntegerValue(number)
	if !ok {
		return 0, fmt.Errorf("%s is too large", shown(value))
	}
	const limit = 1 << 40 // longer than any text, and safe to add
	return int(max(-limit, min(n, limit))), nil
}

var errMixed = errors.New("the elements must be all numbers or all strings")
