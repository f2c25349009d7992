package redis_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"slipstream/applier"
	"slipstream/applier/applytest"
	"slipstream/applier/redis"
	"slipstream/deploy/dev/devserver"
	"slipstream/proto/fault"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// cluster is a Redis Cluster with a client to each of its nodes.
type cluster struct {
	*devserver.RedisClusterServers
	nodes []*server
}

func newCluster(t testing.TB, replicas bool, args ...string) *cluster {
	t.Helper()
	c := &cluster{RedisClusterServers: devserver.RedisCluster(t, 3, replicas, args...)}
	for _, n := range c.Nodes {
		c.nodes = append(c.nodes, clientOf(t, n.Addr))
	}
	return c
}

// all runs a command on every node.
func (c *cluster) all(t testing.TB, args ...any) {
	t.Helper()
	for _, n := range c.nodes {
		n.do(t, args...)
	}
}

func (c *cluster) connection(t testing.TB) *pipelinev1.Connection {
	t.Helper()
	conn := connection(t, c.nodes[0].addr)
	conn.Options["cluster"] = "true"
	return conn
}

// TestConformanceCluster: what the suite demands holds on a Redis Cluster too, but for what needs rows and position in one
// transaction (design D13). A network between dialect and server that loses things cannot be put in front of nodes that
// tell each other's addresses; TestClusterFailover kills one.
func TestConformanceCluster(t *testing.T) {
	c := newCluster(t, false)
	without := maps.Clone(lacks)
	without[applytest.NeedTogether] = "a transaction of a Redis Cluster has one slot, so rows go before their position (design D13)"
	applytest.Run(t, applytest.Harness{
		Dialect: redis.Dialect{}, Store: store, Lacks: without, NULInText: true, AnySize: true,
		Open: func(t testing.TB) applytest.Database { return c.database(t) },
		Small: func(t testing.TB) (applytest.Database, func(testing.TB)) {
			db := c.database(t)
			c.all(t, "CONFIG", "SET", "maxmemory", "4mb")
			return db, func(t testing.TB) { c.all(t, "CONFIG", "SET", "maxmemory", "0") }
		},
	}, "write", "value", "reject", "position", "fence", "trouble", "class", "outage", "lanes", "index")
}

func (c *cluster) database(t testing.TB) applytest.Database {
	t.Helper()
	user := func(rules string) {
		args := []any{"ACL", "SETUSER", "suite"}
		for rule := range strings.FieldsSeq(rules) {
			args = append(args, rule)
		}
		c.all(t, args...)
	}
	c.all(t, "FLUSHALL")
	user("reset on >secret ~* " + grants + " +cluster|slots +cluster|shards +cluster|nodes +cluster|info +readonly")
	db := applytest.Database{
		Connection: c.connection(t),
		Drop: func(t testing.TB) {
			for _, n := range c.nodes { // some have none
				n.Do(t.Context(), "CLIENT", "KILL", "USER", "suite")
			}
		},
		ReadOnly: func(t testing.TB) func(testing.TB) { // it would write if it had a replica
			c.all(t, "CONFIG", "SET", "min-replicas-to-write", "1")
			return func(t testing.TB) { c.all(t, "CONFIG", "SET", "min-replicas-to-write", "0") }
		},
		Forbid: func(_ testing.TB, _ string) func(testing.TB, string) {
			user("resetkeys ~slipstream:*")
			return func(_ testing.TB, fix string) { user(strings.TrimPrefix(fix, "ACL SETUSER suite ")) }
		},
	}
	db.Connection.User, db.Connection.Password = "suite", "secret"
	return db
}

// TestClusterPromise: the weaker promise is said by validate and when a lane opens, and streams are refused (design D13).
func TestClusterPromise(t *testing.T) {
	c := newCluster(t, false)
	if got := checked(t, c.connection(t), settings()); !strings.Contains(got, "SEVERITY_WARNING") || !strings.Contains(got, "cannot commit rows and position together") ||
		strings.Contains(got, "SEVERITY_ERROR") {
		t.Errorf("validate says %q", got)
	}
	if got := checked(t, c.connection(t), settings(), output(stream, "*key value")); !strings.Contains(got, "SEVERITY_ERROR") || !strings.Contains(got, "entries twice") {
		t.Errorf("validate says of a stream %q", got)
	}
	if got := checked(t, connection(t, c.nodes[0].addr), settings()); !strings.Contains(got, "write cluster: true") {
		t.Errorf("validate says of a node %q", got)
	}
	target := connect(t, c.connection(t), settings())
	if _, opened := open(t, target, 0); opened.GetDelivery() != flowv1.Delivery_DELIVERY_AT_LEAST_ONCE {
		t.Errorf("opened: %v", opened)
	}
	node := connect(t, connection(t, c.nodes[0].addr), settings())
	for partition := range uint32(8) { // some positions are on other nodes
		if _, _, err := node.OpenLane(t.Context(), lane(partition), "me"); err != nil {
			if f := fault.Of(err); f.Code != "MOVED" || !strings.Contains(f.Fix, "cluster: true") {
				t.Errorf("a node taken for all: %v, fix %q", err, f.Fix)
			}
			return
		}
	}
}

// written writes a key of every thousandth slot or so, and tells what each must hold.
func (c *cluster) write(t *testing.T, target applier.Target, o *pipelinev1.Output, generation int) (*applier.Write, map[string]string) {
	t.Helper()
	want := map[string]string{}
	var list [][]any
	for i := range 200 {
		key, v := fmt.Sprint("k", i), fmt.Sprintf("%d of %d", i, generation)
		want[key] = v
		list = append(list, []any{key, v})
	}
	return rows(t, target, o, applier.Upsert, list...), want
}

func (c *cluster) holds(t *testing.T, want map[string]string) string {
	t.Helper()
	client := goredis.NewClusterClient(&goredis.ClusterOptions{Addrs: []string{c.nodes[1].addr, c.nodes[2].addr}, Protocol: 2, DisableIdentity: true})
	defer func() { _ = client.Close() }()
	for key, v := range want {
		if got, err := client.Get(t.Context(), key).Result(); got != v {
			return fmt.Sprintf("%s is %q, want %q: %v", key, got, v, err)
		}
	}
	return ""
}

// again does what the engine does about a batch that failed: it opens the lane anew, and unless the position says that it
// had been committed, writes it once more.
func again(t *testing.T, target applier.Target, from, to uint64, w *applier.Write) applier.Session {
	t.Helper()
	var session applier.Session
	eventually(t, "the batch", func() bool {
		s, opened, err := target.OpenLane(t.Context(), lane(0), "me")
		if err != nil {
			t.Logf("opening: %v", err)
			return false
		}
		session = s
		if applier.SamePosition(opened.GetPosition(), at(to)) {
			return true
		}
		if err := commit(t, s, from, to, w); err != nil {
			t.Logf("committing: %v", err)
			return false
		}
		return true
	})
	return session
}

// TestClusterFailover: a primary is killed between batches, its replica takes its slots, and the lane goes on by itself.
// wait_enabled makes sure that the replica had what was settled.
func TestClusterFailover(t *testing.T) {
	c := newCluster(t, true)
	set := settings()
	set.WaitEnabled = true
	target := connect(t, c.connection(t), set)
	session, _ := open(t, target, 0)
	o := output(text, "*key value")
	w, _ := c.write(t, target, o, 1)
	if err := commit(t, session, 0, 1, w); err != nil {
		t.Fatal(err)
	}
	if err := c.Nodes[0].Kill(); err != nil {
		t.Fatal(err)
	}
	w, want := c.write(t, target, o, 2)
	if err := commit(t, session, 1, 2, w); fault.Class(err) != flowv1.FaultClass_FAULT_CLASS_CONNECTION {
		t.Errorf("while a third of the keys has no server: %v", err)
	}
	// With its replica promoted the node has no other replica: WAIT cannot be had any more.
	set.WaitEnabled = false
	target = connect(t, c.connectionTo(t, 1), set)
	again(t, target, 1, 2, w)
	if why := c.holds(t, want); why != "" {
		t.Error(why)
	}
}

// connectionTo leads to the cluster by one of its nodes.
func (c *cluster) connectionTo(t testing.TB, node int) *pipelinev1.Connection {
	t.Helper()
	conn := connection(t, c.nodes[node].addr)
	conn.Options["cluster"] = "true"
	return conn
}

// TestClusterMoves: a slot moves to another node while batches are written.
func TestClusterMoves(t *testing.T) {
	c := newCluster(t, false)
	target := connect(t, c.connection(t), settings())
	session, _ := open(t, target, 0)
	o := output(text, "*key value")
	for n := range uint64(3) {
		w, want := c.write(t, target, o, int(n))
		if err := commit(t, session, n, n+1, w); err != nil {
			session = again(t, target, n, n+1, w)
		}
		if why := c.holds(t, want); why != "" {
			t.Fatal(why)
		}
		slot, err := c.nodes[0].ClusterKeySlot(t.Context(), "k0").Result()
		if err != nil {
			t.Fatal(err)
		}
		owner := int(slot) * 3 / 16384
		from, to := c.nodes[owner], c.nodes[(owner+1)%3]
		if n == 1 {
			from, to = to, from
		}
		c.move(t, from, to, int(slot))
	}
}

// move moves a slot with its keys.
func (c *cluster) move(t *testing.T, from, to *server, slot int) {
	t.Helper()
	id := func(s *server) string { return s.do(t, "CLUSTER", "MYID").(string) }
	to.do(t, "CLUSTER", "SETSLOT", slot, "IMPORTING", id(from))
	from.do(t, "CLUSTER", "SETSLOT", slot, "MIGRATING", id(to))
	host, port, _ := strings.Cut(to.addr, ":")
	for {
		keys := from.ClusterGetKeysInSlot(t.Context(), slot, 100).Val()
		if len(keys) == 0 {
			break
		}
		for _, key := range keys {
			from.do(t, "MIGRATE", host, port, key, 0, 5000)
		}
	}
	for _, n := range []*server{to, from} {
		n.do(t, "CLUSTER", "SETSLOT", slot, "NODE", id(to))
	}
}
