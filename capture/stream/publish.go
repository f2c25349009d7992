package stream

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// group is a consumer group as the server knows it.
type group struct {
	at   ID
	read int64
	lag  int64
}

// Cursor publishes the position of a lane as consumer groups on its two streams (design D4). It serves one goroutine.
type Cursor struct {
	rdb    redis.UniversalClient
	stream Stream
	group  string
	at     Position
	read   [2]int64 // entries ever read, main and side; negative: not known
	plain  bool     // the server does not know ENTRIESREAD (before Redis 7.0)
}

// Cursor starts publishing for the lane of a connection at the position it continues from, so that nothing after it is
// trimmed from now on. Call it before a sweep is requested for the lane.
func (st *Store) Cursor(ctx context.Context, s Stream, connection string, at Position) (*Cursor, error) {
	h, err := st.Header(ctx, s)
	if err != nil {
		return nil, err
	}
	c := &Cursor{rdb: st.rdb, stream: s, group: Group(connection), at: at}
	c.read[0] = known(at.Main, h.first, h.Last, h.added, h.length, h.groups[0][c.group])
	c.read[1] = known(at.Side, ID{}, h.SideLast, h.sideAdded, h.sideLength, h.groups[1][c.group])
	for side := range c.read {
		if err := c.set(ctx, side == 1); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// known tells how many entries a stream ever had up to an ID, -1 when that cannot be told.
func known(at, first, last ID, added, length int64, g group) int64 {
	switch {
	case added == 0 || length == 0 || !at.Less(last):
		return added
	case !first.IsZero() && at.Less(first), at.IsZero():
		return added - length
	case g.at == at && g.read > 0:
		return g.read
	}
	return -1
}

// Publish says that the target holds everything up to a position, which lies main and side entries after the last one
// published.
func (c *Cursor) Publish(ctx context.Context, to Position, main, side int) error {
	moved := [2]bool{to.Main != c.at.Main, to.Side != c.at.Side}
	c.at = to
	for i, n := range [2]int{main, side} {
		if c.read[i] >= 0 {
			c.read[i] += int64(n)
		}
		if !moved[i] {
			continue
		}
		if err := c.set(ctx, i == 1); err != nil {
			return err
		}
	}
	return nil
}

// noteScript sets a field of a header also on a server that is out of memory: PERSIST is a write that needs none, and after it
// the script may write on. KEYS: the header. ARGV: field, value.
var noteScript = redis.NewScript(`
redis.call('PERSIST', KEYS[1])
return redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])`)

// set moves the group of one of the streams, creating it where it is missing.
func (c *Cursor) set(ctx context.Context, side bool) error {
	key, id, read := c.stream.Main, c.at.Main, c.read[0]
	if side {
		key, id, read = c.stream.Side, c.at.Side, c.read[1]
	}
	err := c.send(ctx, "SETID", key, id, read)
	if code(err) == "NOGROUP" {
		err = c.send(ctx, "CREATE", key, id, read)
	}
	switch {
	case err == nil && c.stream.Foreign && !side && read > 0 && !c.plain:
		if err := noteScript.Run(ctx, c.rdb, []string{c.stream.Header}, fieldRead, read).Err(); err != nil {
			return fmt.Errorf("noting what was read of stream %q: %w", key, err)
		}
		return nil
	case err == nil:
		return nil
	case code(err) == "BUSYGROUP":
		return nil // another lane of the connection was quicker; the next position moves it
	case c.stream.Foreign && !side && missingKey(err):
		return nil // the application did not write its stream yet
	}
	return fmt.Errorf("publishing the position of %q on stream %q: %w", c.group, key, err)
}

func (c *Cursor) send(ctx context.Context, verb, key string, id ID, read int64) error {
	args := []any{"XGROUP", verb, key, c.group, id.String()}
	if read >= 0 && !c.plain {
		args = append(args, "ENTRIESREAD", strconv.FormatInt(read, 10))
	}
	err := c.rdb.Do(ctx, args...).Err()
	if err != nil && len(args) > 5 && code(err) == "ERR" && strings.Contains(err.Error(), "yntax") {
		c.plain = true
		return c.rdb.Do(ctx, args[:5]...).Err()
	}
	return err
}

// code is the first word of a refusal by the server, empty when err is something else.
func code(err error) string {
	var refusal redis.Error
	if !errors.As(err, &refusal) {
		return ""
	}
	word, _, _ := strings.Cut(refusal.Error(), " ")
	return word
}

func missingKey(err error) bool {
	return code(err) == "ERR" && strings.Contains(err.Error(), "requires the key to exist")
}

// Backlog is the number of entries that the lane of a connection has not settled, main and side; -1 where the server
// cannot tell.
func (h Header) Backlog(connection string) (main, side int64) {
	name := Group(connection)
	return backlog(h.groups[0], name, h.Last, h.length), backlog(h.groups[1], name, h.SideLast, h.sideLength)
}

// backlog trusts the position before the count: who has settled the last entry has no backlog, whatever was counted.
func backlog(groups map[string]group, name string, last ID, length int64) int64 {
	g, ok := groups[name]
	switch {
	case !ok:
		return length
	case !last.IsZero() && !g.at.Less(last):
		return 0
	}
	return g.lag
}

// Settled is the lowest position that all the connections have published. It is not known while one of them has not.
func (h Header) Settled(connections []string) (Position, bool) {
	var p Position
	for i, c := range connections {
		main, ok := h.groups[0][Group(c)]
		side, too := h.groups[1][Group(c)]
		if !ok || !too {
			return Position{}, false
		}
		if i == 0 || main.at.Less(p.Main) {
			p.Main = main.at
		}
		if i == 0 || side.at.Less(p.Side) {
			p.Side = side.at
		}
	}
	return p, len(connections) > 0
}
