package stream

import (
	"context"
	"errors"
	"fmt"

	"slipstream/capture/resp"
	"slipstream/proto/keyspace"
)

// Batch is what one read brought. It belongs to the caller; Release gives its memory back for another read.
type Batch struct {
	// Entries, those of the main stream first, each stream in its order.
	Entries []Entry
	// End is the position reached when all of them are settled.
	End Position
	// Main and Side count the entries of each stream: what Cursor.Publish wants to know.
	Main, Side int

	arena resp.Arena
	owner *Reader
}

// Bytes is the memory that keys and documents of the entries take.
func (b *Batch) Bytes() int { return b.arena.Len() }

// Release gives the memory back: entries and their slices are not to be used any more. It must be called by the
// goroutine that reads; a batch that is never released is left to the garbage collector.
func (b *Batch) Release() {
	if b.owner == nil {
		return
	}
	clear(b.Entries)
	b.Entries = b.Entries[:0]
	b.arena.Reset()
	b.owner.free = append(b.owner.free, b)
	b.owner = nil
}

// Reader reads main and side stream of a lane. It serves one goroutine.
type Reader struct {
	conn        *resp.Conn
	stream      Stream
	incarnation string
	at          Position
	sideBusy    bool // the last read found the side stream with more
	sideTurn    bool // whose turn it is when only one entry may be read
	mainFirst   bool // see MainFirst
	mainBusy    bool // the last read found the main stream with more
	names       map[string]string
	free        []*Batch
}

// NewReader returns a reader of s that continues after at, on a connection to the Redis that keeps the streams. The
// connection stays the caller's: one connection may serve many readers, one after the other.
func NewReader(conn *resp.Conn, s Stream, incarnation string, at Position) *Reader {
	return &Reader{conn: conn, stream: s, incarnation: incarnation, at: at, names: map[string]string{}}
}

// MainFirst makes the reader take the side stream only when it has come to the end of the main stream. Where entries carry
// their values, what sweeps and replays read of the present is newer than all that is still to be read of the main stream.
func (r *Reader) MainFirst() { r.mainFirst, r.mainBusy = true, true }

// At is the position up to which was read.
func (r *Reader) At() Position { return r.at }

// Read returns at most limit entries, without waiting: there may be none. A Discontinuity means that the lane must be
// opened anew; a resp.Error that Redis refused; any other error that the connection is broken. After an error the
// position is unchanged.
func (r *Reader) Read(ctx context.Context, limit int) (*Batch, error) {
	defer r.conn.Interrupt(ctx)()
	main, side := r.shares(limit)
	r.ask(main, side)
	if err := r.conn.Out.Flush(); err != nil {
		return nil, r.broken(ctx, err)
	}
	b := r.batch()
	h, err := r.answers(b, main > 0, side > 0)
	if err == nil {
		err = r.judge(b, h, main > 0)
	}
	if err != nil {
		b.Release()
		var gone *Discontinuity
		if errors.As(err, &gone) && ctx.Err() == nil {
			return nil, err
		}
		return nil, r.broken(ctx, err)
	}
	r.sideBusy = b.Side == side && (side > 0 || r.sideBusy)
	r.mainBusy = b.Main == main && (main > 0 || r.mainBusy)
	if r.mainFirst && r.mainBusy && b.Side > 0 { // there may be more of the main stream, which comes before these
		b.Entries, b.Side, b.End.Side = b.Entries[:b.Main], 0, r.at.Side
		r.sideBusy = true
	}
	r.at = b.End
	return b, nil
}

func (r *Reader) broken(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	return fmt.Errorf("reading stream %q: %w", r.stream.Main, err)
}

// shares divides a read between the two streams, so that neither starves: a side stream that has more gets half.
func (r *Reader) shares(limit int) (main, side int) {
	switch {
	case r.mainFirst && r.mainBusy:
		return max(limit, 1), 0
	case limit <= 1:
		if r.sideTurn = !r.sideTurn; r.sideTurn {
			return 1, 0
		}
		return 0, 1
	case r.sideBusy:
		return limit - limit/2, limit / 2
	default:
		return limit - 1, 1
	}
}

// ask sends the questions as one transaction: header and streams are seen at one instant, so a trim or a new
// incarnation is either not there yet or noticed.
func (r *Reader) ask(main, side int) {
	out := r.conn.Out
	out.Command("MULTI")
	if main > 0 {
		xread(out, main, r.stream.Main, r.at.Main)
	}
	if side > 0 {
		xread(out, side, r.stream.Side, r.at.Side)
	}
	out.Command("HMGET", r.stream.Header, keyspace.FieldIncarnation, keyspace.FieldSince, keyspace.FieldTrimmedTo,
		keyspace.FieldLast, fieldSideTrimmedTo)
	out.Command("EXEC")
}

func xread(out *resp.Writer, count int, key string, after ID) {
	var id [48]byte
	out.Begin(6)
	out.String("XREAD")
	out.String("COUNT")
	out.Uint(uint64(count))
	out.String("STREAMS")
	out.String(key)
	out.Bytes(after.Append(id[:0]))
}

func (r *Reader) batch() *Batch {
	b := &Batch{}
	if n := len(r.free); n > 0 {
		b, r.free = r.free[n-1], r.free[:n-1]
	}
	b.owner, b.End, b.Main, b.Side = r, r.at, 0, 0
	return b
}

// answers reads what ask asked for. Where the server refused one of the questions the rest is read all the same, so
// that the connection stays usable.
func (r *Reader) answers(b *Batch, main, side bool) (Header, error) {
	in := r.conn.In
	var refusal error
	note := func(err error) error {
		if err == nil {
			return nil
		}
		if resp.Refused(err) == "" {
			return err
		}
		if refusal == nil {
			refusal = err
		}
		return nil
	}
	questions := 1
	for _, asked := range []bool{main, side} {
		if asked {
			questions++
		}
	}
	for range questions + 1 { // MULTI and what is queued
		if err := note(in.OK()); err != nil {
			return Header{}, err
		}
	}
	n, err := in.Array()
	if err != nil {
		if note(err) == nil {
			return Header{}, refusal // EXECABORT; the first refusal says why
		}
		return Header{}, err
	}
	if n != questions {
		return Header{}, &resp.ProtocolError{Detail: fmt.Sprintf("%d answers to %d questions", n, questions)}
	}
	if main {
		if err := note(r.entries(b, false)); err != nil {
			return Header{}, err
		}
	}
	if side {
		if err := note(r.entries(b, true)); err != nil {
			return Header{}, err
		}
	}
	h, err := r.header()
	if err := note(err); err != nil {
		return Header{}, err
	}
	return h, refusal
}

func (r *Reader) header() (Header, error) {
	in := r.conn.In
	n, err := in.Array()
	if err != nil {
		return Header{}, err
	}
	var h Header
	ids := [...]*ID{nil, &h.Since, &h.TrimmedTo, &h.Last, &h.SideTrimmedTo}
	if n != len(ids) {
		return Header{}, &resp.ProtocolError{Detail: fmt.Sprintf("%d fields of a header", n)}
	}
	for i := range n {
		text, err := in.Bulk()
		if err != nil {
			return Header{}, err
		}
		if i == 0 {
			h.Exists, h.Incarnation = text != nil, r.intern(text)
			continue
		}
		if text == nil {
			continue
		}
		if *ids[i], err = parseBytes(text); err != nil {
			return Header{}, err
		}
	}
	return h, nil
}

// judge says whether the entries are what follows the position (D4).
func (r *Reader) judge(b *Batch, h Header, main bool) error {
	verdict := Continuous
	switch {
	case !h.Exists:
		verdict = Missing
	case h.Incarnation != r.incarnation:
		verdict = Replaced
	case r.at.Main.Less(h.floor()), r.at.Side.Less(h.SideTrimmedTo):
		verdict = Behind
	case main && b.Main == 0 && r.at.Main.Less(h.Last) && !r.stream.Foreign:
		verdict = Lost // the header says there is more, the stream says there is not
	}
	if verdict == Continuous {
		return nil
	}
	return &Discontinuity{Stream: r.stream.Main, Verdict: verdict}
}
