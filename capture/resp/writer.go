package resp

import (
	"io"
	"strconv"
)

// Writer gathers commands and sends them together.
type Writer struct {
	out io.Writer
	buf []byte
}

// NewWriter returns a writer on out.
func NewWriter(out io.Writer) *Writer { return &Writer{out: out} }

// Begin starts a command of n arguments, its name included; exactly n of Bytes, String, Uint must follow.
func (w *Writer) Begin(n int) {
	w.buf = append(w.buf, '*')
	w.buf = strconv.AppendInt(w.buf, int64(n), 10)
	w.buf = append(w.buf, '\r', '\n')
}

func (w *Writer) head(n int) {
	w.buf = append(w.buf, '$')
	w.buf = strconv.AppendInt(w.buf, int64(n), 10)
	w.buf = append(w.buf, '\r', '\n')
}

// Bytes adds an argument.
func (w *Writer) Bytes(b []byte) {
	w.head(len(b))
	w.buf = append(w.buf, b...)
	w.buf = append(w.buf, '\r', '\n')
}

// String adds an argument.
func (w *Writer) String(s string) {
	w.head(len(s))
	w.buf = append(w.buf, s...)
	w.buf = append(w.buf, '\r', '\n')
}

// Uint adds an argument in decimal.
func (w *Writer) Uint(n uint64) {
	var digits [20]byte
	w.Bytes(strconv.AppendUint(digits[:0], n, 10))
}

// Command adds a whole command.
func (w *Writer) Command(args ...string) {
	w.Begin(len(args))
	for _, a := range args {
		w.String(a)
	}
}

// Raw adds bytes that are commands already, as Encoded returned them.
func (w *Writer) Raw(b []byte) { w.buf = append(w.buf, b...) }

// Encoded returns what is gathered; it is valid until the next call.
func (w *Writer) Encoded() []byte { return w.buf }

// Buffered is the number of bytes that Flush would send.
func (w *Writer) Buffered() int { return len(w.buf) }

// Discard forgets what is gathered.
func (w *Writer) Discard() { w.buf = w.buf[:0] }

// keep bounds the memory that stays with an idle writer.
const keep = 1 << 20

// Flush sends what is gathered.
func (w *Writer) Flush() error {
	if len(w.buf) == 0 {
		return nil
	}
	_, err := w.out.Write(w.buf)
	if cap(w.buf) > keep {
		w.buf = nil
	}
	w.buf = w.buf[:0]
	return err
}
