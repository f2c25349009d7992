package deadletter

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"

	capturev1 "slipstream/proto/slipstream/capture/v1"

	"slipstream/proto/keyspace"
)

// scanCount is how many keys one SCAN looks at.
const scanCount = 1000

// Streams lists the dead-letter streams of a pipeline, without entries: those of its jobs, and any other that is found by a
// scan. limit is their cap; 0 means 1000.
func Streams(ctx context.Context, client redis.UniversalClient, pipeline string, jobs []string, limit int) ([]*capturev1.DeadLetterStream, error) {
	if limit <= 0 {
		limit = defaultCap
	}
	names := map[string]bool{}
	for _, job := range jobs {
		names[keyspace.DeadLetters(pipeline, job)] = true
	}
	keys := client.Scan(ctx, 0, globbed(keyspace.DeadLetters(pipeline, ""))+"*", scanCount).Iterator()
	for keys.Next(ctx) {
		names[keys.Val()] = true
	}
	if err := keys.Err(); err != nil {
		return nil, fmt.Errorf("looking for dead-letter streams of pipeline %q: %w", pipeline, err)
	}
	var out []*capturev1.DeadLetterStream
	for name := range names {
		one := &capturev1.DeadLetterStream{Name: name, Capacity: uint32(limit)}
		one.Job, _ = Job(pipeline, name)
		one.Orphaned = !slices.Contains(jobs, one.Job)
		if err := measure(ctx, client, one); err != nil {
			return nil, err
		}
		out = append(out, one)
	}
	slices.SortFunc(out, func(a, b *capturev1.DeadLetterStream) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// measure fills in how many entries a stream has, and when the oldest and the newest of them were stored.
func measure(ctx context.Context, client redis.UniversalClient, s *capturev1.DeadLetterStream) error {
	pipe := client.Pipeline()
	length := pipe.XLen(ctx, s.Name)
	first, last := pipe.XRangeN(ctx, s.Name, "-", "+", 1), pipe.XRevRangeN(ctx, s.Name, "+", "-", 1)
	if _, err := pipe.Exec(ctx); err != nil {
		return fmt.Errorf("reading %q: %w", s.Name, err)
	}
	s.Length = uint64(length.Val())
	for _, e := range first.Val() {
		s.OldestMs = letter(s.Name, e, nil).TimestampMs
	}
	for _, e := range last.Val() {
		s.NewestMs = letter(s.Name, e, nil).TimestampMs
	}
	return nil
}

// globbed is a text as a pattern that matches it alone.
func globbed(s string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`).Replace(s)
}
