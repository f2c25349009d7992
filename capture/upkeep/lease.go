package upkeep

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"slipstream/proto/keyspace"
)

var holdScript = redis.NewScript(`
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return 0`)

var dropScript = redis.NewScript(`
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0`)

// instance is the instance in a token.
func instance(token string) string {
	name, _, _ := strings.Cut(token, "/")
	return name
}

func (u *Upkeep) leaseKey() string { return keyspace.Lease(u.Pipeline, "upkeep") }

// acquire takes the lease if it is free, and returns the token of who has it.
func (u *Upkeep) acquire(ctx context.Context, token string) (string, error) {
	for {
		if err := u.rdb.SetArgs(ctx, u.leaseKey(), token, redis.SetArgs{Mode: "NX", TTL: leaseTime}).Err(); err == nil {
			return token, nil
		} else if !errors.Is(err, redis.Nil) {
			return "", fmt.Errorf("taking the lease of the upkeep: %w", err)
		}
		owner, err := u.rdb.Get(ctx, u.leaseKey()).Result()
		if errors.Is(err, redis.Nil) {
			continue // it ran out between the two
		}
		if err != nil {
			return "", fmt.Errorf("reading the lease of the upkeep: %w", err)
		}
		return owner, nil
	}
}

var errLost = errors.New("the lease of the upkeep is lost")

// hold keeps the lease until ctx ends, and gives it back then.
func (u *Upkeep) hold(ctx context.Context, token string) error {
	last := time.Now()
	for {
		if err := sleep(ctx, leaseTime/4); err != nil {
			off, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			defer cancel()
			_ = dropScript.Run(off, u.rdb, []string{u.leaseKey()}, token).Err() // or it runs out by itself
			return err
		}
		held, err := holdScript.Run(ctx, u.rdb, []string{u.leaseKey()}, token, leaseTime.Milliseconds()).Int()
		switch {
		case err == nil && held == 0:
			return errLost
		case err == nil:
			last = time.Now()
		case time.Since(last) > leaseTime:
			return fmt.Errorf("holding the lease of the upkeep: %w", err)
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
