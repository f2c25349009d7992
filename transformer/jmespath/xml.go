package jmespath

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
)

// xmlDepthLimit bounds the nesting of a document.
const xmlDepthLimit = 1000

// element is an open element: what was collected of it so far.
type element struct {
	name    string
	members map[string]any
	text    strings.Builder
}

// xmlToDict turns a document into an object: elements become members, repeated ones lists, attributes members with an @
// before their name; text is a string, or the member #text beside others; an empty element is null. Prefixes stay.
func xmlToDict(_ *state, arguments []any) (any, error) {
	document := arguments[0].(string)
	if document == "" {
		return "", nil
	}
	root, err := readXML(document)
	if err != nil {
		return nil, fmt.Errorf("reading XML %s: %w", shown(document), err)
	}
	return root, nil
}

func readXML(document string) (map[string]any, error) {
	decoder := xml.NewDecoder(strings.NewReader(document))
	// The document is UTF-8 by now, whatever its declaration says.
	decoder.CharsetReader = func(_ string, input io.Reader) (io.Reader, error) { return input, nil }
	root := &element{members: map[string]any{}}
	open := []*element{root}
	for {
		token, err := decoder.RawToken()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		top := open[len(open)-1]
		switch t := token.(type) {
		case xml.StartElement:
			if top == root && len(root.members) > 0 {
				return nil, errors.New("there are two root elements")
			}
			if len(open) > xmlDepthLimit {
				return nil, fmt.Errorf("the nesting is deeper than %d levels", xmlDepthLimit)
			}
			open = append(open, begin(t))
		case xml.EndElement:
			if top == root || top.name != xmlName(t.Name) {
				return nil, fmt.Errorf("</%s> closes nothing that is open", xmlName(t.Name))
			}
			open = open[:len(open)-1]
			open[len(open)-1].add(top.name, top.value())
		case xml.CharData:
			if top == root && strings.TrimSpace(string(t)) != "" {
				return nil, errors.New("there is text outside the root element")
			}
			top.text.Write(t)
		}
	}
	switch {
	case len(open) > 1:
		return nil, fmt.Errorf("<%s> is not closed", open[len(open)-1].name)
	case len(root.members) == 0:
		return nil, errors.New("there is no element")
	}
	return root.members, nil
}

func xmlName(name xml.Name) string {
	if name.Space != "" {
		return name.Space + ":" + name.Local
	}
	return name.Local
}

func begin(start xml.StartElement) *element {
	e := &element{name: xmlName(start.Name), members: map[string]any{}}
	for _, attribute := range start.Attr {
		e.members["@"+xmlName(attribute.Name)] = attribute.Value
	}
	return e
}

// add takes in a finished child; the second of a name makes the member a list.
func (e *element) add(name string, value any) {
	present, ok := e.members[name]
	if !ok {
		e.members[name] = value
		return
	}
	// A value of a child is never a list itself.
	if siblings, ok := present.([]any); ok {
		e.members[name] = append(siblings, value)
		return
	}
	e.members[name] = []any{present, value}
}

// value is what a finished element is in its parent.
func (e *element) value() any {
	text := strings.TrimSpace(e.text.String())
	if len(e.members) == 0 {
		if text == "" {
			return nil
		}
		return text
	}
	if text != "" {
		e.members["#text"] = text
	}
	return e.members
}
