package jsonserver

import "bytes"

// document is what was found at a key, and becomes of it in a transaction.
type document struct {
	state state
	text  string
}

type state byte

const (
	absent  state = iota
	present       // a document
	foreign       // something else
)

// field is the one field of the one entry of the stream that a document is kept as.
const field = "slipstream/deploy/dev/jsonserver"

func readDocument(key string) []string { return []string{"XREVRANGE", key, "+", "-", "COUNT", "1"} }

// documentOf reads the answer to readDocument.
func documentOf(frame []byte) (document, error) {
	if bytes.HasPrefix(frame, []byte("-WRONGTYPE")) {
		return document{state: foreign}, nil
	}
	v, err := readValue(frame)
	if err != nil {
		return document{}, err
	}
	if err := v.refused(); err != nil {
		return document{}, err
	}
	if len(v.items) == 0 {
		return document{}, nil
	}
	if entry := v.items[0].items; len(entry) == 2 && len(entry[1].items) == 2 && entry[1].items[0].text == field {
		return document{state: present, text: entry[1].items[1].text}, nil
	}
	return document{state: foreign}, nil
}

// change is what a command does to a key, and the event it publishes.
type change struct {
	key, event string
	write      write
	text       string // of the document from now on
}

type write byte

const (
	untouched write = iota // the event only
	edited                 // the key keeps its expiry
	replaced               // it loses it, and event "new" is published
	removed
)

// commands are those that make a change in the server underneath.
func (ch change) commands() [][]string {
	remove := []string{"DEL", ch.key}
	add := []string{"XADD", ch.key, "MAXLEN", "1", "*", field, ch.text}
	switch ch.write {
	case edited:
		return [][]string{add}
	case replaced:
		return [][]string{remove, add}
	case removed:
		return [][]string{remove}
	}
	return nil
}

// execution is one command on documents: what it finds, does and answers. Nothing of it holds when the command is refused.
type execution struct {
	found   map[string]document
	changes []change
	answer  *answer
}

var (
	errNotDocument = fail("WRONGTYPE Not a JSON document key")
	errNoDocument  = fail("NONEXISTENT Document key does not exist")
)

// root is the document at a key, nil when there is none. The caller may change it.
func (x *execution) root(key string) (*node, error) {
	switch d := x.found[key]; d.state {
	case present:
		return parse([]byte(d.text))
	case foreign:
		return nil, errNotDocument
	}
	return nil, nil
}

// must is root of a document that has to be there.
func (x *execution) must(key string) (*node, error) {
	root, err := x.root(key)
	if err == nil && root == nil {
		err = errNoDocument
	}
	return root, err
}

// change notes a change, for the commands that follow too.
func (x *execution) change(key string, w write, root *node, event string) {
	ch := change{key: key, write: w, event: event}
	switch w {
	case edited, replaced:
		ch.text = root.String()
		x.found[key] = document{state: present, text: ch.text}
	case removed:
		x.found[key] = document{}
	}
	x.changes = append(x.changes, ch)
}
