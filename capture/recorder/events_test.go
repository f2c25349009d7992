package recorder_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"slipstream/capture/recorder"
	"slipstream/deploy/dev/devserver"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// TestEvents: what each command leaves in the stream (spec 1.4, 1.5).
func TestEvents(t *testing.T) {
	r := newRig(t, devserver.RedisOptions{}, job("emp", "emp:*"))
	r.started()
	cases := []struct {
		name     string
		commands [][]any
		want     []string
	}{
		{"hash", [][]any{
			{"HSET", "emp:1", "a", "1"},
			{"HMSET", "emp:1", "b", "2"},
			{"HSETNX", "emp:1", "c", "3"},
			{"HINCRBY", "emp:1", "a", "1"},
			{"HINCRBYFLOAT", "emp:1", "a", "0.5"},
			{"HDEL", "emp:1", "b"},
		}, []string{
			"u hset emp:1", "u hset emp:1", "u hset emp:1", "u hincrby emp:1", "u hincrbyfloat emp:1", "u hdel emp:1",
		}},
		{"nothing changed", [][]any{{"HSETNX", "emp:1", "a", "9"}, {"HDEL", "emp:1", "zzz"}, {"DEL", "emp:none"}}, nil},
		{"last field", [][]any{{"HSET", "emp:l", "a", "1"}, {"HDEL", "emp:l", "a"}}, []string{
			"u hset emp:l", "u hdel emp:l", "d del emp:l",
		}},
		{"removal", [][]any{{"DEL", "emp:1"}, {"HSET", "emp:2", "a", "1"}, {"UNLINK", "emp:2"}}, []string{
			"d del emp:1", "u hset emp:2", "d del emp:2",
		}},
		{"rename", [][]any{{"HSET", "emp:3", "a", "1"}, {"RENAME", "emp:3", "emp:4"}, {"RENAME", "emp:4", "other"}, {"RENAME", "other", "emp:5"}}, []string{
			"u hset emp:3", "d rename_from emp:3", "u rename_to emp:4", "d rename_from emp:4", "u rename_to emp:5",
		}},
		{"copy and restore", [][]any{{"COPY", "emp:5", "emp:6"}, {"RESTORE", "emp:7", "0", "$dump"}}, []string{
			"u copy_to emp:6", "u restore emp:7",
		}},
		{"other types", [][]any{
			{"SET", "emp:6", "x"}, {"SADD", "emp:s", "x"}, {"LPUSH", "emp:q", "x"}, {"INCR", "emp:n"}, {"EXPIRE", "emp:7", "1000"}, {"PERSIST", "emp:7"},
		}, []string{"u set emp:6"}},
		{"expiry", [][]any{{"HSET", "emp:8", "a", "1"}, {"PEXPIRE", "emp:8", "1"}}, []string{
			"u hset emp:8", "x expired emp:8",
		}},
		{"negative time to live", [][]any{{"HSET", "emp:9", "a", "1"}, {"EXPIRE", "emp:9", "-1"}}, []string{
			"u hset emp:9", "d del emp:9",
		}},
		{"move", [][]any{{"HSET", "emp:10", "a", "1"}, {"MOVE", "emp:10", "3"}}, []string{"u hset emp:10", "d move_from emp:10"}},
		{"transaction and script", [][]any{
			{"EVAL", "redis.call('HSET', KEYS[1], 'a', '1') redis.call('DEL', KEYS[1])", "1", "emp:11"},
		}, []string{"u hset emp:11", "d del emp:11"}},
	}
	dump, err := r.rdb.Dump(t.Context(), "emp:5").Result()
	if err == nil {
		t.Fatalf("a dump of nothing: %q", dump)
	}
	var want []string
	for _, c := range cases {
		for _, command := range c.commands {
			for i, a := range command {
				if a == "$dump" {
					if dump, err = r.rdb.Dump(t.Context(), "emp:6").Result(); err != nil {
						t.Fatal(err)
					}
					command[i] = dump
				}
			}
			r.do(command...)
		}
		want = append(want, c.want...)
		if c.name == "expiry" {
			time.Sleep(3 * time.Millisecond) // for the server's clock
			r.do("EXISTS", "emp:8")
		}
		if !t.Run(c.name, func(t *testing.T) {
			r := *r
			r.t = t
			r.expect("emp", want...)
		}) {
			t.FailNow()
		}
	}
	if got := r.causes(); len(got) != 0 {
		t.Errorf("a job recorded for the first time has gaps %v", got)
	}
}

// TestKeys: a key is bytes, whatever they are, and the pattern is the server's (spec 3.5).
func TestKeys(t *testing.T) {
	r := newRig(t, devserver.RedisOptions{}, job("k", "k?:*"), job("all", "*"), job("k2", "k?:*"), job("one", "k1:exact"))
	r.started()
	var want []string
	for i, key := range []string{
		"k1: with space", "k2:line\r\nbreak", "k3:\x00\xff\xfe", "k4:", "k5:käse☃", "k6:__keyspace@0__:x", "k1:exact", "k7:" + string(make([]byte, 100_000)),
	} {
		r.do("HSET", key, "f", fmt.Sprint(i))
		want = append(want, "u hset "+key)
	}
	r.do("HSET", "kk1:no", "f", "1")
	r.expect("k", want...)
	r.expect("k2", want...)
	r.expect("all", append(want, "u hset kk1:no")...)
	r.expect("one", "u hset k1:exact")
	// Nothing of ours was recorded by the job on every key, though headers and leases were written all the while, and
	// were under job "all" again and again.
	r.do("HSET", "slipstream:x", "f", "1")
	r.do("HSET", "dlq:slipstream:x", "f", "1")
	r.do("HSET", "last", "f", "1")
	r.expect("all", append(want, "u hset kk1:no", "u hset last")...)
}

// TestExclude: excluded events leave no entry; types that a job does not expect neither (spec 1.4).
func TestExclude(t *testing.T) {
	r := newRig(t, devserver.RedisOptions{},
		job("nodel", "e:*", func(j *pipelinev1.Job) { j.Source.ExcludeCommands = []string{"del", "hdel"} }),
		job("json", "e:*", func(j *pipelinev1.Job) { j.Source.Types = []string{"json"} }),
		job("off", "e:*", func(j *pipelinev1.Job) { j.Enabled = false }),
	)
	r.started()
	r.do("HSET", "e:1", "a", "1", "b", "2")
	r.do("HDEL", "e:1", "a")
	r.do("HSET", "e:1", "c", "1")
	r.do("DEL", "e:1")
	r.do("HSET", "e:2", "a", "1")
	r.expect("nodel", "u hset e:1", "u hset e:1", "u hset e:2")
	r.expect("json", "d del e:1")
	if n := r.rdb.Exists(t.Context(), "slipstream:{p:0of2}:off").Val(); n != 0 {
		t.Error("a disabled job has a stream")
	}
}

// TestDatabase: a job follows its logical database only; the streams stay in that of the connection.
func TestDatabase(t *testing.T) {
	r := newRig(t, devserver.RedisOptions{}, job("zero", "d:*"), job("three", "d:*", func(j *pipelinev1.Job) { j.Source.Database = 3 }))
	r.started()
	pipe := r.rdb.Pipeline()
	pipe.Do(t.Context(), "SELECT", "3")
	pipe.HSet(t.Context(), "d:in-three", "a", "1")
	pipe.Do(t.Context(), "MOVE", "d:in-three", "0")
	pipe.Do(t.Context(), "SELECT", "0")
	if _, err := pipe.Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.expect("three", "u hset d:in-three", "d move_from d:in-three")
	r.expect("zero", "u move_to d:in-three")
}

// TestEviction: an evicted key is told from a deleted one (G7). The lease is not among the keys that a policy takes first.
func TestEviction(t *testing.T) {
	r := newRig(t, devserver.RedisOptions{Args: []string{"--maxmemory", "8mb", "--maxmemory-policy", "volatile-ttl"}}, job("v", "v:*"))
	n := r.started()
	value := string(make([]byte, 50_000))
	for i := range 400 {
		key := fmt.Sprintf("v:%d", i)
		r.do("HSET", key, "a", value)
		r.do("EXPIRE", key, 1000+i)
	}
	evicted := 0
	r.eventually("an eviction is recorded", func() bool {
		evicted = 0
		for _, e := range r.entries("v") {
			if e[:2] == "e " {
				evicted++
			} else if e[:2] != "u " {
				t.Fatalf("recorded %q", e)
			}
		}
		return evicted > 0
	})
	if got := r.causes(); len(got) != 0 || !n.Status().GetConnected() {
		t.Errorf("gaps %q, status %v", got, n.Status())
	}
}

// TestCreated: where the operator has class n on, a key that comes into being has op c.
func TestCreated(t *testing.T) {
	r := newRig(t, devserver.RedisOptions{Args: []string{"--notify-keyspace-events", "Kn"}}, job("c", "c:*"), job("all", "*"))
	r.started()
	r.do("HSET", "c:1", "a", "1")
	r.do("HSET", "c:1", "a", "2")
	r.do("RENAME", "c:1", "c:2")
	r.expect("c", "c hset c:1", "u hset c:1", "d rename_from c:1", "c rename_to c:2")
	r.expect("all", "c hset c:1", "u hset c:1", "d rename_from c:1", "c rename_to c:2")
}

// TestCreationsAreAskedFor: class n is turned on as soon as a job sees opcodes, and not before (spec 1.3).
func TestCreationsAreAskedFor(t *testing.T) {
	r := newRig(t, devserver.RedisOptions{}, job("c", "c:*"))
	n := r.started()
	class := func() bool {
		return strings.Contains(r.rdb.ConfigGet(t.Context(), "notify-keyspace-events").Val()["notify-keyspace-events"], "n")
	}
	if class() {
		t.Error("class n is on, and no job sees opcodes")
	}
	r.spec.Jobs[0].RowFormat = pipelinev1.RowFormat_ROW_FORMAT_FULL
	n.Configure(r.plan())
	r.eventually("class n is on", class)
	r.do("HSET", "c:1", "a", "1")
	r.do("HSET", "c:1", "a", "2")
	r.expect("c", "c hset c:1", "u hset c:1")
}

// TestSeesCreations (spec 1.3, 5.5).
func TestSeesCreations(t *testing.T) {
	column := func(d *pipelinev1.Document) *pipelinev1.Output {
		return &pipelinev1.Output{Writer: &pipelinev1.Output_Relational{Relational: &pipelinev1.RelationalWrite{
			Columns: []*pipelinev1.OutputColumn{{}, {Source: &pipelinev1.OutputColumn_Document{Document: d}}},
		}}}
	}
	for want, j := range map[bool]*pipelinev1.Job{
		true:  {Outputs: []*pipelinev1.Output{{}, column(&pipelinev1.Document{Opcode: "op_code"})}},
		false: {RowFormat: pipelinev1.RowFormat_ROW_FORMAT_PARTIAL, Outputs: []*pipelinev1.Output{column(&pipelinev1.Document{All: true})}},
	} {
		if got := recorder.SeesCreations(j); got != want {
			t.Errorf("%v sees creations: %t", j, got)
		}
	}
}

// TestJSON: events of JSON documents as RedisJSON and valkey-json send them. This server has no such module, so the test
// publishes what the module would.
func TestJSON(t *testing.T) {
	r := newRig(t, devserver.RedisOptions{}, job("j", "j:*"), job("hash", "j:*", func(j *pipelinev1.Job) { j.Source.Types = []string{"hash"} }),
		job("no", "j:*", func(j *pipelinev1.Job) { j.Source.ExcludeCommands = []string{"json.del", "json.merge"} }))
	r.started()
	for _, name := range []string{"json.set", "json.numincrby", "json.merge", "json.clear", "json.del", "json.somethingnew", "del"} {
		r.do("PUBLISH", "__keyspace@0__:j:1", name)
	}
	r.expect("j", "u json.set j:1", "u json.numincrby j:1", "u json.merge j:1", "u json.clear j:1", "m json.del j:1",
		"u json.somethingnew j:1", "d del j:1")
	r.expect("hash", "d del j:1")
	r.expect("no", "u json.set j:1", "u json.numincrby j:1", "u json.clear j:1", "u json.somethingnew j:1", "d del j:1")
}
