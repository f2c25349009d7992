package deadletter

import (
	"context"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"

	capturev1 "slipstream/proto/slipstream/capture/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"

	"slipstream/proto/keyspace"
)

// listPage is the most entries asked for where all are wanted.
const listPage = 1000

// Stream reads a dead-letter stream: at most limit entries (0: all), newest first unless oldest is set. A stream that
// does not exist is an empty one. Sealed letters are opened with open; nil leaves them sealed.
func Stream(
	ctx context.Context, client redis.UniversalClient, stream string, limit int, oldest bool, open *Opener,
) (*capturev1.DeadLetterStream, error) {
	length, err := client.XLen(ctx, stream).Result()
	if err != nil {
		return nil, fmt.Errorf("counting dead letters in %q: %w", stream, err)
	}
	out := &capturev1.DeadLetterStream{Name: stream, Length: uint64(length)}
	next := ""
	for limit == 0 || len(out.Entries) < limit {
		page := int64(listPage)
		if limit > 0 {
			page = min(page, int64(limit-len(out.Entries)))
		}
		entries, err := readPage(ctx, client, stream, next, page, oldest)
		if err != nil {
			return nil, fmt.Errorf("reading dead letters in %q: %w", stream, err)
		}
		for _, e := range entries {
			out.Entries = append(out.Entries, letter(stream, e, open))
		}
		if int64(len(entries)) < page {
			break
		}
		next = "(" + entries[len(entries)-1].ID
	}
	return out, nil
}

// Find reads the dead letters of these IDs, in their order, and returns the IDs that there are none of. Sealed ones are
// opened with open; nil leaves them sealed.
func Find(
	ctx context.Context, client redis.UniversalClient, stream string, ids []string, open *Opener,
) (found []*capturev1.DeadLetter, missing []string, err error) {
	pipe := client.Pipeline()
	asked := make([]*redis.XMessageSliceCmd, len(ids))
	for i, id := range ids {
		asked[i] = pipe.XRange(ctx, stream, id, id)
	}
	if len(ids) > 0 {
		if _, err := pipe.Exec(ctx); err != nil {
			return nil, nil, fmt.Errorf("reading %d dead letters of %q: %w", len(ids), stream, err)
		}
	}
	for i, a := range asked {
		if len(a.Val()) == 0 {
			missing = append(missing, ids[i])
			continue
		}
		found = append(found, letter(stream, a.Val()[0], open))
	}
	return found, missing, nil
}

func letter(stream string, e redis.XMessage, open *Opener) *capturev1.DeadLetter {
	r, job, at := decode(e.Values)
	l := &capturev1.DeadLetter{Id: e.ID, TimestampMs: at, Job: job, Reject: r}
	text := func(field string) string {
		s, _ := e.Values[field].(string)
		return s
	}
	l.Withheld = strings.Fields(text(fieldWithheld))
	switch text(fieldPayload) {
	case "":
	case payloadOmit:
		l.Payload = pipelinev1.DeadLetterPayload_DEAD_LETTER_PAYLOAD_OMIT
	case payloadEncrypt:
		l.Payload, l.PayloadKey = pipelinev1.DeadLetterPayload_DEAD_LETTER_PAYLOAD_ENCRYPT, text(fieldPayloadKey)
		if open == nil {
			break
		}
		if err := open.open(stream, e.Values, r); err != nil {
			l.PayloadTrouble = err.Error()
		} else {
			l.Withheld = nil
		}
	default:
		l.PayloadTrouble = "it was stored by a version that this capture does not know"
	}
	return l
}

func readPage(ctx context.Context, client redis.UniversalClient, stream, from string, page int64, oldest bool) ([]redis.XMessage, error) {
	if oldest {
		if from == "" {
			from = "-"
		}
		return client.XRangeN(ctx, stream, from, "+", page).Result()
	}
	if from == "" {
		from = "+"
	}
	return client.XRevRangeN(ctx, stream, from, "-", page).Result()
}

// Lengths counts the dead letters of each job, in the order of jobs.
func Lengths(ctx context.Context, client redis.UniversalClient, pipeline string, jobs []string) ([]uint64, error) {
	pipe := client.Pipeline()
	counts := make([]*redis.IntCmd, len(jobs))
	for i, job := range jobs {
		counts[i] = pipe.XLen(ctx, keyspace.DeadLetters(pipeline, job))
	}
	if len(jobs) > 0 {
		if _, err := pipe.Exec(ctx); err != nil {
			return nil, fmt.Errorf("counting dead letters of pipeline %q: %w", pipeline, err)
		}
	}
	lengths := make([]uint64, len(jobs))
	for i, c := range counts {
		lengths[i] = uint64(c.Val())
	}
	return lengths, nil
}

// Job is the job a dead-letter stream of a pipeline belongs to, and whether it is one.
func Job(pipeline, stream string) (string, bool) {
	job, ok := strings.CutPrefix(stream, keyspace.DeadLetters(pipeline, ""))
	return job, ok && job != ""
}
