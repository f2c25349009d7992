package tail

import (
	"bufio"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"slipstream/capture/resp"
	"slipstream/capture/stream"
	"slipstream/deploy/dev/devserver"
	changev1 "slipstream/proto/slipstream/change/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

type bench struct {
	t      *testing.T
	name   string // of the pipeline: no other test's, and no other run's
	rdb    *redis.Client
	stream stream.Stream
	header stream.Header
	dial   func(context.Context) (*resp.Conn, error)
	values func(context.Context) (*resp.Conn, error)
	unread Unread
}

// newBench makes a stream of one partition on the shared Redis; values come from the same server unless told otherwise.
func newBench(t *testing.T) *bench {
	t.Helper()
	addr := devserver.SharedRedis(t).Addr
	rdb := redis.NewClient(&redis.Options{Addr: addr})
	t.Cleanup(func() { _ = rdb.Close() })
	name := t.Name() + "-" + rand.Text()[:6]
	b := &bench{t: t, name: name, rdb: rdb, stream: stream.Recorded(name, "job", 0, 1)}
	b.dial = func(ctx context.Context) (*resp.Conn, error) { return resp.Dial(ctx, resp.Options{Addr: addr}) }
	b.values = b.dial
	var err error
	if b.header, err = stream.NewStore(rdb).Create(t.Context(), b.stream, stream.ID{}, "0 *"); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bench) tail(at stream.Position, change func(*Options)) *Tail {
	b.t.Helper()
	pool := NewPool(b.values, 2)
	o := Options{
		Stream: b.stream, Incarnation: b.header.Incarnation, At: at, Source: &pipelinev1.Source{}, Connection: "target",
		Dial: b.dial, Values: pool, Unread: &b.unread,
	}
	if change != nil {
		change(&o)
	}
	tail := New(o)
	b.t.Cleanup(func() {
		if err := tail.Close(); err != nil {
			b.t.Errorf("closing the tail: %v", err)
		}
		if err := pool.Close(); err != nil {
			b.t.Errorf("closing the pool: %v", err)
		}
	})
	return tail
}

func (b *bench) key(name string) string { return b.name + ":" + name }

// record appends entries: op, key, op, key, …; an upper case op goes to the side stream.
func (b *bench) record(pairs ...string) {
	b.t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		op, to := pairs[i], b.stream.Main
		if op == "R" {
			op, to = "r", b.stream.Side
		}
		command := map[string]string{"d": "del", "x": "expired", "e": "evicted"}[op]
		if command == "" {
			command = "hset"
		}
		err := b.rdb.XAdd(b.t.Context(), &redis.XAddArgs{
			Stream: to, Values: []any{"key", b.key(pairs[i+1]), "op", op, "command", command},
		}).Err()
		if err != nil {
			b.t.Fatal(err)
		}
	}
}

func (b *bench) hset(key string, fields ...any) {
	b.t.Helper()
	if err := b.rdb.HSet(b.t.Context(), b.key(key), fields...).Err(); err != nil {
		b.t.Fatal(err)
	}
}

func next(t *testing.T, tail *Tail) *Read {
	t.Helper()
	if _, err := tail.Gather(t.Context()); err != nil {
		t.Fatal(err)
	}
	r, err := tail.Batch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// show writes a change as "op key field=value …" or "op key document".
func show(b *changev1.Batch, c *changev1.Change) string {
	_, key, _ := strings.Cut(string(c.Key), ":")
	s := strings.ToLower(strings.TrimPrefix(c.Op.String(), "OP_")) + " " + key
	switch c.Type {
	case changev1.ValueType_VALUE_TYPE_HASH:
		from := uint32(0)
		for i, f := range b.Shapes[c.Shape].Fields {
			s += fmt.Sprintf(" %s=%s", f, c.Values[from:c.Ends[i]])
			from = c.Ends[i]
		}
	case changev1.ValueType_VALUE_TYPE_JSON:
		s += " " + string(c.Document)
	}
	return s
}

func shows(r *Read) string {
	if r == nil {
		return "nothing"
	}
	var all []string
	for _, c := range r.Batch.Changes {
		all = append(all, show(r.Batch, c))
	}
	return strings.Join(all, "; ")
}

func TestBatchReadsCurrentValues(t *testing.T) {
	b := newBench(t)
	tail := b.tail(b.header.Start(), nil)
	if r := next(t, tail); r != nil {
		t.Fatalf("an empty stream gave %v", shows(r))
	}
	b.hset("a", "x", "1", "y", "\x00\xff")
	b.hset("b", "x", "2", "y", "")
	b.hset("c", "z", "3")
	if err := b.rdb.Set(t.Context(), b.key("s"), "text", 0).Err(); err != nil {
		t.Fatal(err)
	}
	b.record("c", "a", "u", "b", "u", "c", "u", "a", "d", "gone", "u", "s", "u", "later")
	r := next(t, tail)
	want := "update b x=2 y=; update c z=3; create a x=1 y=\x00\xff; delete gone"
	if got := shows(r); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if len(r.Batch.Shapes) != 2 {
		t.Errorf("%d shapes, want 2", len(r.Batch.Shapes))
	}
	if r.Skipped != 1 || r.Main != 7 || r.Side != 0 || len(r.Rejects) != 0 || r.OldestMs == 0 {
		t.Errorf("read %+v", r)
	}
	h, err := stream.NewStore(b.rdb).Header(t.Context(), b.stream)
	if err != nil {
		t.Fatal(err)
	}
	if r.Position.Main != h.Last || stream.FromPosition(r.Batch.Position) != r.Position {
		t.Errorf("position %v, batch %v, want main %v", r.Position, r.Batch.Position, h.Last)
	}
	if r := next(t, tail); r != nil {
		t.Errorf("read again: %v", shows(r))
	}
}

func TestSweepsReadAndNeverDelete(t *testing.T) {
	b := newBench(t)
	tail := b.tail(b.header.Start(), nil)
	b.hset("a", "x", "1")
	b.record("R", "a", "R", "gone")
	got := ""
	for range 4 { // the reader gives a quiet side stream one entry at first
		if r := next(t, tail); r != nil {
			got += shows(r) + "|"
			if !r.Position.Main.IsZero() && r.Position.Main != b.header.Start().Main {
				t.Errorf("a sweep moved the main position to %v", r.Position)
			}
		}
	}
	if got != "read a x=1||" {
		t.Errorf("got %q", got)
	}
}

func TestCutByBytesLosesNothing(t *testing.T) {
	b := newBench(t)
	big := strings.Repeat("v", 40<<10)
	want := map[string]string{}
	for i := range 60 {
		key := fmt.Sprintf("k%d", i%40)
		value := strconv.Itoa(i) + big
		b.hset(key, "v", value)
		b.record("u", key)
		want[key] = value
	}
	tail := b.tail(b.header.Start(), func(o *Options) { o.Bytes = 100 << 10 })
	got := map[string]string{}
	at := b.header.Start().Main
	batches, entries := 0, 0
	for {
		if _, err := tail.Gather(t.Context()); err != nil {
			t.Fatal(err)
		}
		r, err := tail.Batch(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if r == nil {
			break
		}
		batches++
		entries += r.Main
		if !at.Less(r.Position.Main) {
			t.Fatalf("position fell from %v to %v", at, r.Position.Main)
		}
		at = r.Position.Main
		if size := r.Batch.SizeVT(); batches > 1 && size > 400<<10 {
			t.Errorf("batch %d has %d bytes", batches, size)
		}
		for _, c := range r.Batch.Changes {
			_, key, _ := strings.Cut(string(c.Key), ":")
			got[key] = string(c.Values)
			if r.Position.Main.Less(stream.FromProto(c.Id)) {
				t.Errorf("change %v lies beyond the batch's position %v", c.Id, r.Position)
			}
		}
	}
	if entries != 60 || batches < 5 {
		t.Errorf("%d entries in %d batches", entries, batches)
	}
	for key, value := range want {
		if got[key] != value {
			t.Errorf("key %s has %.10q, want %.10q", key, got[key], value)
		}
	}
}

// A delete that is cut away from the write before it must come with its own batch.
func TestCutKeepsRemovals(t *testing.T) {
	b := newBench(t)
	b.hset("a", "v", strings.Repeat("x", 1<<10))
	b.hset("b", "v", strings.Repeat("x", 1<<10))
	b.record("u", "a", "u", "gone", "u", "b", "d", "gone", "x", "gone")
	tail := b.tail(b.header.Start(), func(o *Options) { o.Bytes = 1 })
	tail.values.average = 1 // as after small values: one key a pipeline
	var got []string
	for {
		r := next(t, tail)
		if r == nil {
			break
		}
		for _, c := range r.Batch.Changes {
			got = append(got, show(r.Batch, c)[:8])
		}
	}
	if want := "[update a update b delete g]"; fmt.Sprint(got) != want {
		t.Errorf("got %v, want %s", got, want)
	}
}

func TestExpiredBeforeItWasRead(t *testing.T) {
	b := newBench(t)
	b.record("u", "k")
	first := b.tail(b.header.Start(), nil)
	r := next(t, first)
	if len(r.Batch.Changes) != 0 || len(r.Rejects) != 0 {
		t.Fatalf("a missing key gave %v", r)
	}
	b.record("x", "k", "u", "l", "e", "l", "u", "m", "d", "m", "x", "read-before")
	second := b.tail(r.Position, nil) // the lane was opened anew: what is unread is still known
	r = next(t, second)
	if r.Unread != 2 || len(r.Rejects) != 2 {
		t.Fatalf("%d unread, rejects %v", r.Unread, r.Rejects)
	}
	for i, reason := range []string{"value expired before it was read", "value was evicted before it was read"} {
		x := r.Rejects[i]
		if x.Reason != reason || x.SourceId == "" || x.Output != -1 || x.ErrorClass != "capture" || x.Connection != "target" {
			t.Errorf("reject %d: %v", i, x)
		}
	}
	if got := shows(r); got != "delete m" {
		t.Errorf("changes %q, want only the delete of m", got)
	}
}

func TestFaultyEntryCostsOneRecord(t *testing.T) {
	b := newBench(t)
	b.hset("a", "v", "1")
	b.add(b.stream.Main, "nokey", "1", "after", `{"v":2}`, "command", "hset", "ts", "7")
	b.record("u", "a")
	r := next(t, b.tail(b.header.Start(), nil))
	if want := `{"after":{"v":2},"before":null,"command":"hset","key":{"key":""},"ts_ms":7}`; string(r.Rejects[0].Record) != want {
		t.Errorf("record %s, want %s", r.Rejects[0].Record, want)
	}
	if shows(r) != "update a v=1" || len(r.Rejects) != 1 || !strings.Contains(r.Rejects[0].Reason, "no field key") {
		t.Errorf("changes %q, rejects %v", shows(r), r.Rejects)
	}
}

func TestCarriedValuesAreNotRead(t *testing.T) {
	b := newBench(t)
	b.hset("a", "v", "now")
	add := func(values ...any) {
		t.Helper()
		values = append(values, "key", b.key("a"))
		if err := b.rdb.XAdd(t.Context(), &redis.XAddArgs{Stream: b.stream.Main, Values: values}).Err(); err != nil {
			t.Fatal(err)
		}
	}
	trace := "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	add("op", "c", "after", `{"v":1}`, "traceparent", trace, "ts", "5")
	add("op", "u", "after", `{"v":2}`, "before", `{"v":1}`, "traceparent", trace)
	add("op", "u")
	r := next(t, b.tail(b.header.Start(), nil))
	if got, want := shows(r), `create a {"v":1}; update a {"v":2}; update a v=now`; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if string(r.Batch.Changes[1].Before) != `{"v":1}` || r.OldestMs != 5 {
		t.Errorf("before %q, oldest %d", r.Batch.Changes[1].Before, r.OldestMs)
	}
	if len(r.Traceparents) != 1 || r.Traceparents[0] != trace {
		t.Errorf("traceparents %v", r.Traceparents)
	}
}

func TestRefusalLeavesEntriesAndConnections(t *testing.T) {
	b := newBench(t)
	b.hset("a", "v", "1")
	b.record("u", "a")
	srv := startScripted(t, map[string]string{"HGETALL " + b.key("a"): "-NOPERM no\r\n"})
	b.values = srv.dial
	tail := b.tail(b.header.Start(), nil)
	if _, err := tail.Gather(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := tail.Batch(t.Context()); resp.Refused(err) != "NOPERM" {
			t.Fatalf("error %v, want NOPERM", err)
		}
	}
	srv.say("HGETALL "+b.key("a"), "*2\r\n$1\r\nv\r\n$1\r\n1\r\n")
	r, err := tail.Batch(t.Context())
	if err != nil || shows(r) != "update a v=1" {
		t.Fatalf("%v, %v", shows(r), err)
	}
	if n := srv.connections(); n != 1 {
		t.Errorf("%d connections, want the first one kept", n)
	}
}

// What the current type is decides, whatever the entry said; a server without JSON breaks nothing.
func TestTypesAreFoundOut(t *testing.T) {
	const wrong = "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"
	b := newBench(t)
	b.values = startScripted(t, map[string]string{
		"HGETALL " + b.key("doc"):  wrong,
		"TYPE " + b.key("doc"):     "+ReJSON-RL\r\n",
		"JSON.GET " + b.key("doc"): "$7\r\n{\"v\":1}\r\n",
		"JSON.GET " + b.key("h"):   "-Existing key has wrong Redis type\r\n",
		"TYPE " + b.key("h"):       "+hash\r\n",
		"HGETALL " + b.key("h"):    "*2\r\n$1\r\nv\r\n$1\r\n2\r\n",
		"JSON.GET " + b.key("no"):  "-ERR unknown command 'JSON.GET', with args beginning with: \r\n",
		"TYPE " + b.key("no"):      "+string\r\n",
		"JSON.GET " + b.key("nil"): "$-1\r\n",
		"HGETALL " + b.key("set"):  wrong,
		"TYPE " + b.key("set"):     "+none\r\n",
	}).dial
	b.record("u", "doc", "d", "nil", "d", "set")
	for _, key := range []string{"h", "no", "nil"} {
		err := b.rdb.XAdd(t.Context(), &redis.XAddArgs{
			Stream: b.stream.Main, Values: []any{"key", b.key(key), "op", "u", "command", "json.set"},
		}).Err()
		if err != nil {
			t.Fatal(err)
		}
	}
	r := next(t, b.tail(b.header.Start(), nil))
	if got, want := shows(r), `update doc {"v":1}; delete set; update h v=2; delete nil`; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if r.Skipped != 1 {
		t.Errorf("%d skipped, want the string", r.Skipped)
	}
}

// scripted is a server that answers commands from a list; SELECT is always welcome.
type scripted struct {
	addr    string
	answers chan map[string]string // holds the one map
	opened  chan struct{}
}

func startScripted(t *testing.T, answers map[string]string) *scripted {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &scripted{addr: l.Addr().String(), answers: make(chan map[string]string, 1), opened: make(chan struct{}, 100)}
	s.answers <- answers
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.opened <- struct{}{}
			t.Cleanup(func() { _ = c.Close() })
			go s.serve(c)
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-done
	})
	return s
}

func (s *scripted) dial(ctx context.Context) (*resp.Conn, error) {
	return resp.Dial(ctx, resp.Options{Addr: s.addr})
}

func (s *scripted) connections() int { return len(s.opened) }

func (s *scripted) say(command, answer string) {
	m := <-s.answers
	m[command] = answer
	s.answers <- m
}

func (s *scripted) serve(c net.Conn) {
	r := bufio.NewReader(c)
	for {
		words, err := command(r)
		if err != nil {
			return
		}
		m := <-s.answers
		answer, ok := m[strings.Join(words, " ")]
		s.answers <- m
		switch {
		case words[0] == "SELECT":
			answer = "+OK\r\n"
		case !ok:
			answer = "-ERR not in the script: " + strings.Join(words, " ") + "\r\n"
		}
		if _, err := io.WriteString(c, answer); err != nil {
			return
		}
	}
}

func command(r *bufio.Reader) ([]string, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return nil, err
	}
	n, err := strconv.Atoi(strings.TrimSpace(line[1:]))
	if err != nil {
		return nil, err
	}
	words := make([]string, n)
	for i := range words {
		if line, err = r.ReadString('\n'); err != nil {
			return nil, err
		}
		size, err := strconv.Atoi(strings.TrimSpace(line[1:]))
		if err != nil {
			return nil, err
		}
		b := make([]byte, size+2)
		if _, err := io.ReadFull(r, b); err != nil {
			return nil, err
		}
		words[i] = string(b[:size])
	}
	return words, nil
}
