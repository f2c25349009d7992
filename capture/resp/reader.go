package resp

import (
	"bytes"
	"errors"
	"io"
	"strconv"
)

// maxLength bounds what the server may announce: an array's members or a string's bytes. Redis itself allows strings of
// 512 MB (proto-max-bulk-len).
const maxLength = 1 << 30

// maxDepth bounds the nesting of answers.
const maxDepth = 32

// Reader takes answers apart.
type Reader struct {
	in         io.Reader
	buf        []byte
	start, end int
}

// NewReader returns a reader on in. Size is that of its buffer, at least 4 KB; strings that do not fit get memory of
// their own.
func NewReader(in io.Reader, size int) *Reader {
	return &Reader{in: in, buf: make([]byte, max(size, 4<<10))}
}

// Buffered is the number of bytes received and not taken apart yet.
func (r *Reader) Buffered() int { return r.end - r.start }

// fill receives more bytes behind those that are there.
func (r *Reader) fill() error {
	if r.start > 0 {
		r.end = copy(r.buf, r.buf[r.start:r.end])
		r.start = 0
	}
	if r.end == len(r.buf) {
		return unexpected("a line longer than %d bytes", len(r.buf))
	}
	n, err := r.in.Read(r.buf[r.end:])
	r.end += n
	if n > 0 {
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

// line returns the next line without its end.
func (r *Reader) line() ([]byte, error) {
	from := r.start
	for {
		if i := bytes.IndexByte(r.buf[from:r.end], '\n'); i >= 0 {
			stop := from + i
			if stop == r.start || r.buf[stop-1] != '\r' {
				return nil, unexpected("a line without its end")
			}
			line := r.buf[r.start : stop-1]
			r.start = stop + 1
			if len(line) == 0 {
				return nil, unexpected("an empty line")
			}
			return line, nil
		}
		seen := r.end - r.start
		if err := r.fill(); err != nil {
			return nil, eof(err, seen)
		}
		from = r.start + seen
	}
}

// eof tells the end of the connection inside an answer from its end between two answers.
func eof(err error, seen int) error {
	if errors.Is(err, io.EOF) && seen > 0 {
		return io.ErrUnexpectedEOF
	}
	return err
}

// number parses a decimal integer without allocating.
func number(b []byte) (int64, error) {
	digits, negative := b, false
	if len(b) > 0 && b[0] == '-' {
		digits, negative = b[1:], true
	}
	if len(digits) == 0 || len(digits) > 18 {
		n, err := strconv.ParseInt(string(b), 10, 64)
		if err != nil {
			return 0, unexpected("the number %q", b)
		}
		return n, nil
	}
	var n int64
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, unexpected("the number %q", b)
		}
		n = n*10 + int64(c-'0')
	}
	if negative {
		n = -n
	}
	return n, nil
}

func length(b []byte) (int, error) {
	n, err := number(b)
	if err != nil {
		return 0, err
	}
	if n < -1 || n > maxLength {
		return 0, unexpected("the length %d", n)
	}
	return int(n), nil
}

// head returns kind and rest of the next line; a refusal by the server is an Error.
func (r *Reader) head() (Kind, []byte, error) {
	line, err := r.line()
	if err != nil {
		return 0, nil, err
	}
	if Kind(line[0]) == KindError {
		return KindError, nil, Error(line[1:])
	}
	return Kind(line[0]), line[1:], nil
}

// Array reads the head of an array and returns the number of members that follow, -1 for a null array.
func (r *Reader) Array() (int, error) {
	kind, rest, err := r.head()
	if err != nil {
		return 0, err
	}
	if kind != KindArray {
		return 0, unexpected("%q where an array begins", string(kind)+string(rest))
	}
	return length(rest)
}

// Bulk reads a string, nil for a null. The bytes are valid until the next call on the reader.
func (r *Reader) Bulk() ([]byte, error) {
	kind, rest, err := r.head()
	if err != nil {
		return nil, err
	}
	switch kind {
	case KindBulk:
		return r.body(rest)
	case KindSimple:
		return rest, nil
	default:
		return nil, unexpected("%q where a string begins", string(kind)+string(rest))
	}
}

// body reads the bytes of a string whose length is announced in rest.
func (r *Reader) body(rest []byte) ([]byte, error) {
	n, err := length(rest)
	if err != nil || n < 0 {
		return nil, err
	}
	need := n + 2
	if need > len(r.buf) {
		return r.large(n)
	}
	for r.end-r.start < need {
		if err := r.fill(); err != nil {
			return nil, eof(err, 1)
		}
	}
	b := r.buf[r.start : r.start+n : r.start+n]
	if r.buf[r.start+n] != '\r' || r.buf[r.start+n+1] != '\n' {
		return nil, unexpected("a string of %d bytes without its end", n)
	}
	r.start += need
	return b, nil
}

// large reads a string that does not fit the buffer. It trusts the announced length only as far as bytes arrive.
func (r *Reader) large(n int) ([]byte, error) {
	var b bytes.Buffer
	b.Grow(min(n+2, 1<<20))
	b.Write(r.buf[r.start:r.end])
	missing := int64(n + 2 - b.Len())
	r.start, r.end = 0, 0
	if _, err := io.CopyN(&b, r.in, missing); err != nil {
		return nil, eof(err, 1)
	}
	all := b.Bytes()
	if all[n] != '\r' || all[n+1] != '\n' {
		return nil, unexpected("a string of %d bytes without its end", n)
	}
	return all[:n:n], nil
}

// Int reads an integer.
func (r *Reader) Int() (int64, error) {
	kind, rest, err := r.head()
	if err != nil {
		return 0, err
	}
	if kind != KindInt {
		return 0, unexpected("%q where an integer is", string(kind)+string(rest))
	}
	return number(rest)
}

// OK reads an answer that carries nothing but success, for example OK, QUEUED or PONG.
func (r *Reader) OK() error {
	kind, rest, err := r.head()
	if err != nil {
		return err
	}
	if kind != KindSimple {
		return unexpected("%q where a status is", string(kind)+string(rest))
	}
	return nil
}

// Value reads a whole answer into memory of its own. Refusals, also those inside an array, are values of KindError.
func (r *Reader) Value() (Value, error) { return r.value(0) }

func (r *Reader) value(depth int) (Value, error) {
	if depth > maxDepth {
		return Value{}, unexpected("arrays nested more than %d deep", maxDepth)
	}
	line, err := r.line()
	if err != nil {
		return Value{}, err
	}
	v := Value{Kind: Kind(line[0])}
	switch rest := line[1:]; v.Kind {
	case KindSimple, KindError:
		v.Bytes = bytes.Clone(rest)
	case KindInt:
		v.Int, err = number(rest)
	case KindBulk:
		var b []byte
		if b, err = r.body(rest); err == nil {
			v.Null, v.Bytes = b == nil, bytes.Clone(b)
		}
	case KindArray:
		var n int
		if n, err = length(rest); err != nil {
			return Value{}, err
		}
		v.Null = n < 0
		v.Array = make([]Value, 0, min(max(n, 0), 1024))
		for range n {
			member, err := r.value(depth + 1)
			if err != nil {
				return Value{}, eof(err, 1)
			}
			v.Array = append(v.Array, member)
		}
	default:
		return Value{}, unexpected("%q where an answer begins", line)
	}
	return v, err
}

// Skip reads an answer and forgets it. A refusal is an Error, also one inside an array: the answer is then read to its
// end all the same.
func (r *Reader) Skip() error { return r.skip(0) }

func (r *Reader) skip(depth int) error {
	if depth > maxDepth {
		return unexpected("arrays nested more than %d deep", maxDepth)
	}
	kind, rest, err := r.head()
	if err != nil {
		return err
	}
	switch kind {
	case KindSimple, KindInt:
		return nil
	case KindBulk:
		_, err := r.body(rest)
		return err
	case KindArray:
		n, err := length(rest)
		if err != nil {
			return err
		}
		var refusal error
		for range n {
			if err := r.skip(depth + 1); err != nil {
				if Refused(err) == "" {
					return eof(err, 1)
				}
				refusal = err
			}
		}
		return refusal
	default:
		return unexpected("%q where an answer begins", string(kind)+string(rest))
	}
}
