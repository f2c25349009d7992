package jsonserver

import (
	"slices"
	"strconv"
)

var errNoInteger = fail("WRONGTYPE Value is not an integer")

// values reads JSON values.
func values(texts []string) ([]*node, error) {
	var list []*node
	for _, text := range texts {
		n, err := parse([]byte(text))
		if err != nil {
			return nil, err
		}
		list = append(list, n)
	}
	return list, nil
}

// editArray is editEach of arrays; it answers what apply gives.
func (x *execution) editArray(event, key, at string, apply func(*node) (result, error)) error {
	return x.editEach(event, key, at, func(n *node) (result, error) {
		if n.kind != isArray {
			return result{}, kindError{"an array"}
		}
		return apply(n)
	})
}

// arrAppend is JSON.ARRAPPEND key path value [value …].
func arrAppend(x *execution, args []string) error {
	more, err := values(args[3:])
	if err != nil {
		return err
	}
	return x.editArray("json.arrappend", args[1], args[2], func(n *node) (result, error) {
		n.items = append(n.items, more...)
		return result{number: len(n.items)}, nil
	})
}

// arrInsert is JSON.ARRINSERT key path index value [value …].
func arrInsert(x *execution, args []string) error {
	index, err := strconv.Atoi(args[3])
	if err != nil {
		return errNoInteger
	}
	more, err := values(args[4:])
	if err != nil {
		return err
	}
	return x.editArray("json.arrinsert", args[1], args[2], func(n *node) (result, error) {
		at := index
		if at < 0 {
			at += len(n.items)
		}
		if at < 0 || at > len(n.items) {
			return result{}, errOutside
		}
		n.items = slices.Insert(n.items, at, more...)
		return result{number: len(n.items)}, nil
	})
}

// arrPop is JSON.ARRPOP key [path [index]]; an index outside is that of the nearest item.
func arrPop(x *execution, args []string) error {
	index := -1
	if len(args) == 4 {
		var err error
		if index, err = strconv.Atoi(args[3]); err != nil {
			return errNoInteger
		}
	}
	return x.editArray("json.arrpop", args[1], pathOf(args), func(n *node) (result, error) {
		if len(n.items) == 0 {
			return result{null: true}, nil
		}
		at := index
		if at < 0 {
			at += len(n.items)
		}
		at = max(0, min(at, len(n.items)-1))
		popped := n.items[at]
		n.items = slices.Delete(n.items, at, at+1)
		return result{text: popped.String(), isText: true}, nil
	})
}

// arrTrim is JSON.ARRTRIM key path start stop; both are kept.
func arrTrim(x *execution, args []string) error {
	start, err1 := strconv.Atoi(args[3])
	stop, err2 := strconv.Atoi(args[4])
	if err1 != nil || err2 != nil {
		return errNoInteger
	}
	return x.editArray("json.arrtrim", args[1], args[2], func(n *node) (result, error) {
		from, to := start, stop
		if from < 0 {
			from += len(n.items)
		}
		if to < 0 {
			to += len(n.items)
		}
		from, to = max(0, from), min(to+1, len(n.items))
		if from >= to {
			from, to = 0, 0
		}
		n.items = slices.Clone(n.items[from:to])
		return result{number: len(n.items)}, nil
	})
}
