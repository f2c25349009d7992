package stream_test

import (
	"fmt"
	"testing"
	"time"

	"slipstream/capture/stream"
)

func (r *rig) cursor(connection string, p stream.Position) *stream.Cursor {
	r.t.Helper()
	c, err := r.store.Cursor(r.t.Context(), r.s, connection, p)
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

func (r *rig) publish(c *stream.Cursor, p stream.Position, main, side int) {
	r.t.Helper()
	if err := c.Publish(r.t.Context(), p, main, side); err != nil {
		r.t.Fatal(err)
	}
}

// TestPublish: XINFO GROUPS shows the true lag of each connection, also after a restart.
func TestPublish(t *testing.T) {
	r := newRig(t)
	start := r.create("100-0").Start()
	c := r.cursor("pg", start)
	lag := func(wantMain, wantSide int64) {
		t.Helper()
		if main, side := r.header().Backlog("pg"); main != wantMain || side != wantSide {
			t.Errorf("backlog %d and %d, want %d and %d", main, side, wantMain, wantSide)
		}
	}
	lag(0, 0)
	for i := range 10 {
		r.add(fmt.Sprintf("200-%d", i))
	}
	r.sweep("a", "b", "c")
	lag(10, 3)
	r.publish(c, stream.Position{Main: id("200-3"), Side: start.Side}, 4, 0)
	lag(6, 3)
	c = r.cursor("pg", stream.Position{Main: id("200-3"), Side: start.Side}) // as after a restart
	lag(6, 3)
	r.publish(c, stream.Position{Main: id("200-9"), Side: r.header().SideLast}, 6, 3)
	lag(0, 0)
	infos, err := r.rdb.XInfoGroups(t.Context(), r.s.Main).Result()
	if err != nil || len(infos) != 1 || infos[0].Name != stream.Group("pg") || infos[0].LastDeliveredID != "200-9" || infos[0].Lag != 0 {
		t.Errorf("%+v, %v", infos, err)
	}
	r.do("XGROUP", "DESTROY", r.s.Main, stream.Group("pg"))
	r.add("300-0")
	r.publish(c, stream.Position{Main: id("300-0"), Side: r.header().SideLast}, 1, 0)
	lag(0, 0)
}

// TestTrimmer: nothing goes before every connection has settled it and the delay has passed (D4).
func TestTrimmer(t *testing.T) {
	r := newRig(t)
	r.do("CONFIG", "SET", "stream-node-max-entries", "1") // so that every entry can be trimmed by itself
	defer r.do("CONFIG", "SET", "stream-node-max-entries", "100")
	start := r.create("100-0").Start()
	for i := range 10 {
		r.add(fmt.Sprintf("200-%d", i))
	}
	r.sweep("a", "b", "c")
	connections := []string{"pg", "lite"}
	trimmer := stream.NewTrimmer(r.store, time.Minute)
	now := time.Now()
	hurry := false
	step := func(after time.Duration, wantMain, wantSide int64, wantTrimmed string) {
		t.Helper()
		now = now.Add(after)
		if _, err := trimmer.Step(t.Context(), now, r.s, connections, hurry); err != nil {
			t.Fatal(err)
		}
		main, side := r.rdb.XLen(t.Context(), r.s.Main).Val(), r.rdb.XLen(t.Context(), r.s.Side).Val()
		if h := r.header(); main != wantMain || side != wantSide || h.TrimmedTo != id(wantTrimmed) {
			t.Fatalf("%d and %d entries left, trimmed to %v; want %d and %d, %s", main, side, h.TrimmedTo, wantMain, wantSide, wantTrimmed)
		}
	}
	pg := r.cursor("pg", start)
	r.publish(pg, stream.Position{Main: id("200-9"), Side: r.header().SideLast}, 10, 3)
	step(0, 10, 3, "0-0")
	step(time.Hour, 10, 3, "0-0") // the other connection has no group
	lite := r.cursor("lite", start)
	r.publish(lite, stream.Position{Main: id("200-4"), Side: r.header().SideLast}, 5, 3)
	step(0, 10, 0, "0-0") // the side stream at once, the main stream later
	step(59*time.Second, 10, 0, "0-0")
	r.publish(lite, stream.Position{Main: id("200-6"), Side: r.header().SideLast}, 2, 0)
	step(2*time.Second, 5, 0, "200-4")
	step(time.Second, 5, 0, "200-4")
	// The target comes back older: what it lacks must not go.
	r.publish(lite, stream.Position{Main: id("200-5"), Side: r.header().SideLast}, 0, 0)
	step(time.Second, 5, 0, "200-4")
	step(time.Minute, 4, 0, "200-5")
	h := r.header()
	if v := h.Continuity(h.Incarnation, at("200-5", h.SideLast.String())); v != stream.Continuous {
		t.Errorf("the slowest lane finds %v", v)
	}
	if v := h.Continuity(h.Incarnation, at("200-4", h.SideLast.String())); v != stream.Behind {
		t.Errorf("a lane behind finds %v", v)
	}
	// A new connection forbids trimming until it has a position.
	connections = append(connections, "new")
	r.publish(lite, stream.Position{Main: id("200-9"), Side: h.SideLast}, 4, 0)
	step(time.Hour, 4, 0, "200-5")
	step(time.Hour, 4, 0, "200-5")
	connections = connections[:2]
	step(0, 4, 0, "200-5")
	hurry = true
	step(0, 0, 0, "200-9") // the server has no memory left for the delay
	// Another incarnation begins with nothing trimmed, and an order for the old one does nothing to it.
	r.create("300-0")
	r.add("400-0")
	if gone, err := r.store.Trim(t.Context(), r.s, h.Incarnation, at("500-0", "0")); err != nil || gone != 0 {
		t.Errorf("trimmed %d, %v", gone, err)
	}
	trimmer.Forget(nil)
	step(time.Hour, 1, 0, "0-0")
}

// TestTrimNeverBack: trimmed_to only grows, as IDs do, not as text does.
func TestTrimNeverBack(t *testing.T) {
	r := newRig(t)
	h := r.create("1-0")
	for _, c := range []struct{ to, want string }{
		{"9-5", "9-5"},
		{"10-0", "10-0"},
		{"9-9", "10-0"},
		{"10-9", "10-9"},
		{"10-10", "10-10"},
		{"10-9", "10-10"},
		{"1767225600000-1", "1767225600000-1"},
		{"10-99", "1767225600000-1"},
	} {
		if _, err := r.store.Trim(t.Context(), r.s, h.Incarnation, at(c.to, "0")); err != nil {
			t.Fatal(err)
		}
		if got := r.header().TrimmedTo; got != id(c.want) {
			t.Errorf("after trimming to %s: %v, want %s", c.to, got, c.want)
		}
	}
}

// TestTrimOutOfMemory: trimming frees memory, so it must work when there is none.
func TestTrimOutOfMemory(t *testing.T) {
	r := newRig(t, "--stream-node-max-entries", "1")
	h := r.create("100-0")
	c := r.cursor("pg", h.Start())
	r.add("200-0", "200-1", "200-2")
	r.do("CONFIG", "SET", "maxmemory", "1")
	r.publish(c, stream.Position{Main: id("200-1"), Side: h.SideLast}, 2, 0)
	gone, err := r.store.Trim(t.Context(), r.s, h.Incarnation, at("200-1", "0"))
	if err != nil || gone != 2 || r.header().TrimmedTo != id("200-1") {
		t.Errorf("dropped %d, trimmed to %v, %v", gone, r.header().TrimmedTo, err)
	}
}

// TestForeign: an application's stream is read, published on, and never trimmed or touched otherwise.
func TestForeign(t *testing.T) {
	r := newRig(t)
	r.s = stream.Written(r.pipeline, "job", "outbox:"+r.pipeline)
	h, err := r.store.Adopt(t.Context(), r.s)
	if err != nil || !h.Exists {
		t.Fatalf("%+v, %v", h, err)
	}
	if n := r.rdb.Exists(t.Context(), r.s.Main).Val(); n != 0 {
		t.Error("adopting made the application's stream")
	}
	again, err := r.store.Adopt(t.Context(), r.s)
	if err != nil || again.Incarnation != h.Incarnation {
		t.Errorf("adopted twice: %+v, %v", again, err)
	}
	c := r.cursor("pg", h.Start())
	rd := r.reader(h, h.Start())
	if keys, _ := r.read(rd, 10); len(keys) != 0 {
		t.Errorf("read %v", keys)
	}
	r.do("XADD", r.s.Main, "5-1", "key", "k1", "op", "C", "after", `{"a":1}`, "traceparent", "00-1", "ts", "77", "type", "json", "other", "x")
	r.do("XADD", r.s.Main, "5-2", "key", "k2", "op", "d", "before", "{}")
	r.do("XADD", r.s.Main, "5-3", "op", "u")
	r.do("XADD", r.s.Main, "5-4", "key", "k4", "op", "zz")
	r.do("XADD", r.s.Main, "5-5", "key", "", "ts", "soon")
	r.do("XADD", r.s.Main, "5-6", "key", "k6", "type", "list")
	keys, b := r.read(rd, 10)
	if len(keys) != 6 {
		t.Fatalf("read %v", keys)
	}
	e := b.Entries[0]
	if e.Op != stream.OpCreate || string(e.After) != `{"a":1}` || !e.Carries || e.Traceparent != "00-1" || e.Ms != 77 || e.Type != "json" || e.Command != "" {
		t.Errorf("entry %+v", e)
	}
	if e = b.Entries[1]; e.Op != stream.OpDelete || e.Carries || string(e.Before) != "{}" || e.Ms != 5 {
		t.Errorf("entry %+v", e)
	}
	for i, fault := range map[int]string{2: "the entry has no field key", 3: `unknown op "zz"`, 4: `ts "soon" is not a number of milliseconds`, 5: `unknown type "list"`} {
		if b.Entries[i].Fault != fault {
			t.Errorf("entry %d: fault %q, want %q", i, b.Entries[i].Fault, fault)
		}
	}
	r.publish(c, b.End, b.Main, b.Side)
	if main, _ := r.header().Backlog("pg"); main != 0 {
		t.Errorf("backlog %d", main)
	}
	trimmer := stream.NewTrimmer(r.store, 0)
	for i := range 3 {
		if _, err := trimmer.Step(t.Context(), time.Now().Add(time.Duration(i)*time.Hour), r.s, []string{"pg"}, false); err != nil {
			t.Fatal(err)
		}
	}
	if n := r.rdb.XLen(t.Context(), r.s.Main).Val(); n != 6 {
		t.Errorf("%d entries left of the application's 6", n)
	}
	h = r.header()
	if v := h.Continuity(h.Incarnation, stream.Position{Main: b.End.Main, Side: h.SideLast}); v != stream.Continuous {
		t.Errorf("continuity: %v", v)
	}
	if v := h.Continuity(h.Incarnation, at("5-3", h.SideLast.String())); v != stream.Continuous {
		t.Errorf("continuity within: %v", v)
	}
	r.do("XTRIM", r.s.Main, "MAXLEN", "1")
	h = r.header()
	if v := h.Continuity(h.Incarnation, at("5-3", h.SideLast.String())); v != stream.Behind {
		t.Errorf("after the application trimmed unread entries: %v", v)
	}
	if v := h.Continuity(h.Incarnation, stream.Position{Main: b.End.Main, Side: h.SideLast}); v != stream.Continuous {
		t.Errorf("after the application trimmed read entries: %v", v)
	}
	r.do("DEL", r.s.Main)
	r.do("XADD", r.s.Main, "9-1", "key", "k1")
	h = r.header()
	if v := h.Continuity(h.Incarnation, stream.Position{Main: b.End.Main, Side: h.SideLast}); v != stream.Lost {
		t.Errorf("after the application's stream began anew: %v", v)
	}
}

// TestAnotherForeignStream: a position in one stream of an application says nothing of another one that the job is given
// later, whose entries may be older: the header begins anew, and the lane reads all of it.
func TestAnotherForeignStream(t *testing.T) {
	r := newRig(t)
	first, second := stream.Written(r.pipeline, "job", "first:"+r.pipeline), stream.Written(r.pipeline, "job", "second:"+r.pipeline)
	r.s = first
	h, err := r.store.Adopt(t.Context(), first)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []stream.Stream{first, second} {
		for _, entry := range []string{"5-1", "5-2", "5-3"} {
			r.do("XADD", s.Main, entry, "key", "k")
		}
	}
	settled := at("5-2", h.SideLast.String())
	r.publish(r.cursor("pg", h.Start()), settled, 2, 0)

	r.do("HDEL", first.Header, "selection") // as a version left it that did not note the stream
	again, err := r.store.Adopt(t.Context(), first)
	if err != nil || again.Continuity(h.Incarnation, settled) != stream.Continuous {
		t.Fatalf("the same stream: %+v, %v", again, err)
	}
	moved, err := r.store.Adopt(t.Context(), second)
	if err != nil || moved.Continuity(h.Incarnation, settled) != stream.Replaced || !moved.Start().Main.Less(id("5-1")) {
		t.Errorf("another stream: %v from %v, %v", moved.Continuity(h.Incarnation, settled), moved.Start(), err)
	}
	if once, err := r.store.Adopt(t.Context(), second); err != nil || once.Incarnation != moved.Incarnation {
		t.Errorf("adopted twice: %+v, %v", once, err)
	}
	if n := r.rdb.XLen(t.Context(), first.Main).Val(); n != 3 {
		t.Errorf("%d entries left of the 3 of the first stream", n)
	}
}
