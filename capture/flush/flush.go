// Package flush is the record of jobs that a flush of the source has stopped (spec 1.5, on_flush). FLUSHALL, FLUSHDB and
// SWAPDB say nothing of the keys they take; no row is deleted for them (G7), but somebody should know that table and
// source are two things from then on. So the lanes of a job stop, unless it ignores flushes, until the flush is
// acknowledged. What is written meanwhile is recorded and waits.
//
// The recorder finds flushes and stops jobs, the engine asks which are stopped and takes acknowledgements.
package flush

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"slipstream/proto/keyspace"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// Stops says whether a flush stops a job.
func Stops(job *pipelinev1.Job) bool {
	return job.GetSource().GetOnFlush() != pipelinev1.FlushPolicy_FLUSH_POLICY_IGNORE
}

// Book is the jobs of a pipeline that are stopped.
type Book struct {
	rdb redis.UniversalClient
	key string
}

// NewBook returns the stopped jobs of a pipeline kept in rdb.
func NewBook(rdb redis.UniversalClient, pipeline string) *Book {
	return &Book{rdb: rdb, key: keyspace.Recorder(pipeline) + ":flushed"}
}

// Stop notes that a flush stops jobs. For a job that is stopped already the first flush counts.
func (b *Book) Stop(ctx context.Context, jobs []string, at time.Time) error {
	if len(jobs) == 0 {
		return nil
	}
	_, err := b.rdb.TxPipelined(ctx, func(p redis.Pipeliner) error {
		for _, job := range jobs {
			p.HSetNX(ctx, b.key, job, at.UnixMilli())
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("stopping %d jobs after a flush: %w", len(jobs), err)
	}
	return nil
}

// Stopped are the jobs that are stopped, and when the flush was found.
func (b *Book) Stopped(ctx context.Context) (map[string]time.Time, error) {
	fields, err := b.rdb.HGetAll(ctx, b.key).Result()
	if err != nil {
		return nil, fmt.Errorf("reading the jobs that a flush has stopped: %w", err)
	}
	stopped := make(map[string]time.Time, len(fields))
	for job, text := range fields {
		ms, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("reading when a flush stopped job %q: %w", job, err)
		}
		stopped[job] = time.UnixMilli(ms)
	}
	return stopped, nil
}

// acknowledge empties the book and returns what was in it. KEYS: the book.
var acknowledge = redis.NewScript(`
local jobs = redis.call('HKEYS', KEYS[1])
redis.call('DEL', KEYS[1])
return jobs`)

// Acknowledge lets all jobs run again and returns their names, sorted.
func (b *Book) Acknowledge(ctx context.Context) ([]string, error) {
	jobs, err := acknowledge.Run(ctx, b.rdb, []string{b.key}).StringSlice()
	if err != nil {
		return nil, fmt.Errorf("acknowledging a flush: %w", err)
	}
	slices.Sort(jobs)
	return jobs, nil
}
