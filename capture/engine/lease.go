package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"slipstream/proto/keyspace"
)

// leases are what an instance holds of a pipeline. They serve one goroutine.
type leases struct {
	rdb      redis.UniversalClient
	pipeline string
	token    string // instance/random: an instance that restarts is another one
	ttl      time.Duration
	now      func() time.Time
	until    map[string]time.Time // held, and for how long at least
}

func newLeases(rdb redis.UniversalClient, pipeline, token string, ttl time.Duration, now func() time.Time) *leases {
	return &leases{rdb: rdb, pipeline: pipeline, token: token, ttl: ttl, now: now, until: map[string]time.Time{}}
}

var (
	renewLease = redis.NewScript(`
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return 0`)
	dropLease = redis.NewScript(`
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0`)
)

func (l *leases) key(what string) string { return keyspace.Lease(l.pipeline, what) }

// acquire takes a lease that is free and says whether it is held now.
func (l *leases) acquire(ctx context.Context, what string) (bool, error) {
	if _, ok := l.until[what]; ok {
		return true, nil
	}
	asked := l.now()
	err := l.rdb.SetArgs(ctx, l.key(what), l.token, redis.SetArgs{Mode: "NX", TTL: l.ttl}).Err()
	if errors.Is(err, redis.Nil) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("taking the lease %q: %w", what, err)
	}
	l.until[what] = asked.Add(l.ttl)
	return true, nil
}

// renew prolongs every lease held and returns those that are lost: taken by another, or run out while the store could not
// be asked.
func (l *leases) renew(ctx context.Context) (lost []string, err error) {
	asked := l.now()
	var names []string
	for what := range l.until {
		names = append(names, what)
	}
	answers := make([]*redis.Cmd, len(names))
	if len(names) > 0 {
		pipe := l.rdb.Pipeline()
		for i, what := range names {
			answers[i] = renewLease.Eval(ctx, pipe, []string{l.key(what)}, l.token, l.ttl.Milliseconds())
		}
		_, err = pipe.Exec(ctx)
	}
	now := l.now()
	for i, what := range names {
		held, aerr := answers[i].Int()
		switch {
		case aerr == nil && held == 1:
			l.until[what] = asked.Add(l.ttl)
			continue
		case aerr == nil: // somebody else has it, or it ran out
		case now.Before(l.until[what]):
			continue // not known: it is ours until it has run out
		}
		lost = append(lost, what)
		delete(l.until, what)
	}
	if err != nil {
		return lost, fmt.Errorf("renewing leases: %w", err)
	}
	return lost, nil
}

// release gives a lease back.
func (l *leases) release(ctx context.Context, what string) error {
	if _, ok := l.until[what]; !ok {
		return nil
	}
	delete(l.until, what)
	if err := dropLease.Run(ctx, l.rdb, []string{l.key(what)}, l.token).Err(); err != nil {
		return fmt.Errorf("giving back the lease %q: %w", what, err)
	}
	return nil
}

// owners are the instances that hold leases, empty where nobody does.
func owners(ctx context.Context, rdb redis.UniversalClient, keys []string) ([]string, error) {
	out := make([]string, len(keys))
	if len(keys) == 0 {
		return out, nil
	}
	values, err := rdb.MGet(ctx, keys...).Result()
	if err != nil {
		return nil, fmt.Errorf("reading leases: %w", err)
	}
	for i, v := range values {
		token, _ := v.(string)
		if at := strings.LastIndexByte(token, '/'); at >= 0 {
			out[i] = token[:at]
		}
	}
	return out, nil
}
