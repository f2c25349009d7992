package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// changesPerSecond is the rate of the second part: brisk, and still readable in the live view.
const changesPerSecond = 2000

// writer is the application: it knows Redis and nothing else.
type writer struct {
	client *redis.Client
	cities []city
	random *rand.Rand
	alive  []string // keys that exist
	added  int

	loaded, updated, fieldsRemoved, created, renamed, deleted atomic.Int64
	phase                                                     atomic.Value // string
}

func newWriter(client *redis.Client, cities []city, seed uint64) *writer {
	w := &writer{client: client, cities: cities, random: rand.New(rand.NewPCG(seed, 1))}
	w.phase.Store("loading the data set")
	return w
}

// set queues the write of a city.
func set(ctx context.Context, pipe redis.Pipeliner, key string, c city) {
	pipe.HSet(ctx, key, "name", c.name, "region", c.region, "lat", c.lat, "lng", c.lng, "changed_ms", time.Now().UnixMilli())
}

// load writes every city.
func (w *writer) load(ctx context.Context) error {
	for from := 0; from < len(w.cities); from += 500 {
		chunk := w.cities[from:min(from+500, len(w.cities))]
		pipe := w.client.Pipeline()
		for _, c := range chunk {
			set(ctx, pipe, c.key(), c)
			w.alive = append(w.alive, c.key())
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return fmt.Errorf("writing cities: %w", err)
		}
		w.loaded.Add(int64(len(chunk)))
	}
	return nil
}

// change changes keys at a steady rate for a while.
func (w *writer) change(ctx context.Context, d time.Duration) error {
	w.phase.Store("changing keys")
	defer w.phase.Store("waiting for the last rows")
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(d); time.Now().Before(end); {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		pipe := w.client.Pipeline()
		for range changesPerSecond / 100 {
			w.one(ctx, pipe)
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return fmt.Errorf("changing cities: %w", err)
		}
	}
	return nil
}

// one queues one change.
func (w *writer) one(ctx context.Context, pipe redis.Pipeliner) {
	i := w.random.IntN(len(w.alive))
	key := w.alive[i]
	switch n := w.random.IntN(100); {
	case n < 70:
		pipe.HIncrBy(ctx, key, "visits", 1)
		pipe.HSet(ctx, key, "changed_ms", time.Now().UnixMilli())
		w.updated.Add(1)
	case n < 78:
		pipe.HDel(ctx, key, "region")
		w.fieldsRemoved.Add(1)
	case n < 86:
		c := w.cities[w.random.IntN(len(w.cities))]
		w.added++
		c.no = strconv.Itoa(1_000_000 + w.added)
		set(ctx, pipe, c.key(), c)
		w.alive = append(w.alive, c.key())
		w.created.Add(1)
	case n < 90:
		w.added++
		to := "city:" + key[len("city:"):len("city:")+2] + ":" + strconv.Itoa(1_000_000+w.added)
		pipe.Rename(ctx, key, to)
		w.alive[i] = to
		w.renamed.Add(1)
	default:
		pipe.Del(ctx, key)
		w.alive[i] = w.alive[len(w.alive)-1]
		w.alive = w.alive[:len(w.alive)-1]
		w.deleted.Add(1)
	}
}

// String sums up what was written.
func (w *writer) String() string {
	return fmt.Sprintf("Written to Redis: %d cities loaded, then %d updated, %d fields removed, %d created, %d renamed, %d deleted.",
		w.loaded.Load(), w.updated.Load(), w.fieldsRemoved.Load(), w.created.Load(), w.renamed.Load(), w.deleted.Load())
}
