package sweep

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"slipstream/proto/keyspace"
	capturev1 "slipstream/proto/slipstream/capture/v1"
)

// kept is how many settled sweeps stay readable.
const kept = 20

// record is a sweep as it is kept.
type record struct {
	ID        string    `json:"id"`
	Job       string    `json:"job"`
	Cause     Cause     `json:"cause"`
	Requested time.Time `json:"requested"`
	Started   time.Time `json:"started,omitzero"`
	Ended     time.Time `json:"ended,omitzero"`
	Settled   time.Time `json:"settled,omitzero"`
	Scanned   uint64    `json:"scanned"`
	Matched   uint64    `json:"matched"`
	Total     uint64    `json:"total"`
	// Cursor is where SCAN goes on.
	Cursor uint64 `json:"cursor"`
	// Selection and Layout are what the cursor belongs to; where the job's differ the sweep begins anew.
	Selection string `json:"selection,omitempty"`
	Layout    int    `json:"layout,omitempty"`
	// After is the generation that every lane must have taken up before the scan begins; 0: it begins at once.
	After uint64 `json:"after,omitempty"`
	// Waits says what it waits for before it begins.
	Waits string `json:"waits,omitempty"`
	// Generation is the lowest that a lane had when the scan began, and Falls how often one had gone back until then: while
	// that number stays, nothing of the sweep is read by an older generation.
	Generation uint64 `json:"generation,omitempty"`
	Falls      uint64 `json:"falls,omitempty"`
	// Ends is, for each partition, the side stream's incarnation and last ID when the scan had ended.
	Ends []end `json:"ends,omitempty"`
}

type end struct {
	Incarnation string `json:"incarnation"`
	ID          string `json:"id"`
}

func (r record) proto() *capturev1.Sweep {
	ms := func(t time.Time) int64 {
		if t.IsZero() {
			return 0
		}
		return t.UnixMilli()
	}
	return &capturev1.Sweep{
		Id: r.ID, Job: r.Job, Cause: string(r.Cause), Scanned: r.Scanned, Matched: r.Matched, Total: r.Total,
		StartedMs: ms(r.Started), EndedMs: ms(r.Ended), SettledMs: ms(r.Settled),
		After: r.After, Generation: r.Generation, Waits: r.Waits,
	}
}

const waitingPrefix = "waiting/"

// waitingField leads to the sweep that waits. Sweeps that wait for generations are shared by those who wait for the same.
func waitingField(job string, cause Cause, after uint64) string {
	prefix := waitingPrefix + string(cause) + "/"
	if after > 0 {
		prefix += strconv.FormatUint(after, 10) + "/"
	}
	return prefix + job
}

// requestScript returns the waiting sweep of the same job, cause and generation, or stores a new one. KEYS: the sweeps. ARGV: waiting
// field, id, record.
var requestScript = redis.NewScript(`
local waiting = redis.call('HGET', KEYS[1], ARGV[1])
if waiting and redis.call('HEXISTS', KEYS[1], waiting) == 1 then return waiting end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2], ARGV[2], ARGV[3])
return ARGV[2]`)

func (b *Book) request(ctx context.Context, job string, cause Cause, after uint64) (string, error) {
	r := record{ID: rand.Text(), Job: job, Cause: cause, Requested: time.Now(), After: after}
	text, err := json.Marshal(r)
	if err != nil {
		return "", fmt.Errorf("writing a sweep: %w", err)
	}
	keys := []string{keyspace.Sweeps(b.pipeline)}
	id, err := requestScript.Run(ctx, b.rdb, keys, waitingField(job, cause, after), r.ID, text).Text()
	if err != nil {
		return "", fmt.Errorf("requesting a sweep of job %q: %w", job, err)
	}
	return id, nil
}

func (b *Book) find(ctx context.Context, id string) (*capturev1.Sweep, error) {
	text, err := b.rdb.HGet(ctx, keyspace.Sweeps(b.pipeline), id).Bytes()
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading sweep %q: %w", id, err)
	}
	var r record
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, fmt.Errorf("reading sweep %q: %w", id, err)
	}
	return r.proto(), nil
}

func (b *Book) list(ctx context.Context) ([]*capturev1.Sweep, error) {
	records, err := b.records(ctx)
	if err != nil {
		return nil, err
	}
	sweeps := make([]*capturev1.Sweep, len(records))
	for i, r := range records {
		sweeps[len(sweeps)-1-i] = r.proto()
	}
	return sweeps, nil
}

// records returns every sweep kept, oldest first.
func (b *Book) records(ctx context.Context) ([]record, error) {
	fields, err := b.rdb.HGetAll(ctx, keyspace.Sweeps(b.pipeline)).Result()
	if err != nil {
		return nil, fmt.Errorf("reading the sweeps of pipeline %q: %w", b.pipeline, err)
	}
	var records []record
	for field, text := range fields {
		if strings.HasPrefix(field, waitingPrefix) {
			continue
		}
		var r record
		if err := json.Unmarshal([]byte(text), &r); err != nil {
			return nil, fmt.Errorf("reading sweep %q: %w", field, err)
		}
		records = append(records, r)
	}
	slices.SortFunc(records, func(a, b record) int {
		if c := a.Requested.Compare(b.Requested); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	return records, nil
}

// store writes how far a sweep has come; with begin it ends its waiting.
func (b *Book) store(ctx context.Context, r record, begin bool) error {
	text, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("writing sweep %q: %w", r.ID, err)
	}
	key := keyspace.Sweeps(b.pipeline)
	_, err = b.rdb.TxPipelined(ctx, func(p redis.Pipeliner) error {
		if begin {
			p.HDel(ctx, key, waitingField(r.Job, r.Cause, r.After))
		}
		p.HSet(ctx, key, r.ID, text)
		return nil
	})
	if err != nil {
		return fmt.Errorf("storing sweep %q: %w", r.ID, err)
	}
	return nil
}

// drop removes sweeps.
func (b *Book) drop(ctx context.Context, ids ...string) error {
	if len(ids) == 0 {
		return nil
	}
	if err := b.rdb.HDel(ctx, keyspace.Sweeps(b.pipeline), ids...).Err(); err != nil {
		return fmt.Errorf("forgetting sweeps: %w", err)
	}
	return nil
}
