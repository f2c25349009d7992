// Package path is the field paths of the transformation blocks (spec 4.1): where a value lies inside a record.
//
// A path is member names joined by dots: location.bay is the member bay of the object location. A backslash takes the
// meaning from a following dot or backslash, so meta.fw\.rev has two names, meta and fw.rev; before any other character
// a backslash is itself. There are no array indexes and no wildcards: a path through a list leads nowhere.
//
// Promises: an operation changes what its path names and the missing parents it needs, and nothing else; one that fails
// changes nothing. Removing or looking up what is not there is not an error.
package path

import (
	"errors"
	"fmt"
	"strings"
)

// Path is the names from the root of a record to a value. The empty path is the root itself; Parse never returns it.
type Path []string

// Parse reads the text form of a path. Empty names, as in a..b or in the empty text, are errors.
func Parse(text string) (Path, error) {
	var (
		path Path
		name strings.Builder
	)
	end := func() error {
		if name.Len() == 0 {
			return fmt.Errorf("parsing field path %q: name %d is empty", text, len(path)+1)
		}
		path = append(path, name.String())
		name.Reset()
		return nil
	}
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\' && i+1 < len(text) && (text[i+1] == '.' || text[i+1] == '\\'):
			i++
			name.WriteByte(text[i])
		case c == '.':
			if err := end(); err != nil {
				return nil, err
			}
		default:
			name.WriteByte(c)
		}
	}
	if err := end(); err != nil {
		return nil, err
	}
	return path, nil
}

var escaper = strings.NewReplacer(`\`, `\\`, `.`, `\.`)

// String is the text form, which Parse reads back.
func (p Path) String() string {
	var out strings.Builder
	for i, name := range p {
		if i > 0 {
			out.WriteByte('.')
		}
		_, _ = escaper.WriteString(&out, name)
	}
	return out.String()
}

// Unalias drops the first name of a path when it is alias and the root object has no member of that name: in a partial
// record, after.psi means psi (spec 1.6, A3). Any other path comes back as it is.
func (p Path) Unalias(root any, alias string) Path {
	if len(p) == 0 || alias == "" || p[0] != alias {
		return p
	}
	if object, ok := root.(map[string]any); ok {
		if _, present := object[alias]; !present {
			return p[1:]
		}
	}
	return p
}

// Lookup returns the value at the path, and whether there is one; null counts as one.
func (p Path) Lookup(root any) (any, bool) {
	value := root
	for _, name := range p {
		object, ok := value.(map[string]any)
		if !ok {
			return nil, false
		}
		if value, ok = object[name]; !ok {
			return nil, false
		}
	}
	return value, true
}

// NotObjectError says that a value stands where a path needs an object to put a member into.
type NotObjectError struct {
	Path   Path // the whole path
	Parent Path // the part of it that leads to the value; empty for the root
}

func (e *NotObjectError) Error() string {
	if len(e.Parent) == 0 {
		return fmt.Sprintf("setting field %q: the record is not an object", e.Path)
	}
	return fmt.Sprintf("setting field %q: %q exists and is not an object", e.Path, e.Parent)
}

var errEmpty = errors.New("setting a field: the path is empty")

// Set puts value at the path. Missing parents become objects; a parent that exists and is not an object, null included,
// is a *NotObjectError. The value is stored as it is, not copied.
func (p Path) Set(root, value any) error {
	if len(p) == 0 {
		return errEmpty
	}
	object, ok := root.(map[string]any)
	if !ok || object == nil {
		return &NotObjectError{Path: p}
	}
	last := len(p) - 1
	for i, name := range p[:last] {
		member, present := object[name]
		if !present {
			// From here on nothing exists, so nothing can stand in the way.
			for _, name := range p[i:last] {
				child := make(map[string]any, 1)
				object[name] = child
				object = child
			}
			break
		}
		child, ok := member.(map[string]any)
		if !ok || child == nil {
			return &NotObjectError{Path: p, Parent: p[:i+1]}
		}
		object = child
	}
	object[p[last]] = value
	return nil
}

// Remove deletes the value at the path and tells whether there was one. Its parents stay, even when they become empty.
func (p Path) Remove(root any) bool {
	if len(p) == 0 {
		return false
	}
	parent, ok := p[:len(p)-1].Lookup(root)
	if !ok {
		return false
	}
	object, ok := parent.(map[string]any)
	if !ok {
		return false
	}
	name := p[len(p)-1]
	if _, ok = object[name]; ok {
		delete(object, name)
	}
	return ok
}

// Rename moves the value at from to the path to, creating parents and overwriting what is there. It reports whether
// there was a value to move; without one nothing changes.
func Rename(root any, from, to Path) (bool, error) {
	value, ok := from.Lookup(root)
	if !ok || len(from) == 0 {
		return false, nil
	}
	from.Remove(root)
	if err := to.Set(root, value); err != nil {
		if restoring := from.Set(root, value); restoring != nil {
			return false, errors.Join(err, restoring)
		}
		return false, fmt.Errorf("renaming field %q: %w", from, err)
	}
	return true, nil
}
