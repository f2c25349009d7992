package sweep

import (
	"context"
	"errors"
	"fmt"

	"slipstream/capture/stream"
)

// errNotTaken says that a lane of the job has not taken up the generation that a sweep comes after.
var errNotTaken = errors.New("waiting until every lane has taken up the generation")

// taken notes in a sweep that begins which generation the lanes have, and is errNotTaken where that is too old. What the
// sweep waits for is stored, for those who look.
func (s *Sweeper) taken(ctx context.Context, r *record, t Target, headers []stream.Header) error {
	waits := ""
	if t.Generation < r.After {
		waits = fmt.Sprintf("the instance that reads the keys has not taken up generation %d yet", r.After)
	}
	for i, h := range headers {
		g := h.Generation(t.Connections)
		if i == 0 || g < r.Generation {
			r.Generation = g
		}
		if waits == "" && g < r.After {
			waits = lacking(h, t, i, r.After)
		}
	}
	r.Falls = falls(headers)
	if waits == "" {
		r.Waits = ""
		return nil
	}
	if r.Waits != waits {
		r.Waits, r.Generation = waits, 0
		if err := s.Book.store(ctx, r); err != nil {
			return err
		}
	}
	return errNotTaken
}

// lacking says which lane has not taken up a generation.
func lacking(h stream.Header, t Target, partition int, after uint64) string {
	for _, c := range t.Connections {
		if g := h.Generation([]string{c}); g < after {
			return fmt.Sprintf("the lane to %s of partition %d of %d has not taken up generation %d yet", c, partition, len(t.Streams), after)
		}
	}
	return ""
}

func falls(headers []stream.Header) (n uint64) {
	for _, h := range headers {
		n += h.Falls
	}
	return n
}
