package recorder

import (
	"strconv"

	"slipstream/capture/stream"
)

// transaction is commands, encoded to be sent. Its entries come first.
type transaction struct {
	encoded  []byte
	commands int
	entries  int
	touched  []stream.ID // the last ID for each stream of the table; 0-0: it gets none
}

func (t *transaction) reset(streams int) {
	t.encoded, t.commands, t.entries = t.encoded[:0], 0, 0
	if cap(t.touched) < streams {
		t.touched = make([]stream.ID, streams)
	}
	t.touched = t.touched[:streams]
	clear(t.touched)
}

func (t *transaction) head(mark byte, n int) {
	t.encoded = append(t.encoded, mark)
	t.encoded = strconv.AppendInt(t.encoded, int64(n), 10)
	t.encoded = append(t.encoded, '\r', '\n')
}

func (t *transaction) text(s string) {
	t.head('$', len(s))
	t.encoded = append(t.encoded, s...)
	t.encoded = append(t.encoded, '\r', '\n')
}

func (t *transaction) bytes(b []byte) {
	t.head('$', len(b))
	t.encoded = append(t.encoded, b...)
	t.encoded = append(t.encoded, '\r', '\n')
}

// command adds a command.
func (t *transaction) command(args ...string) {
	t.head('*', len(args))
	for _, a := range args {
		t.text(a)
	}
	t.commands++
}

// entry adds an XADD. Fields are op and command and the name of the field key, encoded.
func (t *transaction) entry(index int, main string, id stream.ID, fields, key []byte, more extra) {
	var text [48]byte
	t.head('*', 10+more.members)
	t.encoded = append(t.encoded, "$4\r\nXADD\r\n"...)
	t.text(main)
	// A stream that vanished is not to come back unnoticed.
	t.encoded = append(t.encoded, "$10\r\nNOMKSTREAM\r\n"...)
	t.bytes(id.Append(text[:0]))
	t.encoded = append(t.encoded, fields...)
	t.bytes(key)
	t.encoded = append(t.encoded, more.encoded...)
	t.touched[index] = id
	t.commands++
	t.entries++
}
