package applier

import (
	"fmt"
	"strconv"
	"strings"

	changev1 "slipstream/proto/slipstream/change/v1"
)

// FormatID is a stream ID as a position row holds it and Redis shows it: "ms-seq". Absent is "0-0".
func FormatID(id *changev1.StreamId) string {
	return strconv.FormatUint(id.GetMs(), 10) + "-" + strconv.FormatUint(id.GetSeq(), 10)
}

// ParseID reads what FormatID wrote.
func ParseID(s string) (*changev1.StreamId, error) {
	ms, seq, ok := strings.Cut(s, "-")
	if !ok {
		return nil, fmt.Errorf("stream ID %q has no hyphen", s)
	}
	var id changev1.StreamId
	var err error
	if id.Ms, err = strconv.ParseUint(ms, 10, 64); err != nil {
		return nil, fmt.Errorf("stream ID %q: %w", s, err)
	}
	if id.Seq, err = strconv.ParseUint(seq, 10, 64); err != nil {
		return nil, fmt.Errorf("stream ID %q: %w", s, err)
	}
	return &id, nil
}

// SamePosition tells whether two positions are the same place; absent is the beginning.
func SamePosition(a, b *changev1.Position) bool {
	return sameID(a.GetMain(), b.GetMain()) && sameID(a.GetSide(), b.GetSide())
}

func sameID(a, b *changev1.StreamId) bool {
	return a.GetMs() == b.GetMs() && a.GetSeq() == b.GetSeq()
}
