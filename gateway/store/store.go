// Package store keeps the deployed generations of pipelines in Redis, under the names of proto/keyspace.
//
// Promises: a generation is stored whole or not at all, and only over the generation its author has read; numbers grow
// by one; the last Kept generations stay readable; what the capture service reads (the hash of the pipeline) never mixes
// two generations. Connections are stored with their secret references unresolved (G10).
package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/redis/go-redis/v9"
	"google.golang.org/protobuf/proto"

	"slipstream/proto/keyspace"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// Kept is how many generations of a pipeline stay in Redis.
const Kept = 10

var (
	// ErrNotDeployed says that no generation of the pipeline is stored.
	ErrNotDeployed = errors.New("the pipeline is not deployed")
	// ErrConflict says that another generation was stored since the one the caller read.
	ErrConflict = errors.New("another generation was deployed meanwhile")
)

// State is a pipeline as it is stored.
type State struct {
	// Pipeline is the current generation.
	Pipeline *pipelinev1.Pipeline
	// Running says whether lanes shall run.
	Running bool
	// Stale are the jobs that need a resync, by name.
	Stale []*pipelinev1.StaleJob
}

// Store keeps pipelines in a Redis. It is safe for concurrent use.
type Store struct {
	redis redis.UniversalClient
}

// New makes a Store. The client stays the caller's to close.
func New(client redis.UniversalClient) *Store { return &Store{redis: client} }

// currentScript reads a pipeline and its stale jobs as of one moment. It is a script, since a server that is out of memory
// refuses every command of a transaction, and that is when the operator asks. KEYS: the pipeline, its stale jobs. ARGV: the
// fields of the spec and of whether it runs.
var currentScript = redis.NewScript(`
local p = redis.call('HMGET', KEYS[1], ARGV[1], ARGV[2])
return {p[1], p[2], redis.call('HGETALL', KEYS[2])}`)

// Current returns the current generation, or ErrNotDeployed.
func (s *Store) Current(ctx context.Context, name string) (State, error) {
	stored, err := currentScript.Run(ctx, s.redis, []string{keyspace.Pipeline(name), keyspace.Stale(name)},
		keyspace.FieldSpec, keyspace.FieldRunning).Slice()
	if err != nil {
		return State{}, fmt.Errorf("reading pipeline %q: %w", name, err)
	}
	spec, deployed := stored[0].(string)
	if !deployed {
		return State{}, fmt.Errorf("reading pipeline %q: %w", name, ErrNotDeployed)
	}
	p, err := decode(name, []byte(spec))
	if err != nil {
		return State{}, err
	}
	running, _ := stored[1].(string)
	state := State{Pipeline: p, Running: running == "1"}
	fields, _ := stored[2].([]any)
	stale := map[string]string{}
	for i := 1; i < len(fields); i += 2 {
		stale[fmt.Sprint(fields[i-1])] = fmt.Sprint(fields[i])
	}
	state.Stale, err = staleOf(p, stale)
	return state, err
}

// Save stores a pipeline as the generation after base and lets it run, together with the jobs that it makes stale, whose
// generation it sets; other stale jobs stay so while they are in p. base is the generation the caller read, 0 for none;
// when another one is stored by now, nothing is written and the error is ErrConflict. It returns the new number, which is
// also set in p.
func (s *Store) Save(ctx context.Context, p *pipelinev1.Pipeline, base uint64, stale ...*pipelinev1.StaleJob) (uint64, error) {
	name, n := p.GetName(), base+1
	key := keyspace.Pipeline(name)
	p.Generation = n
	text, err := proto.MarshalOptions{Deterministic: true}.Marshal(p)
	if err != nil {
		return 0, fmt.Errorf("encoding pipeline %q: %w", name, err)
	}
	// The set of names lies on another cluster slot than the pipeline. A name without a pipeline does no harm, a pipeline
	// without a name would not be found: so the name goes first.
	if err := s.redis.SAdd(ctx, keyspace.Pipelines(), name).Err(); err != nil {
		return 0, fmt.Errorf("storing the name of pipeline %q: %w", name, err)
	}
	err = s.redis.Watch(ctx, func(tx *redis.Tx) error {
		stored, err := tx.HGet(ctx, key, keyspace.FieldGeneration).Result()
		if err != nil && !errors.Is(err, redis.Nil) {
			return err
		}
		if stored == "" {
			stored = "0"
		}
		if stored != strconv.FormatUint(base, 10) {
			return ErrConflict
		}
		known, err := tx.HKeys(ctx, keyspace.Stale(name)).Result()
		if err != nil {
			return err
		}
		_, err = tx.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
			pipe.HSet(ctx, key, keyspace.FieldGeneration, n, keyspace.FieldRunning, "1", keyspace.FieldSpec, text)
			pipe.Set(ctx, keyspace.Generation(name, n), text, 0)
			if n > Kept {
				pipe.Del(ctx, keyspace.Generation(name, n-Kept))
			}
			return makeStale(ctx, pipe, p, known, stale)
		})
		return err
	}, key)
	switch {
	case errors.Is(err, redis.TxFailedErr) || errors.Is(err, ErrConflict):
		return 0, fmt.Errorf("storing pipeline %q over generation %d: %w", name, base, ErrConflict)
	case err != nil:
		return 0, fmt.Errorf("storing pipeline %q: %w", name, err)
	}
	return n, nil
}

// SetRunning says whether the lanes of a pipeline shall run, and returns the generation that does. It is ErrNotDeployed
// where there is none.
func (s *Store) SetRunning(ctx context.Context, name string, running bool) (uint64, error) {
	key := keyspace.Pipeline(name)
	word := "0"
	if running {
		word = "1"
	}
	for {
		var generation uint64
		err := s.redis.Watch(ctx, func(tx *redis.Tx) error {
			stored, err := tx.HGet(ctx, key, keyspace.FieldGeneration).Uint64()
			if errors.Is(err, redis.Nil) {
				return ErrNotDeployed
			}
			if err != nil {
				return err
			}
			generation = stored
			_, err = tx.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
				pipe.HSet(ctx, key, keyspace.FieldRunning, word)
				return nil
			})
			return err
		}, key)
		if errors.Is(err, redis.TxFailedErr) {
			continue // deployed or switched this moment: look again
		}
		if err != nil {
			return 0, fmt.Errorf("switching pipeline %q: %w", name, err)
		}
		return generation, nil
	}
}

// Generation returns one of the kept generations, or ErrNotDeployed.
func (s *Store) Generation(ctx context.Context, name string, n uint64) (*pipelinev1.Pipeline, error) {
	text, err := s.redis.Get(ctx, keyspace.Generation(name, n)).Bytes()
	if errors.Is(err, redis.Nil) {
		return nil, fmt.Errorf("reading generation %d of pipeline %q: %w", n, name, ErrNotDeployed)
	}
	if err != nil {
		return nil, fmt.Errorf("reading generation %d of pipeline %q: %w", n, name, err)
	}
	return decode(name, text)
}

// Pipelines returns the names of the pipelines ever deployed, sorted.
func (s *Store) Pipelines(ctx context.Context) ([]string, error) {
	names, err := s.redis.SMembers(ctx, keyspace.Pipelines()).Result()
	if err != nil {
		return nil, fmt.Errorf("reading the names of pipelines: %w", err)
	}
	slices.Sort(names)
	return names, nil
}

// Source returns the id of the source installation. The first to ask decides it, for ever (design D4).
func (s *Store) Source(ctx context.Context) (string, error) {
	for {
		id, err := s.redis.Get(ctx, keyspace.Source()).Result() // first: SETNX needs memory, also where it sets nothing
		if err == nil {
			return id, nil
		}
		if !errors.Is(err, redis.Nil) {
			return "", fmt.Errorf("reading the id of the source: %w", err)
		}
		if err := s.redis.SetNX(ctx, keyspace.Source(), rand.Text(), 0).Err(); err != nil {
			return "", fmt.Errorf("setting the id of the source: %w", err)
		}
	}
}

func decode(name string, text []byte) (*pipelinev1.Pipeline, error) {
	p := &pipelinev1.Pipeline{}
	if err := proto.Unmarshal(text, p); err != nil {
		return nil, fmt.Errorf("decoding pipeline %q: %w", name, err)
	}
	return p, nil
}
