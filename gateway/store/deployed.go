package store

import (
	"context"
	"fmt"
	"strconv"

	"github.com/redis/go-redis/v9"

	"slipstream/proto/keyspace"
)

// Deployed is a pipeline without its generation.
type Deployed struct {
	Name       string
	Generation uint64
	Running    bool
}

// Deployed lists the pipelines that are deployed, by name. A name whose pipeline was not stored, or was lost, is left out.
func (s *Store) Deployed(ctx context.Context) ([]Deployed, error) {
	names, err := s.Pipelines(ctx)
	if err != nil || len(names) == 0 {
		return nil, err
	}
	stored := make([]*redis.SliceCmd, len(names))
	_, err = s.redis.Pipelined(ctx, func(pipe redis.Pipeliner) error { // on a cluster they lie on many slots
		for i, name := range names {
			stored[i] = pipe.HMGet(ctx, keyspace.Pipeline(name), keyspace.FieldGeneration, keyspace.FieldRunning)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading the generations of %d pipelines: %w", len(names), err)
	}
	var out []Deployed
	for i, name := range names {
		generation, there := stored[i].Val()[0].(string)
		if !there {
			continue
		}
		n, err := strconv.ParseUint(generation, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("reading pipeline %q: generation %q: %w", name, generation, err)
		}
		out = append(out, Deployed{Name: name, Generation: n, Running: stored[i].Val()[1] == "1"})
	}
	return out, nil
}
