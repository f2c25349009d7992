package engine

import (
	"encoding/binary"
	"strconv"

	"slipstream/applier"
	"slipstream/applier/value"
)

// appendKey appends the values of some columns of a row, so that two rows are the same row of the target exactly when
// the bytes are equal, and sort as their values do: whole numbers by size, all else by bytes. Every lane sorts alike, so
// two lanes that write one table take its locks in one order (design D7).
func appendKey(dst []byte, t *applier.Table, v *applier.Values, columns []int, row int32) []byte {
	for _, i := range columns {
		text := v.Columns[i].At(row)
		if t.Columns[i].Type.Kind == value.Integer {
			if n, ok := ordered(text, t.Columns[i].Type.Unsigned); ok {
				dst = binary.BigEndian.AppendUint64(dst, n)
				continue
			}
		}
		for _, b := range text {
			dst = append(dst, b)
			if b == 0 {
				dst = append(dst, 0xff) // a NUL inside sorts after the end
			}
		}
		dst = append(dst, 0, 0)
	}
	return dst
}

// ordered maps a canonical integer to a number that sorts as it does.
func ordered(text []byte, unsigned bool) (uint64, bool) {
	if unsigned {
		n, err := strconv.ParseUint(string(text), 10, 64)
		return n, err == nil
	}
	n, err := strconv.ParseInt(string(text), 10, 64)
	return uint64(n) ^ 1<<63, err == nil
}
