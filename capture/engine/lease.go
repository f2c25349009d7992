package engine

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"slipstream/capture/lease"
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

func (l *leases) of(what string) lease.Lease {
	return lease.Lease{Key: keyspace.Lease(l.pipeline, what), Token: l.token, TTL: l.ttl}
}

// acquire takes a lease that is free and says whether it is held now.
func (l *leases) acquire(ctx context.Context, what string) (bool, error) {
	if _, ok := l.until[what]; ok {
		return true, nil
	}
	asked := l.now()
	had, err := l.of(what).Take(ctx, l.rdb)
	if err != nil {
		return false, err
	}
	if had != "" && had != l.token {
		return false, nil
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
			answers[i] = l.of(what).ProlongIn(ctx, pipe)
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
	return l.of(what).Drop(ctx, l.rdb)
}
