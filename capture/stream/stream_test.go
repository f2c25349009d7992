package stream_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"slipstream/capture/resp"
	"slipstream/capture/stream"
	"slipstream/deploy/dev/devserver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type rig struct {
	t        *testing.T
	addr     string
	rdb      *redis.Client
	store    *stream.Store
	pipeline string // its own also when a test runs again
	s        stream.Stream
}

func newRig(t *testing.T, args ...string) *rig {
	t.Helper()
	var addr string
	if len(args) > 0 {
		addr = devserver.Redis(t, devserver.RedisOptions{Args: args}).Addr
	} else {
		addr = devserver.SharedRedis(t).Addr
	}
	rdb := redis.NewClient(&redis.Options{Addr: addr, Protocol: 2})
	t.Cleanup(func() { _ = rdb.Close() })
	pipeline := t.Name() + rand.Text()
	return &rig{t: t, addr: addr, rdb: rdb, store: stream.NewStore(rdb), pipeline: pipeline, s: stream.Recorded(pipeline, "job", 0, 1)}
}

func (r *rig) dial(ctx context.Context) (*resp.Conn, error) {
	return resp.Dial(ctx, resp.Options{Addr: r.addr})
}

func (r *rig) conn() *resp.Conn {
	r.t.Helper()
	c, err := r.dial(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = c.Close() })
	return c
}

func (r *rig) do(args ...any) {
	r.t.Helper()
	if err := r.rdb.Do(r.t.Context(), args...).Err(); err != nil {
		r.t.Fatalf("%v: %v", args, err)
	}
}

func (r *rig) create(since string) stream.Header {
	r.t.Helper()
	h, err := r.store.Create(r.t.Context(), r.s, id(since), "0/x:*")
	if err != nil {
		r.t.Fatal(err)
	}
	return h
}

func (r *rig) header() stream.Header {
	r.t.Helper()
	h, err := r.store.Header(r.t.Context(), r.s)
	if err != nil {
		r.t.Fatal(err)
	}
	return h
}

// add records entries as the recorder does.
func (r *rig) add(ids ...string) {
	r.t.Helper()
	_, err := r.rdb.TxPipelined(r.t.Context(), func(p redis.Pipeliner) error {
		for _, i := range ids {
			p.Do(r.t.Context(), "XADD", r.s.Main, "NOMKSTREAM", i, "op", "u", "command", "hset", "key", "k"+i)
			p.HSet(r.t.Context(), r.s.Header, "last", i)
		}
		return nil
	})
	if err != nil {
		r.t.Fatal(err)
	}
}

// sweep appends entries as a sweep does.
func (r *rig) sweep(keys ...string) {
	r.t.Helper()
	c := r.conn()
	for _, k := range keys {
		stream.AppendSide(c.Out, r.s, stream.OpRead, "scan", []byte(k))
		if err := c.Out.Flush(); err != nil {
			r.t.Fatal(err)
		}
		text, err := c.In.Bulk()
		if err != nil || text == nil {
			r.t.Fatalf("side stream: %q, %v", text, err)
		}
		stream.MarkSide(c.Out, r.s, string(text))
		if err := c.Out.Flush(); err != nil {
			r.t.Fatal(err)
		}
		if err := c.In.Skip(); err != nil {
			r.t.Fatal(err)
		}
	}
}

func (r *rig) reader(h stream.Header, at stream.Position) *stream.Reader {
	return stream.NewReader(r.conn(), r.s, h.Incarnation, at)
}

func (r *rig) read(rd *stream.Reader, limit int) (keys []string, b *stream.Batch) {
	r.t.Helper()
	b, err := rd.Read(r.t.Context(), limit)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, e := range b.Entries {
		keys = append(keys, string(e.Key))
	}
	return keys, b
}

func id(s string) stream.ID {
	i, err := stream.ParseID(s)
	if err != nil {
		panic(err) // a test with a wrong ID
	}
	return i
}

func at(main, side string) stream.Position { return stream.Position{Main: id(main), Side: id(side)} }

func TestID(t *testing.T) {
	for _, c := range []struct {
		text string
		want stream.ID
		ok   bool
	}{
		{"1-2", stream.ID{Ms: 1, Seq: 2}, true},
		{"7", stream.ID{Ms: 7}, true},
		{"18446744073709551615-18446744073709551615", stream.ID{Ms: math.MaxUint64, Seq: math.MaxUint64}, true},
		{"18446744073709551616-0", stream.ID{}, false},
		{"", stream.ID{}, false},
		{"-1", stream.ID{}, false},
		{"1-", stream.ID{}, false},
		{"1-2-3", stream.ID{}, false},
		{"a-b", stream.ID{}, false},
	} {
		got, err := stream.ParseID(c.text)
		if (err == nil) != c.ok || (c.ok && got != c.want) {
			t.Errorf("ParseID(%q) = %v, %v", c.text, got, err)
		}
	}
	order := []stream.ID{{}, {Seq: 1}, {Ms: 1}, {Ms: 1, Seq: math.MaxUint64}, {Ms: 2}}
	if !slices.IsSortedFunc(order, stream.ID.Compare) {
		t.Error("IDs are not ordered")
	}
	if got := order[3].Next(); got != order[4] {
		t.Errorf("after %v comes %v", order[3], got)
	}
	if p := at("3-1", "0"); stream.FromPosition(p.Proto()) != p || p.Proto().GetSide() != nil {
		t.Errorf("%v as a message is %v", p, p.Proto())
	}
}

// TestContinuity: max(since, trimmed_to) ≤ position ≤ last recorded, in the incarnation of the position, in both streams (D4).
func TestContinuity(t *testing.T) {
	good := stream.Header{
		Exists: true, Incarnation: "i", Since: id("100-0"), TrimmedTo: id("200-0"), Last: id("300-5"),
		SideTrimmedTo: id("50-0"), SideLast: id("60-0"),
	}
	with := func(f func(*stream.Header)) stream.Header {
		h := good
		f(&h)
		return h
	}
	for _, c := range []struct {
		name        string
		header      stream.Header
		incarnation string
		position    stream.Position
		want        stream.Verdict
		cause       string
	}{
		{"in between", good, "i", at("250-0", "55-0"), stream.Continuous, ""},
		{"at the last entry", good, "i", at("300-5", "60-0"), stream.Continuous, ""},
		{"at what was trimmed", good, "i", at("200-0", "50-0"), stream.Continuous, ""},
		{"before what was trimmed", good, "i", at("199-9", "55-0"), stream.Behind, "trimmed"},
		{"side before what was trimmed", good, "i", at("250-0", "49-9"), stream.Behind, "trimmed"},
		{"at since", with(func(h *stream.Header) { h.TrimmedTo = stream.ID{} }), "i", at("100-0", "55-0"), stream.Continuous, ""},
		{"before since", with(func(h *stream.Header) { h.TrimmedTo = stream.ID{} }), "i", at("99-0", "55-0"), stream.Behind, "trimmed"},
		{"beyond the last entry", good, "i", at("300-6", "55-0"), stream.Ahead, "position"},
		{"side beyond the last entry", good, "i", at("300-5", "60-1"), stream.Ahead, "position"},
		{"another incarnation", good, "j", at("250-0", "55-0"), stream.Replaced, "incarnation"},
		{"no incarnation known", good, "", at("250-0", "55-0"), stream.Replaced, "incarnation"},
		{"no header", stream.Header{}, "i", at("250-0", "55-0"), stream.Missing, "incarnation"},
		{"no header and no incarnation", stream.Header{}, "", at("0", "0"), stream.Missing, "incarnation"},
		{"entries lost", with(func(h *stream.Header) { h.Lost = true }), "i", at("300-5", "60-0"), stream.Lost, "incarnation"},
		{"the beginning of a trimmed stream", good, "i", at("0", "0"), stream.Behind, "trimmed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := c.header.Continuity(c.incarnation, c.position)
			if got != c.want || got.Cause() != c.cause || (got.Detail() == "") != (c.want == stream.Continuous) {
				t.Errorf("%v, cause %q (%s); want %v, %q", got, got.Cause(), got.Detail(), c.want, c.cause)
			}
		})
	}
	if p := good.Start(); p != at("200-0", "60-0") || good.Continuity("i", p) != stream.Continuous {
		t.Errorf("a lane without a position starts at %v", p)
	}
}

// TestLifecycle follows the header of a stream through what happens to it.
func TestLifecycle(t *testing.T) {
	r := newRig(t)
	if h := r.header(); h.Exists || h.Lost {
		t.Fatalf("before: %+v", h)
	}
	h := r.create("100-0")
	if !h.Exists || h.Since != id("100-0") || h.Lost || h.Selection != "0/x:*" || h.SideLast.IsZero() {
		t.Fatalf("created: %+v", h)
	}
	if v := h.Continuity(h.Incarnation, h.Start()); v != stream.Continuous {
		t.Errorf("a lane that starts: %v", v)
	}
	r.add("200-0", "200-1")
	h = r.header()
	if h.Last != id("200-1") || h.Lost {
		t.Errorf("recorded: %+v", h)
	}
	again := r.create("300-0")
	if again.Incarnation == h.Incarnation || r.rdb.XLen(t.Context(), r.s.Main).Val() != 0 {
		t.Error("creating again left the old incarnation")
	}
	r.add("400-0")
	r.do("DEL", r.s.Main)
	if h := r.header(); !h.Lost || h.Continuity(again.Incarnation, at("400-0", h.SideLast.String())) != stream.Lost {
		t.Errorf("the deleted stream was not noticed: %+v", h)
	}
	r.create("500-0")
	r.sweep("a")
	r.do("DEL", r.s.Side)
	if h := r.header(); !h.Lost {
		t.Errorf("the deleted side stream was not noticed: %+v", h)
	}
	r.do("SET", r.s.Side, "x")
	if h := r.header(); !h.Lost {
		t.Errorf("the overwritten side stream was not noticed: %+v", h)
	}
}

// TestRead: main before side, in order, each at most once, whatever the limit; nobody starves.
func TestRead(t *testing.T) {
	for _, limit := range []int{1, 2, 3, 10, 1000} {
		t.Run(fmt.Sprint("limit ", limit), func(t *testing.T) {
			r := newRig(t)
			h := r.create("100-0")
			start := h.Start()
			var want []string
			for i := range 25 {
				r.add(fmt.Sprintf("200-%d", i))
				want = append(want, fmt.Sprintf("k200-%d", i))
			}
			var sideKeys []string
			for i := range 12 {
				sideKeys = append(sideKeys, fmt.Sprint("s", i))
			}
			r.sweep(sideKeys...)
			rd := r.reader(h, start)
			var main, side []string
			empty := 0
			for empty < 3 {
				keys, b := r.read(rd, limit)
				if len(keys) > limit {
					t.Fatalf("%d entries", len(keys))
				}
				if b.Main+b.Side != len(keys) || b.End != rd.At() {
					t.Fatalf("batch %d+%d of %d, end %v, at %v", b.Main, b.Side, len(keys), b.End, rd.At())
				}
				for i, e := range b.Entries {
					if e.Side != (i >= b.Main) || e.Fault != "" || e.Carries {
						t.Fatalf("entry %+v", e)
					}
					if e.Side {
						side = append(side, keys[i])
						if e.Op != stream.OpRead || e.Command != "scan" || e.ID.IsZero() {
							t.Fatalf("entry %+v", e)
						}
					} else {
						main = append(main, keys[i])
						if e.Op != stream.OpUpdate || e.Command != "hset" || e.Ms != 200 {
							t.Fatalf("entry %+v", e)
						}
					}
				}
				if empty++; len(keys) > 0 {
					empty = 0
				}
				b.Release()
			}
			if !slices.Equal(main, want) || !slices.Equal(side, sideKeys) {
				t.Errorf("read %v and %v", main, side)
			}
		})
	}
}

// TestMainFirst: nothing of the side stream is handed out before the main stream has come to its end, also when it grows
// between two reads; then it all comes, each once.
func TestMainFirst(t *testing.T) {
	for _, limit := range []int{2, 3, 10, 1000} {
		t.Run(fmt.Sprint("limit ", limit), func(t *testing.T) {
			r := newRig(t)
			h := r.create("100-0")
			rd := r.reader(h, h.Start())
			rd.MainFirst()
			left, wave := 0, 0
			grow := func(n int) {
				for i := range n {
					r.add(fmt.Sprintf("2%02d-%d", wave, i))
				}
				left, wave = left+n, wave+1
			}
			grow(25)
			r.sweep("a", "b", "c", "d", "e")
			var side []string
			for reads := 0; len(side) < 5 || left > 0; reads++ {
				if reads > 100 {
					t.Fatalf("no end: side %v, %d left in the main stream", side, left)
				}
				if reads%4 == 3 && wave < 5 {
					grow(5)
				}
				before := rd.At().Side
				keys, b := r.read(rd, limit)
				left -= b.Main
				if b.Side > 0 && left > 0 {
					t.Fatalf("%d of the side stream with %d left in the main stream", b.Side, left)
				}
				if b.Side == 0 && rd.At().Side != before {
					t.Fatalf("the side stream was passed over: %v", rd.At())
				}
				side = append(side, keys[b.Main:]...)
				b.Release()
			}
			if got := strings.Join(side, ""); got != "abcde" {
				t.Errorf("side stream %q", got)
			}
		})
	}
}

// TestDiscontinuity: a reader notices whatever happens to its stream while it reads, and does not skip it.
func TestDiscontinuity(t *testing.T) {
	for _, c := range []struct {
		name   string
		damage func(r *rig, h stream.Header)
		want   stream.Verdict
	}{
		{"flushed", func(r *rig, _ stream.Header) { r.do("DEL", r.s.Main, r.s.Side, r.s.Header) }, stream.Missing},
		{"began anew", func(r *rig, _ stream.Header) { r.create("900-0"); r.add("901-0") }, stream.Replaced},
		{"main deleted", func(r *rig, _ stream.Header) { r.do("DEL", r.s.Main) }, stream.Lost},
		{"trimmed beyond", func(r *rig, h stream.Header) {
			if _, err := r.store.Trim(r.t.Context(), r.s, h.Incarnation, at("200-2", "0")); err != nil {
				r.t.Fatal(err)
			}
		}, stream.Behind},
		{"side trimmed beyond", func(r *rig, h stream.Header) {
			r.sweep("a")
			if _, err := r.store.Trim(r.t.Context(), r.s, h.Incarnation, stream.Position{Side: r.header().SideLast}); err != nil {
				r.t.Fatal(err)
			}
		}, stream.Behind},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			h := r.create("100-0")
			start := h.Start()
			r.add("200-0", "200-1", "200-2")
			rd := r.reader(h, start)
			if keys, _ := r.read(rd, 2); len(keys) != 1 { // one is left for the side stream
				t.Fatalf("read %v", keys)
			}
			c.damage(r, h)
			_, err := rd.Read(t.Context(), 10)
			var gone *stream.Discontinuity
			if !errors.As(err, &gone) || gone.Verdict != c.want || gone.Error() == "" {
				t.Errorf("%v, want %v", err, c.want)
			}
			if rd.At().Main != id("200-0") {
				t.Errorf("the position moved to %v", rd.At())
			}
			if got := resp.Refused(err); got != "" {
				t.Errorf("refused: %s", got)
			}
		})
	}
}

// TestReadRefused: what the server refuses leaves the connection usable.
func TestReadRefused(t *testing.T) {
	r := newRig(t)
	h := r.create("100-0")
	rd := r.reader(h, h.Start())
	r.do("SET", r.s.Main, "x")
	if _, err := rd.Read(t.Context(), 10); resp.Refused(err) != "WRONGTYPE" {
		t.Fatalf("%v", err)
	}
	r.create("300-0")
	if _, err := rd.Read(t.Context(), 10); err == nil {
		t.Fatal("read another incarnation")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := rd.Read(ctx, 10); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// TestBell: those who wait are woken by either stream, at once, and only then.
func TestBell(t *testing.T) {
	r := newRig(t)
	other := &rig{t: t, addr: r.addr, rdb: r.rdb, store: r.store, s: stream.Recorded(r.pipeline, "other", 0, 1)}
	h, oh := r.create("100-0"), other.create("100-0")
	bell := stream.NewBell(r.dial)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- bell.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	waits := func(r *rig, p stream.Position) chan error {
		c := make(chan error, 1)
		go func() { c <- bell.Wait(ctx, r.s, p) }()
		return c
	}
	first, second := waits(r, h.Start()), waits(other, oh.Start())
	other.sweep("x")
	if err := <-second; err != nil {
		t.Fatal(err)
	}
	select {
	case <-first:
		t.Error("woken without cause")
	default:
	}
	r.add("200-0")
	if err := <-first; err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	for i := range 100 {
		p := r.header().Start()
		p.Main = r.header().Last
		w := waits(r, p)
		r.add(fmt.Sprintf("300-%d", i))
		if err := <-w; err != nil {
			t.Fatal(err)
		}
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("100 wake-ups took %v", took)
	}
	r.do("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
	r.add("400-0")
	p := h.Start()
	if err := <-waits(r, p); err != nil {
		t.Fatal(err)
	}
	gone, stop := context.WithCancel(ctx)
	stop()
	if err := bell.Wait(gone, r.s, stream.Position{Main: id("999-0"), Side: id("9999999999999-0")}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
