// Package lease lets one of several instances do what only one may do at a time: record, keep up, run a lane.
//
// A lease is a key in Redis: its value is the token of the holder and the time, by the clock of that server, until which it
// is held. The key has no expiry of its own. Redis evicts keys with an expiry first, and those that end soonest before all
// others, where its policy is one of volatile-*: a lease that expired by itself would be the first key to go as soon as
// memory is short. A lease is taken and prolonged also by a server that is out of memory, since those that drain it must
// go on; it is given back by deleting the key.
//
// That clock may go back, as when a replica takes the server's place. A lease that would last longer than anybody takes one
// is cut to that time by who finds it: its holder, if there is one, prolongs it as ever.
//
// Versions before this one let the key expire, and left the time out of its value: such a lease is held for as long as its
// key exists.
package lease

import (
	"context"
	"crypto/rand"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// NewToken returns a token that no other process has: an instance that restarts is another holder.
func NewToken(instance string) string { return instance + "/" + rand.Text() }

// Instance returns the instance that a token, or the value of a lease, belongs to.
func Instance(token string) string {
	if at := strings.LastIndexByte(token, '/'); at >= 0 {
		return token[:at]
	}
	return ""
}

// Holder returns the token in the value of a lease.
func Holder(value string) string {
	token, _ := split(value)
	return token
}

// split returns what a value says; the time is 0 where it says none.
func split(value string) (token string, until int64) {
	at := strings.LastIndexByte(value, ' ')
	if at < 0 {
		return value, 0
	}
	until, err := strconv.ParseInt(value[at+1:], 10, 64)
	if err != nil {
		return value, 0
	}
	return value[:at], until
}

// Instances returns which instances hold leases now, "" where nobody does.
func Instances(ctx context.Context, rdb redis.UniversalClient, keys []string) ([]string, error) {
	out := make([]string, len(keys))
	if len(keys) == 0 {
		return out, nil
	}
	pipe := rdb.Pipeline()
	values, now := pipe.MGet(ctx, keys...), pipe.Time(ctx)
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, fmt.Errorf("reading leases: %w", err)
	}
	for i, v := range values.Val() {
		value, _ := v.(string)
		if token, until := split(value); until == 0 || until > now.Val().UnixMilli() {
			out[i] = Instance(token)
		}
	}
	return out, nil
}

// hold writes the lease. PERSIST is there for what it is: a write that needs no memory. After a first write a server that is
// out of memory refuses no other in the same script.
const hold = `
local function hold(token)
  local t = redis.call('TIME')
  redis.call('PERSIST', KEYS[1])
  redis.call('SET', KEYS[1], token .. ' ' .. string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000) + ARGV[2]))
end
local function ours(v) return v and string.sub(v, 1, #ARGV[1] + 1) == ARGV[1] .. ' ' end
local v = redis.call('GET', KEYS[1])
`

// The scripts. KEYS: the lease. ARGV: the token, and how long it is to be held, milliseconds.
const (
	takeText = hold + `
if v and not ours(v) then
  local token, till = string.match(v, '^(.*) (%d+)$')
  local t = redis.call('TIME')
  local left = till and till - (t[1] * 1000 + math.floor(t[2] / 1000))
  if not left then return v end
  if left > tonumber(ARGV[2]) then hold(token) end
  if left > 0 then return token end
end
hold(ARGV[1])
return ours(v) and ARGV[1] or ''`
	prolongText = hold + `
if not ours(v) then return 0 end
hold(ARGV[1])
return 1`
	dropText = `
local v = redis.call('GET', KEYS[1])
if v and string.sub(v, 1, #ARGV[1] + 1) == ARGV[1] .. ' ' then return redis.call('DEL', KEYS[1]) end
return 0`
)

var (
	takeScript    = redis.NewScript(takeText)
	prolongScript = redis.NewScript(prolongText)
	dropScript    = redis.NewScript(dropText)
)

// A Lease is one key and what an instance would hold it with.
type Lease struct {
	Key   string
	Token string
	TTL   time.Duration // how long it is held without being prolonged
}

// Take takes the lease if it is free, or has run out, and returns who had it: "" when nobody, Token when it is held already
// (and prolonged now), another token when it is another's and was not taken.
func (l Lease) Take(ctx context.Context, rdb redis.Scripter) (string, error) {
	had, err := takeScript.Run(ctx, rdb, []string{l.Key}, l.Token, l.TTL.Milliseconds()).Text()
	if err != nil {
		return "", fmt.Errorf("taking the lease %s: %w", l.Key, err)
	}
	return had, nil
}

// TakeCommand is the command that does Take, for a connection of one's own. Its answer is that of Take.
func (l Lease) TakeCommand() []string { return l.command(takeText) }

// Prolong holds the lease for another TTL; its value is 1, or 0 when the lease is not Token's any more.
func (l Lease) Prolong(ctx context.Context, rdb redis.Scripter) *redis.Cmd {
	return prolongScript.Run(ctx, rdb, []string{l.Key}, l.Token, l.TTL.Milliseconds())
}

// ProlongIn is Prolong as a command of a pipeline.
func (l Lease) ProlongIn(ctx context.Context, pipe redis.Pipeliner) *redis.Cmd {
	return prolongScript.Eval(ctx, pipe, []string{l.Key}, l.Token, l.TTL.Milliseconds())
}

// ProlongCommand is the command that does Prolong, for a connection of one's own.
func (l Lease) ProlongCommand() []string { return l.command(prolongText) }

// Drop gives the lease back, if it is still Token's.
func (l Lease) Drop(ctx context.Context, rdb redis.Scripter) error {
	if err := dropScript.Run(ctx, rdb, []string{l.Key}, l.Token).Err(); err != nil {
		return fmt.Errorf("giving back the lease %s: %w", l.Key, err)
	}
	return nil
}

func (l Lease) command(script string) []string {
	return []string{"EVAL", script, "1", l.Key, l.Token, strconv.FormatInt(l.TTL.Milliseconds(), 10)}
}
