package stream

import (
	"encoding/binary"
	"errors"
	"iter"
)

// Pack adds a text to a packed hash: its length as an unsigned varint, then its bytes. A packed hash is name, value, name,
// value, …; it holds any bytes.
func Pack[T string | []byte](to []byte, text T) []byte {
	to = binary.AppendUvarint(to, uint64(len(text)))
	return append(to, text...)
}

// errPacked says that bytes are no packed hash.
var errPacked = errors.New("the hash is not packed as it should be")

// checkPacked says whether bytes are a packed hash of at least one field.
func checkPacked(packed []byte) error {
	texts := 0
	for len(packed) > 0 {
		n, width := binary.Uvarint(packed)
		if width <= 0 || n > uint64(len(packed)-width) {
			return errPacked
		}
		packed = packed[width+int(n):]
		texts++
	}
	if texts == 0 || texts%2 != 0 {
		return errPacked
	}
	return nil
}

// Unpack goes through the names and values of a packed hash that an Entry carries. They are slices of it.
func Unpack(packed []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(name, value []byte) bool) {
		text := func() []byte {
			n, width := binary.Uvarint(packed)
			if width <= 0 || n > uint64(len(packed)-width) {
				packed = nil
				return nil
			}
			end := width + int(n)
			t := packed[width:end:end]
			packed = packed[end:]
			return t
		}
		for len(packed) > 0 {
			if name := text(); !yield(name, text()) {
				return
			}
		}
	}
}
