package tail

import (
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"slipstream/capture/stream"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// add appends an entry: field, value, …
func (b *bench) add(to string, values ...any) {
	b.t.Helper()
	if err := b.rdb.XAdd(b.t.Context(), &redis.XAddArgs{Stream: to, Values: values}).Err(); err != nil {
		b.t.Fatal(err)
	}
}

func packed(texts ...string) []byte {
	var p []byte
	for _, text := range texts {
		p = stream.Pack(p, text)
	}
	return p
}

// TestEach: with values: each every entry is a change of its own with the value it brought; what is at the key by now does
// not matter (D1).
func TestEach(t *testing.T) {
	b := newBench(t)
	key := b.key("a")
	b.hset("a", "v", "now")
	main := func(op string, values ...any) {
		b.add(b.stream.Main, append([]any{"key", key, "op", op}, values...)...)
	}
	main("c", "hash", packed("v", "1", "raw", "\x00\xff"), "type", "hash")
	main("u", "hash", packed("v", "2"), "type", "hash")
	main("u", "found", "nothing", "command", "hdel")
	main("d")
	main("u", "after", `{"v":3}`, "type", "json")
	main("m", "after", `{}`, "type", "json", "command", "json.del")
	main("u", "found", "other", "command", "set")
	main("x")
	each := func(o *Options) { o.Source = &pipelinev1.Source{Values: pipelinev1.Values_VALUES_EACH} }
	r := next(t, b.tail(b.header.Start(), each))
	want := "create a v=1 raw=\x00\xff; update a v=2; delete a; update a {\"v\":3}; update a {}"
	if got := shows(r); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if r.Skipped != 1 || len(r.Rejects) != 0 {
		t.Errorf("%d skipped, rejects %v", r.Skipped, r.Rejects)
	}
	indexed := func(o *Options) { each(o); o.Indexed = true }
	if got := shows(next(t, b.tail(b.header.Start(), indexed))); got != want+"; delete a" {
		t.Errorf("with a row index %q", got)
	}
}

// TestEachBeforeSweeps: what a sweep reads is of the present, so it comes after all values that entries brought and that may
// be older, in whatever order their keys were swept (G4).
func TestEachBeforeSweeps(t *testing.T) {
	b := newBench(t)
	b.hset("a", "v", "3")
	b.hset("b", "v", "3")
	b.record("R", "a", "R", "b")
	for _, v := range []string{"1", "2"} {
		for _, key := range []string{"b", "a"} {
			b.add(b.stream.Main, "key", b.key(key), "op", "u", "hash", packed("v", v), "type", "hash")
		}
	}
	tail := b.tail(b.header.Start(), func(o *Options) {
		o.Source, o.Entries = &pipelinev1.Source{Values: pipelinev1.Values_VALUES_EACH}, 3
	})
	var all []string
	for idle := 0; idle < 2; { // the first read without a change finds the end of the main stream
		r := next(t, tail)
		if r == nil {
			idle++
			continue
		}
		idle = 0
		all = append(all, shows(r))
	}
	want := "update b v=1; update a v=1; update b v=2; update a v=2; read a v=3; read b v=3"
	if got := strings.Join(all, "; "); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestEachUnread: a value that was gone when the recorder looked, and expired, is a dead letter like any (G1).
func TestEachUnread(t *testing.T) {
	b := newBench(t)
	b.add(b.stream.Main, "key", b.key("a"), "op", "u", "found", "nothing")
	b.add(b.stream.Main, "key", b.key("a"), "op", "x", "command", "expired")
	r := next(t, b.tail(b.header.Start(), func(o *Options) { o.Source = &pipelinev1.Source{Values: pipelinev1.Values_VALUES_EACH} }))
	if r.Unread != 1 || len(r.Batch.Changes) != 0 {
		t.Errorf("%d unread, changes %q", r.Unread, shows(r))
	}
}

// TestEachWithoutValues: an application that sends no values, or a recorder that could not read them: every entry is a
// change all the same, and what is read once serves all of a key.
func TestEachWithoutValues(t *testing.T) {
	b := newBench(t)
	b.hset("a", "v", "now")
	b.record("u", "a", "u", "a", "d", "a", "u", "a", "R", "a", "R", "a")
	tail := b.tail(b.header.Start(), func(o *Options) { o.Source = &pipelinev1.Source{Values: pipelinev1.Values_VALUES_EACH} })
	var all []string
	for r := next(t, tail); r != nil; r = next(t, tail) {
		all = append(all, shows(r))
	}
	got := strings.Join(all, "; ")
	if strings.Count(got, "update a v=now") != 3 || strings.Count(got, "delete a") != 1 || strings.Count(got, "read a v=now") == 0 {
		t.Errorf("got %q", got)
	}
	if len(tail.probes) > 1 {
		t.Errorf("%d reads of one key", len(tail.probes))
	}
}

// TestReplayAsRecorded: a value that is repeated comes before what the batch reads, never hides it, and needs its key; a
// delete that is repeated needs its key to be gone; other connections do not see them (G4, G7, spec 9.4).
func TestReplayAsRecorded(t *testing.T) {
	b := newBench(t)
	b.hset("a", "v", "now")
	b.hset("back", "v", "now")
	side := func(key string, values ...any) {
		b.add(b.stream.Side, append([]any{"key", b.key(key), "command", "replay", "connection", "target"}, values...)...)
	}
	b.record("u", "a")
	side("a", "op", "r", "as_of", "5-1", "hash", packed("v", "old", "raw", "\xfe"))
	side("a", "op", "r", "as_of", "5-2", "after", `{"v":"older"}`, "type", "json")
	side("gone", "op", "r", "as_of", "5-3", "hash", packed("v", "old"))
	side("gone", "op", "d", "as_of", "5-4")
	side("back", "op", "d", "as_of", "5-5")
	side("gone too", "op", "d")
	side("a", "op", "r")
	all := func(change func(*Options)) string {
		t.Helper()
		tail := b.tail(b.header.Start(), change)
		for { // all in one batch
			n, err := tail.Gather(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if n == 0 {
				break
			}
		}
		r, err := tail.Batch(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var shown []string
		for _, c := range r.Batch.Changes {
			s := show(r.Batch, c)
			if c.AsOf != nil {
				s += " @" + stream.FromProto(c.AsOf).String()
			}
			shown = append(shown, s)
		}
		return strings.Join(shown, "; ")
	}
	want := "read a v=old raw=\xfe @5-1; read a {\"v\":\"older\"} @5-2; delete gone @5-4; delete gone too; update a v=now"
	if got := all(nil); got != want {
		t.Errorf("got\n%q, want\n%q", got, want)
	}
	if got := all(func(o *Options) { o.Connection = "copy" }); got != "update a v=now" {
		t.Errorf("another connection got %q", got)
	}
}

// TestOwnFieldsOfOthers: in the stream of an application the names of our own fields are any names.
func TestOwnFieldsOfOthers(t *testing.T) {
	b := newBench(t)
	b.hset("a", "v", "now")
	outbox := b.key("outbox")
	b.add(outbox, "key", b.key("a"), "hash", "no packed hash", "found", "nothing", "as_of", "soon", "connection", "other")
	store := stream.NewStore(b.rdb)
	s := stream.Written(b.name, "app", outbox)
	h, err := store.Adopt(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	r := next(t, b.tail(h.Start(), func(o *Options) {
		o.Stream, o.Incarnation, o.Source = s, h.Incarnation, &pipelinev1.Source{Stream: outbox}
	}))
	if got := shows(r); got != "update a v=now" || len(r.Rejects) != 0 {
		t.Errorf("got %q, rejects %v", got, r.Rejects)
	}
}
