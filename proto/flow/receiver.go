package flow

import (
	"fmt"
	"strconv"
	"sync"

	applierv1 "slipstream/proto/slipstream/applier/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
)

// Receiver is the server's end of a lane. Next is for one goroutine; everything it says upstream may come from any.
type Receiver[B Batch] struct {
	link Uplink[B]
	last uint64 // number of the last batch received

	mu sync.Mutex // one frame at a time on the link
}

// Accept reads the Open frame that begins a lane.
func Accept[B Batch](link Uplink[B]) (*Receiver[B], *flowv1.Open, error) {
	d, err := link.Recv()
	if err != nil {
		return nil, nil, fmt.Errorf("waiting for a lane to open: %w", err)
	}
	if d.Open == nil || d.Open.Lane == nil || d.Open.Job == nil || d.Open.Connection == nil {
		return nil, nil, fmt.Errorf("%w: the first frame must be Open, with lane, job and connection", ErrProtocol)
	}
	return &Receiver[B]{link: link}, d.Open, nil
}

// Next waits for the next frame: a batch, Stored, Drain or Before. io.EOF when the client will send nothing more.
func (r *Receiver[B]) Next() (Down[B], error) {
	var none B
	d, err := r.link.Recv()
	if err != nil {
		return d, err
	}
	switch {
	case d.Batch != none:
		if n := d.Batch.GetSequence(); n != r.last+1 {
			return d, fmt.Errorf("%w: batch %d follows batch %d", ErrProtocol, n, r.last)
		}
		r.last++
	case d.Open != nil:
		return d, fmt.Errorf("%w: lane opened twice", ErrProtocol)
	case d.Stored == nil && d.Drain == nil && d.Before == nil:
		return d, fmt.Errorf("%w: empty frame", ErrProtocol)
	}
	return d, nil
}

func (r *Receiver[B]) send(u Up) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.link.Send(u)
}

// Opened says that the lane is open.
func (r *Receiver[B]) Opened(o *flowv1.Opened) error { return r.send(Up{Opened: o}) }

// Settled says that a batch is durable.
func (r *Receiver[B]) Settled(s *flowv1.Settled) error { return r.send(Up{Settled: s}) }

// Rejects hands up records to store.
func (r *Receiver[B]) Rejects(x *flowv1.Rejects) error { return r.send(Up{Rejects: x}) }

// Waiting says that the lane waits, or with a nil Fault that it waits no more.
func (r *Receiver[B]) Waiting(w *flowv1.Waiting) error { return r.send(Up{Waiting: w}) }

// Drained says that nothing is under way any more.
func (r *Receiver[B]) Drained(d *flowv1.Drained) error { return r.send(Up{Drained: d}) }

// Before answers a request for before images.
func (r *Receiver[B]) Before(b *applierv1.BeforeResponse) error { return r.send(Up{Before: b}) }

// Name is a lane as people read it: pipeline/job/connection/partition-of-layout.
func Name(l *flowv1.Lane) string {
	name := l.GetPipeline() + "/" + l.GetJob() + "/" + l.GetConnection() + "/" +
		strconv.FormatUint(uint64(l.GetPartition()), 10) + "of" + strconv.FormatUint(uint64(l.GetLayout()), 10)
	if l.GetShard() != "" {
		name += "@" + l.GetShard()
	}
	return name
}
