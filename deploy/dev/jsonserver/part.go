package jsonserver

import (
	"errors"
	"math"
	"strconv"
	"strings"
)

// result is what a command made of the value at a path.
type result struct {
	null   bool
	text   string
	number int
	isText bool
}

func (r result) write(a *answer) {
	switch {
	case r.null:
		a.null()
	case r.isText:
		a.bulk(r.text)
	default:
		a.number(r.number)
	}
}

// kindError says that the value at a path is of a kind that a command does not take. A path of JSONPath answers null
// there.
type kindError struct{ kind string }

func (e kindError) Error() string { return "WRONGTYPE JSON element is not " + e.kind }

// edit lets a command change the value at a path in place, and gives what it made of it: one result, or, of a path of
// JSONPath that is not there, none. There is an event unless the command is refused.
func (x *execution) edit(event, key string, p path, apply func(*node) (result, error)) ([]result, error) {
	root, err := x.must(key)
	if err != nil {
		return nil, err
	}
	var results []result
	at, err := p.value(root)
	switch {
	case err == nil:
		r, err := apply(at)
		var other kindError
		if p.match && errors.As(err, &other) {
			r, err = result{null: true}, nil
		}
		if err != nil {
			return nil, err
		}
		results = append(results, r)
	case !p.match:
		return nil, err
	}
	x.change(key, edited, root, event)
	return results, nil
}

// editEach is edit, and answers the result, or a list of them to a path of JSONPath.
func (x *execution) editEach(event, key, pathText string, apply func(*node) (result, error)) error {
	p, err := parsePath(pathText)
	if err != nil {
		return err
	}
	results, err := x.edit(event, key, p, apply)
	if err != nil {
		return err
	}
	if p.match {
		x.answer.list(len(results))
	}
	for _, r := range results {
		r.write(x.answer)
	}
	return nil
}

func incrBy(x *execution, args []string) error {
	return x.calculate("json.numincrby", args, func(a, b int64) (int64, bool) {
		return a + b, (a+b > a) == (b > 0)
	}, func(a, b float64) float64 { return a + b })
}

func multBy(x *execution, args []string) error {
	return x.calculate("json.nummultby", args, func(a, b int64) (int64, bool) {
		return a * b, a == 0 || (a*b/a == b && (a != -1 || b != math.MinInt64))
	}, func(a, b float64) float64 { return a * b })
}

// calculate is JSON.NUMINCRBY and JSON.NUMMULTBY key path number: whole numbers as long as they fit.
func (x *execution) calculate(event string, args []string, whole func(a, b int64) (int64, bool), float func(a, b float64) float64) error {
	p, err := parsePath(args[2])
	if err != nil {
		return err
	}
	by, err := parse([]byte(args[3]))
	if err != nil || !isNumber(by) {
		return fail("WRONGTYPE Value is not a number")
	}
	results, err := x.edit(event, args[1], p, func(n *node) (result, error) {
		if !isNumber(n) {
			return result{}, kindError{"a number"}
		}
		text, err := calculated(n.text, by.text, whole, float)
		if err == nil {
			n.text = text
		}
		return result{text: text}, err
	})
	if err != nil {
		return err
	}
	var texts []string
	for _, r := range results {
		if r.null {
			r.text = "null"
		}
		texts = append(texts, r.text)
	}
	text := strings.Join(texts, ",")
	if p.match {
		text = "[" + text + "]"
	}
	x.answer.bulk(text)
	return nil
}

func calculated(a, b string, whole func(a, b int64) (int64, bool), float func(a, b float64) float64) (string, error) {
	i, erri := strconv.ParseInt(a, 10, 64)
	j, errj := strconv.ParseInt(b, 10, 64)
	if erri == nil && errj == nil {
		if r, fits := whole(i, j); fits {
			return strconv.FormatInt(r, 10), nil
		}
	}
	f, errf := strconv.ParseFloat(a, 64)
	g, errg := strconv.ParseFloat(b, 64)
	r := float(f, g)
	switch {
	case errf != nil, errg != nil, math.IsInf(r, 0), math.IsNaN(r):
		return "", fail("OVERFLOW the result is no number")
	case r == math.Trunc(r) && math.Abs(r) < 1<<53:
		return strconv.FormatInt(int64(r), 10), nil
	}
	return strconv.FormatFloat(r, 'g', 17, 64), nil
}

func isNumber(n *node) bool {
	if n.kind != isScalar {
		return false
	}
	_, err := strconv.ParseFloat(n.text, 64)
	return err == nil
}

// strAppend is JSON.STRAPPEND key [path] value.
func strAppend(x *execution, args []string) error {
	at := "."
	if len(args) == 4 {
		at = args[2]
	}
	more, err := parse([]byte(args[len(args)-1]))
	if err != nil {
		return err
	}
	if more.kind != isString {
		return fail("WRONGTYPE Value is not a string")
	}
	return x.editEach("json.strappend", args[1], at, func(n *node) (result, error) {
		if n.kind != isString {
			return result{}, kindError{"a string"}
		}
		n.text += more.text
		return result{number: len(n.text)}, nil
	})
}

// toggle is JSON.TOGGLE key [path]. A path of the older kind is answered the value, one of JSONPath 1 or 0.
func toggle(x *execution, args []string) error {
	at := pathOf(args)
	return x.editEach("json.toggle", args[1], at, func(n *node) (result, error) {
		if n.kind != isScalar || (n.text != "true" && n.text != "false") {
			return result{}, kindError{"a bool"}
		}
		r := result{isText: !strings.HasPrefix(at, "$")}
		if n.text == "false" {
			n.text, r.number = "true", 1
		} else {
			n.text = "false"
		}
		r.text = n.text
		return r, nil
	})
}

// clearAt is JSON.CLEAR key [path]; it answers how many values it cleared.
func clearAt(x *execution, args []string) error {
	p, err := parsePath(pathOf(args))
	if err != nil {
		return err
	}
	results, err := x.edit("json.clear", args[1], p, func(n *node) (result, error) {
		was := n.String()
		switch {
		case isNumber(n):
			n.text = "0"
		case n.kind == isScalar && n.text == "true":
			n.text = "false"
		case n.kind == isString:
			n.text = ""
		}
		n.items, n.members = nil, nil
		if n.String() == was {
			return result{}, nil
		}
		return result{number: 1}, nil
	})
	if err != nil {
		return err
	}
	cleared := 0
	for _, r := range results {
		cleared += r.number
	}
	x.answer.number(cleared)
	return nil
}

// pathOf is the path of a command of which it is the third word, if it has three.
func pathOf(args []string) string {
	if len(args) > 2 {
		return args[2]
	}
	return "."
}
