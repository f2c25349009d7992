package sweep

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"slipstream/proto/keyspace"
)

// Request is a sweep that is wanted.
type Request struct {
	Job   string
	Cause Cause
	// After is the generation, or a later one, that every lane of the job must have taken up before the scan begins; 0: none.
	After uint64
	// Known is the generation that the caller runs. A queued sweep that waits for one beyond Known and After is of a time before the store
	// lost everything, or of a deploy this moment, and is not shared.
	Known uint64
}

// queued says that a sweep has not begun: what it will read is still to come.
func (r record) queued() bool { return r.Started.IsZero() }

// serves says whether a queued sweep does what a request wants, perhaps once it waits for a later generation. All sweeps read all keys
// of their job. A resync is as well served by a load or a repair that waits for nothing; these are never held up by a resync.
func (r record) serves(q Request) bool {
	if !r.queued() || r.Job != q.Job || r.After > max(q.After, q.Known) {
		return false
	}
	return r.Cause == q.Cause || q.Cause == Resync && q.After == 0
}

// Request asks for a sweep and returns its id: that of one that is queued, where it serves, else of a new one. The caller's
// side position must lie at the end of the side streams or before when it asks: the sweep's entries come after.
func (b *Book) Request(ctx context.Context, q Request) (id string, err error) {
	key := keyspace.Sweeps(b.pipeline)
	for {
		err := b.rdb.Watch(ctx, func(tx *redis.Tx) error {
			fields, err := tx.HGetAll(ctx, key).Result()
			if err != nil {
				return err
			}
			records, err := parsed(fields)
			if err != nil {
				return err
			}
			r := record{ID: rand.Text(), Job: q.Job, Cause: q.Cause, Requested: time.Now()}
			for _, one := range records {
				if one.serves(q) {
					r = one
					break
				}
			}
			id = r.ID
			if r.seen != "" && r.After >= q.After {
				return nil
			}
			r.After = max(r.After, q.After)
			text, err := json.Marshal(r)
			if err != nil {
				return err
			}
			_, err = tx.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
				pipe.HSet(ctx, key, r.ID, text)
				return nil
			})
			return err
		}, key)
		if errors.Is(err, redis.TxFailedErr) {
			continue // another was asked for, or one has begun
		}
		if err != nil {
			return "", fmt.Errorf("requesting a sweep of job %q: %w", q.Job, err)
		}
		return id, nil
	}
}

// waitingPrefix begins the fields by which an earlier version leads to sweeps that are queued. They go when the sweep begins, so that an
// instance of that version shares none that has begun.
const waitingPrefix = "waiting/"

// errChanged says that a queued sweep is not any more as it was seen: somebody wants it after a later generation, or it was begun elsewhere.
var errChanged = errors.New("the sweep has changed meanwhile")

// exchangeScript stores a sweep that is still as it was seen. KEYS: the sweeps. ARGV: id, text seen, new text, fields to take out.
var exchangeScript = redis.NewScript(`
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
for i = 4, #ARGV do redis.call('HDEL', KEYS[1], ARGV[i]) end
return 1`)

// exchange stores a sweep that was queued when it was read, and perhaps begins now; errChanged where others have changed it.
func (b *Book) exchange(ctx context.Context, r *record, text string) error {
	args := []any{r.ID, r.seen, text}
	if !r.queued() {
		for _, field := range r.waiting {
			args = append(args, field)
		}
	}
	done, err := exchangeScript.Run(ctx, b.rdb, []string{keyspace.Sweeps(b.pipeline)}, args...).Bool()
	if err == nil && !done {
		err = errChanged
	}
	return err
}
