package e2e_test

import (
	"testing"

	"github.com/redis/go-redis/v9"

	"slipstream/deploy/dev/devserver"
)

// outboxJob reads a stream that the application writes itself (design D3.3, docs/entry-format.md).
const outboxJob = `source:
  redis: {trigger: write-behind, stream: "app:outbox", key_pattern: "emp:*", exclude_commands: [hdel]}
  keys: {fields: {first_name: 1, last_name: 2}}
output:
  - uses: relational.write
    with:
      connection: hr
      table: emp
      keys: [first_name, last_name]
      mapping: [address, country, gender]
`

// outboxEntry is an entry with its value in it.
func outboxEntry(key, trace string) *redis.XAddArgs {
	return &redis.XAddArgs{Stream: "app:outbox", Values: []any{
		"key", key, "op", "u", "after", `{"gender":"F","address":null}`, "traceparent", "00-" + trace + "-b7ad6b7169203331-01",
	}}
}

// TestOutbox: an application's own stream is a source: entries before the deploy count too, values come from `after`, a
// delete deletes, and the stream is not trimmed by us.
func TestOutbox(t *testing.T) {
	for harness, start := range harnesses {
		t.Run(harness, func(t *testing.T) {
			tg := sqliteTarget(t)
			tg.exec(t, empTable)
			server := devserver.Redis(t, devserver.RedisOptions{})
			c := client(t, server.Addr)
			l := start(t, server.Addr)
			must(t, c.XAdd(t.Context(), outboxEntry("emp:A:One", "0af7651916cd43dd8448eb211c80319c")).Err())
			deploy(t, l, map[string]string{"config.yaml": config(server.Addr, tg, ""), "jobs/outbox.yaml": outboxJob})
			running(t, l)
			must(t, c.XAdd(t.Context(), outboxEntry("emp:B:Two", "0af7651916cd43dd8448eb211c80319c")).Err())
			const query = "SELECT first_name, last_name, address, gender FROM emp ORDER BY 1"
			rowsAre(t, tg, query, "A|One|"+null+"|F", "B|Two|"+null+"|F")
			must(t, c.XAdd(t.Context(), &redis.XAddArgs{Stream: "app:outbox", Values: []any{"key", "emp:A:One", "op", "d"}}).Err())
			rowsAre(t, tg, query, "B|Two|"+null+"|F")
			// What the pattern does not match, or the job excludes, is passed over (spec 1.4, 3.5).
			add := func(values ...any) error {
				return c.XAdd(t.Context(), &redis.XAddArgs{Stream: "app:outbox", Values: values}).Err()
			}
			must(t,
				add("key", "dept:C:Three", "after", `{"gender":"X"}`),
				add("key", "emp:B:Two", "op", "u", "command", "hdel", "after", `{"gender":"X"}`),
				add("key", "emp:D:Four", "after", `{"gender":"M"}`))
			rowsAre(t, tg, query, "B|Two|"+null+"|F", "D|Four|"+null+"|M")
			if n := c.XLen(t.Context(), "app:outbox").Val(); n != 6 {
				t.Errorf("the application's stream has %d entries, wrote 6", n)
			}
		})
	}
}
