// Package deadletter keeps rejected records in Redis: a capped stream a job, with all that get-rejected shows (spec 9.4).
//
// A dead letter is named by (lane, source id, output). What is true of a Queue: Store returns only when every reject is
// in the stream, so that the batch they came from may commit (G2); a reject that was stored before and whose batch is not
// yet settled is not stored again, whatever crashed in between (design D9); the stream never holds more than its cap, and
// what the cap pushed out is counted (G1).
//
// What a letter keeps of the data of its record is the pipeline's choice (dlq_payload): all, none, or all of it sealed. The
// payload is the record, the record after the transformations, and the reason, which may quote values; key, class, code,
// block and column stand in clear. A sealed payload is bound to its stream and to all that stands in clear beside it, so that
// it opens nowhere else. Without its key nothing is stored, and the lane waits: never is it stored in clear instead.
//
// The names already stored are remembered in a sorted set a lane beside the stream; Forget drops them when their batch is
// settled. Counters are in the job's keyspace.Counts hash, under the Field constants.
package deadletter

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	flowv1 "slipstream/proto/slipstream/flow/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"

	"slipstream/proto/flow"
	"slipstream/proto/keyspace"
)

// Fields of the hash keyspace.Counts that this package writes.
const (
	// FieldStored counts dead letters ever stored.
	FieldStored = "dead_letters_stored"
	// FieldPushedOut counts dead letters that the cap pushed out.
	FieldPushedOut = "dead_letters_pushed_out"
	// FieldReplayed counts dead letters that were put back on the line.
	FieldReplayed = "dead_letters_replayed"
)

const (
	defaultCap = 1000  // spec 2.5
	rememberds = 16384 // most names remembered a lane; more than any window holds
	chunk      = 128   // rejects a script call
)

// store adds the rejects that are not remembered yet and says how many were added and how many the cap pushed out.
// KEYS: stream, remembered names, counts. ARGV: cap, most names, now, then for each reject its name, the number of
// strings that follow, and these: field, value, …
var store = redis.NewScript(`
local added = 0
local before = redis.call('XLEN', KEYS[1])
local i = 4
while i <= #ARGV do
  local name, n = ARGV[i], tonumber(ARGV[i+1])
  if redis.call('ZADD', KEYS[2], 'NX', ARGV[3], name) == 1 then
    redis.call('XADD', KEYS[1], 'MAXLEN', '=', ARGV[1], '*', unpack(ARGV, i+2, i+1+n))
    added = added + 1
  end
  i = i + 2 + n
end
redis.call('ZREMRANGEBYRANK', KEYS[2], 0, -1 - tonumber(ARGV[2]))
local out = before + added - redis.call('XLEN', KEYS[1])
if added > 0 then redis.call('HINCRBY', KEYS[3], '` + FieldStored + `', added) end
if out > 0 then redis.call('HINCRBY', KEYS[3], '` + FieldPushedOut + `', out) end
return {added, out}
`)

// Queue stores the dead letters of one lane.
type Queue struct {
	client redis.UniversalClient
	now    func() time.Time

	stream, names, counts string
	job, lane             string
	limit                 int
	payload               pipelinev1.DeadLetterPayload
	keys                  Keys
}

// NewQueue returns the queue of a lane. settings say the cap of the job's stream, 0 meaning 1000, and what becomes of
// payloads. now is the clock.
func NewQueue(client redis.UniversalClient, lane *flowv1.Lane, settings *pipelinev1.Settings, now func() time.Time) *Queue {
	limit := int(settings.GetDlqMaxMessages())
	if limit <= 0 {
		limit = defaultCap
	}
	counts := keyspace.Counts(lane.GetPipeline(), lane.GetJob())
	return &Queue{
		client: client, now: now, limit: limit, job: lane.GetJob(), lane: flow.Name(lane), counts: counts,
		payload: settings.GetDlqPayload(), keys: KeysOf(settings),
		stream: keyspace.DeadLetters(lane.GetPipeline(), lane.GetJob()),
		names: fmt.Sprintf("%s:rejects:%s:%d:%d:%s", counts, lane.GetConnection(), lane.GetLayout(), lane.GetPartition(),
			lane.GetShard()),
	}
}

// Ready says why no dead letter could be stored as it is to be: a key that is missing.
func (q *Queue) Ready() error {
	_, err := q.put(&flowv1.Reject{Reason: "none"}, "")
	return err
}

// Store stores the rejects that are not stored yet and says how many those were.
func (q *Queue) Store(ctx context.Context, rejects []*flowv1.Reject) (int, error) {
	added := 0
	for len(rejects) > 0 {
		n := min(chunk, len(rejects))
		got, err := q.store(ctx, rejects[:n])
		if err != nil {
			return added, fmt.Errorf("storing dead letters in %q: %w", q.stream, err)
		}
		added += got
		rejects = rejects[n:]
	}
	return added, nil
}

func (q *Queue) store(ctx context.Context, rejects []*flowv1.Reject) (int, error) {
	now := strconv.FormatInt(q.now().UnixMilli(), 10)
	args := []any{q.limit, rememberds, now}
	for _, r := range rejects {
		fields, err := q.put(r, now)
		if err != nil {
			return 0, err
		}
		args = append(args, name(r), len(fields))
		args = append(args, fields...)
	}
	got, err := store.Run(ctx, q.client, []string{q.stream, q.names, q.counts}, args...).Int64Slice()
	if err != nil {
		return 0, err
	}
	if len(got) != 2 {
		return 0, errors.New("the script answered something else than two numbers")
	}
	return int(got[0]), nil
}

// Forget drops the names of rejects whose batch is settled: they cannot come again.
func (q *Queue) Forget(ctx context.Context, rejects []*flowv1.Reject) error {
	if len(rejects) == 0 {
		return nil
	}
	members := make([]any, len(rejects))
	for i, r := range rejects {
		members[i] = name(r)
	}
	if err := q.client.ZRem(ctx, q.names, members...).Err(); err != nil {
		return fmt.Errorf("forgetting dead letters of settled batches: %w", err)
	}
	return nil
}

// name is the part of a dead letter's identity that the lane does not give.
func name(r *flowv1.Reject) string {
	var b strings.Builder
	b.WriteString(r.GetSourceId())
	b.WriteByte('/')
	b.WriteString(strconv.Itoa(int(r.GetOutput())))
	return b.String()
}
