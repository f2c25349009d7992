package redis_test

import (
	"strings"
	"testing"
	"time"

	"slipstream/applier"
	"slipstream/proto/fault"
	flowv1 "slipstream/proto/slipstream/flow/v1"
)

// replicaOf starts a replica and waits until it follows.
func replicaOf(t *testing.T, s *server) *server {
	t.Helper()
	r := newServer(t, "--replicaof", strings.Replace(s.addr, ":", " ", 1), "--repl-diskless-sync-delay", "0")
	follows(t, r)
	return r
}

func follows(t *testing.T, r *server) {
	t.Helper()
	eventually(t, "the replica following", func() bool {
		return strings.Contains(r.Info(t.Context(), "replication").Val(), "master_link_status:up")
	})
	primary := clientOf(t, strings.Replace(r.ConfigGet(t.Context(), "replicaof").Val()["replicaof"], " ", ":", 1))
	eventually(t, "the primary counting on its replica", func() bool {
		return strings.Contains(primary.Info(t.Context(), "replication").Val(), "state=online")
	})
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s did not happen", what)
		}
	}
}

// TestWait: with wait_enabled a batch is settled when a replica has it (spec 2.5). While the replica is away the commit
// says so, and the position found by opening again says that it need not be written twice; that too waits for the replica.
// With retry_on_replica_failure: false the batch counts as written.
func TestWait(t *testing.T) {
	primary := newServer(t, "--repl-diskless-sync-delay", "0")
	replica := replicaOf(t, primary)
	set := settings()
	set.WaitEnabled, set.WaitTimeout = true, 1000
	target := connect(t, connection(t, primary.addr), set)
	session, _ := open(t, target, 0)
	write := func(from, to uint64) error {
		return commit(t, session, from, to, rows(t, target, output(text, "*key value"), applier.Upsert, []any{"k", "v" + at(to).String()}))
	}
	if err := write(0, 1); err != nil {
		t.Fatal(err)
	}
	if got := replica.Get(t.Context(), "k").Val(); !strings.HasPrefix(got, "v") {
		t.Errorf("settled, and the replica has %q", got)
	}

	// Away: its connection is kept from coming back by a name that is not the primary's.
	replica.do(t, "REPLICAOF", "127.0.0.1", "1")
	err := write(1, 2)
	if f := fault.Of(err); f == nil || f.Class != flowv1.FaultClass_FAULT_CLASS_CONNECTION || f.Code != "WAIT" || !strings.Contains(f.Fix, "wait_enabled: false") {
		t.Fatalf("without a replica: %v", err)
	}
	if _, _, err := target.OpenLane(t.Context(), lane(0), "me"); fault.Of(err).Code != "WAIT" {
		t.Errorf("opening without a replica: %v", err)
	}
	host, port, _ := strings.Cut(primary.addr, ":")
	replica.do(t, "REPLICAOF", host, port)
	follows(t, replica)
	eventually(t, "opening again", func() bool {
		var err error
		s, opened, err := target.OpenLane(t.Context(), lane(0), "me")
		if err != nil {
			return false
		}
		session = s
		if !applier.SamePosition(opened.GetPosition(), at(2)) {
			t.Errorf("the position is %v: what was committed would be written twice", opened.GetPosition())
		}
		return true
	})
	if got, want := replica.Get(t.Context(), "k").Val(), primary.Get(t.Context(), "k").Val(); got != want {
		t.Errorf("the replica has %q, the primary %q", got, want)
	}

	replica.do(t, "REPLICAOF", "127.0.0.1", "1")
	set.RetryOnReplicaFailure = false
	careless := connect(t, connection(t, primary.addr), set)
	session, _ = open(t, careless, 0)
	if err := write(2, 3); err != nil {
		t.Errorf("with retry_on_replica_failure: false: %v", err)
	}
}

// TestForgottenOpening: a server that is set back behind an opening, by a failover or a crash, gives the same epoch again.
// The owner from before must not pass for the one after (G4).
func TestForgottenOpening(t *testing.T) {
	s := newServer(t)
	target := connect(t, connection(t, s.addr), settings())
	before := s.do(t, "DUMP", "absent")
	stopped, first := open(t, target, 0)
	if before != nil {
		t.Fatal("there was a position")
	}
	s.do(t, "FLUSHALL")
	owner, second := open(t, target, 0)
	if first.GetEpoch() != second.GetEpoch() {
		t.Fatalf("epochs %d and %d: the case means nothing", first.GetEpoch(), second.GetEpoch())
	}
	w := func(v string) *applier.Write {
		return rows(t, target, output(text, "*key value"), applier.Upsert, []any{"k", v})
	}
	if err := commit(t, stopped, 0, 1, w("stale")); fault.Class(err) != flowv1.FaultClass_FAULT_CLASS_FENCED {
		t.Errorf("the owner from before: %v", err)
	}
	if err := commit(t, owner, 0, 1, w("new")); err != nil {
		t.Error(err)
	}
	if got := s.Get(t.Context(), "k").Val(); got != "new" {
		t.Errorf("k is %q", got)
	}
}
