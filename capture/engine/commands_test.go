package engine_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"slipstream/capture/engine"
	"slipstream/deploy/dev/devserver"
	"slipstream/deploy/dev/jsonserver"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// step is commands and what the rows of a job are after them, "key value; …" by key.
type step struct {
	name     string
	commands []string
	plain    string // of a job that has only a pattern
	deleting string // of one with on_expire, on_evict: delete, and keys known from the Redis key; empty: the same
}

// none is no row at all, where that is another thing than the same.
const none = "-"

// play runs steps one after the other. Commands are lines of words; "@" before one runs it in database 3, "$dump:key" is
// what DUMP says of a key.
func (h *house) play(e *engine.Engine, steps []step) {
	h.t.Helper()
	other := redis.NewClient(&redis.Options{Addr: h.addr, DB: 3, Protocol: 2})
	defer func() { _ = other.Close() }()
	for i, s := range steps {
		for _, line := range s.commands {
			rdb := h.rdb
			if rest, ok := strings.CutPrefix(line, "@"); ok {
				rdb, line = other, rest
			}
			var args []any
			for _, word := range strings.Split(line, " ") {
				if key, ok := strings.CutPrefix(word, "$dump:"); ok {
					word = rdb.Dump(h.t.Context(), key).Val()
				}
				args = append(args, word)
			}
			if err := rdb.Do(h.t.Context(), args...).Err(); err != nil && !errors.Is(err, redis.Nil) {
				h.t.Fatalf("%s: %s: %v", s.name, line, err)
			}
		}
		// A change of another job's key after them, on the same partition: when it has arrived all before it have.
		mark := fmt.Sprint(i)
		h.set("k:~", mark)
		for _, job := range []string{"plain", "deleting"} {
			want := s.plain
			if job == "deleting" && s.deleting != "" {
				want = strings.TrimPrefix(s.deleting, none)
			}
			var got map[string]string
			eventually(h.t, s.name+": the step has arrived", func() bool {
				got = h.target.Rows(job, "target")
				return got["k:~"] == "v="+mark+";"
			})
			var all []string
			for _, key := range slices.Sorted(maps.Keys(got)) {
				if key != "k:~" {
					all = append(all, strings.TrimPrefix(key, "k:")+" "+got[key])
				}
			}
			if rows := strings.Join(all, " "); rows != want {
				h.t.Fatalf("%s: rows of job %s are\n  %s\nwant\n  %s", s.name, job, rows, want)
			}
		}
	}
	for _, j := range h.status(e).Jobs {
		if j.DeadLetters != 0 || j.ExpiredUnread != 0 {
			h.t.Errorf("job %s has %d dead letters, %d values expired unread", j.Job, j.DeadLetters, j.ExpiredUnread)
		}
	}
}

// twoJobs follow the same keys: one with nothing but a pattern, one that says what removals by the server do.
func twoJobs() []*pipelinev1.Job {
	plain, deleting := job("plain", "target"), job("deleting", "target")
	for _, j := range []*pipelinev1.Job{plain, deleting} {
		j.Source.KeyPattern = "k:*"
	}
	deleting.Source.OnExpire = pipelinev1.RemovalPolicy_REMOVAL_POLICY_DELETE
	deleting.Source.OnEvict = pipelinev1.RemovalPolicy_REMOVAL_POLICY_DELETE
	deleting.Source.Keys = &pipelinev1.KeyFields{Delimiter: ":", Fields: map[string]uint32{"id": 1}}
	return []*pipelinev1.Job{plain, deleting}
}

// TestHashCommands: what every command that can touch a hash comes to in the target (spec 1.4, 1.5), on a real server.
func TestHashCommands(t *testing.T) {
	h := newHouse(t)
	h.spec.Settings.Partitions = 1
	h.spec.Jobs = twoJobs()
	e, _ := h.engine("one")
	h.deploy(true)
	h.ready(e, 2)
	h.play(e, []step{
		{"HSET", []string{"HSET k:a x 1"}, "a x=1;", ""},
		{"HSET of another field", []string{"HSET k:a y 2"}, "a x=1;y=2;", ""},
		{"HSET of the same value", []string{"HSET k:a y 2"}, "a x=1;y=2;", ""},
		{"HMSET", []string{"HMSET k:a x 3 y 4"}, "a x=3;y=4;", ""},
		{"HSETNX of a new field", []string{"HSETNX k:a z 5"}, "a x=3;y=4;z=5;", ""},
		{"HSETNX of an old field", []string{"HSETNX k:a z 6"}, "a x=3;y=4;z=5;", ""},
		{"HINCRBY", []string{"HINCRBY k:a z 10"}, "a x=3;y=4;z=15;", ""},
		{"HINCRBYFLOAT", []string{"HINCRBYFLOAT k:a z 0.5"}, "a x=3;y=4;z=15.5;", ""},
		{"HDEL", []string{"HDEL k:a y z"}, "a x=3;", ""},
		{"HDEL of no field", []string{"HDEL k:a none"}, "a x=3;", ""},
		{"HDEL of the last field", []string{"HDEL k:a x"}, "", ""},
		{"DEL", []string{"HSET k:a x 1", "DEL k:a"}, "", ""},
		{"UNLINK", []string{"HSET k:a x 1", "UNLINK k:a"}, "", ""},
		{"DEL of several, and of none", []string{"HSET k:a x 1", "HSET k:b x 1", "HSET k:c x 1", "DEL k:a k:b k:none"}, "c x=1;", ""},
		{"RENAME", []string{"RENAME k:c k:d"}, "d x=1;", ""},
		{"RENAME out of the pattern", []string{"RENAME k:d other"}, "", ""},
		{"RENAME into the pattern", []string{"RENAME other k:e"}, "e x=1;", ""},
		{"RENAME over another", []string{"HSET k:f y 2", "RENAME k:e k:f"}, "f x=1;", ""},
		{"RENAMENX", []string{"RENAMENX k:f k:g"}, "g x=1;", ""},
		{"COPY", []string{"COPY k:g k:h"}, "g x=1; h x=1;", ""},
		{"COPY into the pattern", []string{"HSET other z 9", "COPY other k:i"}, "g x=1; h x=1; i z=9;", ""},
		{"COPY over another", []string{"COPY other k:h REPLACE"}, "g x=1; h z=9; i z=9;", ""},
		{"RESTORE", []string{"RESTORE k:j 0 $dump:k:g"}, "g x=1; h z=9; i z=9; j x=1;", ""},
		{"RESTORE over another", []string{"RESTORE k:i 0 $dump:k:g REPLACE", "DEL k:h k:j"}, "g x=1; i x=1;", ""},
		{"MOVE away", []string{"MOVE k:i 3"}, "g x=1;", ""},
		{"MOVE here", []string{"@MOVE k:i 0"}, "g x=1; i x=1;", ""},
		{"COPY to another database", []string{"COPY k:i k:i DB 3", "DEL k:i"}, "g x=1;", ""},
		{"GETDEL of a string", []string{"SET k:s text", "GETDEL k:s"}, "g x=1;", ""},
		{"strings, lists, sets, sorted sets, streams", []string{
			"SET k:s text", "APPEND k:s more", "INCR k:n", "LPUSH k:l 1", "SADD k:t 1", "ZADD k:z 1 m", "XADD k:x * f v", "SETEX k:u 100 v",
		}, "g x=1;", ""},
		{"their removal", []string{"DEL k:s k:n k:l k:t k:z k:x k:u"}, "g x=1;", ""},
		{"EXPIRE, PERSIST", []string{"EXPIRE k:g 1000", "PERSIST k:g", "PEXPIREAT k:g 99999999999999", "PERSIST k:g"}, "g x=1;", ""},
		{"EXPIRE in the past", []string{"HSET k:a x 1", "EXPIRE k:a -1"}, "g x=1;", ""},
		{"SET over a hash", []string{"HSET k:a x 1"}, "a x=1; g x=1;", ""},
		{"SET over a hash, done", []string{"SET k:a text"}, "a x=1; g x=1;", "g x=1;"}, // which row is known from the key alone
		{"hash over a string", []string{"DEL k:a", "HSET k:a x 2"}, "a x=2; g x=1;", ""},
		{"RENAME of a string over a hash", []string{"SET other text", "RENAME other k:a"}, "a x=2; g x=1;", "g x=1;"},
		{"script", []string{"DEL k:a", "EVAL redis.call('HSET',KEYS[1],'x',7)redis.call('HSET',KEYS[2],'x',8)redis.call('DEL',KEYS[1]) 2 k:a k:b"}, "b x=8; g x=1;", ""},
		{"a key in another database", []string{"@HSET k:q x 1"}, "b x=8; g x=1;", ""},
		{"field names and values of any bytes", []string{"HSET k:b \x00\xff k\xc3\xa4se"}, "b x=8;\x00\xff=käse; g x=1;", ""},
	})
	t.Run("expired", func(t *testing.T) {
		if err := h.rdb.PExpire(t.Context(), "k:g", 5*time.Millisecond).Err(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the key has expired", func() bool { return h.rdb.Exists(t.Context(), "k:g").Val() == 0 })
		h.play(e, []step{{"expiry", nil, "b x=8;\x00\xff=käse; g x=1;", "b x=8;\x00\xff=käse;"}})
	})
}

// TestTransactions: MULTI and EXEC record what was done in them, and nothing of what was given up.
func TestTransactions(t *testing.T) {
	h := newHouse(t)
	e, _ := h.engine("one")
	h.deploy(true)
	h.ready(e, 2)
	_, err := h.rdb.TxPipelined(t.Context(), func(p redis.Pipeliner) error {
		for i := range 20 {
			p.HSet(t.Context(), fmt.Sprintf("emp:%d", i), "v", i)
		}
		p.Del(t.Context(), "emp:3")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	given := h.rdb.Conn()
	defer func() { _ = given.Close() }()
	for _, command := range [][]any{{"MULTI"}, {"HSET", "emp:99", "v", "1"}, {"DISCARD"}} {
		if err := given.Do(t.Context(), command...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	want := map[string]string{}
	for i := range 20 {
		if i != 3 {
			want[fmt.Sprintf("emp:%d", i)] = fmt.Sprint(i)
		}
	}
	h.equal("emp", "target", want)
}

// TestEvicted: rows of evicted keys stay, unless the job says otherwise (spec 1.5, G7).
func TestEvicted(t *testing.T) {
	h := newHouse(t, "--maxmemory-policy", "volatile-ttl", "--maxmemory-samples", "10")
	h.spec.Settings.Partitions = 1
	h.spec.Jobs = twoJobs()
	e, _ := h.engine("one")
	h.deploy(true)
	h.ready(e, 2)
	const keys = 40
	value := strings.Repeat("x", 100_000)
	for i := range keys {
		key := fmt.Sprintf("k:%d", i)
		if err := errors.Join(h.rdb.HSet(t.Context(), key, "v", value).Err(), h.rdb.Expire(t.Context(), key, time.Hour).Err()); err != nil {
			t.Fatal(err)
		}
	}
	for _, job := range []string{"plain", "deleting"} {
		eventually(t, "all rows", func() bool { return len(h.target.Rows(job, "target")) == keys })
	}
	used := h.rdb.InfoMap(t.Context(), "memory").Item("Memory", "used_memory")
	var bytes int
	if _, err := fmt.Sscan(used, &bytes); err != nil {
		t.Fatal(err)
	}
	if err := h.rdb.ConfigSet(t.Context(), "maxmemory", fmt.Sprint(bytes-1_500_000)).Err(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "some keys are evicted", func() bool { return len(h.rdb.Keys(t.Context(), "k:*").Val()) < keys-5 })
	if err := h.rdb.ConfigSet(t.Context(), "maxmemory", "0").Err(); err != nil {
		t.Fatal(err)
	}
	left := len(h.rdb.Keys(t.Context(), "k:*").Val())
	eventually(t, "the rows of evicted keys are deleted", func() bool { return len(h.target.Rows("deleting", "target")) == left })
	if n := len(h.target.Rows("plain", "target")); n != keys {
		t.Errorf("%d rows are left of %d, and no job asked for it", n, keys)
	}
}

// TestJSONCommands: what the commands on JSON documents come to, with the events of both modules (spec 1.4).
func TestJSONCommands(t *testing.T) {
	servers := map[string]func(*testing.T) string{
		"RedisJSON": func(t *testing.T) string {
			return jsonserver.Redis(t, jsonserver.RedisJSON, devserver.RedisOptions{}).Addr
		},
		"valkey-json": func(t *testing.T) string {
			return jsonserver.Redis(t, jsonserver.ValkeyJSON, devserver.RedisOptions{}).Addr
		},
	}
	for name, start := range servers {
		t.Run(name, func(t *testing.T) {
			h := houseAt(t, start(t))
			h.spec.Settings.Partitions = 1
			h.spec.Jobs = twoJobs()
			e, _ := h.engine("one")
			h.deploy(true)
			h.ready(e, 2)
			steps := []step{
				{"JSON.SET", []string{`JSON.SET k:a . {"n":1,"s":"x","t":true,"l":[1]}`}, `a {"n":1,"s":"x","t":true,"l":[1]}`, ""},
				{"JSON.SET of a path", []string{`JSON.SET k:a $.n 2`}, `a {"n":2,"s":"x","t":true,"l":[1]}`, ""},
				{"JSON.NUMINCRBY", []string{`JSON.NUMINCRBY k:a $.n 5`}, `a {"n":7,"s":"x","t":true,"l":[1]}`, ""},
				{"JSON.NUMMULTBY", []string{`JSON.NUMMULTBY k:a $.n 2`}, `a {"n":14,"s":"x","t":true,"l":[1]}`, ""},
				{"JSON.STRAPPEND", []string{`JSON.STRAPPEND k:a $.s "y"`}, `a {"n":14,"s":"xy","t":true,"l":[1]}`, ""},
				{"JSON.TOGGLE", []string{`JSON.TOGGLE k:a $.t`}, `a {"n":14,"s":"xy","t":false,"l":[1]}`, ""},
				{"JSON.ARRAPPEND", []string{`JSON.ARRAPPEND k:a $.l 2 3`}, `a {"n":14,"s":"xy","t":false,"l":[1,2,3]}`, ""},
				{"JSON.ARRINSERT", []string{`JSON.ARRINSERT k:a $.l 0 0`}, `a {"n":14,"s":"xy","t":false,"l":[0,1,2,3]}`, ""},
				{"JSON.ARRPOP", []string{`JSON.ARRPOP k:a $.l`}, `a {"n":14,"s":"xy","t":false,"l":[0,1,2]}`, ""},
				{"JSON.ARRTRIM", []string{`JSON.ARRTRIM k:a $.l 1 2`}, `a {"n":14,"s":"xy","t":false,"l":[1,2]}`, ""},
				{"JSON.CLEAR", []string{`JSON.CLEAR k:a $.l`}, `a {"n":14,"s":"xy","t":false,"l":[]}`, ""},
				{"JSON.DEL of a path", []string{`JSON.DEL k:a $.l`, `JSON.FORGET k:a $.t`}, `a {"n":14,"s":"xy"}`, ""},
				{"JSON.MSET", []string{`JSON.MSET k:b . {"m":1} k:c . {"m":2}`}, `a {"n":14,"s":"xy"} b {"m":1} c {"m":2}`, ""},
				{"JSON.DEL of the root", []string{`JSON.DEL k:b`, `JSON.FORGET k:c`}, `a {"n":14,"s":"xy"}`, ""},
				{"RENAME, COPY", []string{`RENAME k:a k:d`, `COPY k:d k:e`}, `d {"n":14,"s":"xy"} e {"n":14,"s":"xy"}`, ""},
				{"DEL, UNLINK", []string{`DEL k:d`, `UNLINK k:e`}, ``, ""},
				{"a hash becomes a document", []string{`HSET k:f x 1`, `DEL k:f`, `JSON.SET k:f . {"x":2}`}, `f {"x":2}`, ""},
				{"a document becomes a string", []string{`SET k:f text`}, `f {"x":2}`, none},
			}
			if name == "RedisJSON" {
				steps = append(steps, step{
					"JSON.MERGE",
					[]string{`DEL k:f`, `JSON.SET k:g . {"a":1,"b":2}`, `JSON.MERGE k:g $ {"a":null,"c":3}`},
					`g {"b":2,"c":3}`, "",
				})
			}
			h.play(e, steps)
		})
	}
}
