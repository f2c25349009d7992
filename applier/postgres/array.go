package postgres

import (
	"encoding/binary"

	"slipstream/applier"
)

// arrayType is how the values of a column travel: an array in PostgreSQL's binary form. Most go as text that the server
// reads as the column's type; whole numbers, booleans and bytes, whose binary form is plain, save it that work.
type arrayType struct {
	array, elem uint32 // type OIDs, fixed since long before the oldest supported server
	width       int    // bytes of a whole number; 0: the text itself
}

var (
	textArray  = arrayType{array: 1009, elem: 25}
	bytesArray = arrayType{array: 1001, elem: 17}
	boolArray  = arrayType{array: 1000, elem: 16, width: 1}
	int2Array  = arrayType{array: 1005, elem: 21, width: 2}
	int4Array  = arrayType{array: 1007, elem: 23, width: 4}
	int8Array  = arrayType{array: 1016, elem: 20, width: 8}
)

// arrayOf chooses how values of a type travel, and the cast to the type that remains for the server.
func arrayOf(r typeRow) (arrayType, []string) {
	if r.schema == "pg_catalog" {
		switch r.name {
		case "text":
			return textArray, nil
		case "bytea":
			return bytesArray, nil
		case "bool":
			return boolArray, nil
		case "int2":
			return int2Array, nil
		case "int4":
			return int4Array, nil
		case "int8":
			return int8Array, nil
		case "money": // money's own reading of text depends on the server's locale
			return textArray, []string{`"pg_catalog"."numeric"`, r.cast()}
		}
	}
	return textArray, []string{r.cast()}
}

// appendArray appends the values of some rows of a column as a one-dimensional array.
func appendArray(dst []byte, t arrayType, c *applier.Column, rows []int32) []byte {
	start := len(dst)
	dst = appendHead(dst, t, len(rows))
	for _, row := range rows {
		if c.States[row] != applier.Present {
			dst[start+7] = 1
			dst = append(dst, 0xff, 0xff, 0xff, 0xff)
			continue
		}
		text := c.Text[c.Start[row]:c.End[row]]
		if t.width == 0 {
			dst = binary.BigEndian.AppendUint32(dst, uint32(len(text)))
			dst = append(dst, text...)
			continue
		}
		dst = binary.BigEndian.AppendUint32(dst, uint32(t.width))
		n := wholeNumber(text)
		for shift := (t.width - 1) * 8; shift >= 0; shift -= 8 {
			dst = append(dst, byte(n>>shift))
		}
	}
	return dst
}

// appendHead appends what an array of so many elements begins with.
func appendHead(dst []byte, t arrayType, count int) []byte {
	dst = binary.BigEndian.AppendUint32(dst, 1) // dimensions
	dst = binary.BigEndian.AppendUint32(dst, 0) // whether there are nulls, filled in when one comes
	dst = binary.BigEndian.AppendUint32(dst, t.elem)
	dst = binary.BigEndian.AppendUint32(dst, uint32(count))
	return binary.BigEndian.AppendUint32(dst, 1) // lower bound
}

// appendBytes appends a list of byte strings as an array; nil is NULL.
func appendBytes(dst []byte, list [][]byte) []byte {
	start := len(dst)
	dst = appendHead(dst, bytesArray, len(list))
	for _, b := range list {
		if b == nil {
			dst[start+7] = 1
			dst = append(dst, 0xff, 0xff, 0xff, 0xff)
			continue
		}
		dst = binary.BigEndian.AppendUint32(dst, uint32(len(b)))
		dst = append(dst, b...)
	}
	return dst
}

// wholeNumber reads the canonical text of an integer that is known to fit its column.
func wholeNumber(text []byte) int64 {
	var n int64 // negative, because the least number has no positive
	negative := len(text) > 0 && text[0] == '-'
	if negative {
		text = text[1:]
	}
	for _, c := range text {
		n = n*10 - int64(c-'0')
	}
	if negative {
		return n
	}
	return -n
}

// encodedSize is about how many bytes a row takes in the parameters of a write.
func encodedSize(w *applier.Write, row int32) int {
	size := 0
	for _, i := range w.Columns {
		c := &w.Values.Columns[i]
		size += 4
		if c.States[row] == applier.Present {
			size += int(c.End[row] - c.Start[row])
		}
	}
	return size
}
