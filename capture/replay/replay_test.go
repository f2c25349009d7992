package replay

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"slipstream/capture/resp"
	"slipstream/capture/stream"
	"slipstream/capture/tail"
	"slipstream/deploy/dev/devserver"
	"slipstream/proto/keyspace"
	capturev1 "slipstream/proto/slipstream/capture/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// relational is an output of a job.
func relational(connection string, indexed bool, strategy pipelinev1.LoadStrategy) *pipelinev1.Output {
	return &pipelinev1.Output{Connection: connection, Writer: &pipelinev1.Output_Relational{
		Relational: &pipelinev1.RelationalWrite{RowIndex: indexed, LoadStrategy: strategy},
	}}
}

const (
	hashRecord = `{"type":"hash","ts_ms":7,"opcode":"u","after":{"b":"2","a":"1","raw":"AP8="}}`
	jsonRecord = `{"type":"json","ts_ms":7,"opcode":"u","after":{"a":{"b":[1.50]}}}`
	gone       = `{"type":null,"opcode":"d","after":null}`
)

// TestPlan: what becomes of a dead letter: the fields of its entry, or why it stays (spec 9.4, G4, G7).
func TestPlan(t *testing.T) {
	mirror, history := pipelinev1.LoadStrategy_LOAD_STRATEGY_UNSPECIFIED, pipelinev1.LoadStrategy_LOAD_STRATEGY_APPEND
	indexed := []*pipelinev1.Output{relational("pg", true, mirror), relational("lite", false, mirror)}
	base := func(change func(*flowv1.Reject)) *flowv1.Reject {
		r := &flowv1.Reject{Key: []byte("emp:1"), SourceId: "5-6", Connection: "pg", Opcode: "u", Record: []byte(hashRecord)}
		if change != nil {
			change(r)
		}
		return r
	}
	del := func(r *flowv1.Reject) { r.Opcode, r.Record = "d", []byte(gone) }
	bare := func(r *flowv1.Reject) { r.Record = nil }
	withheld := func(trouble string) *capturev1.DeadLetter {
		return &capturev1.DeadLetter{Withheld: []string{"record", "reason_rejected"}, PayloadTrouble: trouble}
	}
	packed := func(texts ...string) string {
		var p []byte
		for _, text := range texts {
			p = stream.Pack(p, text)
		}
		return string(p)
	}
	const head = "key emp:1 command replay connection pg "
	tests := []struct {
		name       string
		reject     *flowv1.Reject
		sealed     *capturev1.DeadLetter // instead: all but the reject
		outputs    []*pipelinev1.Output  // nil: indexed
		there      bool
		asRecorded bool
		want       string // fields of the entry
		reason     string // or why it stays
	}{
		{name: "current value", reject: base(nil), there: true, want: head + "op r"},
		{name: "current value, key gone", reject: base(nil), reason: "does not exist"},
		{name: "delete", reject: base(del), want: head + "op d as_of 5-6"},
		{name: "delete, key back", reject: base(del), there: true, want: head + "op r"},
		{name: "delete as recorded, key back", reject: base(del), there: true, asRecorded: true, want: head + "op r"},
		{name: "delete of a sweep's output", reject: base(func(r *flowv1.Reject) { del(r); r.SourceId = "5-6r" }), want: head + "op d"},
		{name: "value never read", reject: base(func(r *flowv1.Reject) { r.Opcode, r.Record = "d", nil }), reason: "does not exist"},
		{name: "not kept, current value", sealed: withheld(""), reject: base(bare), there: true, want: head + "op r"},
		{name: "not kept, delete", sealed: withheld(""), reject: base(func(r *flowv1.Reject) { bare(r); r.Opcode = "d" }), want: head + "op d as_of 5-6"},
		{name: "not kept, as recorded", sealed: withheld(""), reject: base(bare), there: true, asRecorded: true, reason: "was not kept (dlq_payload: omit)"},
		{name: "does not open, current value", sealed: withheld("no key"), reject: base(bare), there: true, want: head + "op r"},
		{name: "does not open, as recorded", sealed: withheld("no key"), reject: base(bare), there: true, asRecorded: true, reason: "not to be had: no key"},
		{name: "value never read, key back", reject: base(func(r *flowv1.Reject) { r.Opcode, r.Record = "d", nil }), there: true, want: head + "op r"},
		{name: "no key", reject: base(func(r *flowv1.Reject) { r.Key = nil }), there: true, reason: "no key"},
		{name: "connection of no output", reject: base(func(r *flowv1.Reject) { r.Connection = "old" }), there: true, reason: `"old" any more`},
		{
			name: "as recorded, hash", reject: base(nil), there: true, asRecorded: true,
			want: head + "op r as_of 5-6 ts 7 type hash hash " + packed("a", "1", "b", "2", "raw", "\x00\xff"),
		},
		{
			name: "as recorded, document", reject: base(func(r *flowv1.Reject) { r.Record = []byte(jsonRecord) }), there: true, asRecorded: true,
			want: head + `op r as_of 5-6 ts 7 type json after {"a":{"b":[1.50]}}`,
		},
		{name: "as recorded, key gone", reject: base(nil), asRecorded: true, reason: "does not exist"},
		{name: "as recorded, no index", reject: base(func(r *flowv1.Reject) { r.Connection = "lite" }), there: true, asRecorded: true, reason: "output[1] keeps no row index"},
		{name: "as recorded, of a sweep", reject: base(func(r *flowv1.Reject) { r.SourceId = "5-6r" }), there: true, asRecorded: true, reason: "sweep or a replay"},
		{name: "as recorded, nothing recorded", reject: base(func(r *flowv1.Reject) { r.Record = nil }), there: true, asRecorded: true, reason: "no value was recorded"},
		{name: "as recorded, text", reject: base(func(r *flowv1.Reject) { r.Record = []byte(`{"type":"json","after":"{"}`) }), there: true, asRecorded: true, reason: "no value was recorded"},
		{
			name: "as recorded, one of two outputs without an index", reject: base(nil), there: true, asRecorded: true, reason: "output[1] keeps no row index",
			outputs: []*pipelinev1.Output{relational("pg", true, mirror), relational("pg", false, mirror)},
		},
		{
			name: "another output keeps history", reject: base(nil), there: true, reason: "output[1] keeps history",
			outputs: []*pipelinev1.Output{relational("pg", false, mirror), relational("pg", false, history)},
		},
		{
			name: "no output was reached", reject: base(func(r *flowv1.Reject) { r.Output = -1 }), there: true, want: head + "op r",
			outputs: []*pipelinev1.Output{relational("pg", false, mirror), relational("pg", false, history)},
		},
		{
			name: "the history itself", reject: base(func(r *flowv1.Reject) { r.Output = 1 }), there: true, want: head + "op r",
			outputs: []*pipelinev1.Output{relational("lite", false, history), relational("pg", false, history)},
		},
	}
	b := newBench(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			outputs := tt.outputs
			if outputs == nil {
				outputs = indexed
			}
			j := b.job
			j.Spec = &pipelinev1.Job{Name: "emp", Enabled: true, Outputs: outputs, Source: &pipelinev1.Source{BinaryFields: []string{"raw"}}}
			p := planner{job: j, headers: b.headers(), asRecorded: tt.asRecorded, unguarded: map[string]string{}}
			letter := &capturev1.DeadLetter{Reject: tt.reject}
			if tt.sealed != nil {
				letter = tt.sealed
				letter.Reject = tt.reject
			}
			_, fields, reason := p.plan(letter, tt.there)
			if tt.reason != "" {
				if !strings.Contains(reason, tt.reason) {
					t.Errorf("stays because %q, want %q", reason, tt.reason)
				}
				return
			}
			got := make([]string, len(fields))
			for i, f := range fields {
				switch f := f.(type) {
				case []byte:
					got[i] = string(f)
				case string:
					got[i] = f
				}
			}
			if s := strings.Join(got, " "); s != tt.want || reason != "" {
				t.Errorf("got\n%q, %q; want\n%q", s, reason, tt.want)
			}
		})
	}
}

// bench is a job with two partitions on the shared Redis, whose lanes to pg and lite are open.
type bench struct {
	t   *testing.T
	rdb *redis.Client
	job Job
}

func newBench(t *testing.T) *bench {
	t.Helper()
	addr := devserver.SharedRedis(t).Addr
	rdb := redis.NewClient(&redis.Options{Addr: addr})
	values := tail.NewPool(func(ctx context.Context) (*resp.Conn, error) { return resp.Dial(ctx, resp.Options{Addr: addr}) }, 2)
	b := &bench{t: t, rdb: rdb}
	b.job = Job{
		Pipeline: "replay-" + rand.Text()[:8], Store: stream.NewStore(rdb), Redis: rdb, Values: values,
		Spec: &pipelinev1.Job{Name: "emp", Enabled: true, Outputs: []*pipelinev1.Output{relational("pg", false, 0), relational("lite", false, 0)}},
	}
	b.job.Streams = stream.OfJob(b.job.Pipeline, b.job.Spec, 2)
	for _, s := range b.job.Streams {
		h, err := b.job.Store.Create(t.Context(), s, stream.ID{}, "0 *")
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []string{"pg", "lite"} {
			if _, err := b.job.Store.Cursor(t.Context(), s, c, h.Start()); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Cleanup(func() {
		if err := values.Close(); err != nil {
			t.Error(err)
		}
		_ = rdb.Close()
	})
	return b
}

func (b *bench) headers() []stream.Header {
	b.t.Helper()
	h, err := b.job.Store.Headers(b.t.Context(), b.job.Streams)
	if err != nil {
		b.t.Fatal(err)
	}
	return h
}

// letter stores a dead letter of a key.
func (b *bench) letter(key, connection string) *capturev1.DeadLetter {
	b.t.Helper()
	id, err := b.rdb.XAdd(b.t.Context(), &redis.XAddArgs{
		Stream: keyspace.DeadLetters(b.job.Pipeline, "emp"), Values: []any{"key", key},
	}).Result()
	if err != nil {
		b.t.Fatal(err)
	}
	return &capturev1.DeadLetter{Id: id, Reject: &flowv1.Reject{
		Key: []byte(key), Connection: connection, Opcode: "u", SourceId: "1-1", Record: []byte(hashRecord),
	}}
}

// sides counts the entries of the side streams, and left the dead letters.
func (b *bench) count() (sides, left int) {
	b.t.Helper()
	for _, s := range b.job.Streams {
		sides += int(b.rdb.XLen(b.t.Context(), s.Side).Val())
	}
	return sides, int(b.rdb.XLen(b.t.Context(), keyspace.DeadLetters(b.job.Pipeline, "emp")).Val())
}

func (b *bench) run(letters ...*capturev1.DeadLetter) *capturev1.ReplayedStream {
	b.t.Helper()
	out, err := Run(b.t.Context(), b.job, letters, false)
	if err != nil {
		b.t.Error(err)
	}
	return out
}

// TestMoves: a dead letter leaves its stream when its entry stands, and never twice, whoever replays it.
func TestMoves(t *testing.T) {
	b := newBench(t)
	key := b.job.Pipeline + ":k"
	if err := b.rdb.HSet(t.Context(), key, "f", "1").Err(); err != nil {
		t.Fatal(err)
	}
	var letters []*capturev1.DeadLetter
	for range 2*chunk + 10 {
		letters = append(letters, b.letter(key, "pg"))
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	total := uint64(0)
	for range 4 {
		wg.Go(func() {
			out := b.run(letters...)
			mu.Lock()
			defer mu.Unlock()
			total += out.Replayed
			if len(out.Kept) > 0 {
				t.Errorf("kept %v", out.Kept[0])
			}
		})
	}
	wg.Wait()
	if sides, left := b.count(); sides != len(letters) || left != 0 || total != uint64(len(letters)) {
		t.Errorf("%d entries, %d left, %d told, of %d", sides, left, total, len(letters))
	}
	if h := b.headers()[stream.PartitionOf([]byte(key), 2)]; h.Lost {
		t.Error("the header does not know of the entries")
	}
}

// TestStays: where no lane would read the entry, or its stream is gone, the dead letter stays (G1).
func TestStays(t *testing.T) {
	b := newBench(t)
	key := b.job.Pipeline + ":k"
	if err := b.rdb.HSet(t.Context(), key, "f", "1").Err(); err != nil {
		t.Fatal(err)
	}
	b.job.Spec.Outputs = append(b.job.Spec.Outputs, relational("new", false, 0))
	if out := b.run(b.letter(key, "new")); len(out.Kept) != 1 || !strings.Contains(out.Kept[0].Reason, "not open yet") {
		t.Errorf("a lane that never ran: %v", out)
	}
	side := b.job.Streams[stream.PartitionOf([]byte(key), 2)].Side
	p := planner{job: b.job, headers: b.headers(), unguarded: map[string]string{}}
	l := b.letter(key, "pg")
	if err := b.rdb.Del(t.Context(), side).Err(); err != nil { // between the look at the headers and the entry
		t.Fatal(err)
	}
	out := &capturev1.ReplayedStream{Name: keyspace.DeadLetters(b.job.Pipeline, "emp")}
	if err := p.replay(t.Context(), []*capturev1.DeadLetter{l}, out); err != nil {
		t.Fatal(err)
	}
	if len(out.Kept) != 1 || !strings.Contains(out.Kept[0].Reason, "begun anew") {
		t.Errorf("a stream that vanished: %v", out)
	}
	if sides, left := b.count(); sides != 0 || left != 2 || b.rdb.Exists(t.Context(), side).Val() != 0 {
		t.Errorf("%d entries, %d left", sides, left)
	}
}

// TestBinary: what is no base64 in a field of raw bytes is taken as it stands.
func TestBinary(t *testing.T) {
	for text, want := range map[string]string{"AP8=": "\x00\xff", "no base64": "no base64", base64.StdEncoding.EncodeToString([]byte("x")): "x"} {
		fields, reason := recorded(fmt.Appendf(nil, `{"type":"hash","after":{"raw":%q,"plain":"AP8="}}`, text), []string{"raw"})
		got := map[string]string{}
		for name, value := range stream.Unpack(fields[3].([]byte)) {
			got[string(name)] = string(value)
		}
		if reason != "" || got["raw"] != want || got["plain"] != "AP8=" {
			t.Errorf("%q: %q, %s", text, got, reason)
		}
	}
}
