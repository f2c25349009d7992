package upkeep

import (
	"context"
	"errors"
	"fmt"
	"time"

	"slipstream/capture/lease"
	"slipstream/proto/keyspace"
)

// lease is the lease of the upkeep, with a token of this instance.
func (u *Upkeep) lease(token string) lease.Lease {
	return lease.Lease{Key: keyspace.Lease(u.Pipeline, "upkeep"), Token: token, TTL: leaseTime}
}

var errLost = errors.New("the lease of the upkeep is lost")

// hold keeps the lease until ctx ends, and gives it back then.
func (u *Upkeep) hold(ctx context.Context, l lease.Lease) error {
	last := time.Now()
	for {
		if err := sleep(ctx, leaseTime/4); err != nil {
			off, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			defer cancel()
			_ = l.Drop(off, u.rdb) // or it runs out by itself
			return err
		}
		held, err := l.Prolong(ctx, u.rdb).Int()
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
