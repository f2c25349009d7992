// Package resp is a small client for the Redis protocol (RESP2) on one plain connection, for the three places where a
// general client costs more than the work itself (design D7): the subscriber, the reading of change streams, and the
// pipelined reading of values.
//
// The words:
//
//   - Writer gathers commands; nothing is sent before Flush. Any number of commands may be gathered: a server never stops
//     reading because its answers are not read yet.
//   - Reader takes answers apart where they lie. What it returns is valid until its next call; what must live longer is
//     copied into an Arena.
//   - Arena owns bytes of many small values at once; it is reused as a whole.
//   - Conn is both ends on a connection that is authenticated and has its logical database selected.
//
// Promises: an answer of the server that says "error" is an Error and leaves the connection usable; any other error ends
// it. A context that ends interrupts what is under way. Nothing here starts a goroutine that outlives a call. A Conn
// serves one goroutine that writes and one that reads.
package resp

import (
	"errors"
	"fmt"
	"strings"
)

// Error is an answer by which the server refused a command. The connection stays usable.
type Error string

// Error returns the server's words.
func (e Error) Error() string { return string(e) }

// Code is the first word of the answer, for example OOM, NOAUTH, WRONGTYPE, NOPERM, MOVED.
func (e Error) Code() string {
	code, _, _ := strings.Cut(string(e), " ")
	return code
}

// Refused returns the code of the server's refusal in err, empty when err is something else.
func Refused(err error) string {
	var e Error
	if errors.As(err, &e) {
		return e.Code()
	}
	return ""
}

// ProtocolError says that the bytes received are not what the protocol allows at this place.
type ProtocolError struct{ Detail string }

// Error tells what was received.
func (e *ProtocolError) Error() string {
	return "not understood in the answer of the server: " + e.Detail
}

func unexpected(format string, args ...any) error {
	return &ProtocolError{Detail: fmt.Sprintf(format, args...)}
}

// Kind is the kind of an answer, by its first byte.
type Kind byte

// The kinds of RESP2.
const (
	KindSimple Kind = '+'
	KindError  Kind = '-'
	KindInt    Kind = ':'
	KindBulk   Kind = '$'
	KindArray  Kind = '*'
)

// Value is a whole answer, for places where comfort matters more than allocations.
type Value struct {
	Kind  Kind
	Null  bool
	Int   int64
	Bytes []byte // KindSimple, KindError, KindBulk
	Array []Value
}

// Text is the answer as a string.
func (v Value) Text() string { return string(v.Bytes) }

// Err is the refusal that the answer is, or nil.
func (v Value) Err() error {
	if v.Kind == KindError {
		return Error(v.Bytes)
	}
	return nil
}
