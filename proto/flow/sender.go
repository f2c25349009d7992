package flow

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	applierv1 "slipstream/proto/slipstream/applier/v1"
	changev1 "slipstream/proto/slipstream/change/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
)

// Events is told what comes up a lane. Calls come from the sender's one receiving goroutine, in order; a call that
// blocks holds up what follows.
type Events interface {
	// Settled says that a batch, and all before it, are durable in the target.
	Settled(*flowv1.Settled)
	// Rejects hands over records to store; answer with Sender.Stored once they are (G2).
	Rejects(*flowv1.Rejects)
	// Waiting says that the lane waits, or that the wait is over (nil Fault).
	Waiting(*flowv1.Waiting)
}

// BeforeEvents is implemented by Events that ask for before images.
type BeforeEvents interface {
	// Before brings the images asked for.
	Before(*applierv1.BeforeResponse)
}

// Sender is the client's end of a lane.
type Sender[B Batch] struct {
	link   Downlink[B]
	events Events
	window uint64
	opened chan *flowv1.Opened
	done   chan struct{}

	sendMu sync.Mutex // one frame at a time on the link

	mu       sync.Mutex
	err      error
	sent     uint64       // number of the last batch sent
	settled  uint64       // number of the last batch settled
	pending  []pendingOne // batches under way, oldest first
	bytes    uint64
	room     chan struct{} // closed and replaced when bytes fall
	drained  chan struct{} // closed when Drained arrived
	position *changev1.Position
}

type pendingOne struct{ sequence, bytes uint64 }

// Open opens a lane over link: it sends open and waits for Opened. Waiting frames that come first go to events, so that
// a target that is down is told from a lane that hangs. The stream behind link is ended by its own context: when that
// ends, Open returns. After an error the link is done with and the receiving goroutine has ended or will with the
// link's context.
func Open[B Batch](ctx context.Context, link Downlink[B], open *flowv1.Open, events Events) (*Sender[B], *flowv1.Opened, error) {
	s := &Sender[B]{
		link: link, events: events, window: open.WindowBytes,
		opened: make(chan *flowv1.Opened, 1), done: make(chan struct{}),
		room: make(chan struct{}), drained: make(chan struct{}),
	}
	if err := link.Send(Down[B]{Open: open}); err != nil {
		return nil, nil, fmt.Errorf("opening lane %s: %w", Name(open.Lane), s.cause(err))
	}
	go s.receive()
	select {
	case o := <-s.opened:
		return s, o, nil
	case <-s.done:
		return nil, nil, fmt.Errorf("opening lane %s: %w", Name(open.Lane), s.Err())
	case <-ctx.Done():
		return nil, nil, fmt.Errorf("opening lane %s: %w", Name(open.Lane), ctx.Err())
	}
}

// cause turns the io.EOF of a failed Send into the status that only Recv knows.
func (s *Sender[B]) cause(err error) error {
	if !errors.Is(err, io.EOF) {
		return err
	}
	for {
		if _, rerr := s.link.Recv(); rerr != nil {
			return rerr
		}
	}
}

// Send sends a batch once the window has room for it. Its number must follow the one before. An error means the lane
// is broken: open it again.
func (s *Sender[B]) Send(ctx context.Context, b B) error {
	size := uint64(b.SizeVT())
	if err := s.reserve(ctx, b.GetSequence(), size); err != nil {
		return err
	}
	if err := s.explained(s.send(Down[B]{Batch: b})); err != nil {
		return fmt.Errorf("sending batch %d: %w", b.GetSequence(), err)
	}
	return nil
}

// reserve waits until size fits into the window and takes it.
func (s *Sender[B]) reserve(ctx context.Context, sequence, size uint64) error {
	for {
		s.mu.Lock()
		if s.err != nil {
			s.mu.Unlock()
			return s.err
		}
		if sequence != s.sent+1 {
			s.mu.Unlock()
			return fmt.Errorf("%w: batch %d follows batch %d", ErrProtocol, sequence, s.sent)
		}
		if len(s.pending) == 0 || s.bytes+size <= s.window {
			s.sent = sequence
			s.bytes += size
			s.pending = append(s.pending, pendingOne{sequence, size})
			s.mu.Unlock()
			return nil
		}
		room := s.room
		s.mu.Unlock()
		select {
		case <-room:
		case <-s.done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *Sender[B]) send(d Down[B]) error {
	s.sendMu.Lock()
	defer s.sendMu.Unlock()
	if err := s.link.Send(d); !errors.Is(err, io.EOF) {
		return err
	}
	return ErrClosed
}

// explained waits for the reason of ErrClosed, which the receiving goroutine gets: it must not be called from there.
func (s *Sender[B]) explained(err error) error {
	if !errors.Is(err, ErrClosed) {
		return err
	}
	<-s.done
	return s.Err()
}

// Stored says that the rejects of a batch are dead letters now. It may be called from Events; that the stream has ended
// is ErrClosed here, and Err has the reason once Done is closed.
func (s *Sender[B]) Stored(sequence uint64) error {
	return s.send(Down[B]{Stored: &flowv1.Stored{Sequence: sequence}})
}

// Before asks for before images; the answer comes to BeforeEvents. It may be called from Events, as Stored.
func (s *Sender[B]) Before(r *applierv1.BeforeRequest) error { return s.send(Down[B]{Before: r}) }

// Drain asks the other end to settle what is under way and waits until it has. It returns the last position settled.
func (s *Sender[B]) Drain(ctx context.Context) (*changev1.Position, error) {
	if err := s.explained(s.send(Down[B]{Drain: &flowv1.Drain{}})); err != nil {
		return nil, fmt.Errorf("draining: %w", err)
	}
	select {
	case <-s.drained:
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.position, nil
	case <-s.done:
		return nil, fmt.Errorf("draining: %w", s.Err())
	case <-ctx.Done():
		return nil, fmt.Errorf("draining: %w", ctx.Err())
	}
}

// Done is closed when the lane has ended; Err says why. Neither Send nor Drain may be called from Events.
func (s *Sender[B]) Done() <-chan struct{} { return s.done }

// Err is why the lane ended: ErrClosed after a stream that ended well, nil while it lives.
func (s *Sender[B]) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// InFlight tells what was sent and is not settled.
func (s *Sender[B]) InFlight() (batches int, bytes uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.pending), s.bytes
}

// Close says that nothing more will be sent and waits for the stream to end. To abort a stream whose peer does not
// answer, cancel the context of the link first.
func (s *Sender[B]) Close() error {
	s.sendMu.Lock()
	err := s.link.CloseSend()
	s.sendMu.Unlock()
	<-s.done
	if e := s.Err(); !errors.Is(e, ErrClosed) {
		return e
	}
	return err
}

// receive is the receiving goroutine; it ends with the link.
func (s *Sender[B]) receive() {
	for {
		up, err := s.link.Recv()
		if err == nil {
			err = s.handle(up)
		}
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = ErrClosed
			}
			s.mu.Lock()
			s.err = err
			s.mu.Unlock()
			close(s.done)
			return
		}
	}
}

func (s *Sender[B]) handle(up Up) error {
	switch {
	case up.Settled != nil:
		if err := s.release(up.Settled.Sequence); err != nil {
			return err
		}
		s.events.Settled(up.Settled)
	case up.Rejects != nil:
		s.events.Rejects(up.Rejects)
	case up.Waiting != nil:
		s.events.Waiting(up.Waiting)
	case up.Opened != nil:
		select {
		case s.opened <- up.Opened:
		default:
			return fmt.Errorf("%w: lane opened twice", ErrProtocol)
		}
	case up.Drained != nil:
		s.mu.Lock()
		defer s.mu.Unlock()
		select {
		case <-s.drained:
			return fmt.Errorf("%w: lane drained twice", ErrProtocol)
		default:
		}
		s.position = up.Drained.Position
		close(s.drained)
	case up.Before != nil:
		if b, ok := s.events.(BeforeEvents); ok {
			b.Before(up.Before)
			return nil
		}
		return fmt.Errorf("%w: before images that nobody asked for", ErrProtocol)
	default:
		return fmt.Errorf("%w: empty frame", ErrProtocol)
	}
	return nil
}

// release frees the window of every batch up to sequence.
func (s *Sender[B]) release(sequence uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sequence > s.sent || sequence <= s.settled {
		return fmt.Errorf("%w: batch %d settled, %d sent, %d settled before", ErrProtocol, sequence, s.sent, s.settled)
	}
	s.settled = sequence
	n := 0
	for n < len(s.pending) && s.pending[n].sequence <= sequence {
		s.bytes -= s.pending[n].bytes
		n++
	}
	s.pending = append(s.pending[:0], s.pending[n:]...)
	close(s.room)
	s.room = make(chan struct{})
	return nil
}
