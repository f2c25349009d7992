package deadletter_test

import (
	"crypto/rand"
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	flowv1 "slipstream/proto/slipstream/flow/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"

	"slipstream/capture/deadletter"
	"slipstream/deploy/dev/devserver"
	"slipstream/proto/keyspace"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var noon = time.UnixMilli(1_767_225_600_000)

func noonClock() time.Time { return noon }

func connect(t *testing.T) *redis.Client {
	t.Helper()
	c := redis.NewClient(&redis.Options{Addr: devserver.SharedRedis(t).Addr})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func lane(t *testing.T) *flowv1.Lane {
	return &flowv1.Lane{Pipeline: t.Name() + "-" + rand.Text()[:6], Job: "pumps", Connection: "fleet", Layout: 4, Partition: 2}
}

func queue(c *redis.Client, l *flowv1.Lane, limit int) *deadletter.Queue {
	return deadletter.NewQueue(c, l, &pipelinev1.Settings{DlqMaxMessages: uint32(limit)}, noonClock)
}

func reject(id string, output int32) *flowv1.Reject {
	return &flowv1.Reject{
		SourceId: id, Output: output, Writer: "relational.write", Connection: "fleet", Table: "ops.pump", Opcode: "u",
		Command: "hset", Key: []byte("pump:\xff\x00"), Record: []byte(`{"psi":"x"}`), Transformed: []byte(`{"pressure":"x"}`),
		Reason: "not a number", ErrorClass: "target", Block: "output[0]", Code: "22P02", Attempts: 1, Column: "pressure",
	}
}

func TestStoreKeepsEveryField(t *testing.T) {
	c, l := connect(t), lane(t)
	want := []*flowv1.Reject{reject("7-1", 0), reject("7-1", 1), {SourceId: "8-0r", Output: -1, Reason: "no", Attempts: 3}}
	if n, err := queue(c, l, 10).Store(t.Context(), want); err != nil || n != 3 {
		t.Fatalf("Store = %d, %v; want 3", n, err)
	}
	s, err := deadletter.Stream(t.Context(), c, keyspace.DeadLetters(l.Pipeline, l.Job), 0, true, nil)
	if err != nil {
		t.Fatal(err)
	}
	if s.Length != 3 || len(s.Entries) != 3 {
		t.Fatalf("stream has length %d and %d entries, want 3", s.Length, len(s.Entries))
	}
	for i, e := range s.Entries {
		if e.Job != "pumps" || e.TimestampMs != noon.UnixMilli() || e.Id == "" {
			t.Errorf("entry %d: job %q, time %d, id %q", i, e.Job, e.TimestampMs, e.Id)
		}
		got := proto.Clone(e.Reject).(*flowv1.Reject)
		for _, b := range []*[]byte{&got.Key, &got.Record, &got.Transformed} {
			if len(*b) == 0 {
				*b = nil
			}
		}
		if !proto.Equal(got, want[i]) {
			t.Errorf("entry %d\n got %v\nwant %v", i, got, want[i])
		}
	}
}

// A batch that comes again after a crash between storing and committing is not stored twice (design D9).
func TestStoreAgainAfterACrash(t *testing.T) {
	c, l := connect(t), lane(t)
	batch := []*flowv1.Reject{reject("1-0", 0), reject("2-0", 0)}
	if _, err := queue(c, l, 10).Store(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	again := queue(c, l, 10) // another process
	if n, err := again.Store(t.Context(), append(batch, reject("3-0", 0))); err != nil || n != 1 {
		t.Fatalf("Store of two old and one new = %d, %v; want 1", n, err)
	}
	other := proto.Clone(l).(*flowv1.Lane)
	other.Connection = "copy"
	if n, err := queue(c, other, 10).Store(t.Context(), batch); err != nil || n != 2 {
		t.Fatalf("Store of the same ids by another lane = %d, %v; want 2", n, err)
	}
	if err := again.Forget(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	if n, err := again.Store(t.Context(), batch[:1]); err != nil || n != 1 {
		t.Fatalf("Store after Forget = %d, %v; want 1", n, err)
	}
	if err := again.Forget(t.Context(), nil); err != nil {
		t.Errorf("Forget of nothing: %v", err)
	}
}

func TestCapIsExactAndCounted(t *testing.T) {
	c, l := connect(t), lane(t)
	q := queue(c, l, 5)
	var many []*flowv1.Reject
	for i := range 300 { // several script calls
		many = append(many, reject(fmt.Sprintf("%d-0", i), 0))
	}
	if n, err := q.Store(t.Context(), many); err != nil || n != 300 {
		t.Fatalf("Store = %d, %v; want 300", n, err)
	}
	s, err := deadletter.Stream(t.Context(), c, keyspace.DeadLetters(l.Pipeline, l.Job), 2, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	if s.Length != 5 {
		t.Errorf("length %d, want the cap 5", s.Length)
	}
	if len(s.Entries) != 2 || s.Entries[0].Reject.SourceId != "299-0" || s.Entries[1].Reject.SourceId != "298-0" {
		t.Errorf("newest two are %v", s.Entries)
	}
	counts, err := c.HGetAll(t.Context(), keyspace.Counts(l.Pipeline, l.Job)).Result()
	if err != nil {
		t.Fatal(err)
	}
	if counts[deadletter.FieldStored] != "300" || counts[deadletter.FieldPushedOut] != "295" {
		t.Errorf("counts %v, want 300 stored and 295 pushed out", counts)
	}
}

func TestListing(t *testing.T) {
	c, l := connect(t), lane(t)
	many := make([]*flowv1.Reject, 2300) // more than two pages
	for i := range many {
		many[i] = reject(fmt.Sprintf("%d-0", i+1), 0)
	}
	if _, err := queue(c, l, 5000).Store(t.Context(), many); err != nil {
		t.Fatal(err)
	}
	stream := keyspace.DeadLetters(l.Pipeline, l.Job)
	tests := []struct {
		name        string
		limit       int
		oldest      bool
		n           int
		first, last string
	}{
		{"all, newest first", 0, false, 2300, "2300-0", "1-0"},
		{"all, oldest first", 0, true, 2300, "1-0", "2300-0"},
		{"some pages, newest first", 1500, false, 1500, "2300-0", "801-0"},
		{"one", 1, true, 1, "1-0", "1-0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := deadletter.Stream(t.Context(), c, stream, tt.limit, tt.oldest, nil)
			if err != nil {
				t.Fatal(err)
			}
			if len(s.Entries) != tt.n {
				t.Fatalf("%d entries, want %d", len(s.Entries), tt.n)
			}
			if f, l := s.Entries[0].Reject.SourceId, s.Entries[tt.n-1].Reject.SourceId; f != tt.first || l != tt.last {
				t.Errorf("from %s to %s, want from %s to %s", f, l, tt.first, tt.last)
			}
		})
	}
	lengths, err := deadletter.Lengths(t.Context(), c, l.Pipeline, []string{"none", l.Job})
	if err != nil || len(lengths) != 2 || lengths[0] != 0 || lengths[1] != 2300 {
		t.Errorf("Lengths = %v, %v; want [0 2300]", lengths, err)
	}
	if job, ok := deadletter.Job(l.Pipeline, stream); !ok || job != l.Job {
		t.Errorf("Job(%q) = %q, %v", stream, job, ok)
	}
	if job, ok := deadletter.Job(l.Pipeline, "dlq:somebody:else"); ok {
		t.Errorf("a foreign stream belongs to job %q", job)
	}
}

func TestRedisAwayIsAnError(t *testing.T) {
	c := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", MaxRetries: -1})
	defer func() { _ = c.Close() }()
	if n, err := queue(c, lane(t), 5).Store(t.Context(), []*flowv1.Reject{reject("1-0", 0)}); err == nil || n != 0 {
		t.Errorf("Store without a server = %d, %v; want an error", n, err)
	}
}
