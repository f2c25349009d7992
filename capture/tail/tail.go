// Package tail turns the entries of a change stream into batches of changes: it gathers entries of a lane's main and side
// stream, folds those of one key, reads the current values in one pipeline, and says what became of each key (design D1).
//
// The words:
//
//   - run: the entries of one key that become one change.
//   - fate: what becomes of a run once its key was read: upsert, delete, nothing, a dead letter, skipped.
//   - unread: keys found missing whose removal has an entry still to come.
//   - repeat: an entry that is a dead letter on its way again, as it was recorded, or a delete (spec 9.4).
//
// Promises: a value is read after its entry was, so it is never older than the entry (G4); a job that wants every value gets
// a change for each entry, with the value that the entry brought. A delete comes only from an explicit removal, or from one
// by the server that the job makes one (G7); a sweep never deletes. A batch accounts for every entry up to its position and
// for none after it: when values are large, a batch is cut between two entries.
//
// Neighbours: stream gives the entries, lane sends the batches.
package tail

import (
	"context"
	"errors"
	"sync"

	"slipstream/capture/resp"
	"slipstream/capture/stream"
	changev1 "slipstream/proto/slipstream/change/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// Options say what a Tail reads.
type Options struct {
	// Stream is the lane's stream, Incarnation the one that At belongs to.
	Stream      stream.Stream
	Incarnation string
	At          stream.Position
	// Source is the source part of the job, Database the logical database its keys are in.
	Source   *pipelinev1.Source
	Database uint32
	// Connection is the connection the lane writes to; it stands in the dead letters made here.
	Connection string
	// Indexed says that the target keeps a row index for the job: the rows of a key are known without its value.
	Indexed bool
	// Dial connects to the Redis that keeps the streams: one connection a Tail.
	Dial func(context.Context) (*resp.Conn, error)
	// Values lends connections to the database of the keys.
	Values *Pool
	// Entries is the most entries a batch takes. Default 2000.
	Entries int
	// Bytes is the size at which a batch is cut. Default 4 MB.
	Bytes int
	// Unread outlives the Tail: give the same to the next Tail of the lane.
	Unread *Unread
}

// Unread remembers keys that were found missing before their removal was read, so that a value that expired unread is
// counted (G1). It is bounded: beyond its capacity the oldest knowledge is dropped and such values go uncounted. The zero
// value is ready.
type Unread struct {
	mu   sync.Mutex
	keys map[string]struct{}
}

const mostUnread = 1 << 16

func (u *Unread) has(key []byte) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	_, ok := u.keys[string(key)]
	return ok
}

func (u *Unread) set(key []byte, missing bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !missing {
		delete(u.keys, string(key))
		return
	}
	if u.keys == nil || len(u.keys) >= mostUnread {
		u.keys = make(map[string]struct{})
	}
	u.keys[string(key)] = struct{}{}
}

// Read is a batch and what else its entries came to.
type Read struct {
	// Batch has position, shapes and changes; number, trace and state are the lane's.
	Batch *changev1.Batch
	// Position is the batch's, and Main and Side count the entries it accounts for.
	Position   stream.Position
	Main, Side int
	// OldestMs is when the oldest entry was made, Unix milliseconds.
	OldestMs int64
	// Rejects are records that fail before they leave: to be stored before the batch is sent (G2).
	Rejects []*flowv1.Reject
	// Unread counts values that expired or were evicted before they were read; each is among Rejects too.
	Unread int
	// Skipped counts keys that are neither hash nor JSON.
	Skipped int
	// Traceparents are those of the changes, each once.
	Traceparents []string
}

// Tail reads the batches of a lane. It serves one goroutine.
type Tail struct {
	o      Options
	policy policy
	fold   fold
	values values
	probes []probe
	asked  map[string]int // index of a probe by its name, where probes are shared

	conn    *resp.Conn     // nil until needed, and after it broke
	reader  *stream.Reader // on conn
	pending []stream.Entry // gathered and not in a batch yet
	bytes   int
	read    stream.Position // gathered up to here
	done    stream.Position // in batches up to here
}

// New returns a Tail that continues after o.At.
func New(o Options) *Tail {
	if o.Entries <= 0 {
		o.Entries = 2000
	}
	if o.Bytes <= 0 {
		o.Bytes = 4 << 20
	}
	if o.Unread == nil {
		o.Unread = &Unread{}
	}
	return &Tail{o: o, policy: policyOf(o.Source, o.Database, o.Connection, o.Indexed), asked: map[string]int{}, read: o.At, done: o.At}
}

// At is the position up to which entries were gathered.
func (t *Tail) At() stream.Position { return t.read }

// Pending is the number of entries gathered and not in a batch yet.
func (t *Tail) Pending() int { return len(t.pending) }

// OldestMs is when the oldest of them was made, Unix milliseconds; 0 where there is none.
func (t *Tail) OldestMs() int64 {
	if len(t.pending) == 0 {
		return 0
	}
	return t.pending[0].Ms
}

// Full says that a batch would take no more entries.
func (t *Tail) Full() bool { return len(t.pending) >= t.o.Entries || t.bytes >= t.o.Bytes }

// Gather reads entries that are there, without waiting, and returns how many came. Errors are those of stream.Reader.
func (t *Tail) Gather(ctx context.Context) (int, error) {
	if t.Full() {
		return 0, nil
	}
	if t.conn == nil {
		conn, err := t.o.Dial(ctx)
		if err != nil {
			return 0, err
		}
		t.conn, t.reader = conn, stream.NewReader(conn, t.o.Stream, t.o.Incarnation, t.read)
		if t.policy.each || t.o.Stream.Foreign {
			t.reader.MainFirst()
		}
	}
	b, err := t.reader.Read(ctx, t.o.Entries-len(t.pending))
	if err != nil {
		if !usable(err) || ctx.Err() != nil {
			err = errors.Join(err, t.Close())
		}
		return 0, err
	}
	if len(t.pending) == 0 {
		t.pending = b.Entries
	} else {
		t.pending = append(t.pending, b.Entries...)
	}
	for i := range b.Entries {
		t.bytes += carriedSize(&b.Entries[i])
	}
	t.read = b.End
	return len(b.Entries), nil
}

// usable says whether a connection survives an error: one that is a refusal of the server, or about the stream's content.
func usable(err error) bool {
	var gone *stream.Discontinuity
	return resp.Refused(err) != "" || errors.As(err, &gone)
}

// Close ends the connection to the streams. The Tail stays usable: it connects again.
func (t *Tail) Close() error {
	if t.conn == nil {
		return nil
	}
	err := t.conn.Close()
	t.conn, t.reader = nil, nil
	return err
}

// Batch makes a batch of the entries gathered, or of as many of them as it may hold; nil when there are none. After an
// error the same entries are there for the next call.
func (t *Tail) Batch(ctx context.Context) (*Read, error) {
	if len(t.pending) == 0 {
		return nil, nil
	}
	entries := t.pending[:withinBytes(t.pending, t.o.Bytes)]
	t.values.begin()
	cut, err := t.load(ctx, entries)
	if err != nil {
		return nil, err
	}
	if cut < len(entries) {
		entries = entries[:cut]
		if err := t.reload(ctx, entries); err != nil {
			return nil, err
		}
	}
	out := t.build(entries)
	t.pending = t.pending[len(entries):]
	for i := range entries {
		t.bytes -= carriedSize(&entries[i])
	}
	if len(t.pending) == 0 {
		t.pending, t.bytes, t.done = nil, 0, t.read
	}
	out.Position = t.done
	out.Batch.Position = t.done.Proto()
	return out, nil
}

// withinBytes is how many entries fit a batch by what they carry themselves; at least one.
func withinBytes(entries []stream.Entry, limit int) int {
	bytes := 0
	for i := range entries {
		bytes += carriedSize(&entries[i])
		if bytes > limit && i > 0 {
			return i
		}
	}
	return len(entries)
}

func carriedSize(e *stream.Entry) int { return len(e.Key) + len(e.After) + len(e.Hash) + len(e.Before) }

// load folds entries and reads their values. It returns how many entries, from the first, have their values read.
func (t *Tail) load(ctx context.Context, entries []stream.Entry) (int, error) {
	t.fold.gather(entries, &t.policy)
	t.probes = t.probes[:0]
	clear(t.asked)
	t.ask(t.policy.each) // otherwise no two runs ask the same
	if len(t.probes) == 0 {
		return len(entries), nil
	}
	n := 0
	err := t.o.Values.With(ctx, func(conn *resp.Conn) error {
		var err error
		n, err = t.values.read(ctx, conn, t.probes, t.o.Bytes)
		return err
	})
	if err != nil {
		return 0, err
	}
	if n == len(t.probes) {
		return len(entries), nil
	}
	for i := range t.fold.runs {
		if r := &t.fold.runs[i]; r.reads() && r.probe == n {
			return r.first, nil
		}
	}
	return len(entries), nil
}

// reload folds the entries that are left of a cut batch, takes the values that were read for them, and reads those of
// keys that need a read only now because what superseded it was cut off.
func (t *Tail) reload(ctx context.Context, entries []stream.Entry) error {
	clear(t.asked)
	for i := range t.probes {
		if p := &t.probes[i]; p.done {
			t.asked[p.name()] = i
		}
	}
	t.fold.gather(entries, &t.policy)
	from := len(t.probes)
	t.ask(true)
	for from < len(t.probes) {
		err := t.o.Values.With(ctx, func(conn *resp.Conn) error {
			n, err := t.values.read(ctx, conn, t.probes[from:], t.o.Bytes)
			from += n
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// ask gives every run that asks its key a probe. Where they share, those that ask the same have one for all.
func (t *Tail) ask(share bool) {
	for i := range t.fold.runs {
		r := &t.fold.runs[i]
		if !r.reads() {
			continue
		}
		p := probeOf(r)
		r.probe = len(t.probes)
		if share {
			name := p.name()
			if at, ok := t.asked[name]; ok {
				r.probe = at
				continue
			}
			t.asked[name] = r.probe
		}
		t.probes = append(t.probes, p)
	}
}

func probeOf(r *run) probe {
	p := probe{key: r.key}
	switch {
	case r.replay:
		p.presence, p.ask = true, askExists
	case r.json:
		p.ask = askJSON
	}
	return p
}
