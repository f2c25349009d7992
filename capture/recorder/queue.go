package recorder

import (
	"context"
	"sync"
	"time"
	"unsafe"
)

// most is how many entries one transaction writes: enough to pay for its round trip, few enough not to hold Redis up (G8).
const most = 500

// pending is an entry to be written.
type pending struct {
	event    *event
	ms       int64  // when the event was received
	from, to uint32 // of the key, in batch.keys
	stream   int32  // index in the table of the batch
	created  bool
}

const pendingSize = int(unsafe.Sizeof(pending{}))

// batch is what one transaction writes, in order.
type batch struct {
	table   *table
	entries []pending
	keys    []byte
	// attach: before the entries of this batch, the streams of its table are attached.
	attach bool
	// beat is when the last PING was sent whose answer came after the entries; zero: none did.
	beat time.Time
}

func (b *batch) size() int { return len(b.keys) + len(b.entries)*pendingSize }

// queue lies between the goroutine that reads events and the one that writes entries. It is bounded in bytes.
type queue struct {
	limit int

	mu     sync.Mutex
	list   []*batch
	free   []*batch
	bytes  int
	closed bool
	ready  chan struct{} // capacity 1: the list is not empty any more, or closed
	space  chan struct{} // capacity 1: there is room again
}

func newQueue(limit int) *queue {
	return &queue{limit: limit, ready: make(chan struct{}, 1), space: make(chan struct{}, 1)}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// open returns the batch to which the reader adds. The mutex is held.
func (q *queue) open(t *table, fresh bool) *batch {
	if n := len(q.list); n > 0 && !fresh {
		if b := q.list[n-1]; b.table == t && len(b.entries) < most {
			return b
		}
	}
	var b *batch
	if n := len(q.free); n > 0 {
		b, q.free = q.free[n-1], q.free[:n-1]
	} else {
		b = &batch{}
	}
	b.table = t
	q.list = append(q.list, b)
	if len(q.list) == 1 {
		signal(q.ready)
	}
	return b
}

// add appends an entry for each job that wants the event, waiting while the queue is full.
func (q *queue) add(ctx context.Context, t *table, to *target, key []byte, e *event, created bool, ms int64) (int, error) {
	q.mu.Lock()
	for q.bytes > q.limit {
		q.mu.Unlock()
		select {
		case <-q.space:
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
		q.mu.Lock()
	}
	defer q.mu.Unlock()
	added := 0
	var b *batch
	var from, end uint32
	for _, j := range to.jobs {
		if !j.wants(e) {
			continue
		}
		if next := q.open(t, false); next != b {
			b = next
			from = uint32(len(b.keys))
			b.keys = append(b.keys, key...)
			end = uint32(len(b.keys))
			q.bytes += len(key)
		}
		b.entries = append(b.entries, pending{
			event: e, ms: ms, from: from, to: end, stream: int32(j.partition(key)), created: created,
		})
		q.bytes += pendingSize
		added++
	}
	return added, nil
}

// attach marks the place from which the streams of t are complete.
func (q *queue) attach(t *table) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.open(t, true).attach = true
}

// beat notes that everything up to a PING has been received.
func (q *queue) beat(t *table, sent time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.open(t, false).beat = sent
}

// close ends the queue: nothing will be added. What is in it can still be taken.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	signal(q.ready)
}

// take returns the oldest batch, nil when there is none now; end says that there will never be one again.
func (q *queue) take() (b *batch, end bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.list) == 0 {
		return nil, q.closed
	}
	b = q.list[0]
	q.list[0] = nil
	q.list = q.list[1:]
	if len(q.list) > 0 || q.closed {
		signal(q.ready)
	}
	return b, false
}

// spare bounds the batches kept for reuse.
const spare = 16

// done gives a batch back that was written.
func (q *queue) done(b *batch) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.bytes -= b.size()
	if q.bytes <= q.limit {
		signal(q.space)
	}
	if len(q.free) < spare {
		*b = batch{entries: b.entries[:0], keys: b.keys[:0]}
		q.free = append(q.free, b)
	}
}

// held is the memory in use.
func (q *queue) held() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.bytes
}
