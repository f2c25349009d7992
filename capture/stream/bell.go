package stream

import (
	"context"
	"sync"

	"slipstream/capture/resp"
)

// Bell wakes lanes: one blocking read serves them all (design D5). A lane that has read everything waits on the bell
// until one of its streams has more.
type Bell struct {
	dial func(context.Context) (*resp.Conn, error)

	mu      sync.Mutex
	waiting map[*waiter]struct{}
	changed chan struct{} // capacity 1
}

type waiter struct {
	stream Stream
	after  Position
	rung   chan struct{} // closed by the bell
}

// NewBell returns a bell that connects with dial to the Redis that keeps the streams.
func NewBell(dial func(context.Context) (*resp.Conn, error)) *Bell {
	return &Bell{dial: dial, waiting: map[*waiter]struct{}{}, changed: make(chan struct{}, 1)}
}

// Run rings until ctx ends; then it returns nil. While it cannot reach Redis it tries again, and those who wait wait.
func (b *Bell) Run(ctx context.Context) error { return b.run(ctx) }

// Wait returns nil when a stream of s has entries after the position, or the reason when ctx ends first. It may return
// early without cause: the caller reads and finds nothing.
func (b *Bell) Wait(ctx context.Context, s Stream, after Position) error {
	w := &waiter{stream: s, after: after, rung: make(chan struct{})}
	b.mu.Lock()
	b.waiting[w] = struct{}{}
	b.mu.Unlock()
	select {
	case b.changed <- struct{}{}:
	default:
	}
	select {
	case <-w.rung:
		return nil
	case <-ctx.Done():
		b.mu.Lock()
		delete(b.waiting, w)
		b.mu.Unlock()
		return context.Cause(ctx)
	}
}
