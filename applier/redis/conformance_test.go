package redis_test

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	goredis "github.com/redis/go-redis/v9"
	"google.golang.org/protobuf/proto"

	"slipstream/applier/applytest"
	"slipstream/applier/redis"
	applierv1 "slipstream/proto/slipstream/applier/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// lacks is what no Redis has, and why cases about it mean nothing here.
var lacks = map[applytest.Need]string{
	applytest.NeedTables:      "a row is a key: no catalogue says which fields it has, none has a default, and its key is one text",
	applytest.NeedTypes:       "fields hold bytes, whatever they mean; the score of a sorted set has tests of its own",
	applytest.NeedConstraints: "no key refers to another, and no value must be unique",
	applytest.NeedForeach:     "redis.write has no foreach (spec 5.5)",
	applytest.NeedStrategies:  "redis.write has no load_strategy (spec 5.5)",
}

// TestConformance runs the suite on a server, for a user who has no right but those that README.md lists.
func TestConformance(t *testing.T) {
	applytest.Run(t, harness(newServer(t)))
}

// BenchmarkEngine measures a batch from the hop to the commit, on a server that writes it to its append-only file before it
// answers.
func BenchmarkEngine(b *testing.B) {
	applytest.Bench(b, harness(newServer(b, "--appendonly", "yes", "--appendfsync", "always")))
}

func harness(s *server) applytest.Harness {
	return applytest.Harness{
		Dialect: redis.Dialect{}, Store: store, Lacks: lacks, NULInText: true, AnySize: true,
		Open: func(t testing.TB) applytest.Database { return database(t, s) },
		Small: func(t testing.TB) (applytest.Database, func(testing.TB)) {
			small := newServer(t, "--maxmemory", "2mb")
			return database(t, small), func(t testing.TB) { small.do(t, "CONFIG", "SET", "maxmemory", "0") }
		},
	}
}

// grants are those of README.md.
const grants = "+multi +exec +watch +unwatch +type +hset +hmget +hdel +info +command +client|setname +select +scan +del"

// database empties the server and leads there, as a user with few rights.
func database(t testing.TB, s *server) applytest.Database {
	t.Helper()
	s.do(t, "FLUSHALL")
	user := func(rules string) {
		args := []any{"ACL", "SETUSER", "suite"}
		for rule := range strings.FieldsSeq(rules) {
			args = append(args, rule)
		}
		s.do(t, args...)
	}
	user("reset on >secret ~* " + grants)
	host, port, err := net.SplitHostPort(s.addr)
	if err != nil {
		t.Fatal(err)
	}
	return applytest.Database{
		Connection: &pipelinev1.Connection{Host: host, Port: port, User: "suite", Password: "secret", Options: map[string]string{}},
		Drop:       func(t testing.TB) { s.do(t, "CLIENT", "KILL", "USER", "suite") },
		ReadOnly: func(t testing.TB) func(testing.TB) { // a replica, of a primary that is away
			s.do(t, "REPLICAOF", "127.0.0.1", "1")
			return func(t testing.TB) { s.do(t, "REPLICAOF", "NO", "ONE") }
		},
		Forbid: func(t testing.TB, table string) func(testing.TB, string) {
			user("resetkeys ~slipstream:*")
			return func(t testing.TB, fix string) {
				if !strings.HasPrefix(fix, "ACL SETUSER suite ") {
					t.Fatalf("the fix is %q", fix)
				}
				user(strings.TrimPrefix(fix, "ACL SETUSER suite "))
			}
		},
	}
}

// store keeps a row of the suite as a hash at table:key, with its key columns among its fields.
var store = &applytest.Store{Output: hashOutput, Columns: hashColumns, Rows: hashRows, Entries: indexEntries, Occupy: occupy, Key: "key"}

func hashOutput(o *pipelinev1.Output) *pipelinev1.Output {
	form := &pipelinev1.RedisForm{DataType: hash, OnUpdate: o.GetRedis().GetOnUpdate()}
	o = proto.CloneOf(o)
	o.Redis = form
	w := o.GetRelational()
	w.Columns = []*pipelinev1.OutputColumn{{Column: "key", Key: true, Path: o.Path + ".with.key"}, {Column: "value"}}
	return o
}

// hashColumns makes keys and flat documents, as the transformer does.
func hashColumns(o *pipelinev1.Output, r *applierv1.Rows) []*applierv1.Column {
	keys, values := &applierv1.Column{}, &applierv1.Column{}
	end := func(c *applierv1.Column, kind applierv1.ValueKind) {
		c.Kinds, c.Ends = append(c.Kinds, byte(kind)), append(c.Ends, uint32(len(c.Text)))
	}
	for row := range int(r.Count) {
		document := []byte{'{'}
		for i, c := range o.GetRelational().Columns {
			if i >= len(r.Columns) {
				continue
			}
			start := uint32(0)
			if row > 0 {
				start = r.Columns[i].Ends[row-1]
			}
			kind := applierv1.ValueKind(r.Columns[i].Kinds[row])
			there := kind != applierv1.ValueKind_VALUE_KIND_UNSPECIFIED && kind != applierv1.ValueKind_VALUE_KIND_ABSENT
			text := r.Columns[i].Text[start:r.Columns[i].Ends[row]]
			if c.Key {
				if there {
					keys.Text = append(append(keys.Text, strings.ToLower(o.GetRelational().Table)+":"...), text...)
				}
				end(keys, kind)
			}
			if there {
				if len(document) > 1 {
					document = append(document, ',')
				}
				document = append(quote(document, []byte(c.Column)), ':')
				document = quote(document, text)
			}
		}
		values.Text = append(append(values.Text, document...), '}')
		end(values, applierv1.ValueKind_VALUE_KIND_DOCUMENT)
	}
	return []*applierv1.Column{keys, values}
}

// quote is a string of a flat document, which may hold any bytes.
func quote(dst, text []byte) []byte {
	dst = append(dst, '"')
	for _, c := range text {
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c < ' ':
			dst = fmt.Appendf(dst, `\u%04x`, c)
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}

// admin is a client to the server of a database, or to all of its cluster.
func admin(t testing.TB, db applytest.Database) goredis.UniversalClient {
	t.Helper()
	addr := net.JoinHostPort(db.Connection.GetHost(), db.Connection.GetPort())
	var c goredis.UniversalClient = goredis.NewClient(&goredis.Options{Addr: addr, Protocol: 2, DisableIdentity: true})
	if db.Connection.GetOptions()["cluster"] == "true" {
		c = goredis.NewClusterClient(&goredis.ClusterOptions{Addrs: []string{addr}, Protocol: 2, DisableIdentity: true})
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// keysOf are the keys of a table that hold hashes.
func keysOf(t testing.TB, c goredis.UniversalClient, table string) (keys []string) {
	t.Helper()
	scan := func(one *goredis.Client) error {
		it := one.ScanType(t.Context(), 0, table+":*", 1000, "hash").Iterator()
		for it.Next(t.Context()) {
			keys = append(keys, it.Val())
		}
		return it.Err()
	}
	for _, one := range nodes(t, c) {
		if err := scan(one); err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

func hashRows(t testing.TB, db applytest.Database, table string, columns []string) [][]string {
	t.Helper()
	c := admin(t, db)
	keys := keysOf(t, c, strings.ToLower(table))
	pipe := c.Pipeline()
	answers := make([]*goredis.SliceCmd, len(keys))
	for i, key := range keys {
		answers[i] = pipe.HMGet(t.Context(), key, columns...)
	}
	if len(keys) > 0 {
		if _, err := pipe.Exec(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	rows := make([][]string, len(keys))
	for i := range keys {
		for _, v := range answers[i].Val() {
			text, there := v.(string)
			if !there {
				text = applytest.Null
			}
			rows[i] = append(rows[i], text)
		}
	}
	slices.SortFunc(rows, slices.Compare[[]string])
	return rows
}

// indexEntries reads what rowindex.go writes.
func indexEntries(t testing.TB, db applytest.Database, table string) (entries [][]string) {
	t.Helper()
	c := admin(t, db)
	for _, key := range keysOf(t, c, "slipstream:slipstream_row") {
		if !strings.HasSuffix(key, ":row") {
			continue
		}
		fields, err := c.HGetAll(t.Context(), key).Result()
		if err != nil {
			t.Fatal(err)
		}
		for row, text := range fields {
			b := []byte(text)
			var length uint64
			for range 3 { // both parts of the ID, and how long the owner is
				v, n := binary.Uvarint(b)
				length, b = v, b[n:]
			}
			entries = append(entries, []string{strings.TrimPrefix(row, table+":"), string(b[:length])})
		}
	}
	slices.SortFunc(entries, func(a, b []string) int { return cmp.Compare(a[0], b[0]) })
	return entries
}

func occupy(t testing.TB, db applytest.Database, table, key string) {
	t.Helper()
	if err := admin(t, db).RPush(t.Context(), strings.ToLower(table)+":"+key, "somebody else's").Err(); err != nil {
		t.Fatal(err)
	}
}

// nodes are the servers behind a client: itself, or every primary of its cluster.
func nodes(t testing.TB, c goredis.UniversalClient) []*goredis.Client {
	t.Helper()
	cluster, is := c.(*goredis.ClusterClient)
	if !is {
		return []*goredis.Client{c.(*goredis.Client)}
	}
	var addrs []string
	var mu sync.Mutex
	if err := cluster.ForEachMaster(t.Context(), func(_ context.Context, one *goredis.Client) error {
		mu.Lock()
		defer mu.Unlock()
		addrs = append(addrs, one.Options().Addr)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	var list []*goredis.Client
	for _, addr := range addrs {
		one := goredis.NewClient(&goredis.Options{Addr: addr, Protocol: 2, DisableIdentity: true})
		t.Cleanup(func() { _ = one.Close() })
		list = append(list, one)
	}
	return list
}
