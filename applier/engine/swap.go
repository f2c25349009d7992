package engine

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"strconv"

	"slipstream/applier"
	"slipstream/applier/value"
	"slipstream/proto/fault"
	applierv1 "slipstream/proto/slipstream/applier/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
)

// swap writes rows that no order lets in, since each wants the unique value that another holds: they give their values up
// first, for ones that nobody has, and are written then. Whoever looks from outside the transaction sees only its end. What
// has given up a value is written after, or stays in missing, and then the transaction does not commit.
func (i *isolation) swap(ctx context.Context) error {
	given := 0
	for _, m := range i.missing {
		for _, w := range givesUp(m.write) {
			err := i.txn.Try(ctx, func() error { return i.txn.Write(ctx, w) })
			if err == nil {
				given++
				break
			}
			if class := fault.Class(err); class != flowv1.FaultClass_FAULT_CLASS_DATA && class != flowv1.FaultClass_FAULT_CLASS_REFERENCE {
				return err
			}
		}
	}
	if given < 2 {
		return nil
	}
	return i.settleReferences(ctx)
}

// givesUp lists the ways in which the row of a write gives up the unique values that the write sets: for made-up ones,
// which rows that refer to them may follow, and NULL where none can be made up; or for NULL alone. Other columns keep what
// they have.
func givesUp(w *applier.Write) (ways []*applier.Write) {
	if w.Verb != applier.Upsert {
		return nil
	}
	row := w.Rows[0]
	for _, fills := range []bool{true, false} {
		way := &applier.Write{Table: w.Table, Verb: applier.Update, Rows: w.Rows[:1], Values: unset(w)}
		for _, c := range w.Columns {
			column, to := &w.Table.Columns[c], &way.Values.Columns[c]
			var text []byte
			switch {
			case column.Key:
				*to = w.Values.Columns[c]
				way.Columns = append(way.Columns, c)
				continue
			case !column.Unique:
				continue
			case fills:
				text = filler(w, c)
			}
			if text != nil {
				to.Text, to.End[row], to.States[row] = text, uint32(len(text)), applier.Present
			} else if !column.Nulls {
				continue
			}
			way.Columns = append(way.Columns, c)
		}
		if len(way.Columns) > len(w.Table.Keys) {
			ways = append(ways, way)
		}
	}
	return ways
}

// unset are values like those of a write, all NULL.
func unset(w *applier.Write) *applier.Values {
	v := &applier.Values{Count: w.Values.Count, Columns: make([]applier.Column, len(w.Values.Columns))}
	for i := range v.Columns {
		v.Columns[i] = applier.Column{Start: make([]uint32, v.Count), End: make([]uint32, v.Count), States: make([]applier.State, v.Count)}
	}
	return v
}

// filler makes a value up for a column of a write's first row; nil where its type has too few. It depends on table, column
// and key alone, so that every attempt does the same.
func filler(w *applier.Write, column int) []byte {
	h := sha256.New()
	h.Write([]byte(w.Table.Name + "\x00" + w.Table.Columns[column].Name + "\x00"))
	for _, k := range w.Table.Keys {
		text := w.Values.Columns[k].At(w.Rows[0])
		h.Write(binary.LittleEndian.AppendUint32(nil, uint32(len(text))))
		h.Write(text)
	}
	sum := h.Sum(nil)
	t := &w.Table.Columns[column].Type
	number := func(digits int) []byte {
		text := strconv.FormatUint(binary.LittleEndian.Uint64(sum)|1<<63, 10)
		return []byte(text[len(text)-min(digits, 18):])
	}
	kind, text := applierv1.ValueKind_VALUE_KIND_STRING, []byte(nil)
	switch t.Kind {
	case value.Text:
		text = []byte(hex.EncodeToString(sum))
		if t.Length > 0 {
			text = text[:min(t.Length, len(text))]
		}
	case value.Integer: // signed or not
		if t.Bits >= 16 && t.Bits <= 64 {
			return strconv.AppendUint(nil, binary.LittleEndian.Uint64(sum)>>(65-t.Bits), 10)
		}
	case value.Decimal:
		whole := 18
		if t.Precision > 0 {
			whole = t.Precision - t.Scale
		}
		if whole > 0 {
			text = number(whole)
		}
	case value.UUID:
		x := hex.EncodeToString(sum[:16])
		text = []byte(x[:8] + "-" + x[8:12] + "-" + x[12:16] + "-" + x[16:20] + "-" + x[20:])
	case value.Binary:
		kind, text = applierv1.ValueKind_VALUE_KIND_BYTES, sum
		if t.Length > 0 {
			text = text[:min(t.Length, len(text))]
		}
	}
	const fewest = 3 // characters, digits or bytes: with less the value is likely to be somebody's
	if len(text) < fewest {
		return nil
	}
	out, null, err := value.Convert(nil, t, kind, text)
	if null || err != nil {
		return nil
	}
	return out
}
