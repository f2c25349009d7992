package lane

import (
	"context"

	flowv1 "slipstream/proto/slipstream/flow/v1"
)

// events takes what comes up the lane. It is called from the one receiving goroutine of a session.
type events struct {
	s    *session
	lane *Lane
	ctx  context.Context // of the session: flow.Events has no context of its own
}

// Settled books what became durable and lets the reader go on (G2).
func (e *events) Settled(settled *flowv1.Settled) {
	done := e.lane.arrive(settled)
	e.lane.m.settled(settled, done)
	e.s.keeper.book(settled, done)
	select {
	case e.s.settled <- struct{}{}:
	default:
	}
}

// Rejects makes the records dead letters, and only then lets their batch commit (D9). The lane is held up meanwhile.
func (e *events) Rejects(r *flowv1.Rejects) {
	if err := e.lane.store(e.ctx, r.Rejects); err != nil {
		return // the session has ended; the records come again
	}
	e.lane.clear()
	e.lane.mu.Lock()
	for i := range e.lane.flights {
		if f := &e.lane.flights[i]; f.sequence == r.Sequence {
			f.rejects = append(f.rejects, r.Rejects...)
		}
	}
	e.lane.mu.Unlock()
	_ = e.s.sender.Stored(r.Sequence) // a stream that broke is seen by the sender itself
}

// Waiting shows what the stages below wait for (G6).
func (e *events) Waiting(w *flowv1.Waiting) { e.lane.hold(e.ctx, w.GetFault()) }
