package jmespath

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"

	"slipstream/transformer/pattern"
	"slipstream/transformer/record"
)

var textFunctions = map[string]*function{
	"capitalize":    onText(capitalize),
	"lower":         onText(strings.ToLower),
	"upper":         onText(strings.ToUpper),
	"concat":        {parameters: []kind{list}, bind: bindConcat},
	"starts_with":   aboutText(strings.HasPrefix),
	"ends_with":     aboutText(strings.HasSuffix),
	"left":          {parameters: []kind{text | null, numeric}, nullable: true, call: left},
	"right":         {parameters: []kind{text | null, numeric}, nullable: true, call: right},
	"mid":           {parameters: []kind{text | null, numeric, numeric}, nullable: true, call: mid},
	"replace":       {parameters: []kind{text | null, text, text}, nullable: true, call: replace},
	"split":         {parameters: []kind{text | null, text}, optional: 1, nullable: true, bind: bindSplit},
	"regex_replace": {parameters: []kind{text, text, text}, bind: bindRegexReplace},
	"to_string": {parameters: []kind{anything}, call: func(_ *state, arguments []any) (any, error) {
		return record.Text(arguments[0]), nil
	}},
}

// onText is a function of one string that gives null for null.
func onText(f func(string) string) *function {
	return &function{parameters: []kind{text | null}, nullable: true, call: func(_ *state, arguments []any) (any, error) {
		return f(arguments[0].(string)), nil
	}}
}

func aboutText(f func(s, part string) bool) *function {
	return &function{parameters: []kind{text, text}, call: func(_ *state, arguments []any) (any, error) {
		return f(arguments[0].(string), arguments[1].(string)), nil
	}}
}

func capitalize(s string) string {
	words := strings.Fields(s)
	for i, word := range words {
		first, size := utf8.DecodeRuneInString(word)
		words[i] = string(unicode.ToUpper(first)) + strings.ToLower(word[size:])
	}
	return strings.Join(words, " ")
}

func bindConcat(c *compiler, _ []constant) (func(*state, []any) (any, error), error) {
	nullText := c.nullText
	return func(_ *state, arguments []any) (any, error) {
		var out strings.Builder
		for _, element := range arguments[0].([]any) {
			switch v := element.(type) {
			case nil:
				out.WriteString(nullText)
			case bool:
				if v {
					out.WriteString("True")
				} else {
					out.WriteString("False")
				}
			default:
				out.WriteString(record.Text(v))
			}
		}
		return out.String(), nil
	}, nil
}

// characters is the part [from:to] of a text as Python slices it: ends below zero count from the end of the text.
func characters(s string, from, to int) string {
	runes := []rune(s)
	clamp := func(at int) int {
		if at < 0 {
			at += len(runes)
		}
		return max(0, min(at, len(runes)))
	}
	from, to = clamp(from), clamp(to)
	if from >= to {
		return ""
	}
	return string(runes[from:to])
}

const wholeText = 1 << 41 // an end beyond any text

func left(_ *state, arguments []any) (any, error) {
	n, err := integer(arguments[1])
	if err != nil {
		return nil, err
	}
	return characters(arguments[0].(string), 0, n), nil
}

// right takes from -n to the end, so 0 gives everything and a negative count drops characters from the front.
func right(_ *state, arguments []any) (any, error) {
	n, err := integer(arguments[1])
	if err != nil {
		return nil, err
	}
	return characters(arguments[0].(string), -n, wholeText), nil
}

func mid(_ *state, arguments []any) (any, error) {
	offset, err := integer(arguments[1])
	if err != nil {
		return nil, err
	}
	n, err := integer(arguments[2])
	if err != nil {
		return nil, err
	}
	return characters(arguments[0].(string), offset, offset+n), nil
}

func replace(_ *state, arguments []any) (any, error) {
	s, old := arguments[0].(string), arguments[1].(string)
	if old == "" {
		return s, nil
	}
	return strings.ReplaceAll(s, old, arguments[2].(string)), nil
}

var errNoSeparator = errors.New("the separator is empty")

func bindSplit(_ *compiler, literals []constant) (func(*state, []any) (any, error), error) {
	if len(literals) > 1 && literals[1].known && literals[1].value == "" {
		return nil, errNoSeparator
	}
	return func(_ *state, arguments []any) (any, error) {
		separator := ","
		if len(arguments) > 1 {
			separator = arguments[1].(string)
		}
		if separator == "" {
			return nil, errNoSeparator
		}
		parts := strings.Split(arguments[0].(string), separator)
		out := make([]any, len(parts))
		for i, part := range parts {
			out[i] = part
		}
		return out, nil
	}, nil
}

// replacer is a pattern with the templates that were used with it.
type replacer struct {
	pattern   *pattern.Pattern
	templates *cache[*pattern.Template]
}

func newReplacer(text string) (*replacer, error) {
	compiled, err := pattern.Compile(text)
	if err != nil {
		return nil, err
	}
	return &replacer{compiled, newCache(compiled.Template)}, nil
}

func bindRegexReplace(_ *compiler, literals []constant) (func(*state, []any) (any, error), error) {
	replacers := newCache(newReplacer)
	if literals[1].known {
		r, err := replacers.load(literals[1].value.(string))
		if err != nil {
			return nil, err
		}
		if literals[2].known {
			if _, err := r.templates.load(literals[2].value.(string)); err != nil {
				return nil, err
			}
		}
	}
	return func(_ *state, arguments []any) (any, error) {
		r, err := replacers.load(arguments[1].(string))
		if err != nil {
			return nil, err
		}
		template, err := r.templates.load(arguments[2].(string))
		if err != nil {
			return nil, err
		}
		return r.pattern.Replace(arguments[0].(string), template)
	}, nil
}
