package server

import (
	"sync"

	changev1 "slipstream/proto/slipstream/change/v1"

	"slipstream/proto/flow"
)

// queue holds the frames that were read and not yet served.
type queue struct {
	// ready holds a token while there is something to take.
	ready chan struct{}

	mu     sync.Mutex
	frames []flow.Down[*changev1.Batch]
	err    error
}

func newQueue() *queue { return &queue{ready: make(chan struct{}, 1)} }

// push adds a frame, or the error that ends the stream.
func (q *queue) push(d flow.Down[*changev1.Batch], err error) {
	q.mu.Lock()
	if err != nil {
		q.err = err
	} else {
		q.frames = append(q.frames, d)
	}
	q.mu.Unlock()
	select {
	case q.ready <- struct{}{}:
	default:
	}
}

// take removes all frames; the error comes after the last of them.
func (q *queue) take() ([]flow.Down[*changev1.Batch], error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	frames := q.frames
	q.frames = nil
	return frames, q.err
}
