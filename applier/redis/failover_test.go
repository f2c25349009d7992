package redis_test

import (
	"fmt"
	"strings"
	"testing"

	"slipstream/applier"
	"slipstream/deploy/dev/devserver"
	"slipstream/proto/fault"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// TestSentinelFailover: the primary is killed while batches are committed, one after the other. A sentinel promotes one of
// two replicas, the lane finds it by itself, and with wait_enabled nothing that was settled is missing there: the position
// found is that of the last batch that committed, or of the one whose answer was lost, and rows and position agree (G2, G3).
func TestSentinelFailover(t *testing.T) {
	primary := devserver.Redis(t, devserver.RedisOptions{Args: []string{"--repl-diskless-sync-delay", "0"}})
	first := clientOf(t, primary.Addr)
	replicas := []*server{replicaOf(t, first), replicaOf(t, first)}
	sentinel := devserver.Sentinel(t, devserver.SentinelOptions{Addr: primary.Addr})
	eventually(t, "the sentinel knowing both replicas", func() bool {
		answer, err := sentinel.Command(t.Context(), "INFO")
		return err == nil && strings.Contains(answer, "slaves=2")
	})
	set := settings()
	set.WaitEnabled = true
	target := connect(t, &pipelinev1.Connection{Name: "cache", Options: map[string]string{
		"sentinel_master": "main", "sentinel_nodes": sentinel.Addr, "socket_timeout": "2",
	}}, set)
	o, z := output(text, "*key value"), output(sortedSet, "*key *member score")
	write := func(n uint64) []*applier.Write {
		v := fmt.Sprint(n)
		return []*applier.Write{
			rows(t, target, o, applier.Upsert, []any{"last", v}, []any{"k" + v, v}),
			rows(t, target, z, applier.Upsert, []any{"all", v, v}),
		}
	}
	session, _ := open(t, target, 0)
	settled := uint64(0)
	killed := make(chan error, 1)
	for {
		if settled == 50 {
			go func() { killed <- primary.Kill() }() // while the next batches are under way
		}
		if err := commit(t, session, settled, settled+1, write(settled+1)...); err != nil {
			if fault.Class(err) != flowv1.FaultClass_FAULT_CLASS_CONNECTION {
				t.Errorf("while the primary was away: %v", err)
			}
			break
		}
		settled++
	}
	if err := <-killed; err != nil {
		t.Fatal(err)
	}
	if settled < 50 {
		t.Fatalf("lost the server after %d batches", settled)
	}
	eventually(t, "opening on the promoted replica", func() bool {
		s, opened, err := target.OpenLane(t.Context(), lane(0), "me")
		if err != nil {
			return false
		}
		session = s
		if found := opened.GetPosition().GetMain().GetMs(); found != settled && found != settled+1 {
			t.Errorf("the position is %d, settled were %d", found, settled)
		} else {
			settled = found
		}
		return true
	})
	var promoted *server
	for _, r := range replicas {
		if strings.Contains(r.Info(t.Context(), "replication").Val(), "role:master") {
			promoted = r
		}
	}
	if promoted == nil {
		t.Fatal("no replica is a primary")
	}
	agree := func() {
		t.Helper()
		if last, n := promoted.Get(t.Context(), "last").Val(), promoted.ZCard(t.Context(), "all").Val(); last != fmt.Sprint(settled) || n != int64(settled) {
			t.Errorf("at position %d the rows are those of %s, and %d in the sorted set", settled, last, n)
		}
	}
	agree()
	for range 10 {
		if err := commit(t, session, settled, settled+1, write(settled+1)...); err != nil {
			t.Fatal(err)
		}
		settled++
	}
	agree()
}

// TestKilledServer: a server that writes before it answers is killed while batches are committed, five times. The position
// it comes back with and its rows are of one moment, at or after the last batch that was settled (G2, G3).
func TestKilledServer(t *testing.T) {
	s := devserver.Redis(t, devserver.RedisOptions{Persist: true, Args: []string{"--appendfsync", "always"}})
	c := clientOf(t, s.Addr)
	target := connect(t, connection(t, s.Addr), settings())
	x := output(stream, "*key value")
	z := output(sortedSet, "*key *member score")
	settled := uint64(0)
	for range 5 {
		session, opened := open(t, target, 0)
		if found := opened.GetPosition().GetMain().GetMs(); found != settled && found != settled+1 {
			t.Fatalf("the position is %d, settled were %d", found, settled)
		} else {
			settled = found
		}
		killed := make(chan error, 1)
		for began := settled; ; settled++ {
			if settled == began+20 {
				go func() { killed <- s.Kill() }()
			}
			v := fmt.Sprint(settled + 1)
			if err := commit(t, session, settled, settled+1,
				rows(t, target, x, applier.Insert, []any{"log", `{"n":"` + v + `"}`}),
				rows(t, target, z, applier.Upsert, []any{"all", v, v})); err != nil {
				break
			}
		}
		if err := <-killed; err != nil {
			t.Fatal(err)
		}
		if err := s.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	_, opened := open(t, target, 0)
	at := opened.GetPosition().GetMain().GetMs()
	entries, err := c.XRange(t.Context(), "log", "-", "+").Result()
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range entries { // each once, in order
		if e.Values["n"] != fmt.Sprint(i+1) {
			t.Fatalf("entry %d is of batch %v", i+1, e.Values["n"])
		}
	}
	if n := c.ZCard(t.Context(), "all").Val(); uint64(len(entries)) != at || uint64(n) != at {
		t.Errorf("at position %d there are %d entries and %d members", at, len(entries), n)
	}
}
