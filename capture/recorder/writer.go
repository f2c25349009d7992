package recorder

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"slipstream/capture/resp"
	"slipstream/capture/stream"
	"slipstream/proto/keyspace"
)

// fieldAlive is the field of the recorder's hash that says until when everything was recorded, Unix milliseconds.
const fieldAlive = "alive"

// writer writes entries. It serves one goroutine.
type writer struct {
	n     *Notifications
	fence fence
	table *table
	// last is the highest ID ever given; IDs grow over all streams together.
	last stream.ID
	// known is what we recorded last in each stream, by name, for as long as the process lives: a stream that has less
	// than this has lost something.
	known map[string]stream.ID
	// alive is until when everything was recorded.
	alive    time.Time
	attached bool
	renewed  time.Time
	checked  time.Time

	tx     transaction
	reader reader
}

// next gives an ID for something received at ms.
func (w *writer) next(ms int64) stream.ID {
	id := stream.ID{Ms: uint64(max(ms, 1))}
	if !w.last.Less(id) {
		id = w.last.Next()
	}
	w.last = id
	return id
}

// encode turns entries into commands: an XADD each, then the header of each stream touched.
func (w *writer) encode(b *batch, extras []extra, only []int) {
	tx := &w.tx
	tx.reset(len(w.table.streams))
	add := func(i int) {
		e := &b.entries[i]
		var more extra
		if extras != nil {
			more = extras[i]
		}
		fields := e.event.fields
		if e.created {
			fields = e.event.created
		}
		tx.entry(int(e.stream), w.table.streams[e.stream].Main, w.next(e.ms), fields, b.keys[e.from:e.to], more)
	}
	if only == nil {
		for i := range b.entries {
			add(i)
		}
	} else {
		for _, i := range only {
			add(i)
		}
	}
	for i, last := range tx.touched {
		if !last.IsZero() {
			tx.command("HSET", w.table.streams[i].Header, keyspace.FieldLast, last.String())
		}
	}
	if !b.beat.IsZero() {
		tx.command("HSET", keyspace.Recorder(w.n.pipeline), fieldAlive, strconv.FormatInt(b.beat.UnixMilli(), 10))
	}
}

// write records a batch, waiting as long as Redis does not take it: in one transaction, or where entries carry values in
// as many as these ask for.
func (w *writer) write(ctx context.Context, b *batch) error {
	for from := 0; ; {
		extras, n := w.reader.extras(ctx, b.table, b.entries[from:], b.keys)
		part := batch{table: b.table, entries: b.entries[from : from+n], keys: b.keys}
		last := from+n == len(b.entries)
		if last {
			part.beat = b.beat
		}
		if err := w.record(ctx, &part, extras); err != nil || last {
			return err
		}
		from += n
	}
}

// record writes one transaction.
func (w *writer) record(ctx context.Context, b *batch, extras []extra) error {
	var only []int
	started := time.Now()
	for {
		w.encode(b, extras, only)
		lost, err := w.send(ctx)
		if err != nil {
			return err
		}
		if len(lost) == 0 {
			break
		}
		// The streams of these entries are gone or refuse them: begin them anew, and write what they did not take.
		if err := w.repair(ctx, "the stream of a job was deleted, evicted or overwritten"); err != nil {
			return err
		}
		was := only
		only = nil
		for _, i := range lost {
			if was != nil {
				i = was[i]
			}
			only = append(only, i)
		}
	}
	if !b.beat.IsZero() {
		w.alive = b.beat
	}
	if n := len(b.entries); n > 0 {
		w.n.recorded(b.table, b, time.Since(started))
	}
	return nil
}

// send sends what is encoded until it is known to have taken place, and returns the indexes of the entries that their
// streams did not take.
func (w *writer) send(ctx context.Context) ([]int, error) {
	pause := w.n.pauses()
	waiting := false
	for {
		lost, err := w.attempt(ctx)
		if err == nil {
			if waiting {
				w.n.waits("", nil)
			}
			w.renewed = time.Now()
			return lost, nil
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		switch code := resp.Refused(err); {
		case errors.Is(err, errTaken):
			return nil, err
		case errors.Is(err, errLapsed):
			// Nothing was written, or everything: see below. The lease is to be had again, and where Redis lost it, it
			// may have lost the streams as well.
			if !errors.Is(err, errAborted) {
				return lost, w.regain(ctx)
			}
			if err := w.regain(ctx); err != nil {
				return nil, err
			}
			continue
		case errors.Is(err, errAborted):
			continue
		case code == "":
			// The connection broke, with the transaction under way.
			took, rerr := w.reconnect(ctx)
			if rerr != nil {
				return nil, rerr
			}
			if took {
				return nil, nil
			}
			continue
		case code == "READONLY" || code == "NOAUTH" || code == "WRONGPASS":
			return nil, fmt.Errorf("recording: %w", err) // a new connection may find another server, or be let in
		default: // OOM, MISCONF, LOADING, NOPERM, BUSY …
			waiting = true
			w.n.waits(code, err)
			if err := sleep(ctx, pause.Next()); err != nil {
				return nil, err
			}
			if err := w.renew(ctx); err != nil && resp.Refused(err) == "" {
				if _, err := w.reconnect(ctx); err != nil {
					return nil, err
				}
			}
		}
	}
}

// attempt sends the transaction once.
func (w *writer) attempt(ctx context.Context) ([]int, error) {
	var lost []int
	entries := w.tx.entries
	err := w.fence.transact(ctx, w.tx.commands, w.tx.encoded, func(i int, in *resp.Reader) error {
		if i >= entries {
			return ignoreRefusal(in.Skip())
		}
		id, err := in.Bulk()
		if err != nil && resp.Refused(err) == "" {
			return err
		}
		if err != nil || id == nil {
			lost = append(lost, i)
		}
		return nil
	})
	if err == nil || (errors.Is(err, errLapsed) && !errors.Is(err, errAborted)) {
		w.remember()
	}
	return lost, err
}

// ignoreRefusal: a header that cannot be written (overwritten by another type) is found by the check of the headers.
func ignoreRefusal(err error) error {
	if resp.Refused(err) != "" {
		return nil
	}
	return err
}

// remember notes what the streams hold now.
func (w *writer) remember() {
	for i, last := range w.tx.touched {
		if !last.IsZero() {
			w.known[w.table.streams[i].Main] = last
		}
	}
}

// renew prolongs the lease with nothing to record.
func (w *writer) renew(ctx context.Context) error {
	err := w.fence.prolong(ctx)
	if err == nil {
		w.renewed = time.Now()
	}
	return err
}

// regain takes the lease again, which Redis lost, and looks whether the streams are still what they were.
func (w *writer) regain(ctx context.Context) error {
	fresh, err := w.fence.acquire(ctx)
	if err != nil {
		return err
	}
	w.renewed = time.Now()
	if !fresh {
		return nil
	}
	return w.repair(ctx, "Redis lost what was recorded: it was flushed, or came back without its data")
}

// reconnect finds the server again and tells whether the transaction that was under way took place: its entries are in
// the streams or none of them is. It tries for as long as the lease may still be ours.
func (w *writer) reconnect(ctx context.Context) (took bool, err error) {
	until := time.Now().Add(w.n.Lease)
	pause := w.n.pauses()
	for {
		took, err = w.look(ctx)
		if err == nil || resp.Refused(err) != "" || errors.Is(err, errTaken) || time.Now().After(until) {
			return took, err
		}
		if err := sleep(ctx, pause.Next()); err != nil {
			return false, err
		}
	}
}

func (w *writer) look(ctx context.Context) (took bool, err error) {
	if err := w.fence.conn.Close(); err != nil {
		return false, err
	}
	conn, err := w.n.Streams.Dial(ctx)
	if err != nil {
		return false, err
	}
	w.fence.conn = conn
	if err := w.regain(ctx); err != nil {
		return false, err
	}
	for i, last := range w.tx.touched {
		if last.IsZero() {
			continue
		}
		if !w.known[w.table.streams[i].Main].Less(last) {
			return false, nil // the stream has begun anew meanwhile
		}
		h, err := w.n.store.Header(ctx, w.table.streams[i])
		if err != nil {
			return false, err
		}
		if took = !h.Last.Less(last); took {
			w.remember()
		}
		return took, nil
	}
	return false, nil
}
