package engine

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/redis/go-redis/v9"
	"google.golang.org/protobuf/proto"

	"slipstream/proto/keyspace"
)

// restore puts the generation that runs here back into a store that lost it. Nobody takes a pipeline away: one that is
// missing was flushed, or Redis came back without its data, and neither ends a pipeline (G7). A generation that is there
// is never touched, whoever put it there.
func (p *pipeline) restore(ctx context.Context) error {
	p.mu.Lock()
	spec, generation, running, all := p.spec, p.generation, p.running, p.stale
	p.mu.Unlock()
	binary, err := proto.Marshal(spec)
	if err != nil {
		return fmt.Errorf("encoding generation %d of pipeline %q: %w", generation, p.name, err)
	}
	key := keyspace.Pipeline(p.name)
	run := "0"
	if running {
		run = "1"
	}
	err = p.e.store.Watch(ctx, func(tx *redis.Tx) error {
		if there, err := tx.Exists(ctx, key).Result(); err != nil || there > 0 {
			return err
		}
		_, err := tx.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
			pipe.HSet(ctx, key, keyspace.FieldGeneration, strconv.FormatUint(generation, 10), keyspace.FieldRunning, run, keyspace.FieldSpec, binary)
			pipe.Set(ctx, keyspace.Generation(p.name, generation), binary, 0)
			pipe.SAdd(ctx, keyspace.Pipelines(), p.name)
			for _, s := range all {
				pipe.HSet(ctx, keyspace.Stale(p.name), s.GetJob(), s.text)
			}
			return nil
		})
		return err
	}, key)
	switch {
	case errors.Is(err, redis.TxFailedErr): // somebody else was first
		return nil
	case err != nil:
		return fmt.Errorf("putting generation %d of pipeline %q back: %w", generation, p.name, err)
	}
	p.log.WarnContext(ctx, "the store had lost the pipeline: put back", "generation", generation)
	return nil
}
