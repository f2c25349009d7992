package recorder

import (
	"context"

	"slipstream/capture/resp"
	"slipstream/capture/stream"
	"slipstream/capture/tail"
)

// mostValues bounds the values that one transaction records, bytes.
const mostValues = 4 << 20

// reader reads the values of keys right after their changes, for jobs that want one for each (D1, values: each). It serves
// the goroutine that writes.
type reader struct {
	n      *Notifications
	camera tail.Camera
	conns  map[int]*resp.Conn // by logical database
	blind  bool               // the source does not answer: values are read by the lanes, later than they should be
}

func (r *reader) close() {
	for db, conn := range r.conns {
		_ = conn.Close() // nothing is under way
		delete(r.conns, db)
	}
}

// extra is what an entry gets beside the fields of its event, as it is sent.
type extra struct {
	encoded []byte
	members int // of the command
}

// extras are those of the first n entries, nil where none has any. The entries beyond n are for another transaction.
func (r *reader) extras(ctx context.Context, t *table, entries []pending, keys []byte) (out []extra, n int) {
	if !t.each {
		return nil, len(entries)
	}
	var wanted []tail.Wanted
	known := map[string]int{} // a key of a database: changes closer than this share a value
	at := make([]int, len(entries))
	db, mixed := 0, len(entries)
	for i := range entries {
		e := &entries[i]
		job := t.owners[e.stream]
		at[i] = -1
		if !job.Each || e.event.op.Gone() {
			continue
		}
		if len(wanted) > 0 && job.DB != db { // one database at a time
			mixed = i
			break
		}
		db = job.DB
		key := keys[e.from:e.to]
		n, ok := known[string(key)]
		if !ok {
			n = len(wanted)
			known[string(key)] = n
			wanted = append(wanted, tail.Wanted{Key: key, JSON: e.event.kind == ofJSON})
		}
		at[i] = n
	}
	if len(wanted) == 0 {
		return nil, mixed
	}
	taken := r.take(ctx, db, wanted)
	if taken == nil {
		return nil, mixed
	}
	out = make([]extra, mixed)
	for i := range out {
		switch {
		case at[i] < 0:
		case at[i] >= len(taken):
			return out[:i], i
		default:
			out[i] = extraOf(&taken[at[i]])
		}
	}
	return out, mixed
}

// take reads values, on a new connection where the old one broke; nil where the source does not answer.
func (r *reader) take(ctx context.Context, db int, wanted []tail.Wanted) []tail.Snapshot {
	ctx, cancel := context.WithTimeout(ctx, r.n.Lease/2) // the lease is not to run out meanwhile
	defer cancel()
	var err error
	for range 2 {
		conn := r.conns[db]
		if conn == nil {
			if conn, err = r.n.Source.DialDB(ctx, db); err != nil {
				continue
			}
			r.conns[db] = conn
		}
		var taken []tail.Snapshot
		if taken, err = r.camera.Take(ctx, conn, wanted, mostValues); err == nil {
			if r.blind {
				r.blind = false
				r.n.Log.InfoContext(ctx, "values are read with their changes again", "pipeline", r.n.pipeline)
			}
			return taken
		}
		_ = conn.Close() // it is not used any more
		delete(r.conns, db)
	}
	if !r.blind {
		r.blind = true
		r.n.Log.WarnContext(ctx, "values cannot be read with their changes: lanes read them later", "pipeline", r.n.pipeline, "error", err)
	}
	return nil
}

// extraOf is what an entry says of a snapshot.
func extraOf(s *tail.Snapshot) extra {
	var t transaction
	switch {
	case s.Hash != nil:
		t.text(stream.FieldHash)
		t.bytes(s.Hash)
		t.text(stream.FieldType)
		t.text("hash")
		return extra{encoded: t.encoded, members: 4}
	case s.JSON != nil:
		t.text(stream.FieldAfter)
		t.bytes(s.JSON)
		t.text(stream.FieldType)
		t.text("json")
		return extra{encoded: t.encoded, members: 4}
	}
	t.text(stream.FieldFound)
	if s.Found == stream.FoundNothing {
		t.text(stream.TextNothing)
	} else {
		t.text(stream.TextOther)
	}
	return extra{encoded: t.encoded, members: 2}
}
