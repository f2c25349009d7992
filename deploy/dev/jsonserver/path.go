package jsonserver

import (
	"errors"
	"strconv"
	"strings"
)

// path is one place in a document. A path that begins with "$" is one of JSONPath, whose answers are lists of matches,
// here of none or one; the others are of the older kind, which answers the value itself, or an error.
type path struct {
	text  string
	match bool // JSONPath
	steps []step
}

// step goes to a member or to an item.
type step struct {
	name  string
	index int
	item  bool
}

func (p path) root() bool { return len(p.steps) == 0 }

var (
	errNoPath   = fail("NONEXISTENT JSON path does not exist")
	errOutside  = fail("OUTOFBOUNDARIES Array index is out of bounds")
	errNoObject = fail("ERROR Cannot insert a member into a non-object value")
	errNoList   = fail("WRONGTYPE JSON element is not an array")
	errPath     = fail("SYNTAXERR a path of this double consists of .member, [\"member\"] and [index]")
)

func parsePath(text string) (path, error) {
	p := path{text: text, match: strings.HasPrefix(text, "$")}
	rest := strings.TrimPrefix(text, "$")
	if !p.match && rest != "" && rest[0] != '.' && rest[0] != '[' {
		rest = "." + rest
	}
	if rest == "." {
		rest = ""
	}
	for rest != "" {
		var s step
		var ok bool
		if strings.HasPrefix(rest, ".[") {
			rest = rest[1:]
		}
		if rest[0] == '[' {
			s, rest, ok = bracket(rest[1:])
		} else {
			end := strings.IndexAny(rest[1:], ".[")
			if end < 0 {
				end = len(rest) - 1
			}
			s, rest = step{name: rest[1 : end+1]}, rest[end+1:]
			ok = s.name != "" && s.name != "*" && !strings.ContainsAny(s.name, "]?()@'\"")
		}
		if !ok {
			return p, errPath
		}
		p.steps = append(p.steps, s)
	}
	return p, nil
}

// bracket reads what stands behind "[".
func bracket(text string) (s step, rest string, ok bool) {
	if text != "" && (text[0] == '"' || text[0] == '\'') {
		name, rest, ok := strings.Cut(text[1:], text[:1]+"]")
		return step{name: name}, rest, ok
	}
	number, rest, ok := strings.Cut(text, "]")
	if !ok {
		return s, rest, false
	}
	index, err := strconv.Atoi(number)
	return step{index: index, item: true}, rest, err == nil
}

// place is where a path ends: the last step, taken from the value that holds it.
type place struct {
	parent *node // nil at the root
	at     int   // index of the member or item, -1 when there is none
	last   step
}

// find follows a path from the root. The error says at which step it ended and why; a path whose last member only is
// missing has a place, at -1.
func (p path) find(root *node) (place, error) {
	if p.root() {
		return place{}, nil
	}
	at := root
	for i, s := range p.steps {
		index, err := s.in(at)
		if err != nil {
			return place{}, err
		}
		if i == len(p.steps)-1 {
			return place{parent: at, at: index, last: s}, nil
		}
		if index < 0 {
			return place{}, errNoPath
		}
		at = at.child(index)
	}
	return place{}, nil
}

// in is the index of a step in a value, -1 for a member that is missing.
func (s step) in(n *node) (int, error) {
	if !s.item {
		if n.kind != isObject {
			return 0, errNoObject
		}
		return n.at(s.name), nil
	}
	if n.kind != isArray {
		return 0, errNoList
	}
	index := s.index
	if index < 0 {
		index += len(n.items)
	}
	if index < 0 || index >= len(n.items) {
		return 0, errOutside
	}
	return index, nil
}

func (n *node) child(index int) *node {
	if n.kind == isArray {
		return n.items[index]
	}
	return n.members[index].value
}

// value is the value at a path.
func (p path) value(root *node) (*node, error) {
	if p.root() {
		return root, nil
	}
	at, err := p.find(root)
	switch {
	case errors.Is(err, errNoObject), err == nil && at.at < 0: // reading, a value without members has not this one either
		return nil, errNoPath
	case err != nil:
		return nil, err
	}
	return at.parent.child(at.at), nil
}

// put sets the value of a place.
func (at place) put(value *node) {
	switch {
	case at.last.item:
		at.parent.items[at.at] = value
	default:
		at.parent.set(at.last.name, value)
	}
}

// remove removes a place that is there.
func (at place) remove() {
	if at.last.item {
		at.parent.items = append(at.parent.items[:at.at:at.at], at.parent.items[at.at+1:]...)
		return
	}
	at.parent.members = append(at.parent.members[:at.at:at.at], at.parent.members[at.at+1:]...)
}
