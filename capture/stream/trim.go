package stream

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// trimScript trims main and side stream and writes to the header what may be gone, as one step. It does nothing to
// another incarnation, and never takes back what an earlier trim wrote. XTRIM comes before HSET, because a server that is
// out of memory lets a script write on once it has written what needs no memory. KEYS: header, main, side. ARGV:
// incarnation; for each of the two streams the ID to trim to, empty for none, and the ID after it.
var trimScript = redis.NewScript(`
local function less(a, b)
  local am, as = string.match(a, '^(%d+)-(%d+)$')
  local bm, bs = string.match(b, '^(%d+)-(%d+)$')
  if am ~= bm then
    if #am ~= #bm then return #am < #bm end
    return am < bm
  end
  if #as ~= #bs then return #as < #bs end
  return as < bs
end
if redis.call('HGET', KEYS[1], 'incarnation') ~= ARGV[1] then return -1 end
local gone = 0
for i, field in ipairs({'trimmed_to', 'side_trimmed_to'}) do
  local to, next = ARGV[2*i], ARGV[2*i+1]
  if to ~= '' then
    local before = redis.call('HGET', KEYS[1], field)
    if not (before and less(to, before)) then
      gone = gone + redis.call('XTRIM', KEYS[1+i], 'MINID', '~', next)
      redis.call('HSET', KEYS[1], field, to)
    end
  end
end
return gone`)

// Trim drops entries of one incarnation up to and including a position; 0-0 leaves a stream alone. It keeps a few entries
// more than it must, because whole nodes are dropped. The main stream of a foreign stream is left alone in any case.
// It returns the number of entries dropped.
func (st *Store) Trim(ctx context.Context, s Stream, incarnation string, to Position) (int64, error) {
	args := []any{incarnation}
	for i, id := range []ID{to.Main, to.Side} {
		if id.IsZero() || (i == 0 && s.Foreign) {
			args = append(args, "", "")
			continue
		}
		args = append(args, id.String(), id.Next().String())
	}
	gone, err := trimScript.Run(ctx, st.rdb, []string{s.Header, s.Main, s.Side}, args...).Int64()
	if err != nil {
		return 0, fmt.Errorf("trimming stream %q: %w", s.Main, err)
	}
	return max(gone, 0), nil
}

// Trimmer trims streams behind the slowest lane. It serves one goroutine.
type Trimmer struct {
	store *Store
	delay time.Duration
	marks map[string][]mark // by main stream: what was settled when, oldest first
}

type mark struct {
	at          time.Time
	incarnation string
	main        ID
}

// NewTrimmer returns a trimmer that keeps entries of main streams for delay after every lane has settled them, so that a
// target that comes back a little older finds what it lacks.
func NewTrimmer(store *Store, delay time.Duration) *Trimmer {
	return &Trimmer{store: store, delay: delay, marks: map[string][]mark{}}
}

// marksKept is how finely the time of delay is divided.
const marksKept = 30

// Step trims a stream that the lanes of the given connections read, as far as all of them have settled it; with hurry without
// the delay. While one of the connections has no group nothing is trimmed (design D4).
func (t *Trimmer) Step(ctx context.Context, now time.Time, s Stream, connections []string, hurry bool) (int64, error) {
	h, err := t.store.Header(ctx, s)
	if err != nil {
		return 0, err
	}
	settled, ok := h.Settled(connections)
	if !h.Exists || !ok {
		delete(t.marks, s.Main)
		return 0, nil
	}
	// Entries of sweeps are of no use once they are settled: a lane that goes back gets a sweep of its own.
	to := Position{Main: t.due(now, s.Main, h.Incarnation, settled.Main), Side: settled.Side}
	if hurry {
		to.Main = settled.Main
	}
	if !h.TrimmedTo.Less(to.Main) {
		to.Main = ID{}
	}
	if !h.SideTrimmedTo.Less(to.Side) {
		to.Side = ID{}
	}
	if to == (Position{}) {
		return 0, nil
	}
	return t.store.Trim(ctx, s, h.Incarnation, to)
}

// due notes what is settled now and returns what was settled a delay ago, and still is.
func (t *Trimmer) due(now time.Time, stream, incarnation string, settled ID) ID {
	marks := t.marks[stream]
	for len(marks) > 0 && (marks[len(marks)-1].incarnation != incarnation || settled.Less(marks[len(marks)-1].main)) {
		marks = marks[:len(marks)-1] // a lane went back, or the stream began anew
	}
	if n := len(marks); n == 0 || (marks[n-1].main != settled && now.Sub(marks[n-1].at) >= t.delay/marksKept) {
		marks = append(marks, mark{at: now, incarnation: incarnation, main: settled})
	}
	var due ID
	for len(marks) > 0 && now.Sub(marks[0].at) >= t.delay {
		due = marks[0].main
		if len(marks) == 1 {
			break // it stays as the newest that is known
		}
		marks = marks[1:]
	}
	t.marks[stream] = marks
	return due
}

// Forget drops what is remembered of streams that are not in use any more.
func (t *Trimmer) Forget(inUse []Stream) {
	used := map[string]bool{}
	for _, s := range inUse {
		used[s.Main] = true
	}
	for name := range t.marks {
		if !used[name] {
			delete(t.marks, name)
		}
	}
}
