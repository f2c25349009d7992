package jsonserver

import (
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"slipstream/deploy/dev/devserver"
)

// TestClasses: an event is published where the setting asks for its class (spec 1.4), on the channels that it asks for, and
// the setting stays what it was.
func TestClasses(t *testing.T) {
	tests := []struct {
		name, setting           string
		redisJSON, valkey, hash string // events of JSON.SET, by module, and of HSET
	}{
		{name: "off", setting: ""},
		{name: "without the class", setting: "KEh", hash: "h hset, hset h"},
		{name: "by key, module", setting: "Kd", redisJSON: "d json.set"},
		{name: "by key, generic", setting: "Kg", valkey: "d json.set"},
		{name: "by event", setting: "Egd", redisJSON: "json.set d", valkey: "json.set d"},
		{name: "all", setting: "KEA", redisJSON: "d json.set, json.set d", valkey: "d json.set, json.set d", hash: "h hset, hset h"},
		{name: "new keys", setting: "KEghd$xen", redisJSON: "d new, new d, d json.set, json.set d", valkey: "d new, new d, d json.set, json.set d", hash: "h new, new h, h hset, hset h"},
	}
	run := func(t *testing.T, addr string, redisJSON bool) {
		c := dial(t, addr)
		e := listen(t, addr, "__key*@*__:*")
		e.send("PSUBSCRIBE __keyspace@end")
		e.read()
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				c.want("FLUSHALL", "OK")
				c.want("CONFIG SET "+setting+" '"+test.setting+"'", "OK")
				before := c.do("CONFIG GET " + setting)
				c.want("JSON.SET d . 1", "OK")
				want := test.valkey
				if redisJSON {
					want = test.redisJSON
				}
				if got := e.since(); got != want {
					t.Errorf("events %q, want %q", got, want)
				}
				c.want("HSET h f v", ":1")
				if got := e.since(); got != test.hash {
					t.Errorf("events of a hash %q, want %q", got, test.hash)
				}
				if after := c.do("CONFIG GET " + setting); after != before {
					t.Errorf("the setting is %s, was %s", after, before)
				}
			})
		}
	}
	servers(t, func(t *testing.T, addr string) { run(t, addr, false) })
	t.Run("double of RedisJSON", func(t *testing.T) {
		run(t, Redis(t, RedisJSON, devserver.RedisOptions{}).Addr, true)
	})
}

// TestMerge: JSON.MERGE is of RedisJSON, and RFC 7396.
func TestMerge(t *testing.T) {
	c := dial(t, Redis(t, RedisJSON, devserver.RedisOptions{}).Addr)
	e := listen(t, c.conn.RemoteAddr().String(), "__keyspace@*")
	c.want("CONFIG SET "+setting+" Kgdn", "OK")
	for _, s := range []exchange{
		{`JSON.MERGE d . '{"a":1,"n":null,"o":{"x":1,"n":null}}'`, "OK", "d new, d json.merge"},
		{"JSON.GET d", `{"a":1,"o":{"x":1}}`, ""},
		{"EXPIRE d 100", ":1", "d expire"},
		{`JSON.MERGE d $ '{"a":null,"o":{"y":[1]},"b":{}}'`, "OK", "d json.merge"},
		{"JSON.GET d", `{"o":{"x":1,"y":[1]},"b":{}}`, ""},
		{`JSON.MERGE d $.o '{"x":null}'`, "OK", "d json.merge"},
		{`JSON.MERGE d .new '{"x":null}'`, "OK", "d json.merge"},
		{"JSON.MERGE d .o.y 5", "OK", "d json.merge"},
		{"JSON.GET d", `{"o":{"y":5},"b":{},"new":{}}`, ""},
		{"TTL d", ":100", ""},
		{"JSON.MERGE d .q.r 5", "-NONEXISTENT JSON path does not exist", ""},
		{"COMMAND INFO JSON.MERGE", "[[JSON.MERGE :4 [write denyoom module] :1 :1 :1 [@write @json] [] [] []]]", ""},
		{"MODULE LIST", "[[name ReJSON ver :20800]]", ""},
	} {
		c.want(s.command, s.answer)
		if got := e.since(); got != s.events {
			t.Errorf("%s: events %q, want %q", s.command, got, s.events)
		}
	}
}

// TestCommand: the server tells of the commands of the module as of its own. Keys stand where COMMAND says.
func TestCommand(t *testing.T) {
	servers(t, func(t *testing.T, addr string) {
		c := dial(t, addr)
		for name, begins := range map[string]string{
			"JSON.GET":       "[[JSON.GET :-2 [readonly module fast] :1 :1 :1 ",
			"json.set":       "[[JSON.SET :-4 [write denyoom module] :1 :1 :1 ",
			"JSON.MSET":      "[[JSON.MSET :-4 [write denyoom module] :1 :-3 :3 ",
			"JSON.NUMINCRBY": "[[JSON.NUMINCRBY :4 [write",
			"JSON.NOSUCH":    "[nil]",
			"get":            "[[get :2 ",
		} {
			if got := c.do("COMMAND INFO " + name); !strings.HasPrefix(got, begins) {
				t.Errorf("COMMAND INFO %s: %s, want %s…", name, got, begins)
			}
		}
		got := c.do("COMMAND INFO get JSON.GET nosuch hget")
		for _, part := range []string{"[[get :2", "] [JSON.GET :-2", "] nil [hget :3"} {
			_, rest, found := strings.Cut(got, part)
			if !found {
				t.Errorf("COMMAND INFO get JSON.GET nosuch hget: no %q in what should follow: %s", part, got)
			}
			got = rest
		}
		names := 0
		for name := range strings.FieldsSeq(c.do("COMMAND LIST")) {
			if !strings.Contains(name, "|") { // of a subcommand
				names++
			}
		}
		c.want("COMMAND COUNT", fmt.Sprintf(":%d", names))
		for _, command := range []string{"COMMAND", "COMMAND LIST", "COMMAND INFO"} {
			got := c.do(command)
			for _, name := range []string{"JSON.SET", "JSON.DEL", "hgetall"} {
				if !strings.Contains(got, name+" ") && !strings.Contains(got, name+"]") {
					t.Errorf("%s does not tell of %s", command, name)
				}
			}
		}
		if got := c.do("MODULE LIST"); !strings.HasPrefix(got, "[[name json ver :10002") {
			t.Errorf("MODULE LIST: %s", got)
		}
	})
}

// TestPipeline: answers come in the order of the commands, whoever gives them, and each command sees what those before it
// did.
func TestPipeline(t *testing.T) {
	servers(t, func(t *testing.T, addr string) {
		c := dial(t, addr)
		c.want("FLUSHALL", "OK")
		var commands, want []string
		for i := range 200 {
			commands = append(commands,
				fmt.Sprintf("JSON.SET d%d . '{\"n\":%d}'", i, i), fmt.Sprintf("TYPE d%d", i), fmt.Sprintf("HSET h%d f v", i),
				fmt.Sprintf("JSON.NUMINCRBY d%d .n 1", i), fmt.Sprintf("JSON.GET d%d", i), fmt.Sprintf("DEL d%d h%d", i, i),
				fmt.Sprintf("JSON.GET d%d", i), "ECHO "+strings.Repeat("x", i*100), "MULTI", fmt.Sprintf("JSON.SET m . %d", i), "JSON.GET m", "EXEC")
			want = append(want, "OK", "ReJSON-RL", ":1", fmt.Sprint(i+1), fmt.Sprintf(`{"n":%d}`, i+1), ":2", "nil", strings.Repeat("x", i*100),
				"OK", "QUEUED", "QUEUED", fmt.Sprintf("[OK %d]", i))
		}
		commands[7], want[7] = "ECHO hello", "hello"
		sent := make(chan struct{})
		go func() { c.send(commands...); close(sent) }()
		for i := range commands {
			if got := c.read(); got != want[i] {
				t.Fatalf("answer %d, to %.60s: %.60s, want %.60s", i, commands[i], got, want[i])
			}
		}
		<-sent
	})
}

// TestSubscription: what a connection that subscribes sees is untouched, and events of documents are in their place among
// the others.
func TestSubscription(t *testing.T) {
	servers(t, func(t *testing.T, addr string) {
		sub, c := dial(t, addr), dial(t, addr)
		c.want("FLUSHALL", "OK")
		c.want("CONFIG SET "+setting+" Kghd", "OK")
		sub.send("PSUBSCRIBE __keyspace@0__:k*", "PING beat:1", "PSUBSCRIBE quiet", "PUNSUBSCRIBE quiet")
		for _, want := range []string{"[psubscribe __keyspace@0__:k* :1]", "[pong beat:1]", "[psubscribe quiet :2]", "[punsubscribe quiet :1]"} {
			if got := sub.read(); got != want {
				t.Errorf("%s, want %s", got, want)
			}
		}
		c.want("HSET k1 f v", ":1")
		c.want("JSON.SET k2 . 1", "OK")
		c.want("DEL k2", ":1")
		c.want("JSON.SET other . 1", "OK")
		c.want("HDEL k1 f", ":1")
		sub.send("PING beat:2")
		for _, want := range []string{"k1 hset", "k2 json.set", "k2 del", "k1 hdel", "k1 del"} {
			key, event, _ := strings.Cut(want, " ")
			want = fmt.Sprintf("[pmessage __keyspace@0__:k* __keyspace@0__:%s %s]", key, event)
			if got := sub.read(); got != want {
				t.Errorf("%s, want %s", got, want)
			}
		}
		if got := sub.read(); got != "[pong beat:2]" {
			t.Errorf("%s, want the answer to PING", got)
		}
	})
}

// TestProtocol3: a client may speak RESP3.
func TestProtocol3(t *testing.T) {
	servers(t, func(t *testing.T, addr string) {
		c := dial(t, addr)
		c.want("FLUSHALL", "OK")
		if got := c.do("HELLO 3"); !strings.Contains(got, "proto :3") {
			t.Fatalf("HELLO 3: %s", got)
		}
		c.want("CLIENT TRACKING ON BCAST NOLOOP", "OK")
		c.send("JSON.GET none")
		if line, err := c.in.ReadString('\n'); err != nil || line != "_\r\n" {
			t.Errorf("nothing is answered %q (%v)", line, err)
		}
		c.want("JSON.SET d . 1", "OK")
		c.want("JSON.ARRPOP none", "-NONEXISTENT Document key does not exist")
		c.want("HSET h f v", ":1")
		c.want("HGETALL h", "[f v]")
		dial(t, addr).want("JSON.SET d . 2", "OK")
		if got := c.read(); got != "[invalidate [d]]" {
			t.Errorf("%s, want the key that changed", got)
		}
		c.want("JSON.GET d", "2")
		c.want("RESET", "RESET")
		c.send("JSON.GET none")
		if line, err := c.in.ReadString('\n'); err != nil || line != "$-1\r\n" {
			t.Errorf("nothing is answered %q (%v)", line, err)
		}
	})
}

// TestConcurrent: documents written by many, deleted and expiring meanwhile, lose nothing, and nothing of the storage
// shows.
func TestConcurrent(t *testing.T) {
	const clients, each = 8, 60
	servers(t, func(t *testing.T, addr string) {
		c := dial(t, addr)
		c.want("FLUSHALL", "OK")
		c.want("CONFIG SET "+setting+" KEA", "OK")
		c.want("JSON.SET d . '{\"n\":0}'", "OK")
		e := listen(t, addr, "__keyspace@*")
		all := make([]*client, clients)
		for i := range all {
			all[i] = dial(t, addr)
		}
		var writing sync.WaitGroup
		for i, c := range all {
			writing.Go(func() {
				for range each {
					c.want("JSON.SET d .other 1", "OK")
					if c.do("JSON.NUMINCRBY d .n 1") == "" {
						t.Error("no answer")
					}
					c.want("EXPIRE d 1000", ":1")
					c.want(fmt.Sprintf("JSON.SET own%d . 1", i), "OK")
					c.want(fmt.Sprintf("DEL own%d", i), ":1")
				}
			})
		}
		writing.Wait()
		c.want("JSON.GET d .n", fmt.Sprint(clients*each))
		c.want("CONFIG GET "+setting, "["+setting+" AKE]")
		seen := map[string]int{}
		for _, event := range strings.Split(e.since(), ", ") {
			_, name, _ := strings.Cut(event, " ")
			seen[name]++
		}
		const n = clients * each
		want := map[string]int{"json.set": 2 * n, "json.numincrby": n, "expire": n, "del": n}
		if fmt.Sprint(seen) != fmt.Sprint(want) {
			t.Errorf("events %v, want %v", seen, want)
		}
	})
}

// TestRefused: what the double cannot do as a module would, it refuses.
func TestRefused(t *testing.T) {
	c := dial(t, Redis(t, ValkeyJSON, devserver.RedisOptions{}).Addr)
	c.want("JSON.SET d . '{\"a\":1}'", "OK")
	c.want("JSON.GET d $..a", "-"+errPath.Error())
	c.want("WATCH d", "OK")
	c.want("JSON.GET d", `{"a":1}`) // reads, and the key stays watched
	c.want("JSON.SET d .a 2", "-"+errWatching.Error())
	dial(t, c.conn.RemoteAddr().String()).want("JSON.SET d .a 3", "OK")
	c.want("MULTI", "OK")
	c.want("HSET h f v", "QUEUED")
	c.want("EXEC", "nil")
	c.want("WATCH d", "OK")
	c.want("MULTI", "OK")
	c.want("JSON.SET d .a 4", "QUEUED")
	c.want("HSET h f v", "QUEUED")
	c.want("EXEC", "[OK :1]")
	c.want("WATCH h", "OK")
	c.want("MULTI", "OK")
	c.want("JSON.SET d .a 5", "QUEUED")
	dial(t, c.conn.RemoteAddr().String()).want("HSET h f w", ":0")
	c.want("EXEC", "nil")
	c.want("WATCH h d", "OK")
	c.want("MULTI", "OK")
	c.want("JSON.GET d", "QUEUED")
	dial(t, c.conn.RemoteAddr().String()).want("HSET h f v", ":0")
	c.want("EXEC", "nil")
	c.want("WATCH h", "OK")
	c.want("MULTI", "OK")
	c.want("JSON.SET d .a 3", "QUEUED")
	c.want("DISCARD", "OK")
	c.want("JSON.SET d .a 3", "OK")
	for _, command := range []string{"SET d x", "SELECT 1", "FLUSHALL"} {
		c.want("MULTI", "OK")
		c.want(command, "QUEUED")
		c.want("JSON.SET d .a 4", "QUEUED")
		if got := c.do("EXEC"); !strings.HasPrefix(got, "-ERR the JSON double knows no ") {
			t.Errorf("%s beside documents: %s", command, got)
		}
	}
	c.want("JSON.GET d", `{"a":3}`)
}

// TestOutOfMemory: a refusal of the server underneath is the answer, and the setting is untouched.
func TestOutOfMemory(t *testing.T) {
	c := dial(t, Redis(t, ValkeyJSON, devserver.RedisOptions{}).Addr)
	c.want("CONFIG SET "+setting+" KEA", "OK")
	c.want("CONFIG SET maxmemory 1", "OK")
	c.want("JSON.SET d . 1", "-OOM command not allowed when used memory > 'maxmemory'.")
	c.want("CONFIG SET maxmemory 0", "OK")
	c.want("CONFIG GET "+setting, "["+setting+" AKE]")
	c.want("JSON.SET d . 1", "OK")
}

// TestEnd: the proxy ends with its connections, whatever they are doing; a server underneath that ends is seen by the
// clients; and one that comes back is used again.
func TestEnd(t *testing.T) {
	before := runtime.NumGoroutine()
	redis := devserver.Redis(t, devserver.RedisOptions{Persist: true})
	s, err := Start(redis.Addr, ValkeyJSON)
	if err != nil {
		t.Fatal(err)
	}
	c := dial(t, s.Addr)
	c.want("JSON.SET d . 1", "OK")
	if err := redis.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := c.in.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("the client sees %v, want its connection closed", err)
	}
	dial(t, s.Addr).want("JSON.GET d", "1")

	blocked, subscribed := dial(t, s.Addr), dial(t, s.Addr)
	blocked.send("BLPOP list 0", "JSON.GET d")
	subscribed.send("SUBSCRIBE a")
	subscribed.read()
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []*client{blocked, subscribed} {
		if _, err := c.in.ReadByte(); err == nil {
			t.Error("a connection outlives the proxy")
		}
	}
	if conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s.Addr); err == nil {
		_ = conn.Close()
		t.Error("the proxy listens after its end")
	}
	for end := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d goroutines, were %d", runtime.NumGoroutine(), before)
		}
	}
}

// TestCommandForms: a command comes as an array or as a line, and nonsense ends the connection.
func TestCommandForms(t *testing.T) {
	addr := Redis(t, ValkeyJSON, devserver.RedisOptions{}).Addr
	c := dial(t, addr)
	if _, err := io.WriteString(c.conn, "\r\nJSON.SET d . 1\r\nPING\r\n*2\r\n$8\r\njson.get\r\n$1\r\nd\r\n"); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"OK", "PONG", "1"} {
		if got := c.read(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	for _, nonsense := range []string{"*x\r\n", "*1\r\n:5\r\n", "*1\r\n$-7\r\n", "*1\r\n$99999999999\r\n"} {
		c := dial(t, addr)
		if _, err := io.WriteString(c.conn, nonsense); err != nil {
			t.Fatal(err)
		}
		if _, err := c.in.ReadByte(); err == nil {
			t.Errorf("%q is answered", nonsense)
		}
	}
}
