package jmespath

import "sync"

// cacheLimit is how many compiled things a place in an expression keeps.
const cacheLimit = 128

// cache keeps what was compiled from texts that may differ from record to record. Failures are not kept.
type cache[T any] struct {
	compile func(text string) (T, error)
	mu      sync.RWMutex
	kept    map[string]T
}

func newCache[T any](compile func(text string) (T, error)) *cache[T] {
	return &cache[T]{compile: compile, kept: map[string]T{}}
}

func (c *cache[T]) load(text string) (T, error) {
	c.mu.RLock()
	compiled, ok := c.kept[text]
	c.mu.RUnlock()
	if ok {
		return compiled, nil
	}
	compiled, err := c.compile(text)
	if err != nil {
		return compiled, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.kept) >= cacheLimit {
		clear(c.kept)
	}
	c.kept[text] = compiled
	return compiled, nil
}
