package lookup_test

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"slipstream/deploy/dev/devserver"
	"slipstream/proto/fault"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
	"slipstream/services/internal/lookup"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func connection(addr string) *pipelinev1.Connection {
	host, port, _ := net.SplitHostPort(addr)
	return &pipelinev1.Connection{Name: "depots", Type: "redis", Host: host, Port: port}
}

// TestReplies reads what spec 4.8 lists, from a real Redis.
func TestReplies(t *testing.T) {
	server := devserver.Redis(t, devserver.RedisOptions{})
	rdb := redis.NewClient(&redis.Options{Addr: server.Addr})
	defer func() { _ = rdb.Close() }()
	ctx := t.Context()
	for _, cmd := range []string{
		"HSET depot:1 region north code 7", "SADD tags a", "ZADD board 1 x 2 y", "SET text hello", "RPUSH list a b", "SET raw \xff",
	} {
		args := []any{}
		for _, arg := range strings.Fields(cmd) {
			args = append(args, arg)
		}
		if err := rdb.Do(ctx, args...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	s := lookup.Open([]*pipelinev1.Connection{connection(server.Addr)})
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	commands := [][]string{
		{"HGET", "depot:1", "region"},
		{"HGET", "depot:1", "none"},
		{"HGETALL", "depot:2"},
		{"HMGET", "depot:1", "code", "none"},
		{"SMEMBERS", "tags"},
		{"ZRANGE", "board", "0", "-1"},
		{"GET", "text"},
		{"MGET", "text", "none"},
		{"LLEN", "list"},
		{"GET", "list"},
		{"GET", "raw"},
		{"HGETALL", "depot:1"},
	}
	replies, err := s.Look(ctx, "depots", commands, 5)
	if err != nil || len(replies) != len(commands) {
		t.Fatalf("%v, %v", replies, err)
	}
	want := []string{
		"north", "<nil>", "[]", "[7 <nil>]", "[a]", "[x y]", "hello", "[hello <nil>]", "2",
		"WRONGTYPE Operation against a key holding the wrong kind of value", "\xff", "[region north code 7]",
	}
	for i, r := range replies {
		got := fmt.Sprint(r.Value)
		if r.Err != nil {
			got = r.Err.Error()
		}
		if got != want[i] {
			t.Errorf("%v gave %q, want %q", commands[i], got, want[i])
		}
	}
}

func TestAway(t *testing.T) {
	server := devserver.Redis(t, devserver.RedisOptions{})
	c := connection(server.Addr)
	s := lookup.Open([]*pipelinev1.Connection{c})
	defer func() { _ = s.Close() }()
	look := func(name string) error {
		_, err := s.Look(t.Context(), name, [][]string{{"GET", "a"}}, 1)
		return err
	}
	if err := look("depots"); err != nil {
		t.Fatal(err)
	}
	if err := look("other"); err == nil || fault.Class(err) != flowv1.FaultClass_FAULT_CLASS_PERMISSION {
		t.Errorf("an unknown connection: %v", err)
	}
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := look("depots"); fault.Class(err) != flowv1.FaultClass_FAULT_CLASS_CONNECTION {
		t.Errorf("a server that is away: %v", err)
	}
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(90 * time.Second); look("depots") != nil; {
		if time.Now().After(end) {
			t.Fatalf("the server is back: %v", look("depots"))
		}
	}
	wrong := connection(server.Addr)
	wrong.Password = "${env:SURELY_NOT_SET}"
	s = lookup.Open([]*pipelinev1.Connection{wrong})
	if err := look("depots"); fault.Class(err) != flowv1.FaultClass_FAULT_CLASS_PERMISSION || !strings.Contains(err.Error(), "SURELY_NOT_SET") {
		t.Errorf("an unresolved reference: %v", err)
	}
	rdb := redis.NewClient(&redis.Options{Addr: server.Addr})
	defer func() { _ = rdb.Close() }()
	if err := rdb.ConfigSet(t.Context(), "requirepass", "right").Err(); err != nil {
		t.Fatal(err)
	}
	wrong.Password = "wrong"
	if err := look("depots"); fault.Class(err) != flowv1.FaultClass_FAULT_CLASS_PERMISSION {
		t.Errorf("a wrong password: %v", err)
	}
	wrong.Password = "right" // as when a secret was rotated
	if err := look("depots"); err != nil {
		t.Errorf("the right password: %v", err)
	}
}
