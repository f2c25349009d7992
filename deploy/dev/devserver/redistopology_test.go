package devserver

import (
	"strings"
	"testing"
)

// TestRedisCluster: every slot is served, by the node that has it, and each primary has its replica.
func TestRedisCluster(t *testing.T) {
	c := RedisCluster(t, 3, true)
	for i, node := range c.Nodes {
		answer, err := node.Command(t.Context(), "CLUSTER INFO")
		if err != nil || !strings.Contains(answer, "cluster_slots_ok:16384") {
			t.Errorf("node %d: %q, %v", i, answer, err)
		}
		role, err := node.Command(t.Context(), "INFO replication")
		if replica := strings.Contains(role, "role:slave"); err != nil || replica != (i >= 3) {
			t.Errorf("node %d is a replica: %v, %v", i, replica, err)
		}
	}
	if _, err := c.Nodes[0].Command(t.Context(), "SET foo 1"); err == nil || !strings.Contains(err.Error(), "MOVED 12182") {
		t.Errorf("a key of the third node, asked of the first: %v", err)
	}
	if got, err := c.Nodes[2].Command(t.Context(), "SET foo 1"); got != "OK" || err != nil {
		t.Errorf("a key of the third node: %q, %v", got, err)
	}
}

// TestSentinel: when a primary is killed its replica takes its place, and the sentinel knows, after a restart too.
func TestSentinel(t *testing.T) {
	primary := Redis(t, RedisOptions{})
	host, port, _ := strings.Cut(primary.Addr, ":")
	replica := Redis(t, RedisOptions{Args: []string{"--replicaof", host + " " + port}})
	sentinel := Sentinel(t, SentinelOptions{Addr: primary.Addr})
	for what, s := range map[string]*RedisServer{"master_link_status:up": replica, "slaves=1": sentinel} {
		if err := until(t.Context(), s, "INFO", what); err != nil {
			t.Fatal(err)
		}
	}
	if err := primary.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := until(t.Context(), replica, "INFO replication", "role:master"); err != nil {
		t.Fatal(err)
	}
	if err := until(t.Context(), sentinel, "INFO", "address="+replica.Addr); err != nil {
		t.Fatal(err)
	}
	if err := sentinel.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if answer, err := sentinel.Command(t.Context(), "INFO"); err != nil || !strings.Contains(answer, "address="+replica.Addr) {
		t.Errorf("after a restart: %q, %v", answer, err)
	}
}
