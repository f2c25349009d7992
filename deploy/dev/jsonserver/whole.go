package jsonserver

import (
	"errors"
	"slices"
	"strings"
)

var (
	errOptions = fail("SYNTAXERR Command syntax error")
	errNewPath = fail("SYNTAXERR A new Valkey key's path must be root")
)

// set is JSON.SET key path value [NX | XX].
func set(x *execution, args []string) error {
	var only string
	if len(args) == 5 {
		if only = strings.ToUpper(args[4]); only != "NX" && only != "XX" {
			return errOptions
		}
	}
	done, err := x.set("json.set", args[1], args[2], args[3], only, errNewPath)
	if err != nil {
		return err
	}
	if done {
		x.answer.simple("OK")
	} else {
		x.answer.null()
	}
	return nil
}

// mset is JSON.MSET key path value [key path value …]: all of it or nothing.
func mset(x *execution, args []string) error {
	for triple := range slices.Chunk(args[1:], 3) {
		if _, err := x.set("json.mset", triple[0], triple[1], triple[2], "", errOptions); err != nil {
			return err
		}
	}
	x.answer.simple("OK")
	return nil
}

// set puts a value at a path; done is false where only (NX, XX) forbids it. A document begins at the root.
func (x *execution) set(event, key, pathText, text, only string, newPath error) (done bool, err error) {
	p, err := parsePath(pathText)
	if err != nil {
		return false, err
	}
	root, err := x.root(key)
	if err != nil {
		return false, err
	}
	value, err := parse([]byte(text))
	if err != nil {
		return false, err
	}
	if p.root() {
		if (root == nil && only == "XX") || (root != nil && only == "NX") {
			return false, nil
		}
		x.change(key, replaced, value, event)
		return true, nil
	}
	if root == nil {
		return false, newPath
	}
	at, err := p.find(root)
	if err != nil {
		return false, err
	}
	if (at.at < 0 && only == "XX") || (at.at >= 0 && only == "NX") {
		return false, nil
	}
	at.put(value)
	x.change(key, edited, root, event)
	return true, nil
}

// merged is JSON.MERGE key path value, RFC 7396.
func merged(x *execution, args []string) error {
	p, err := parsePath(args[2])
	if err != nil {
		return err
	}
	root, err := x.root(args[1])
	if err != nil {
		return err
	}
	patch, err := parse([]byte(args[3]))
	if err != nil {
		return err
	}
	switch {
	case root == nil && !p.root():
		return errNewPath
	case p.root():
		how := edited
		if root == nil {
			how = replaced
		}
		x.change(args[1], how, merge(root, patch), "json.merge")
	default:
		at, err := p.find(root)
		if err != nil {
			return err
		}
		var was *node
		if at.at >= 0 {
			was = at.parent.child(at.at)
		}
		at.put(merge(was, patch))
		x.change(args[1], edited, root, "json.merge")
	}
	x.answer.simple("OK")
	return nil
}

// merge applies a merge patch; the target may be nil.
func merge(target, patch *node) *node {
	if patch.kind != isObject {
		return patch
	}
	if target == nil || target.kind != isObject {
		target = &node{kind: isObject}
	}
	for _, m := range patch.members {
		i := target.at(m.name)
		switch {
		case m.value.kind == isScalar && m.value.text == "null":
			if i >= 0 {
				target.members = slices.Delete(target.members, i, i+1)
			}
		case i >= 0:
			target.members[i].value = merge(target.members[i].value, m.value)
		default:
			target.members = append(target.members, member{m.name, merge(nil, m.value)})
		}
	}
	return target
}

// get is JSON.GET key [INDENT text] [NEWLINE text] [SPACE text] [NOESCAPE] [path …].
func get(x *execution, args []string) error {
	root, err := x.root(args[1])
	if err != nil {
		return err
	}
	if root == nil {
		x.answer.null()
		return nil
	}
	l, paths, err := readLayout(args[2:])
	if err != nil {
		return err
	}
	matches := slices.ContainsFunc(paths, func(p path) bool { return p.match })
	all := &node{kind: isObject}
	for _, p := range paths {
		v, err := p.value(root)
		switch {
		case matches && err != nil:
			v = &node{kind: isArray}
		case matches:
			v = &node{kind: isArray, items: []*node{v}}
		case err != nil:
			return err
		}
		all.set(p.text, v)
	}
	if len(paths) == 1 {
		all = all.members[0].value
	}
	var b strings.Builder
	all.write(&b, l, 0)
	x.answer.bulk(b.String())
	return nil
}

func readLayout(args []string) (l layout, paths []path, err error) {
	for len(args) > 0 {
		var to *string
		switch strings.ToUpper(args[0]) {
		case "INDENT":
			to = &l.indent
		case "NEWLINE":
			to = &l.newline
		case "SPACE":
			to = &l.space
		case "NOESCAPE":
			args = args[1:]
			continue
		default:
			p, err := parsePath(args[0])
			if err != nil {
				return l, nil, err
			}
			paths, args = append(paths, p), args[1:]
			continue
		}
		if len(args) < 2 {
			return l, nil, errOptions
		}
		*to, args = args[1], args[2:]
	}
	if len(paths) == 0 {
		paths = []path{{text: "."}}
	}
	return l, paths, nil
}

// del is JSON.DEL key [path] and JSON.FORGET. A path of the older kind that is not there is no event.
func del(x *execution, args []string) error {
	p := path{}
	if len(args) == 3 {
		var err error
		if p, err = parsePath(args[2]); err != nil {
			return err
		}
	}
	root, err := x.root(args[1])
	if err != nil {
		return err
	}
	if root == nil {
		x.answer.number(0)
		return nil
	}
	if p.root() {
		x.change(args[1], removed, nil, "json.del")
		x.answer.number(1)
		return nil
	}
	at, err := p.find(root)
	switch {
	case err == nil && at.at >= 0:
		at.remove()
		x.change(args[1], edited, root, "json.del")
		x.answer.number(1)
	case p.match:
		x.change(args[1], untouched, nil, "json.del")
		x.answer.number(0)
	case err != nil && !errors.Is(err, errNoPath):
		return err
	default:
		x.answer.number(0)
	}
	return nil
}
