package lane

import (
	"context"
	"sync"
	"time"

	"slipstream/capture/stream"
	"slipstream/proto/keyspace"
	capturev1 "slipstream/proto/slipstream/capture/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
)

// Fields of the hash keyspace.Counts that lanes add to; the names are those of flow.v1.Counts.
const (
	FieldChanges  = "changes"
	FieldFiltered = "filtered"
	FieldRejected = "rejected"
	FieldInserted = "inserted"
	FieldUpdated  = "updated"
	FieldDeleted  = "deleted"
	FieldRows     = "rows"
	// FieldTakenOver and FieldOutdated: see flow.v1.Counts.
	FieldTakenOver = "taken_over"
	FieldOutdated  = "outdated"
	// FieldSkipped counts keys that are neither hash nor JSON.
	FieldSkipped = "skipped"
	// FieldUnread counts values that expired or were evicted before they were read.
	FieldUnread = "expired_unread"
	// FieldLastArrival is when a change last arrived at a target, Unix milliseconds.
	FieldLastArrival = "last_arrival_ms"
)

const (
	publishPause = 250 * time.Millisecond // between two publications of a busy lane
	countPause   = time.Second            // between two writes of the counters
	lastWords    = 2 * time.Second        // for the publication at the end
)

// keeper publishes what is settled: the position as consumer groups, the totals as counters. It does so beside the lane,
// gathering what a busy lane settles meanwhile, and once more at the end.
type keeper struct {
	l      *Lane
	cursor *stream.Cursor
	stop   context.CancelFunc
	done   chan struct{}
	kick   chan struct{} // capacity 1

	mu         sync.Mutex
	at         stream.Position
	main, side int
	moved      bool
	counts     flowv1.Counts
	skipped    int64
	unread     int64
	arrived    int64
	counted    time.Time
	settled    []*flowv1.Reject // rejects whose batch is settled
	work       *capturev1.Work  // not counted yet
	last       *capturev1.Work  // the batch settled last, if that is not written yet
}

func newKeeper(l *Lane, cursor *stream.Cursor) *keeper {
	ctx, cancel := context.WithCancel(context.Background()) // a lane that is cancelled still publishes: close ends it
	k := &keeper{
		l: l, cursor: cursor, stop: cancel, done: make(chan struct{}), kick: make(chan struct{}, 1), counted: l.c.Now(),
		work: &capturev1.Work{},
	}
	go k.run(ctx)
	return k
}

// book notes a settlement.
func (k *keeper) book(s *flowv1.Settled, done []flight) {
	k.mu.Lock()
	for _, f := range done {
		k.at, k.moved = f.position, true
		k.main += f.main
		k.side += f.side
		k.skipped += int64(f.skipped)
		k.unread += int64(f.unread)
		k.counts.Rejected += uint64(f.own)
		k.settled = append(k.settled, f.rejects...)
	}
	add(&k.counts, s.Counts)
	if w := workOf(s, done); w != nil {
		addWork(k.work, w)
		k.last = w
	}
	if s.GetCounts().GetChanges() > 0 {
		k.arrived = k.l.c.Now().UnixMilli()
	}
	k.mu.Unlock()
	select {
	case k.kick <- struct{}{}:
	default:
	}
}

func (k *keeper) run(ctx context.Context) {
	defer close(k.done)
	for {
		select {
		case <-ctx.Done():
			return
		case <-k.kick:
		}
		k.publish(ctx, false)
		t := time.NewTimer(publishPause)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return
		}
		k.mu.Lock()
		left := k.counts.Changes > 0 || k.counts.Rejected > 0 || k.skipped > 0 || k.moved || k.last != nil
		k.mu.Unlock()
		if left { // the counters wait for their turn
			select {
			case k.kick <- struct{}{}:
			default:
			}
		}
	}
}

// close publishes what is left, also when ctx has ended, and ends the keeper.
func (k *keeper) close(ctx context.Context) {
	k.stop()
	<-k.done
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWords)
	defer cancel()
	k.publish(ctx, true)
}

// publish writes what was settled since the last time. What cannot be written now is kept for the next time: the target
// has the true position, and the lane itself says when Redis is away.
func (k *keeper) publish(ctx context.Context, last bool) {
	k.mu.Lock()
	at, main, side, moved := k.at, k.main, k.side, k.moved
	k.main, k.side, k.moved = 0, 0, false
	rejects := k.settled
	k.settled = nil
	k.mu.Unlock()
	if moved {
		begun := k.l.c.Now()
		err := k.cursor.Publish(ctx, at, main, side)
		k.mu.Lock()
		took := nanoseconds(k.l.c.Now().Sub(begun))
		k.moved = k.moved || err != nil // the cursor has counted the entries
		k.work.AcknowledgeNs += took
		if k.last != nil {
			k.last.AcknowledgeNs = took
		}
		k.mu.Unlock()
		if err != nil {
			k.l.log.DebugContext(ctx, "position not published", "error", err)
		}
	}
	if err := k.l.dead.Forget(ctx, rejects); err != nil {
		k.l.log.DebugContext(ctx, "names of dead letters kept", "error", err)
	}
	if now := k.l.c.Now(); last || now.Sub(k.counted) >= countPause {
		k.counted = now
		k.count(ctx)
	}
}

// count adds to the totals that survive restarts.
func (k *keeper) count(ctx context.Context) {
	k.mu.Lock()
	fields := []struct {
		name string
		n    int64
	}{
		{FieldChanges, int64(k.counts.Changes)},
		{FieldFiltered, int64(k.counts.Filtered)},
		{FieldRejected, int64(k.counts.Rejected)},
		{FieldInserted, int64(k.counts.Inserted)},
		{FieldUpdated, int64(k.counts.Updated)},
		{FieldDeleted, int64(k.counts.Deleted)},
		{FieldRows, int64(k.counts.Rows)},
		{FieldTakenOver, int64(k.counts.TakenOver)},
		{FieldOutdated, int64(k.counts.Outdated)},
		{FieldSkipped, k.skipped},
		{FieldUnread, k.unread},
	}
	arrived := k.arrived
	taken, skipped, unread := flowv1.Counts{}, k.skipped, k.unread
	add(&taken, &k.counts)
	work, last := k.work, k.last
	k.work, k.last = &capturev1.Work{}, nil
	k.counts.Reset()
	k.skipped, k.unread, k.arrived = 0, 0, 0
	k.mu.Unlock()

	key := keyspace.Counts(k.l.c.Lane.GetPipeline(), k.l.c.Lane.GetJob())
	pipe := k.l.c.Redis.TxPipeline()
	for _, f := range fields {
		if f.n != 0 {
			pipe.HIncrBy(ctx, key, f.name, f.n)
		}
	}
	for _, f := range workFields(work) {
		if *f.value != 0 {
			pipe.HIncrBy(ctx, key, f.name, int64(*f.value))
		}
	}
	if last != nil {
		for _, f := range workFields(last) {
			pipe.HSet(ctx, key, LastBatch+f.name, *f.value)
		}
	}
	if arrived != 0 {
		pipe.HSet(ctx, key, FieldLastArrival, arrived)
	}
	if pipe.Len() == 0 {
		return
	}
	if _, err := pipe.Exec(ctx); err != nil {
		k.mu.Lock()
		add(&k.counts, &taken)
		addWork(k.work, work)
		if k.last == nil {
			k.last = last
		}
		k.skipped += skipped
		k.unread += unread
		k.arrived = max(k.arrived, arrived)
		k.mu.Unlock()
		k.l.log.DebugContext(ctx, "counters not written", "error", err)
	}
}
