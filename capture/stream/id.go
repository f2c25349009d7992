package stream

import (
	"cmp"
	"fmt"
	"math"
	"strconv"
	"strings"

	changev1 "slipstream/proto/slipstream/change/v1"
)

// ID is the ID of a stream entry.
type ID struct{ Ms, Seq uint64 }

// ParseID reads "ms-seq", or "ms" alone, which means "ms-0".
func ParseID(s string) (ID, error) {
	ms, seq, both := strings.Cut(s, "-")
	var (
		id  ID
		err error
	)
	if id.Ms, err = strconv.ParseUint(ms, 10, 64); err == nil && both {
		id.Seq, err = strconv.ParseUint(seq, 10, 64)
	}
	if err != nil {
		return ID{}, fmt.Errorf("reading stream ID %q: %w", s, err)
	}
	return id, nil
}

// parseBytes is ParseID without an allocation on the usual path.
func parseBytes(b []byte) (ID, error) {
	var (
		id   ID
		part = &id.Ms
		any  bool
	)
	for _, c := range b {
		switch {
		case c == '-' && part == &id.Ms && any:
			part, any = &id.Seq, false
		case c >= '0' && c <= '9' && *part < math.MaxUint64/10:
			*part = *part*10 + uint64(c-'0')
			any = true
		default:
			return ParseID(string(b)) // the highest numbers, or the error
		}
	}
	if !any {
		return ParseID(string(b))
	}
	return id, nil
}

// FromProto returns the ID of a message, 0-0 when it is absent.
func FromProto(id *changev1.StreamId) ID { return ID{Ms: id.GetMs(), Seq: id.GetSeq()} }

// Proto returns the ID as a message, nil for 0-0.
func (id ID) Proto() *changev1.StreamId {
	if id.IsZero() {
		return nil
	}
	return &changev1.StreamId{Ms: id.Ms, Seq: id.Seq}
}

// Append adds "ms-seq" to b.
func (id ID) Append(b []byte) []byte {
	b = strconv.AppendUint(b, id.Ms, 10)
	b = append(b, '-')
	return strconv.AppendUint(b, id.Seq, 10)
}

// String returns "ms-seq".
func (id ID) String() string { return string(id.Append(make([]byte, 0, 24))) }

// IsZero says whether the ID is 0-0, which no entry has.
func (id ID) IsZero() bool { return id == ID{} }

// Compare orders IDs as Redis does.
func (id ID) Compare(other ID) int {
	return cmp.Or(cmp.Compare(id.Ms, other.Ms), cmp.Compare(id.Seq, other.Seq))
}

// Less says whether id comes before other.
func (id ID) Less(other ID) bool { return id.Compare(other) < 0 }

// Next returns the ID that follows at once.
func (id ID) Next() ID {
	if id.Seq == math.MaxUint64 {
		return ID{Ms: id.Ms + 1}
	}
	return ID{Ms: id.Ms, Seq: id.Seq + 1}
}

// Later returns the higher of two IDs.
func Later(a, b ID) ID {
	if a.Less(b) {
		return b
	}
	return a
}

// Position is how far a lane has come in main and side stream.
type Position struct{ Main, Side ID }

// FromPosition returns the position of a message; an absent one is the beginning of both streams.
func FromPosition(p *changev1.Position) Position {
	return Position{Main: FromProto(p.GetMain()), Side: FromProto(p.GetSide())}
}

// Proto returns the position as a message.
func (p Position) Proto() *changev1.Position {
	return &changev1.Position{Main: p.Main.Proto(), Side: p.Side.Proto()}
}

// String returns both IDs, for logs.
func (p Position) String() string { return p.Main.String() + "/" + p.Side.String() + "r" }
