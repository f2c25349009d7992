// Package follow lets operators follow single changes through lanes that run (spec 9.3), without holding them up.
//
// The words:
//
//   - board: where the lanes of an instance tell what they do, while somebody follows.
//   - follower: one who follows. It takes the first changes that it asked for, and for each of them two events: that it goes
//     to the transformer, and what became of it.
//
// Promises: while nobody follows a lane pays one look at a number a batch; a follower that does not read holds no lane up;
// what a follower holds is bounded by the changes it asked for and by what is under way.
//
// Neighbours: lane tells, engine hands the board out, server sends the events on.
package follow

import (
	"sync"
	"sync/atomic"
	"time"

	capturev1 "slipstream/proto/slipstream/capture/v1"
	changev1 "slipstream/proto/slipstream/change/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
)

// Board is where lanes tell. The zero value is ready.
type Board struct {
	followed atomic.Int32
	mu       sync.Mutex
	all      map[*Follower]struct{}
}

// Lane is one lane's place on a board.
type Lane struct {
	board  *Board
	lane   *flowv1.Lane
	stream string
}

// Lane gives a lane its place. A lane of no board tells nobody.
func (b *Board) Lane(lane *flowv1.Lane, stream string) *Lane {
	return &Lane{board: b, lane: lane, stream: stream}
}

// each calls f with every follower, if there is any.
func (l *Lane) each(f func(*Follower)) {
	if l.board == nil || l.board.followed.Load() == 0 {
		return
	}
	l.board.mu.Lock()
	defer l.board.mu.Unlock()
	for one := range l.board.all {
		f(one)
	}
}

// Sent tells of a batch that goes to the transformer, and of the records of it that failed before (own). It must be called
// before the batch may be used again.
func (l *Lane) Sent(batch *changev1.Batch, own []*flowv1.Reject, at time.Time) {
	l.each(func(f *Follower) { f.sent(l, batch, own, at) })
}

// Rejected tells which records of a batch are dead letters.
func (l *Lane) Rejected(r *flowv1.Rejects) { l.each(func(f *Follower) { f.rejected(l, r) }) }

// Settled tells that a batch and all before it are durable.
func (l *Lane) Settled(s *flowv1.Settled, at time.Time) {
	l.each(func(f *Follower) { f.settled(l, s, at) })
}

// Ended tells that nothing is under way any more: what was not settled will be read again.
func (l *Lane) Ended(at time.Time) { l.each(func(f *Follower) { f.ended(l, at) }) }

// Request says which changes to follow.
type Request struct {
	// Pipeline and Job narrow the lanes; an empty job means all.
	Pipeline, Job string
	// Keys is a Redis glob; empty: every key.
	Keys string
	// Most is how many changes are followed.
	Most int
	// OnlyRejected leaves out what is not rejected.
	OnlyRejected bool
}

// Follow begins to follow. The follower must be closed.
func (b *Board) Follow(r Request) *Follower {
	f := &Follower{board: b, want: r, wake: make(chan struct{}, 1), flights: map[*Lane][]flight{}}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.all == nil {
		b.all = map[*Follower]struct{}{}
	}
	b.all[f] = struct{}{}
	b.followed.Add(1)
	return f
}

// Close ends following.
func (f *Follower) Close() {
	f.board.mu.Lock()
	defer f.board.mu.Unlock()
	if _, known := f.board.all[f]; known {
		delete(f.board.all, f)
		f.board.followed.Add(-1)
	}
}

func change(c *capturev1.TracedChange) *capturev1.TraceResponse {
	return &capturev1.TraceResponse{Event: &capturev1.TraceResponse_Change{Change: c}}
}

func outcome(o *capturev1.TracedOutcome) *capturev1.TraceResponse {
	return &capturev1.TraceResponse{Event: &capturev1.TraceResponse_Outcome{Outcome: o}}
}
