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
	e.lane.follow.Settled(settled, e.lane.c.Now())
	e.lane.m.settled(settled, done)
	e.s.keeper.book(settled, done)
	select {
	case e.s.settled <- struct{}{}:
	default:
	}
}

// Rejects hands the records to the session's own goroutine: the one that receives must neither wait for Redis nor send.
func (e *events) Rejects(r *flowv1.Rejects) {
	select {
	case e.s.rejects <- r:
	case <-e.ctx.Done(): // the session has ended; the records come again
	}
}

// Waiting shows what the stages below wait for (G6).
func (e *events) Waiting(w *flowv1.Waiting) { e.lane.hold(e.ctx, w.GetFault()) }

// storeRejects makes the rejects that come up dead letters, and only then lets their batches commit (D9), until the session ends.
func (s *session) storeRejects() {
	for {
		select {
		case r := <-s.rejects:
			if err := s.l.store(s.ctx, r.Rejects); err != nil {
				return // the session has ended
			}
			s.l.clear()
			s.l.stored(r)
			s.l.follow.Rejected(r)
			_ = s.sender.Stored(r.Sequence) // a stream that broke is seen by the sender itself
		case <-s.ctx.Done():
			return
		}
	}
}

// stored notes which dead letters came of a batch: their names are forgotten once it is settled.
func (l *Lane) stored(r *flowv1.Rejects) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.flights {
		if f := &l.flights[i]; f.sequence == r.Sequence {
			f.rejects = append(f.rejects, r.Rejects...)
		}
	}
}
