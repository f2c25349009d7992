package lease_test

import (
	"crypto/rand"
	"strconv"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"slipstream/capture/lease"
	"slipstream/deploy/dev/devserver"
)

func TestTokens(t *testing.T) {
	token := lease.NewToken("host one/a")
	if token == lease.NewToken("host one/a") {
		t.Error("two tokens are the same")
	}
	for _, value := range []string{token, token + " 1796000000000"} {
		if lease.Holder(value) != token || lease.Instance(value) != "host one/a" {
			t.Errorf("%q is held by %q of %q", value, lease.Holder(value), lease.Instance(value))
		}
	}
	if lease.Instance("") != "" || lease.Holder("") != "" {
		t.Error("nothing is held by somebody")
	}
}

// rig is two instances that want one lease.
type rig struct {
	t        *testing.T
	rdb      *redis.Client
	one, two lease.Lease
}

func newRig(t *testing.T, server *devserver.RedisServer) *rig {
	t.Helper()
	rdb := redis.NewClient(&redis.Options{Addr: server.Addr, Protocol: 2})
	t.Cleanup(func() { _ = rdb.Close() })
	key := "lease:" + rand.Text()
	return &rig{
		t: t, rdb: rdb,
		one: lease.Lease{Key: key, Token: lease.NewToken("one"), TTL: time.Minute},
		two: lease.Lease{Key: key, Token: lease.NewToken("two"), TTL: time.Minute},
	}
}

// take takes the lease and expects that it was had by somebody before.
func (r *rig) take(l lease.Lease, had string) {
	r.t.Helper()
	got, err := l.Take(r.t.Context(), r.rdb)
	if err != nil || got != had {
		r.t.Fatalf("taken from %q, %v; want %q", got, err, had)
	}
	r.lasting(l)
}

func (r *rig) prolong(l lease.Lease, want int) {
	r.t.Helper()
	got, err := l.Prolong(r.t.Context(), r.rdb).Int()
	if err != nil || got != want {
		r.t.Fatalf("prolonged %d, %v; want %d", got, err, want)
	}
	r.lasting(l)
}

// lasting: no policy of eviction takes a key without an expiry before those of the application.
func (r *rig) lasting(l lease.Lease) {
	r.t.Helper()
	if ttl := r.rdb.PTTL(r.t.Context(), l.Key).Val(); ttl > 0 {
		r.t.Fatalf("the key expires in %v", ttl)
	}
}

func (r *rig) held(want string) {
	r.t.Helper()
	got, err := lease.Instances(r.t.Context(), r.rdb, []string{r.one.Key, "lease:none"})
	if err != nil || got[0] != want || got[1] != "" {
		r.t.Fatalf("held by %q, %v; want %q", got, err, want)
	}
}

// runOut makes as if the lease had not been prolonged for its time.
func (r *rig) runOut(l lease.Lease) {
	r.t.Helper()
	l.TTL = -time.Millisecond
	r.prolong(l, 1)
}

func TestLease(t *testing.T) {
	r := newRig(t, devserver.SharedRedis(t))
	r.held("")
	r.prolong(r.one, 0)
	r.take(r.one, "")
	r.held("one")
	r.take(r.one, r.one.Token)
	r.take(r.two, r.one.Token)
	r.prolong(r.two, 0)
	r.prolong(r.one, 1)
	if err := r.two.Drop(t.Context(), r.rdb); err != nil { // what is another's cannot be given back
		t.Fatal(err)
	}
	r.held("one")
	if err := r.one.Drop(t.Context(), r.rdb); err != nil {
		t.Fatal(err)
	}
	r.held("")
	r.take(r.two, "")

	r.runOut(r.two)
	r.held("")
	r.prolong(r.two, 1) // nobody wanted it
	r.held("two")
	r.runOut(r.two)
	r.take(r.one, "")
	r.held("one")
	r.prolong(r.two, 0)
}

// TestCommands: the same through a connection that sends commands of its own.
func TestCommands(t *testing.T) {
	r := newRig(t, devserver.SharedRedis(t))
	do := func(args []string) any {
		t.Helper()
		sent := make([]any, len(args))
		for i, a := range args {
			sent[i] = a
		}
		v, err := r.rdb.Do(t.Context(), sent...).Result()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for _, step := range []struct {
		command []string
		want    any
	}{
		{r.one.ProlongCommand(), int64(0)},
		{r.one.TakeCommand(), ""},
		{r.one.TakeCommand(), r.one.Token},
		{r.two.TakeCommand(), r.one.Token},
		{r.one.ProlongCommand(), int64(1)},
		{r.two.ProlongCommand(), int64(0)},
	} {
		if got := do(step.command); got != step.want {
			t.Errorf("%q answers %v, want %v", step.command[2:], got, step.want)
		}
	}
	r.held("one")
}

// TestExpiring: a lease of an earlier version is held for as long as its key exists.
func TestExpiring(t *testing.T) {
	r := newRig(t, devserver.SharedRedis(t))
	if err := r.rdb.Set(t.Context(), r.one.Key, "three/x", time.Minute).Err(); err != nil {
		t.Fatal(err)
	}
	r.held("three")
	if got, err := r.one.Take(t.Context(), r.rdb); err != nil || got != "three/x" {
		t.Fatalf("taken from %q, %v", got, err)
	}
	if err := r.rdb.PExpire(t.Context(), r.one.Key, time.Millisecond).Err(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); ; {
		got, err := r.one.Take(t.Context(), r.rdb)
		if err != nil || time.Now().After(deadline) {
			t.Fatalf("not taken after it ran out: %q, %v", got, err)
		}
		if got == "" {
			break
		}
	}
	r.held("one")
}

// TestClockWentBack: a lease that lasts until a time far away, because the server's clock was another, is free after the time
// for which one is taken, unless its holder prolongs it.
func TestClockWentBack(t *testing.T) {
	r := newRig(t, devserver.SharedRedis(t))
	r.one.TTL, r.two.TTL = 200*time.Millisecond, 200*time.Millisecond
	far := func(token string) {
		t.Helper()
		until := time.Now().Add(time.Hour).UnixMilli()
		if err := r.rdb.Set(t.Context(), r.one.Key, token+" "+strconv.FormatInt(until, 10), 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	far("gone/x")
	for deadline := time.Now().Add(time.Minute); ; {
		got, err := r.one.Take(t.Context(), r.rdb)
		if err != nil || time.Now().After(deadline) {
			t.Fatalf("not taken after it ran out: %q, %v", got, err)
		}
		if got == "" {
			break
		}
		if got != "gone/x" {
			t.Fatalf("held by %q", got)
		}
	}
	far(r.one.Token)
	r.take(r.two, r.one.Token)
	r.prolong(r.one, 1)
	r.take(r.one, r.one.Token)
}

// TestOutOfMemory: a server that takes no more lets a lease be prolonged, taken over and given back.
func TestOutOfMemory(t *testing.T) {
	r := newRig(t, devserver.Redis(t, devserver.RedisOptions{}))
	r.take(r.one, "")
	if err := r.rdb.ConfigSet(t.Context(), "maxmemory", "1").Err(); err != nil {
		t.Fatal(err)
	}
	if err := r.rdb.Set(t.Context(), "x", "1", 0).Err(); err == nil {
		t.Fatal("the server has memory")
	}
	r.prolong(r.one, 1)
	r.runOut(r.one)
	r.take(r.two, "")
	r.take(r.two, r.two.Token)
	if err := r.two.Drop(t.Context(), r.rdb); err != nil {
		t.Fatal(err)
	}
	r.take(r.one, "")
}
