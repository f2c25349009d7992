package cassandra

import (
	"bytes"
	"encoding/json"
	"strings"

	applierv1 "slipstream/proto/slipstream/applier/v1"
)

// nodeKind is what a part of a collection is.
type nodeKind uint8

const (
	nullNode  nodeKind = iota
	textNode           // in quotes
	bareNode           // a number, UUID, duration or the like, without quotes
	boolNode           // true or false
	listNode           // [1, 2]
	setNode            // {1, 2}, in CQL alone
	mapNode            // {"a": 1}
	tupleNode          // (1, 2), in CQL alone
)

// node is a part of a collection, as JSON or CQL writes it.
type node struct {
	kind  nodeKind
	text  []byte  // of a scalar; of a list or object in JSON, its compact text
	names []*node // of a map
	items []*node
}

// empty tells whether the node is {}, which is a set as well as a map.
func (n *node) empty() bool { return (n.kind == setNode || n.kind == mapNode) && len(n.items) == 0 }

// valueKind is what package value calls it.
func (n *node) valueKind() applierv1.ValueKind {
	switch n.kind {
	case bareNode:
		return applierv1.ValueKind_VALUE_KIND_NUMBER
	case boolNode:
		return applierv1.ValueKind_VALUE_KIND_BOOLEAN
	case listNode, mapNode, setNode, tupleNode:
		return applierv1.ValueKind_VALUE_KIND_DOCUMENT
	}
	return applierv1.ValueKind_VALUE_KIND_STRING
}

const (
	notLiteral reason = "it is neither JSON nor a literal of CQL"
	tooDeep    reason = "it is nested too deep"
	mostDepth         = 64
)

// parseLiteral reads a collection: JSON text, or CQL's own notation, which spells texts with single quotes and lets
// UUIDs and the like go without.
func parseLiteral(text []byte) (*node, reason) {
	text = bytes.TrimSpace(text)
	if json.Valid(text) {
		return parseJSON(text, 0)
	}
	p := &literalParser{text: text}
	n, why := p.parse(0)
	if why == fits && len(bytes.TrimSpace(p.text)) > 0 {
		return nil, notLiteral
	}
	return n, why
}

// parseJSON reads text that is known to be JSON.
func parseJSON(text []byte, depth int) (*node, reason) {
	if depth > mostDepth {
		return nil, tooDeep
	}
	switch text[0] {
	case 'n':
		return &node{kind: nullNode}, fits
	case 't', 'f':
		return &node{kind: boolNode, text: text}, fits
	case '"':
		var s string
		if err := json.Unmarshal(text, &s); err != nil {
			return nil, notLiteral
		}
		return &node{kind: textNode, text: []byte(s)}, fits
	case '[', '{':
	default:
		return &node{kind: bareNode, text: text}, fits
	}
	n := &node{kind: listNode}
	if text[0] == '{' {
		n.kind = mapNode
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, text); err != nil {
		return nil, notLiteral
	}
	n.text = compact.Bytes()
	d := json.NewDecoder(bytes.NewReader(n.text))
	if _, err := d.Token(); err != nil {
		return nil, notLiteral
	}
	for d.More() {
		if n.kind == mapNode {
			name, err := d.Token()
			if err != nil {
				return nil, notLiteral
			}
			s, _ := name.(string)
			n.names = append(n.names, &node{kind: textNode, text: []byte(s)})
		}
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return nil, notLiteral
		}
		item, why := parseJSON(raw, depth+1)
		if why != fits {
			return nil, why
		}
		n.items = append(n.items, item)
	}
	return n, fits
}

// literalParser reads CQL's notation from the front of a text.
type literalParser struct{ text []byte }

func (p *literalParser) parse(depth int) (*node, reason) {
	if depth > mostDepth {
		return nil, tooDeep
	}
	if p.text = bytes.TrimSpace(p.text); len(p.text) == 0 {
		return nil, notLiteral
	}
	switch p.text[0] {
	case '[':
		return p.items(&node{kind: listNode}, ']', depth)
	case '(':
		return p.items(&node{kind: tupleNode}, ')', depth)
	case '{':
		return p.items(&node{kind: setNode}, '}', depth)
	case '\'', '"':
		return p.quoted(p.text[0])
	}
	n := bytes.IndexAny(p.text, ",:]}) \t\r\n")
	if n < 0 {
		n = len(p.text)
	}
	word := p.text[:n]
	p.text = p.text[n:]
	switch strings.ToLower(string(word)) {
	case "":
		return nil, notLiteral
	case "null":
		return &node{kind: nullNode}, fits
	case "true", "false":
		return &node{kind: boolNode, text: bytes.ToLower(word)}, fits
	}
	return &node{kind: bareNode, text: word}, fits
}

// quoted reads a text or a name, in which a quote stands twice.
func (p *literalParser) quoted(quote byte) (*node, reason) {
	out := []byte{}
	for i := 1; i < len(p.text); i++ {
		if p.text[i] == quote {
			if i+1 >= len(p.text) || p.text[i+1] != quote {
				p.text = p.text[i+1:]
				return &node{kind: textNode, text: out}, fits
			}
			i++
		}
		out = append(out, p.text[i])
	}
	return nil, notLiteral
}

// items reads what stands between brackets. Braces with a colon behind their first member are a map.
func (p *literalParser) items(n *node, end byte, depth int) (*node, reason) {
	p.text = p.text[1:]
	for {
		p.text = bytes.TrimSpace(p.text)
		if len(n.items) == 0 && p.next(end) {
			return n, fits
		}
		item, why := p.parse(depth + 1)
		if why != fits {
			return nil, why
		}
		if end == '}' && (len(n.items) == 0 || n.kind == mapNode) {
			if p.next(':') {
				n.kind = mapNode
				n.names = append(n.names, item)
				if item, why = p.parse(depth + 1); why != fits {
					return nil, why
				}
			} else if n.kind == mapNode {
				return nil, notLiteral
			}
		}
		n.items = append(n.items, item)
		if p.next(end) {
			return n, fits
		}
		if !p.next(',') {
			return nil, notLiteral
		}
	}
}

// next takes one character off the front, behind blanks, if it is there.
func (p *literalParser) next(c byte) bool {
	p.text = bytes.TrimSpace(p.text)
	if len(p.text) == 0 || p.text[0] != c {
		return false
	}
	p.text = p.text[1:]
	return true
}
