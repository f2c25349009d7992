package sweep

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
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

	seen    string   // the text that is stored
	fresh   bool     // that text is of a queued one
	waiting []string // the fields by which an earlier version leads to it while it is queued
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
	return parsed(fields)
}

func parsed(fields map[string]string) ([]record, error) {
	var records []record
	waiting := map[string][]string{}
	for field, text := range fields {
		if strings.HasPrefix(field, waitingPrefix) {
			waiting[text] = append(waiting[text], field)
			continue
		}
		r := record{seen: text}
		if err := json.Unmarshal([]byte(text), &r); err != nil {
			return nil, fmt.Errorf("reading sweep %q: %w", field, err)
		}
		r.fresh = r.queued()
		records = append(records, r)
	}
	for i := range records {
		records[i].waiting = waiting[records[i].ID]
	}
	slices.SortFunc(records, func(a, b record) int {
		if c := a.Requested.Compare(b.Requested); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	return records, nil
}

// store writes how far a sweep has come. One that was queued must still be as it was read.
func (b *Book) store(ctx context.Context, r *record) error {
	text, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("writing sweep %q: %w", r.ID, err)
	}
	if r.fresh {
		err = b.exchange(ctx, r, string(text))
	} else {
		err = b.rdb.HSet(ctx, keyspace.Sweeps(b.pipeline), r.ID, text).Err()
	}
	if err != nil {
		return fmt.Errorf("storing sweep %q of job %q: %w", r.ID, r.Job, err)
	}
	r.seen, r.fresh = string(text), r.queued()
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
