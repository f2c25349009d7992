package applier

import (
	"bytes"
	"fmt"
)

// Entry is one row of the row index (design D8): which Redis key owns which row of an output. The index is a table of
// the target, unique by (pipeline, job, connection, output, row), and moves in the transaction of the rows themselves.
type Entry struct {
	// Row identifies the row of the output: its key columns as JoinKey writes them.
	Row []byte
	// Owner is the Redis key.
	Owner []byte
	// Ms and Seq are the stream ID of the change that wrote the row last.
	Ms, Seq uint64
	// Before is the value of the owner as captured, JSON text; nil where none is kept in this entry.
	Before []byte
}

// Newer tells whether the entry is of the change with an ID, or of a later one.
func (e *Entry) Newer(ms, seq uint64) bool { return e.Ms > ms || e.Ms == ms && e.Seq >= seq }

// JoinKey appends the canonical values of a key, joined by bars so that SplitKey finds them again. A backslash is
// written before bars and backslashes within.
func JoinKey(dst []byte, values ...[]byte) []byte {
	for i, v := range values {
		if i > 0 {
			dst = append(dst, '|')
		}
		for _, b := range v {
			if b == '|' || b == '\\' {
				dst = append(dst, '\\')
			}
			dst = append(dst, b)
		}
	}
	return dst
}

// SplitKey gives back the n values that JoinKey joined.
func SplitKey(key []byte, n int) ([][]byte, error) {
	values := make([][]byte, 0, n)
	value := make([]byte, 0, len(key))
	for i := 0; i < len(key); i++ {
		switch b := key[i]; {
		case b == '\\' && i+1 < len(key):
			i++
			value = append(value, key[i])
		case b == '|':
			values = append(values, value)
			value = make([]byte, 0, len(key)-i)
		default:
			value = append(value, b)
		}
	}
	if values = append(values, value); len(values) != n {
		return nil, fmt.Errorf("row %q of the row index has %d key columns, the output has %d", bytes.ToValidUTF8(key, []byte("?")), len(values), n)
	}
	return values, nil
}
