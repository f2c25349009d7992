package jsonserver

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strconv"
)

// refusal is an error that a client is answered; the connection goes on.
type refusal string

func (e refusal) Error() string { return string(e) }

// fail is a refusal, its code first.
func fail(format string, args ...any) error { return refusal(fmt.Sprintf(format, args...)) }

// value is an answer of the server underneath. Maps and sets of RESP3 are lists.
type value struct {
	kind  byte // its first byte in the protocol
	null  bool
	text  string
	items []value
}

// refused is the refusal that an answer is, or nil.
func (v value) refused() error {
	if v.kind == '-' || v.kind == '!' {
		return refusal(v.text)
	}
	return nil
}

// bufferSize is the longest line of the protocol that is understood.
const bufferSize = 64 << 10

// maxSize bounds what a string, an answer and a command may claim to be.
const maxSize = 512 << 20

// copyFrame copies one answer and tells its first byte.
func copyFrame(to io.Writer, from *bufio.Reader) (byte, error) {
	kind, more, err := copyHead(to, from)
	for ; err == nil && more > 0; more-- {
		_, err = copyFrame(to, from)
	}
	return kind, err
}

// copyHead copies an answer up to the answers it consists of, and tells their number.
func copyHead(to io.Writer, from *bufio.Reader) (kind byte, more int, err error) {
	line, err := from.ReadSlice('\n')
	if err != nil {
		return 0, 0, err
	}
	kind = line[0]
	if _, err := to.Write(line); err != nil {
		return kind, 0, err
	}
	switch kind {
	case '$', '!', '=', '*', '~', '>', '%', '|':
	default:
		return kind, 0, nil
	}
	n, err := strconv.Atoi(string(bytes.TrimSpace(line[1:])))
	if err != nil || n > maxSize {
		return kind, 0, fmt.Errorf("the server underneath answers %q", line)
	}
	switch {
	case n < 0:
		return kind, 0, nil
	case kind == '%':
		return kind, 2 * n, nil
	case kind == '|':
		return kind, 2*n + 1, nil // what it is an attribute of follows
	case kind == '*', kind == '~', kind == '>':
		return kind, n, nil
	}
	_, err = io.CopyN(to, from, int64(n)+2)
	return kind, 0, err
}

// readValue takes an answer apart.
func readValue(frame []byte) (value, error) {
	return decodeValue(bufio.NewReaderSize(bytes.NewReader(frame), bufferSize))
}

func decodeValue(from *bufio.Reader) (value, error) {
	var head bytes.Buffer
	kind, more, err := copyHead(&head, from)
	if err != nil {
		return value{}, err
	}
	v := value{kind: kind}
	line, body, _ := bytes.Cut(head.Bytes()[1:], []byte("\r\n"))
	switch kind {
	case '$', '!', '=':
		v.null = string(line) == "-1"
		v.text = string(bytes.TrimSuffix(body, []byte("\r\n")))
	case '*', '~', '>', '%', '|':
		v.null = string(line) == "-1"
	default:
		v.null = kind == '_'
		v.text = string(line)
	}
	for range more {
		item, err := decodeValue(from)
		if err != nil {
			return v, err
		}
		v.items = append(v.items, item)
	}
	return v, nil
}

// parts are the answers that a list consists of, each as it came.
func parts(frame []byte) ([][]byte, error) {
	from := bufio.NewReaderSize(bytes.NewReader(frame), bufferSize)
	_, more, err := copyHead(io.Discard, from)
	if err != nil {
		return nil, err
	}
	list := make([][]byte, more)
	for i := range list {
		var part bytes.Buffer
		if _, err := copyFrame(&part, from); err != nil {
			return nil, err
		}
		list[i] = part.Bytes()
	}
	return list, nil
}
