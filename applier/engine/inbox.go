package engine

import "sync"

// inbox holds what was received and is not yet taken. It has no bound of its own: the sender's window bounds the bytes
// under way, and the stream must be read on while a batch waits for Stored.
type inbox struct {
	mu     sync.Mutex
	items  []item
	closed bool
	ready  chan struct{} // holds a token when there may be something to take
}

func newInbox() *inbox { return &inbox{ready: make(chan struct{}, 1)} }

func (b *inbox) put(it item) {
	b.mu.Lock()
	b.items = append(b.items, it)
	b.mu.Unlock()
	b.wake()
}

// close says that nothing more will be put.
func (b *inbox) close() {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.wake()
}

func (b *inbox) wake() {
	select {
	case b.ready <- struct{}{}:
	default:
	}
}

// take waits for the next item; false when the inbox is closed and empty, or done is.
func (b *inbox) take(done <-chan struct{}) (item, bool) {
	for {
		b.mu.Lock()
		if len(b.items) > 0 {
			it := b.items[0]
			b.items[0] = item{}
			b.items = b.items[1:]
			b.mu.Unlock()
			return it, true
		}
		closed := b.closed
		b.mu.Unlock()
		if closed {
			return item{}, false
		}
		select {
		case <-b.ready:
		case <-done:
			return item{}, false
		}
	}
}
