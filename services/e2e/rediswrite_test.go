package e2e_test

import (
	encoding "encoding/json"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"slipstream/deploy/dev/devserver"
	"slipstream/deploy/dev/jsonserver"
)

// redisFiles are a configuration that writes to another Redis, and the jobs of deploy/jobs/redis.
func redisFiles(t *testing.T, source, target string) map[string]string {
	t.Helper()
	address := func(name, addr string) string {
		host, port, err := net.SplitHostPort(addr)
		must(t, err)
		return fmt.Sprintf("  %s: {type: redis, host: %s, port: %s}\n", name, host, port)
	}
	files := map[string]string{
		"config.yaml": "connections:\n" + address("source", source) + address("target", target) + "applier: {partitions: 2}\n",
	}
	jobs, err := filepath.Glob("../../deploy/jobs/redis/*.yaml")
	must(t, err)
	if len(jobs) == 0 {
		t.Fatal("there are no examples")
	}
	for _, name := range jobs {
		text, err := os.ReadFile(name)
		must(t, err)
		files["jobs/"+filepath.Base(name)] = string(text)
	}
	return files
}

// content is all that a Redis holds but our own keys: one line a key.
func content(t *testing.T, c *redis.Client) []string {
	t.Helper()
	ctx := t.Context()
	keys, err := c.Keys(ctx, "*").Result()
	must(t, err)
	slices.Sort(keys)
	var lines []string
	for _, key := range keys {
		if strings.HasPrefix(key, "slipstream:") {
			continue
		}
		kind := c.Type(ctx, key).Val()
		value := ""
		switch kind {
		case "hash":
			fields := c.HGetAll(ctx, key).Val()
			for _, name := range slices.Sorted(maps.Keys(fields)) {
				value += fmt.Sprintf(" %s=%q", name, fields[name])
			}
		case "set":
			value = fmt.Sprintf(" %q", slices.Sorted(slices.Values(c.SMembers(ctx, key).Val())))
		case "zset":
			value = fmt.Sprint(" ", c.ZRangeWithScores(ctx, key, 0, -1).Val())
		case "string":
			value = fmt.Sprintf(" %q", c.Get(ctx, key).Val())
		case "none": // it went meanwhile
			continue
		case "stream":
			for _, e := range c.XRange(ctx, key, "-", "+").Val() {
				var fields []string
				for _, name := range slices.Sorted(maps.Keys(e.Values)) {
					fields = append(fields, fmt.Sprintf("%s=%v", name, e.Values[name]))
				}
				value += " {" + strings.Join(fields, " ") + "}"
			}
		default:
			var document any // members in no order of their own
			if encoding.Unmarshal([]byte(fmt.Sprint(c.Do(ctx, "JSON.GET", key).Val())), &document) != nil {
				continue // likewise
			}
			text, err := encoding.Marshal(document)
			must(t, err)
			value = " " + string(text)
		}
		lines = append(lines, key+" "+kind+value)
	}
	return lines
}

// TestRedisWrite: the jobs of deploy/jobs/redis, from HSET to the keys of another Redis (spec 5.5, 5.6): five from one
// record, the old ones gone when it moves, all gone with it.
func TestRedisWrite(t *testing.T) {
	source := devserver.Redis(t, devserver.RedisOptions{})
	target := jsonserver.Redis(t, jsonserver.RedisJSON, devserver.RedisOptions{})
	from, to := client(t, source.Addr), client(t, target.Addr)
	l := startEmbedded(t, source.Addr)
	for _, p := range deploy(t, l, redisFiles(t, source.Addr, target.Addr)).GetProblems() {
		t.Logf("%s: %s: %s", p.GetFile(), p.GetPath(), p.GetMessage())
	}
	running(t, l)
	do := func(args ...any) {
		t.Helper()
		must(t, from.Do(t.Context(), args...).Err())
	}
	holds := func(want ...string) {
		t.Helper()
		await(t, 30*time.Second, strings.Join(want, "\n"), func() (bool, string) {
			got := content(t, to)
			return slices.Equal(got, want), strings.Join(got, "\n")
		})
	}
	do("HSET", "pump:P-77", "serial", "P-77", "site", "north dock", "psi", "41")
	do("HSET", "depot:d1", "code", "d1", "name", "North\xff", "keep", "3600")
	do("HSET", "part:1", "ticket", "T9", "name", "valve", "qty", "2")
	do("HSET", "part:2", "ticket", "T9", "name", "seal")
	holds(
		`copy:pump:P-77 hash pressure="41" serial="P-77" site="north dock"`,
		`depot-name:d1 string "North\xff"`,
		`depot:d1 hash code="d1" keep="3600" name="North\xff"`,
		`pumps:by-pressure zset [{41 P-77}]`,
		`pumps:log stream {op_code=c psi=41 serial=P-77}`,
		`site:north dock set ["P-77"]`,
		`ticket:ticket_no:T9 ReJSON-RL {"parts":{"1":{"name":"valve","no":"1","qty":"2"},"2":{"name":"seal","no":"2"}}}`,
		`v2:pump:P-77 ReJSON-RL {"id":"P-77","location":{"site":"north dock"},"reading":{"psi.now":"41"}}`,
	)
	if ttl := to.TTL(t.Context(), "depot-name:d1").Val(); ttl < 3500*time.Second || ttl > time.Hour {
		t.Errorf("depot-name:d1 lives %v", ttl)
	}
	// The record moves: to another set, with another score; a part goes, and with it its entry.
	do("HSET", "pump:P-77", "site", "south", "psi", "12.5")
	do("DEL", "part:2")
	holds(
		`copy:pump:P-77 hash pressure="12.5" serial="P-77" site="south"`,
		`depot-name:d1 string "North\xff"`,
		`depot:d1 hash code="d1" keep="3600" name="North\xff"`,
		`pumps:by-pressure zset [{12.5 P-77}]`,
		`pumps:log stream {op_code=c psi=41 serial=P-77} {op_code=u psi=12.5 serial=P-77}`,
		`site:south set ["P-77"]`,
		`ticket:ticket_no:T9 ReJSON-RL {"parts":{"1":{"name":"valve","no":"1","qty":"2"}}}`,
		`v2:pump:P-77 ReJSON-RL {"id":"P-77","location":{"site":"south"},"reading":{"psi.now":"12.5"}}`,
	)
	do("DEL", "pump:P-77", "depot:d1", "part:1")
	holds(
		`pumps:log stream {op_code=c psi=41 serial=P-77} {op_code=u psi=12.5 serial=P-77} {op_code=d}`,
		`ticket:ticket_no:T9 ReJSON-RL {"parts":{}}`,
	)
}
