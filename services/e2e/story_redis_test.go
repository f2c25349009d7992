package e2e_test

import (
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"slipstream/deploy/dev/devserver"
)

// storyRedisJob makes five keys and members of an order: a hash in place of the one before, a string, an entry in a sorted
// set that all orders share, and a member of one of ten sets, which it leaves for another with most of its versions.
const storyRedisJob = `source:
  redis: {trigger: write-behind, key_pattern: "order:*"}
  keys: {fields: {id: 1}}
output:
  - uses: redis.write
    with:
      connection: hr
      data_type: hash
      key: {language: jmespath, expression: "concat(['copy:', id])"}
      mapping: [id, buyer, total, version, parcels]
  - uses: redis.write
    with:
      connection: hr
      data_type: string
      key: {language: jmespath, expression: "concat(['total:', id])"}
      args: {value: total}
  - uses: redis.write
    with:
      connection: hr
      data_type: sorted_set
      key: {language: jmespath, expression: "'orders:by-version'"}
      args: {score: version, member: id}
  - uses: redis.write
    with:
      connection: hr
      data_type: set
      key: {language: sql, expression: "'digit:' || (version % 10)"}
      args: {member: id}
`

// TestStoryRedis is the story of TestStory with another Redis as the target, which writes what it has committed to its
// append-only file before it answers. Killed without that, it would forget up to a second, its positions with it.
func TestStoryRedis(t *testing.T) {
	server := devserver.Redis(t, devserver.RedisOptions{Persist: true, Args: []string{"--appendfsync", "always"}})
	c := client(t, server.Addr)
	host, port, err := net.SplitHostPort(server.Addr)
	must(t, err)
	tell(t, ending{
		connection: fmt.Sprintf("  hr: {type: redis, host: %s, port: %s}\n", host, port), job: storyRedisJob,
		newest: func() string {
			list, err := c.ZRevRangeWithScores(t.Context(), "orders:by-version", 0, 0).Result()
			must(t, err)
			if len(list) == 0 {
				return null
			}
			return strconv.FormatFloat(list[0].Score, 'f', -1, 64)
		},
		differs: func(s *story) string { return s.differsFrom(t, c) },
		crash:   func(*processes) { must(t, server.Kill(), server.Restart(t.Context())) },
	})
}

// differsFrom compares every key of a Redis but Slipstream's own with what it must hold.
func (s *story) differsFrom(t *testing.T, c *redis.Client) string {
	t.Helper()
	ctx := t.Context()
	want := map[string]string{}
	sets, scores := map[string][]string{}, []string{}
	for id, o := range s.orders {
		text := map[string]string{"id": strconv.Itoa(id)}
		for f := o.fields(id); len(f) > 0; f = f[2:] {
			text[f[0].(string)] = fmt.Sprint(f[1])
		}
		want["copy:"+text["id"]] = fmt.Sprint(text)
		want["total:"+text["id"]] = total(id, o.version)
		digit := fmt.Sprint("digit:", o.version%10)
		sets[digit] = append(sets[digit], text["id"])
		scores = append(scores, text["id"]+"="+text["version"])
	}
	for key, members := range sets {
		want[key] = fmt.Sprint(slices.Sorted(slices.Values(members)))
	}
	want["orders:by-version"] = fmt.Sprint(slices.Sorted(slices.Values(scores)))

	var hashes []string
	got := map[string]string{}
	for it := c.Scan(ctx, 0, "*", 5000).Iterator(); ; {
		if !it.Next(ctx) {
			must(t, it.Err())
			break
		}
		switch key := it.Val(); {
		case strings.HasPrefix(key, "slipstream:"):
		case strings.HasPrefix(key, "copy:"), strings.HasPrefix(key, "total:"):
			hashes = append(hashes, key)
		case strings.HasPrefix(key, "digit:"):
			got[key] = fmt.Sprint(slices.Sorted(slices.Values(c.SMembers(ctx, key).Val())))
		case key == "orders:by-version":
			var list []string
			for _, z := range c.ZRangeWithScores(ctx, key, 0, -1).Val() {
				list = append(list, fmt.Sprintf("%v=%s", z.Member, strconv.FormatFloat(z.Score, 'f', -1, 64)))
			}
			got[key] = fmt.Sprint(slices.Sorted(slices.Values(list)))
		default:
			return "a key that nobody writes: " + key
		}
	}
	for part := range slices.Chunk(hashes, 2000) {
		pipe := c.Pipeline()
		answers := make([]redis.Cmder, len(part))
		for i, key := range part {
			if strings.HasPrefix(key, "copy:") {
				answers[i] = pipe.HGetAll(ctx, key)
			} else {
				answers[i] = pipe.Get(ctx, key)
			}
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return err.Error() // a key that went meanwhile
		}
		for i, key := range part {
			switch a := answers[i].(type) {
			case *redis.MapStringStringCmd:
				got[key] = fmt.Sprint(a.Val())
			case *redis.StringCmd:
				got[key] = a.Val()
			}
		}
	}
	for key, value := range want {
		if got[key] != value {
			return fmt.Sprintf("%d keys of %d; %s holds %q, want %q", len(got), len(want), key, got[key], value)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(got)) {
		if _, wanted := want[key]; !wanted {
			return fmt.Sprintf("%d keys of %d; %s should not be there", len(got), len(want), key)
		}
	}
	return ""
}
