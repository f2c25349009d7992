// Package eval is what an expression may know besides the record it is given: the time, and a seed for what looks random.
//
// Both are arguments, never taken from the process, so that the same change evaluated again gives the same value (design
// D5): a retry after a crash must not give a row a second uuid. Both expression languages take an [Env].
package eval

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"time"
)

// Env is the world of one evaluation.
type Env struct {
	// Seed names the evaluation: the ID of the change entry, the job, the block and the field, joined by something that
	// occurs in none of them. Expressions evaluated with equal seeds draw equal values, so two fields of one block need
	// two seeds. An empty seed draws truly random values.
	Seed string
	// Now is the time that time_delta_seconds, datetime('now') and their kin see. Its location is the one in which
	// times without an offset are read.
	Now time.Time
}

// Draw is 32 bytes that depend on the seed, the purpose and the count of the draw, and on nothing else.
func (e Env) Draw(purpose string, count uint64) [32]byte {
	var drawn [32]byte
	if e.Seed == "" {
		_, _ = rand.Read(drawn[:]) // cannot fail
		return drawn
	}
	text := make([]byte, 0, len(e.Seed)+len(purpose)+10)
	text = binary.BigEndian.AppendUint64(text, count)
	text = append(text, purpose...)
	text = append(text, 0)
	text = append(text, e.Seed...)
	return sha256.Sum256(text)
}
