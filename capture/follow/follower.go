package follow

import (
	"context"
	"io"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"slipstream/capture/glob"
	capturev1 "slipstream/proto/slipstream/capture/v1"
	changev1 "slipstream/proto/slipstream/change/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
)

// Follower follows changes.
type Follower struct {
	board *Board
	want  Request
	wake  chan struct{} // capacity 1: there is an event, or no more will come

	mu      sync.Mutex
	taken   int // changes followed so far
	open    int // of them, without an outcome
	events  []*capturev1.TraceResponse
	flights map[*Lane][]flight
}

// flight is a batch under way with the changes of it that are followed, or may be.
type flight struct {
	sequence uint64
	changes  []*followed
}

type followed struct {
	index   uint32
	told    *capturev1.TracedChange
	record  uint64 // 0: not told yet, since only rejected ones are
	rejects []*flowv1.Reject
}

// Next waits for the next event. It is io.EOF when every change that was asked for has had its outcome, and the error of ctx
// when that ends.
func (f *Follower) Next(ctx context.Context) (*capturev1.TraceResponse, error) {
	for {
		f.mu.Lock()
		if len(f.events) > 0 {
			next := f.events[0]
			f.events = f.events[1:]
			f.mu.Unlock()
			return next, nil
		}
		done := f.taken >= f.want.Most && f.open == 0
		f.mu.Unlock()
		if done {
			return nil, io.EOF
		}
		select {
		case <-f.wake:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// tell adds an event. The mutex is held.
func (f *Follower) tell(e *capturev1.TraceResponse) {
	f.events = append(f.events, e)
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// begin gives a change its number and tells of it, while more are wanted. The mutex is held.
func (f *Follower) begin(c *followed) bool {
	if f.taken >= f.want.Most {
		return false
	}
	f.taken++
	f.open++
	c.record = uint64(f.taken)
	c.told.Record = c.record
	f.tell(change(c.told))
	return true
}

// finish tells what became of a change. The mutex is held.
func (f *Follower) finish(c *followed, o *capturev1.TracedOutcome) {
	f.open--
	o.Record, o.Rejects = c.record, c.rejects
	f.tell(outcome(o))
}

func (f *Follower) wants(l *Lane, key []byte) bool {
	return l.lane.GetPipeline() == f.want.Pipeline && (f.want.Job == "" || f.want.Job == l.lane.GetJob()) &&
		(f.want.Keys == "" || glob.Match([]byte(f.want.Keys), key))
}

func (f *Follower) sent(l *Lane, batch *changev1.Batch, own []*flowv1.Reject, at time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	told := func() *capturev1.TracedChange {
		return &capturev1.TracedChange{
			Lane: l.lane, Stream: l.stream, ReadMs: at.UnixMilli(), BatchChanges: uint32(len(batch.GetChanges())),
		}
	}
	for _, r := range own {
		if c := (&followed{told: told(), rejects: []*flowv1.Reject{r}}); f.wants(l, r.GetKey()) && f.begin(c) {
			f.finish(c, &capturev1.TracedOutcome{AtMs: at.UnixMilli()})
		}
	}
	one := flight{sequence: batch.GetSequence()}
	for i, c := range batch.GetChanges() {
		if f.taken >= f.want.Most {
			break
		}
		if !f.wants(l, c.GetKey()) {
			continue
		}
		x := &followed{index: uint32(i), told: told()}
		x.told.Batch = alone(batch, c)
		if f.want.OnlyRejected || f.begin(x) {
			one.changes = append(one.changes, x)
		}
	}
	if len(one.changes) > 0 {
		f.flights[l] = append(f.flights[l], one)
	}
}

// alone is a change in a batch of its own. Everything is copied: the batch's memory is used again.
func alone(batch *changev1.Batch, c *changev1.Change) *changev1.Batch {
	one := proto.CloneOf(c)
	out := &changev1.Batch{Sequence: batch.GetSequence(), Position: proto.CloneOf(batch.GetPosition()), Traceparent: batch.GetTraceparent()}
	if c.GetType() == changev1.ValueType_VALUE_TYPE_HASH && int(c.GetShape()) < len(batch.GetShapes()) {
		out.Shapes = []*changev1.Shape{proto.CloneOf(batch.GetShapes()[c.GetShape()])}
		one.Shape = 0
	}
	out.Changes = []*changev1.Change{one}
	return out
}

func (f *Follower) rejected(l *Lane, r *flowv1.Rejects) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, one := range f.flights[l] {
		if one.sequence != r.GetSequence() {
			continue
		}
		for _, c := range one.changes {
			for _, reject := range r.GetRejects() {
				if reject.GetChange() == c.index {
					c.rejects = append(c.rejects, reject)
				}
			}
			if len(c.rejects) > 0 && c.record == 0 {
				f.begin(c)
			}
		}
	}
}

func (f *Follower) settled(l *Lane, s *flowv1.Settled, at time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	under := f.flights[l]
	n := 0
	for n < len(under) && under[n].sequence <= s.GetSequence() {
		for _, c := range under[n].changes {
			if c.record != 0 {
				f.finish(c, &capturev1.TracedOutcome{AtMs: at.UnixMilli(), Settled: true, CommitNs: s.GetCommitNs()})
			}
		}
		n++
	}
	f.flights[l] = under[n:]
}

func (f *Follower) ended(l *Lane, at time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, one := range f.flights[l] {
		for _, c := range one.changes {
			if c.record != 0 {
				f.finish(c, &capturev1.TracedOutcome{AtMs: at.UnixMilli(), Interrupted: true})
			}
		}
	}
	delete(f.flights, l)
}
