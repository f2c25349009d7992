package e2e_test

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"slipstream/deploy/dev/devserver"
	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// movingTankJob makes a hash of each tank, and a member of the set of its site, which it leaves when it moves.
const movingTankJob = `source:
  redis: {trigger: write-behind, key_pattern: "tank:*"}
  keys: {fields: {id: 1}}
output:
  - uses: redis.write
    with:
      connection: hr
      key: {language: jmespath, expression: "concat(['copy:', id])"}
      mapping: [id, site, level]
  - uses: redis.write
    with:
      connection: hr
      data_type: set
      key: {language: jmespath, expression: "concat(['site:', site])"}
      args: {member: id}
`

// tanks writes tanks to the source and knows what the target must hold.
type tanks struct {
	source *redis.Client
	turn   int
}

const manyTanks = 300

// write writes every tank but the third of them that it deletes.
func (w *tanks) write(t *testing.T) {
	t.Helper()
	w.turn++
	pipe := w.source.Pipeline()
	for i := range manyTanks {
		key := fmt.Sprint("tank:", i)
		if i%3 == w.turn%3 {
			pipe.Del(t.Context(), key)
			continue
		}
		pipe.HSet(t.Context(), key, "site", w.site(i), "level", w.turn*1000+i)
	}
	_, err := pipe.Exec(t.Context())
	must(t, err)
}

func (w *tanks) site(i int) string { return fmt.Sprint((i + w.turn) % 7) }

// there waits until the target is what it must be.
func (w *tanks) there(t *testing.T, into redis.UniversalClient) {
	t.Helper()
	await(t, time.Minute, "an equal target", func() (bool, string) {
		pipe := into.Pipeline()
		copies, members := make([]*redis.MapStringStringCmd, manyTanks), make([]*redis.BoolCmd, manyTanks)
		for i := range manyTanks {
			copies[i] = pipe.HGetAll(t.Context(), fmt.Sprint("copy:", i))
			members[i] = pipe.SIsMember(t.Context(), "site:"+w.site(i), i)
		}
		var sizes [7]*redis.IntCmd
		for i := range sizes {
			sizes[i] = pipe.SCard(t.Context(), fmt.Sprint("site:", i))
		}
		if _, err := pipe.Exec(t.Context()); err != nil {
			return false, err.Error()
		}
		left := 0
		for i := range manyTanks {
			want, is := map[string]string{"id": fmt.Sprint(i), "site": w.site(i), "level": fmt.Sprint(w.turn*1000 + i)}, i%3 != w.turn%3
			if !is {
				want = map[string]string{}
			} else {
				left++
			}
			if got := copies[i].Val(); fmt.Sprint(got) != fmt.Sprint(want) || is != members[i].Val() {
				return false, fmt.Sprintf("tank %d is %v, want %v; in its set: %v", i, got, want, members[i].Val())
			}
		}
		total := 0
		for _, s := range sizes {
			total += int(s.Val())
		}
		return total == left, fmt.Sprintf("%d members, want %d: some are in the set of a former site", total, left)
	})
}

// startTanks deploys the job and lets the first changes through.
func startTanks(t *testing.T, source, connection, applier string, into redis.UniversalClient) (*tanks, line, *gatewayv1.DeployResponse) {
	t.Helper()
	w := &tanks{source: client(t, source)}
	l := startEmbedded(t, source)
	r := deploy(t, l, map[string]string{
		"config.yaml":    config(source, &target{connection: connection}, "applier: {on_failed_retry_interval: 1"+applier+"}\n"),
		"jobs/tank.yaml": movingTankJob,
	})
	running(t, l)
	w.write(t)
	w.there(t, into)
	return w, l, r
}

// redisConnection is a connection to a server, with further attributes.
func redisConnection(t *testing.T, addr, more string) string {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	must(t, err)
	return fmt.Sprintf("  hr: {type: redis, host: %s, port: %s%s}\n", host, port, more)
}

// TestRedisSentinelTarget: the primary of the target is killed, a sentinel promotes one of two replicas, and the job goes
// on there. With wait_enabled a batch is settled when a replica has it, so nothing settled is missing.
func TestRedisSentinelTarget(t *testing.T) {
	server := func(args ...string) *devserver.RedisServer {
		return devserver.Redis(t, devserver.RedisOptions{Args: append(args, "--repl-diskless-sync-delay", "0")})
	}
	primary := server()
	of := strings.Replace(primary.Addr, ":", " ", 1)
	server("--replicaof", of)
	server("--replicaof", of)
	sentinel := devserver.Sentinel(t, devserver.SentinelOptions{Addr: primary.Addr})
	await(t, 30*time.Second, "the sentinel knowing both replicas", func() (bool, string) {
		answer, err := sentinel.Command(t.Context(), "INFO")
		return err == nil && strings.Contains(answer, "slaves=2"), answer
	})
	into := redis.NewFailoverClient(&redis.FailoverOptions{MasterName: "main", SentinelAddrs: []string{sentinel.Addr}})
	t.Cleanup(func() { _ = into.Close() })
	source := devserver.Redis(t, devserver.RedisOptions{})
	w, l, _ := startTanks(t, source.Addr, fmt.Sprintf("  hr: {type: redis, sentinel: {master: main, nodes: [%q]}}\n", sentinel.Addr),
		", wait_enabled: true, wait_timeout: 500", into)
	w.write(t)
	must(t, primary.Kill())
	w.write(t)
	w.there(t, into)
	noDeadLetters(t, l)
}

// TestRedisClusterTarget: keys of every slot, a slot's primary killed and its replica promoted, deletes and moved members
// among the changes; deploy says which promise is weaker (design D13).
func TestRedisClusterTarget(t *testing.T) {
	c := devserver.RedisCluster(t, 3, true)
	into := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{c.Nodes[0].Addr}})
	t.Cleanup(func() { _ = into.Close() })
	source := devserver.Redis(t, devserver.RedisOptions{})
	w, l, r := startTanks(t, source.Addr, redisConnection(t, c.Nodes[0].Addr, ", cluster: true"), "", into)
	if !slices.ContainsFunc(r.GetProblems(), func(p *pipelinev1.Problem) bool {
		return p.GetSeverity() == pipelinev1.Severity_SEVERITY_WARNING && strings.Contains(p.GetMessage(), "cannot commit rows and position together")
	}) {
		t.Errorf("deploy does not say which promise is weaker: %v", r.GetProblems())
	}
	await(t, 30*time.Second, "the replica having what its primary has", func() (bool, string) {
		offset := func(n *devserver.RedisServer) string {
			answer, err := n.Command(t.Context(), "INFO replication")
			must(t, err)
			_, rest, _ := strings.Cut(answer, "master_repl_offset:")
			line, _, _ := strings.Cut(rest, "\r\n")
			return line
		}
		one, other := offset(c.Nodes[1]), offset(c.Nodes[4])
		return one == other, one + " and " + other
	})
	must(t, c.Nodes[1].Kill())
	w.write(t)
	after := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{c.Nodes[4].Addr}}) // the other would look for the dead for a minute
	t.Cleanup(func() { _ = after.Close() })
	await(t, 30*time.Second, "the replica in its primary's place", func() (bool, string) {
		answer, err := c.Nodes[4].Command(t.Context(), "INFO replication")
		return err == nil && strings.Contains(answer, "role:master"), answer
	})
	w.there(t, after)
	noDeadLetters(t, l)
}

// TestRedisForgets: a target comes back as it was some seconds ago, rows and positions together, as a Redis does that fails
// over or crashes without having written. Each lane sees the older position with its next batch and writes from there (G3).
func TestRedisForgets(t *testing.T) {
	server := devserver.Redis(t, devserver.RedisOptions{})
	into := client(t, server.Addr)
	source := devserver.Redis(t, devserver.RedisOptions{})
	w, l, _ := startTanks(t, source.Addr, redisConnection(t, server.Addr, ""), "", into)
	must(t, into.Save(t.Context()).Err())
	w.write(t)
	w.there(t, into)
	must(t, server.Kill(), server.Restart(t.Context()))
	if into.HGet(t.Context(), "copy:0", "level").Val() == fmt.Sprint(w.turn*1000) {
		t.Fatal("the target has forgotten nothing")
	}
	for i := range manyTanks { // a change for each lane, which changes nothing
		if i%3 != w.turn%3 && i < 60 {
			must(t, w.source.HSet(t.Context(), fmt.Sprint("tank:", i), "site", w.site(i)).Err())
		}
	}
	w.there(t, into)
	noDeadLetters(t, l)
	s, err := l.gateway().Status(t.Context(), &gatewayv1.StatusRequest{})
	must(t, err)
	if len(s.Status.Gaps) > 0 {
		t.Errorf("gaps, though the streams still have what was forgotten: %v", s.Status.Gaps)
	}
}

// TestRedisOneDatabase: source and target may be one database as long as no output writes what its job captures (spec 3.7,
// 11.5): that is refused, and what is allowed comes to rest. Slipstream's own keys there are no changes.
func TestRedisOneDatabase(t *testing.T) {
	server := devserver.Redis(t, devserver.RedisOptions{})
	into := client(t, server.Addr)
	w, l, _ := startTanks(t, server.Addr, redisConnection(t, server.Addr, ""), "", into)
	w.write(t)
	w.there(t, into)
	backlog := func() (last string) {
		t.Helper()
		keys, err := into.Keys(t.Context(), "slipstream:{default:*}:tank").Result()
		must(t, err)
		slices.Sort(keys)
		for _, key := range keys {
			info, err := into.XInfoStream(t.Context(), key).Result()
			must(t, err)
			last += fmt.Sprintf("%s has %d entries; ", key, info.EntriesAdded)
		}
		return last
	}
	before := backlog()
	if !strings.Contains(before, "entries") {
		t.Fatalf("no streams: %q", before)
	}
	must(t, into.HSet(t.Context(), "tank:0", "site", "9").Err())
	rest := fmt.Sprint(into.HGetAll(t.Context(), "copy:0").Val())
	await(t, 30*time.Second, "the change", func() (bool, string) {
		got := into.HGet(t.Context(), "copy:0", "site").Val()
		return got == "9", got + " before " + rest
	})
	count := func(text string) (n int) {
		for part := range strings.SplitSeq(text, "; ") {
			var entries int
			if _, after, ok := strings.Cut(part, " has "); ok {
				_, err := fmt.Sscanf(after, "%d", &entries)
				must(t, err)
				n += entries
			}
		}
		return n
	}
	if after := backlog(); count(after) != count(before)+1 {
		t.Errorf("one change became %d: %s", count(after)-count(before), after)
	}
	r, err := l.gateway().Validate(t.Context(), &gatewayv1.ValidateRequest{Files: yamlFiles(map[string]string{
		"config.yaml":    config(server.Addr, &target{connection: redisConnection(t, strings.Replace(server.Addr, "127.0.0.1", "localhost", 1), "")}, ""),
		"jobs/tank.yaml": strings.Replace(movingTankJob, "'copy:'", "'tank:'", 1),
	})})
	must(t, err)
	if !slices.ContainsFunc(r.GetProblems(), func(p *pipelinev1.Problem) bool {
		return p.GetSeverity() == pipelinev1.Severity_SEVERITY_ERROR && strings.Contains(p.GetMessage(), "each write would be the next change")
	}) {
		t.Errorf("a loop passes: %v", r.GetProblems())
	}
}
