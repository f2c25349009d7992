package gap

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"

	"slipstream/proto/keyspace"
)

// kept is how many repaired gaps stay readable.
const kept = 20

// waitingPrefix marks the fields that lead from job and cause to a gap that nobody repairs yet.
const waitingPrefix = "waiting/"

func waitingField(g Gap) string { return waitingPrefix + g.Cause + "/" + g.Job }

// openScript returns the waiting gap of the same job and cause, or stores the new one. KEYS: the gaps. ARGV: waiting
// field, id, record.
var openScript = redis.NewScript(`
local waiting = redis.call('HGET', KEYS[1], ARGV[1])
if waiting and redis.call('HEXISTS', KEYS[1], waiting) == 1 then return waiting end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2], ARGV[2], ARGV[3])
return ARGV[2]`)

func (b *Book) open(ctx context.Context, g Gap) (string, error) {
	g.ID, g.Sweeps = rand.Text(), nil
	record, err := json.Marshal(g)
	if err != nil {
		return "", fmt.Errorf("writing a gap: %w", err)
	}
	keys := []string{keyspace.Gaps(b.pipeline)}
	id, err := openScript.Run(ctx, b.rdb, keys, waitingField(g), g.ID, record).Text()
	if err != nil {
		return "", fmt.Errorf("recording a gap of job %q: %w", g.Job, err)
	}
	return id, nil
}

func (b *Book) list(ctx context.Context) ([]Gap, error) {
	fields, err := b.rdb.HGetAll(ctx, keyspace.Gaps(b.pipeline)).Result()
	if err != nil {
		return nil, fmt.Errorf("reading the gaps of pipeline %q: %w", b.pipeline, err)
	}
	var gaps []Gap
	for field, text := range fields {
		if strings.HasPrefix(field, waitingPrefix) {
			continue
		}
		var g Gap
		if err := json.Unmarshal([]byte(text), &g); err != nil {
			return nil, fmt.Errorf("reading gap %q: %w", field, err)
		}
		gaps = append(gaps, g)
	}
	slices.SortFunc(gaps, func(a, b Gap) int {
		if c := b.Ended.Compare(a.Ended); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	return gaps, nil
}

// Take ends the waiting of a gap: from now on a new gap of its job and cause is a gap of its own. Upkeep takes a gap
// before it asks for the sweeps that repair it.
func (b *Book) Take(ctx context.Context, g Gap) error {
	key := keyspace.Gaps(b.pipeline)
	err := b.rdb.Watch(ctx, func(tx *redis.Tx) error {
		id, err := tx.HGet(ctx, key, waitingField(g)).Result()
		if errors.Is(err, redis.Nil) || (err == nil && id != g.ID) {
			return nil
		}
		if err != nil {
			return err
		}
		_, err = tx.TxPipelined(ctx, func(p redis.Pipeliner) error {
			p.HDel(ctx, key, waitingField(g))
			return nil
		})
		return err
	}, key)
	if err != nil {
		return fmt.Errorf("taking gap %q: %w", g.ID, err)
	}
	return nil
}

// Store writes how far the repair of a gap has come, and forgets the oldest repaired ones.
func (b *Book) Store(ctx context.Context, g Gap) error {
	record, err := json.Marshal(g)
	if err != nil {
		return fmt.Errorf("writing gap %q: %w", g.ID, err)
	}
	key := keyspace.Gaps(b.pipeline)
	if err := b.rdb.HSet(ctx, key, g.ID, record).Err(); err != nil {
		return fmt.Errorf("storing gap %q: %w", g.ID, err)
	}
	if g.Open() {
		return nil
	}
	return b.prune(ctx)
}

func (b *Book) prune(ctx context.Context) error {
	gaps, err := b.list(ctx)
	if err != nil {
		return err
	}
	var old []string
	repaired := 0
	for _, g := range gaps {
		if g.Open() {
			continue
		}
		if repaired++; repaired > kept {
			old = append(old, g.ID)
		}
	}
	if len(old) == 0 {
		return nil
	}
	if err := b.rdb.HDel(ctx, keyspace.Gaps(b.pipeline), old...).Err(); err != nil {
		return fmt.Errorf("forgetting repaired gaps: %w", err)
	}
	return nil
}
