package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"
	"google.golang.org/protobuf/proto"

	"slipstream/proto/keyspace"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// staleOf reads the stale jobs of a pipeline. Jobs that it does not have are left over from a gateway that knew nothing of
// them.
func staleOf(p *pipelinev1.Pipeline, fields map[string]string) ([]*pipelinev1.StaleJob, error) {
	var out []*pipelinev1.StaleJob
	for job, text := range fields {
		if !has(p, job) {
			continue
		}
		s := &pipelinev1.StaleJob{}
		if err := proto.Unmarshal([]byte(text), s); err != nil {
			return nil, fmt.Errorf("decoding stale job %q of pipeline %q: %w", job, p.GetName(), err)
		}
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b *pipelinev1.StaleJob) int { return strings.Compare(a.GetJob(), b.GetJob()) })
	return out, nil
}

func has(p *pipelinev1.Pipeline, job string) bool {
	return slices.ContainsFunc(p.GetJobs(), func(j *pipelinev1.Job) bool { return j.GetName() == job })
}

// makeStale stores stale jobs with the generation that makes them so, and forgets those whose job is gone.
func makeStale(ctx context.Context, pipe redis.Pipeliner, p *pipelinev1.Pipeline, known []string, stale []*pipelinev1.StaleJob) error {
	key := keyspace.Stale(p.GetName())
	for _, job := range known {
		if !has(p, job) {
			pipe.HDel(ctx, key, job)
		}
	}
	for _, s := range stale {
		s.Generation = p.GetGeneration()
		text, err := proto.Marshal(s)
		if err != nil {
			return fmt.Errorf("encoding stale job %q: %w", s.GetJob(), err)
		}
		pipe.HSet(ctx, key, s.GetJob(), text)
	}
	return nil
}

// RequestResync notes that stale jobs are to be resynced. A job that is stale no longer needs none.
func (s *Store) RequestResync(ctx context.Context, name string, jobs []string) error {
	key := keyspace.Stale(name)
	for {
		err := s.redis.Watch(ctx, func(tx *redis.Tx) error {
			texts, err := tx.HGetAll(ctx, key).Result()
			if err != nil {
				return err
			}
			_, err = tx.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
				for _, job := range jobs {
					one := &pipelinev1.StaleJob{}
					if err := proto.Unmarshal([]byte(texts[job]), one); err != nil {
						return fmt.Errorf("decoding stale job %q: %w", job, err)
					}
					if texts[job] == "" || one.GetResync() {
						continue
					}
					one.Resync = true
					text, err := proto.Marshal(one)
					if err != nil {
						return fmt.Errorf("encoding stale job %q: %w", job, err)
					}
					pipe.HSet(ctx, key, job, text)
				}
				return nil
			})
			return err
		}, key)
		if errors.Is(err, redis.TxFailedErr) {
			continue // capture or a deploy changed one this moment
		}
		if err != nil {
			return fmt.Errorf("requesting the resync of %d jobs of pipeline %q: %w", len(jobs), name, err)
		}
		return nil
	}
}
