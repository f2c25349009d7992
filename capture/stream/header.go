package stream

import "fmt"

// Header is what is known of a change stream, from its header key and from the streams themselves, read at one instant.
type Header struct {
	// Exists says whether there is a header at all. Without one nothing was ever recorded, or Redis lost it.
	Exists bool
	// Incarnation is random and changes whenever the stream had to begin anew.
	Incarnation string
	// Since: the main stream is complete after this ID.
	Since ID
	// TrimmedTo is the highest main ID that may have been trimmed away.
	TrimmedTo ID
	// Last is the last main ID recorded.
	Last ID
	// SideTrimmedTo and SideLast are the same of the side stream.
	SideTrimmedTo, SideLast ID
	// Lost says that a stream has less in it than was recorded: it was deleted, evicted, or Redis came back with older
	// data.
	Lost bool
	// Selection tells which keys are recorded: logical database and pattern. A change of it begins `since` anew. Of a foreign
	// stream it is the name of the stream that the header was made for.
	Selection string
	// Falls counts how often a lane of the stream was opened with a lower generation than before, by an instance that could
	// not see the newer one.
	Falls uint64

	foreign               bool
	first                 ID // first main entry present
	added, length         int64
	sideAdded, sideLength int64
	groups                [2]map[string]group // main, side
	generations           map[string]uint64   // of the lanes opened last, by connection
}

// Start is the position from which a lane without a position reads: all that is still there of the main stream, and
// nothing of the side stream, whose entries are for the lanes that asked for them.
func (h Header) Start() Position {
	return Position{Main: h.floor(), Side: h.SideLast}
}

func (h Header) floor() ID { return Later(h.Since, h.TrimmedTo) }

// Verdict says whether a lane may continue from a position (design D4).
type Verdict int

// The verdicts. Everything but Continuous is a gap.
const (
	// Continuous: the lane continues.
	Continuous Verdict = iota
	// Missing: there is no header: nothing was recorded yet, or Redis lost it.
	Missing
	// Replaced: the stream is another incarnation than the position's.
	Replaced
	// Behind: entries after the position are trimmed, or the stream is complete only from a later ID.
	Behind
	// Ahead: the position is beyond the last ID recorded: Redis came back with older data.
	Ahead
	// Lost: entries that were recorded are gone: the stream was deleted or evicted.
	Lost
)

// String names the verdict.
func (v Verdict) String() string {
	switch v {
	case Continuous:
		return "continuous"
	case Missing:
		return "missing"
	case Replaced:
		return "replaced"
	case Behind:
		return "behind"
	case Ahead:
		return "ahead"
	case Lost:
		return "lost"
	}
	return fmt.Sprintf("verdict(%d)", int(v))
}

// Cause is the cause under which the gap is recorded; empty for Continuous.
func (v Verdict) Cause() string {
	switch v {
	case Continuous:
		return ""
	case Missing, Replaced, Lost:
		return "incarnation"
	case Behind:
		return "trimmed"
	case Ahead:
		return "position"
	}
	return "position"
}

// Detail says in words what the verdict means; empty for Continuous.
func (v Verdict) Detail() string {
	switch v {
	case Missing:
		return "the change stream has no header: Redis lost it, or nothing was recorded yet"
	case Replaced:
		return "the change stream began anew since this position was settled"
	case Behind:
		return "entries after this position are no longer in the change stream"
	case Ahead:
		return "the position is beyond the last recorded change: Redis came back with older data"
	case Lost:
		return "recorded entries are gone: the change stream was deleted or evicted"
	}
	return ""
}

// Continuity judges a position that a target stored together with an incarnation: a lane continues only if the
// incarnation matches and max(since, trimmed_to) ≤ position ≤ last recorded, in both streams.
func (h Header) Continuity(incarnation string, p Position) Verdict {
	switch {
	case !h.Exists:
		return Missing
	case h.Incarnation != incarnation:
		return Replaced
	case h.Lost:
		return Lost
	case p.Main.Less(h.floor()), p.Side.Less(h.SideTrimmedTo), h.foreign && h.removedAfter(p.Main):
		return Behind
	case h.Last.Less(p.Main), h.SideLast.Less(p.Side):
		return Ahead
	}
	return Continuous
}

// removedAfter says whether entries after an ID may have been removed from a foreign stream by its application. Servers
// before 7.0 do not count, and so do not tell.
func (h Header) removedAfter(at ID) bool {
	removed := h.added - h.length
	if removed <= 0 || !at.Less(h.Last) || (!h.first.IsZero() && !at.Less(h.first)) {
		return false
	}
	for _, g := range h.groups[0] {
		if g.at == at && g.read >= removed {
			return false // everything removed had been read
		}
	}
	return true
}

// Discontinuity is the error of a reader that finds its stream changed under it. The lane closes and opens anew.
type Discontinuity struct {
	Stream  string
	Verdict Verdict
}

// Error says what happened.
func (d *Discontinuity) Error() string {
	return fmt.Sprintf("stream %q: %s", d.Stream, d.Verdict.Detail())
}
