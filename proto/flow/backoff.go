package flow

import (
	"math/rand/v2"
	"time"
)

// Backoff gives the pauses between attempts to open a lane again: doubling from Base to Max, each between half and the
// whole of it, so that lanes that broke together do not return together. The zero value of n is ready; not for
// concurrent use.
type Backoff struct {
	// Base is the first pause. Default 100ms.
	Base time.Duration
	// Max is the longest pause. Default 5s.
	Max time.Duration

	n int
}

// Next is the next pause.
func (b *Backoff) Next() time.Duration {
	base, most := b.Base, b.Max
	if base <= 0 {
		base = 100 * time.Millisecond
	}
	if most <= 0 {
		most = 5 * time.Second
	}
	d := most
	if b.n < 32 && base<<b.n > 0 && base<<b.n < most {
		d = base << b.n
	}
	b.n++
	return d/2 + rand.N(d/2+1)
}

// Reset starts over, after a success.
func (b *Backoff) Reset() { b.n = 0 }
