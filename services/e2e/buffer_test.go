package e2e_test

import "sync"

// buffer keeps the end of a log that another goroutine writes.
type buffer struct {
	mu   sync.Mutex
	text []byte
}

// kept is how much of a log a failed test shows.
const kept = 6000

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.text = append(b.text, p...)
	if len(b.text) > 4*kept {
		b.text = append([]byte(nil), b.text[len(b.text)-kept:]...)
	}
	return len(p), nil
}

func (b *buffer) tail() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return string(b.text[max(0, len(b.text)-kept):])
}
