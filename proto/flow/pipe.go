package flow

import (
	"context"
	"io"
	"sync"
)

// pipeFrames is how many frames a Pipe holds in each direction before Send blocks.
const pipeFrames = 16

// Pipe is a hop without a network: what is sent on one end is received on the other, not copied. It ends when ctx does,
// or when the returned end is called: the server's way to end the stream, with an error or, as a gRPC handler that
// returns nil, without.
func Pipe[B Batch](ctx context.Context) (down Downlink[B], up Uplink[B], end func(error)) {
	ctx, cancel := context.WithCancelCause(ctx)
	p := &pipe[B]{ctx: ctx, down: make(chan Down[B], pipeFrames), up: make(chan Up, pipeFrames), half: make(chan struct{})}
	return pipeDown[B]{p}, pipeUp[B]{p}, func(err error) {
		if err == nil {
			err = io.EOF
		}
		cancel(err)
	}
}

type pipe[B Batch] struct {
	ctx  context.Context // the stream itself: a gRPC stream has one too
	down chan Down[B]
	up   chan Up
	half chan struct{} // closed by CloseSend
	once sync.Once
}

type (
	pipeDown[B Batch] struct{ p *pipe[B] }
	pipeUp[B Batch]   struct{ p *pipe[B] }
)

func (d pipeDown[B]) Send(f Down[B]) error {
	select {
	case <-d.p.ctx.Done():
		return io.EOF // as grpc: the status comes from Recv
	default:
	}
	select {
	case d.p.down <- f:
		return nil
	case <-d.p.ctx.Done():
		return io.EOF
	}
}

func (d pipeDown[B]) Recv() (Up, error) {
	select {
	case u := <-d.p.up:
		return u, nil
	case <-d.p.ctx.Done():
	}
	select { // what was sent before the end still arrives
	case u := <-d.p.up:
		return u, nil
	default:
		return Up{}, context.Cause(d.p.ctx)
	}
}

func (d pipeDown[B]) CloseSend() error {
	d.p.once.Do(func() { close(d.p.half) })
	return nil
}

func (u pipeUp[B]) Context() context.Context { return u.p.ctx }

func (u pipeUp[B]) Recv() (Down[B], error) {
	select {
	case f := <-u.p.down:
		return f, nil
	default:
	}
	select {
	case f := <-u.p.down:
		return f, nil
	case <-u.p.half:
		select {
		case f := <-u.p.down:
			return f, nil
		default:
			return Down[B]{}, io.EOF
		}
	case <-u.p.ctx.Done():
		return Down[B]{}, context.Cause(u.p.ctx)
	}
}

func (u pipeUp[B]) Send(f Up) error {
	select {
	case u.p.up <- f:
		return nil
	case <-u.p.ctx.Done():
		return context.Cause(u.p.ctx)
	}
}
