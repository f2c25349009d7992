// Package record is the value that transformations see: a JSON-like tree of plain Go values.
//
// A value is one of
//
//	nil, bool, string, json.Number, []any, map[string]any
//
// and nothing else. Numbers are json.Number, so that the text the application wrote survives until a target converts it
// (spec 10.3): 1.10 stays 1.10, and an integer of thirty digits loses none of them. Functions here also accept int,
// int64 and float64 where a value built by Go code may hold them, but never return them.
//
// Objects are plain maps and have no member order. Wherever an order must be chosen (encoding, keys, values, entries) it
// is the order of the member names, byte by byte; that is the same in every run, which a retry needs (design D5).
//
// Values are trees and are changed in place by the blocks; whoever stores a part of one record in two places calls
// [Clone] first.
//
// Neighbours: path addresses the parts of a value; jmespath and sqlexpr compute new values from it.
package record

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
)

// Truthy tells whether a filter keeps the record for this result (spec 4.2): null, false, zero, the empty string, the
// empty list and the empty object drop it.
func Truthy(value any) bool {
	switch v := value.(type) {
	case nil:
		return false
	case bool:
		return v
	case string:
		return v != ""
	case json.Number:
		return !isZero(string(v))
	case []any:
		return len(v) > 0
	case map[string]any:
		return len(v) > 0
	case float64:
		return v != 0
	case int64:
		return v != 0
	case int:
		return v != 0
	}
	return true
}

// Clone copies a value so that no part of the copy is shared with the original.
func Clone(value any) any {
	switch v := value.(type) {
	case []any:
		out := make([]any, len(v))
		for i, element := range v {
			out[i] = Clone(element)
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for name, member := range v {
			out[name] = Clone(member)
		}
		return out
	}
	return value
}

// Equal compares two values deeply. Numbers are equal when they are the same number, whatever their text: 1, 1.0 and
// 10e-1 are equal. A number never equals a string.
func Equal(left, right any) bool {
	switch l := left.(type) {
	case nil:
		return right == nil
	case bool:
		r, ok := right.(bool)
		return ok && l == r
	case string:
		r, ok := right.(string)
		return ok && l == r
	case []any:
		r, ok := right.([]any)
		return ok && slices.EqualFunc(l, r, Equal)
	case map[string]any:
		r, ok := right.(map[string]any)
		return ok && maps.EqualFunc(l, r, Equal)
	}
	l, ok := AsNumber(left)
	if !ok {
		return false
	}
	r, ok := AsNumber(right)
	return ok && Compare(l, r) == 0
}

// Text is the form of a value in a text column, a key or a message: strings as they are, numbers with their source
// text, true and false, objects and lists as compact JSON, and null as null. Callers that must tell null from the string
// null test for nil first.
func Text(value any) string {
	switch v := value.(type) {
	case string:
		return v
	case json.Number:
		return string(v)
	case nil:
		return "null"
	case bool:
		return strconv.FormatBool(v)
	}
	return string(Append(nil, value))
}

// Kind names the type of a value as JMESPath does: null, boolean, string, number, array or object.
func Kind(value any) string {
	switch value.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case string:
		return "string"
	case []any:
		return "array"
	case map[string]any:
		return "object"
	}
	return "number"
}

// Names lists the members of an object in their order.
func Names(object map[string]any) []string {
	names := make([]string, 0, len(object))
	for name := range object {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
