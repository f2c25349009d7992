package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"
	"google.golang.org/protobuf/proto"

	"slipstream/capture/sweep"
	"slipstream/proto/keyspace"
	capturev1 "slipstream/proto/slipstream/capture/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// stale is a job whose meaning changed since rows were written, with the text under which the store has it: whoever
// changes it must have seen that one.
type stale struct {
	*pipelinev1.StaleJob
	text string
}

// staleScript reads the stale jobs where the pipeline is stored, both as of one moment. It is a script, since a server that is
// out of memory refuses every command of a transaction. KEYS: the pipeline, its stale jobs.
var staleScript = redis.NewScript(`return redis.call('EXISTS', KEYS[1]) == 1 and redis.call('HGETALL', KEYS[2])`)

// staleJobs reads the jobs that need a resync from the store, by name. A store that lost the pipeline knows of none: then it
// is what was known last, until both are put back.
func (p *pipeline) staleJobs(ctx context.Context) ([]stale, error) {
	keys := []string{keyspace.Pipeline(p.name), keyspace.Stale(p.name)}
	fields, err := staleScript.Run(ctx, p.e.store, keys).StringSlice()
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, fmt.Errorf("reading the stale jobs of pipeline %q: %w", p.name, err)
	}
	if err != nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		return slices.Clone(p.stale), nil
	}
	var all []stale
	for i := 1; i < len(fields); i += 2 {
		job, text := fields[i-1], fields[i]
		one := stale{StaleJob: &pipelinev1.StaleJob{}, text: text}
		if err := proto.Unmarshal([]byte(text), one.StaleJob); err != nil {
			return nil, fmt.Errorf("reading stale job %q of pipeline %q: %w", job, p.name, err)
		}
		all = append(all, one)
	}
	slices.SortFunc(all, func(a, b stale) int { return strings.Compare(a.GetJob(), b.GetJob()) })
	return all, nil
}

// after is the generation that a resync of a job comes after; 0 where the job is not stale.
func after(all []stale, job string) uint64 {
	for _, s := range all {
		if s.GetJob() == job {
			return s.GetGeneration()
		}
	}
	return 0
}

// freshen asks for the resyncs that a deploy wants, and takes off the list what a sweep has brought in line. Every instance
// does it: a request that is made twice is one, and the store changes only for who has seen what is in it.
func (p *pipeline) freshen(ctx context.Context) error {
	all, err := p.staleJobs(ctx)
	if err != nil {
		return err
	}
	defer func() {
		p.mu.Lock()
		p.stale = all
		p.mu.Unlock()
		p.e.stale.set(p.name, all)
	}()
	if len(all) == 0 {
		return nil
	}
	sweeps, err := p.site.sweeps.List(ctx)
	if err != nil {
		return err
	}
	var errs []error
	var kept []stale
	for _, s := range all {
		done, err := p.freshenJob(ctx, s, sweeps)
		errs = append(errs, err)
		if !done {
			kept = append(kept, s)
		}
	}
	all = kept
	return errors.Join(errs...)
}

// freshenJob says whether a job is stale no longer. A job that the generation here does not have, or that is newer than
// it, is left for later.
func (p *pipeline) freshenJob(ctx context.Context, s stale, sweeps []*capturev1.Sweep) (done bool, err error) {
	i := slices.IndexFunc(p.spec.GetJobs(), func(j *pipelinev1.Job) bool { return j.GetName() == s.GetJob() })
	if i < 0 || s.GetGeneration() > p.generation {
		return false, nil
	}
	asked := false
	for _, sw := range sweeps {
		// A sweep of a generation beyond the one that runs is of a time before the store lost everything.
		mends := sw.GetJob() == s.GetJob() && sw.GetGeneration() >= s.GetGeneration() && sw.GetGeneration() <= p.generation
		if mends && sw.GetSettledMs() != 0 {
			p.log.InfoContext(ctx, "job is stale no longer", "job", s.GetJob(), "sweep", sw.GetId(), "generation", s.GetGeneration())
			return true, p.replaceStale(ctx, s, nil)
		}
		asked = asked || sw.GetId() == s.GetSweep() && sw.GetAfter() >= s.GetGeneration()
	}
	if !s.GetResync() || asked || !p.spec.GetJobs()[i].GetEnabled() {
		return false, nil
	}
	id, err := p.site.sweeps.Request(ctx, sweep.Request{
		Job: s.GetJob(), Cause: sweep.Resync, After: s.GetGeneration(), Known: p.generation,
	})
	if err != nil {
		return false, err
	}
	p.log.InfoContext(ctx, "resync requested by a deploy", "job", s.GetJob(), "sweep", id, "generation", s.GetGeneration())
	now := proto.CloneOf(s.StaleJob)
	now.Sweep = id
	return false, p.replaceStale(ctx, s, now)
}

// replaceScript changes a stale job that is still as it was seen. KEYS: the stale jobs. ARGV: job, text seen, new text or
// nothing.
var replaceScript = redis.NewScript(`
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
if ARGV[3] == '' then return redis.call('HDEL', KEYS[1], ARGV[1]) end
return redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])`)

// replaceStale stores a stale job in the place of the one seen; nil takes it out. A deploy that came in between wins.
func (p *pipeline) replaceStale(ctx context.Context, seen stale, now *pipelinev1.StaleJob) error {
	var text []byte
	if now != nil {
		var err error
		if text, err = proto.Marshal(now); err != nil {
			return fmt.Errorf("encoding stale job %q: %w", seen.GetJob(), err)
		}
	}
	err := replaceScript.Run(ctx, p.e.store, []string{keyspace.Stale(p.name)}, seen.GetJob(), seen.text, text).Err()
	if err != nil {
		return fmt.Errorf("storing stale job %q of pipeline %q: %w", seen.GetJob(), p.name, err)
	}
	return nil
}
