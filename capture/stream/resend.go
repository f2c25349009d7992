package stream

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// Resent is a dead letter that is put back on the line: its ID, and the side stream and the fields of the entry that takes
// its place.
type Resent struct {
	Letter string
	Stream Stream
	Fields []any // field, value, …
}

// Outcome is what became of a dead letter.
type Outcome int

// The outcomes.
const (
	// ResentNow: the entry stands in the side stream, and the dead letter is gone.
	ResentNow Outcome = iota + 1
	// ResentBefore: there is no such dead letter any more.
	ResentBefore
	// ResentNowhere: the side stream has vanished; the dead letter stays.
	ResentNowhere
)

// resend moves one dead letter into a side stream, as one step: twice at once is once. The entry comes first, so that a
// server which is out of memory refuses before anything is written. KEYS: letters, side stream, header, counts. ARGV: ID of
// the letter, field of the counts, fields of the entry.
var resend = redis.NewScript(`
if #redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1]) == 0 then return 2 end
local id = redis.call('XADD', KEYS[2], 'NOMKSTREAM', '*', unpack(ARGV, 3))
if not id then return 3 end
redis.call('HSET', KEYS[3], '` + fieldSideLast + `', id)
redis.call('XDEL', KEYS[1], ARGV[1])
redis.call('HINCRBY', KEYS[4], ARGV[2], 1)
return 1`)

// Resend moves dead letters of the stream letters into side streams, in their order, and counts those that it moved in a
// field of the hash counts. The outcomes are as many as there is no error for.
func (st *Store) Resend(ctx context.Context, letters, counts, field string, all []Resent) ([]Outcome, error) {
	out := make([]Outcome, 0, len(all))
	for _, one := range all {
		keys := []string{letters, one.Stream.Side, one.Stream.Header, counts}
		n, err := resend.Run(ctx, st.rdb, keys, append([]any{one.Letter, field}, one.Fields...)...).Int()
		if err != nil {
			return out, fmt.Errorf("replaying dead letter %q of %q: %w", one.Letter, letters, err)
		}
		out = append(out, Outcome(n))
	}
	return out, nil
}

// Reads says whether a lane of a connection has begun to read the streams: what is appended from now on reaches it.
func (h Header) Reads(connection string) bool {
	_, ok := h.groups[1][Group(connection)]
	return h.Exists && ok
}
