package recorder

import (
	"context"
	"crypto/rand"
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"slipstream/capture/gap"
	"slipstream/capture/source"
	"slipstream/deploy/dev/devserver"
	"slipstream/proto/keyspace"
)

type stops []string

func (s *stops) Stop(_ context.Context, jobs []string, _ time.Time) error {
	*s = append(*s, jobs...)
	return nil
}

// TestFlushOfASilentServer: where the server does not count flushes, one is found by the loss of our own keys, unless the
// server was started anew; one that is counted again from the beginning is none.
func TestFlushOfASilentServer(t *testing.T) {
	rdb := redis.NewClient(&redis.Options{Addr: devserver.SharedRedis(t).Addr})
	defer func() { _ = rdb.Close() }()
	var stopped stops
	name := "silent-" + rand.Text()[:8]
	config := &source.Config{Host: "source", Port: 1}
	n := NewNotifications(Config{Pipeline: name, Source: config, Gaps: gap.NewBook(rdb, name), Flushes: &stopped})
	n.rdb = rdb
	n.Configure(&Plan{OnFlush: []Flushed{{Name: "emp"}, {Name: "three", DB: 3}}})
	key := keyspace.Recorder(name)
	for i, step := range []struct {
		run   string
		count int64
		loss  bool
		want  string
	}{
		{"r1", -1, false, "[]"},
		{"r1", -1, false, "[]"},
		{"r1", -1, true, "[emp three]"},
		{"r1", -1, false, "[emp three]"},
		{"r2", -1, true, "[emp three]"}, // started anew: a gap like any
		{"r2", 4, false, "[emp three]"}, // it tells now
		{"r2", 4, true, "[emp three]"},  // our keys went another way
		{"r2", 0, false, "[emp three]"}, // CONFIG RESETSTAT
		{"r2", 1, false, "[emp three three]"},
		{"r2", 2, true, "[emp three three emp three]"},
	} {
		if step.loss {
			if err := rdb.Del(t.Context(), key).Err(); err != nil {
				t.Fatal(err)
			}
		}
		if err := n.flushes.resume(t.Context(), source.Facts{RunID: step.run, Flushes: step.count}); err != nil {
			t.Fatal(err)
		}
		if fmt.Sprint(stopped) != step.want {
			t.Errorf("step %d: stopped %v, want %s", i, stopped, step.want)
		}
	}
}
