package engine

import (
	"crypto/rand"
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"slipstream/capture/lease"
	"slipstream/deploy/dev/devserver"
)

func TestAssigned(t *testing.T) {
	if got := assigned("lane", nil); got != "" {
		t.Errorf("assigned to %q with nobody alive", got)
	}
	three := []string{"a", "b", "c"}
	share := map[string]int{}
	moved := 0
	for i := range 3000 {
		name := fmt.Sprintf("fleet/job/target/%dof3000", i)
		owner := assigned(name, three)
		if other := assigned(name, []string{"c", "a", "b"}); other != owner {
			t.Fatalf("%s falls to %s or %s, by the order of the instances", name, owner, other)
		}
		share[owner]++
		if after := assigned(name, []string{"a", "b"}); after != owner {
			moved++
			if owner != "c" {
				t.Fatalf("%s moved from %s to %s though %s stayed", name, owner, after, owner)
			}
		}
	}
	for _, i := range three {
		if share[i] < 900 || share[i] > 1100 {
			t.Errorf("%s has %d of 3000 lanes", i, share[i])
		}
	}
	if moved != share["c"] {
		t.Errorf("%d lanes moved, %d were c's", moved, share["c"])
	}
}

func TestLeases(t *testing.T) {
	rdb := redis.NewClient(&redis.Options{Addr: devserver.SharedRedis(t).Addr, MaxRetries: -1})
	defer func() { _ = rdb.Close() }()
	ctx := t.Context()
	name := t.Name() + rand.Text()
	now := time.Now()
	clock := func() time.Time { return now }
	one := newLeases(rdb, name, "one/1", time.Minute, clock)
	two := newLeases(rdb, name, "two/1", time.Minute, clock)
	take := func(l *leases, what string, want bool) {
		t.Helper()
		if got, err := l.acquire(ctx, what); err != nil || got != want {
			t.Fatalf("acquire %q = %v, %v; want %v", what, got, err, want)
		}
	}
	take(one, "x", true)
	take(one, "x", true)
	take(two, "x", false)
	if who, err := lease.Instances(ctx, rdb, []string{one.of("x").Key, one.of("y").Key}); err != nil || who[0] != "one" || who[1] != "" {
		t.Errorf("owners %v, %v", who, err)
	}
	if lost, err := one.renew(ctx); err != nil || len(lost) != 0 {
		t.Errorf("renew lost %v, %v", lost, err)
	}
	if err := two.release(ctx, "x"); err != nil {
		t.Fatal(err)
	}
	take(two, "x", false) // what one does not hold one cannot give back
	if err := one.release(ctx, "x"); err != nil {
		t.Fatal(err)
	}
	take(two, "x", true)
	if err := rdb.Set(ctx, two.of("x").Key, "one/2", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if lost, err := two.renew(ctx); err != nil || len(lost) != 1 || lost[0] != "x" {
		t.Errorf("renew of a stolen lease lost %v, %v", lost, err)
	}

	// While the store cannot be asked a lease is held until it must have run out, and not longer.
	take(two, "y", true)
	_ = rdb.Close()
	if lost, err := two.renew(ctx); err == nil || len(lost) != 0 {
		t.Errorf("renew without a store lost %v, %v", lost, err)
	}
	now = now.Add(time.Minute)
	if lost, err := two.renew(ctx); err == nil || len(lost) != 1 {
		t.Errorf("renew after the lease ran out lost %v, %v", lost, err)
	}
}
