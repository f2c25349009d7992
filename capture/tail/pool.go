package tail

import (
	"context"
	"errors"
	"sync"

	"slipstream/capture/resp"
)

// Pool lends connections to one Redis and logical database to many lanes, so that their number stays bounded (G8).
type Pool struct {
	dial func(context.Context) (*resp.Conn, error)
	seat chan struct{}

	mu     sync.Mutex
	idle   []*resp.Conn
	closed bool
}

// NewPool returns a pool of at most size connections made by dial.
func NewPool(dial func(context.Context) (*resp.Conn, error), size int) *Pool {
	return &Pool{dial: dial, seat: make(chan struct{}, max(size, 1))}
}

// With calls use with a connection, and keeps the connection for others unless use broke it: unless its error is nil, a
// refusal of the server.
func (p *Pool) With(ctx context.Context, use func(*resp.Conn) error) error {
	select {
	case p.seat <- struct{}{}:
		defer func() { <-p.seat }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	conn, err := p.take(ctx)
	if err != nil {
		return err
	}
	err = use(conn)
	if ctx.Err() == nil && (err == nil || usable(err)) && p.keep(conn) {
		return err
	}
	if cerr := conn.Close(); err == nil {
		err = cerr
	}
	return err
}

func (p *Pool) take(ctx context.Context) (*resp.Conn, error) {
	p.mu.Lock()
	if n := len(p.idle); n > 0 {
		conn := p.idle[n-1]
		p.idle = p.idle[:n-1]
		p.mu.Unlock()
		return conn, nil
	}
	p.mu.Unlock()
	return p.dial(ctx)
}

func (p *Pool) keep(conn *resp.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.idle = append(p.idle, conn)
	return true
}

// Close ends the idle connections; those that are lent end when they come back.
func (p *Pool) Close() error {
	p.mu.Lock()
	idle := p.idle
	p.idle, p.closed = nil, true
	p.mu.Unlock()
	var err error
	for _, c := range idle {
		err = errors.Join(err, c.Close())
	}
	return err
}
