package engine

import (
	"context"
	"fmt"
	"slices"

	"slipstream/capture/sweep"
	"slipstream/proto/keyspace"
	capturev1 "slipstream/proto/slipstream/capture/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// Resync asks for sweeps that read all keys of jobs again, of all jobs where none is named. Every instance can do it: the
// one that has the upkeep runs them, one after the other, while changes go on as ever (design D3.4).
func (e *Engine) Resync(ctx context.Context, r *capturev1.ResyncRequest) ([]*capturev1.RequestedSweep, error) {
	p, s, err := e.reachable(r.GetPipeline())
	if err != nil {
		return nil, err
	}
	jobs, err := p.named(s, r.GetJobs())
	if err != nil {
		return nil, err
	}
	stale, err := p.staleJobs(ctx) // as of now: a deploy may have come this moment
	if err != nil {
		return nil, err
	}
	var out []*capturev1.RequestedSweep
	for _, job := range jobs {
		one, err := s.sweep(ctx, sweep.Request{Cause: sweep.Resync, After: after(stale, job.GetName())}, job)
		if err != nil {
			return nil, err
		}
		out = append(out, one)
	}
	return out, nil
}

// Reset sets the totals of jobs to zero, and loads the existing keys of those again that have an initial load (spec 14,
// A16). The position is the target's and stays: what is not settled still comes, and nothing comes twice (G1, G3). Dead
// letters stay.
func (e *Engine) Reset(ctx context.Context, r *capturev1.ResetRequest) ([]*capturev1.RequestedSweep, error) {
	p, s, err := e.reachable(r.GetPipeline())
	if err != nil {
		return nil, err
	}
	jobs, err := p.named(s, r.GetJobs())
	if err != nil {
		return nil, err
	}
	var out []*capturev1.RequestedSweep
	for _, job := range jobs {
		if err := s.site.rdb.Del(ctx, keyspace.Counts(p.name, job.GetName())).Err(); err != nil {
			return nil, fmt.Errorf("setting the totals of job %q to zero: %w", job.GetName(), err)
		}
		one := &capturev1.RequestedSweep{Job: job.GetName(), Reason: unloaded(job)}
		if one.Reason == "" {
			if one, err = s.sweep(ctx, sweep.Request{Cause: sweep.InitialLoad}, job); err != nil {
				return nil, err
			}
		}
		out = append(out, one)
	}
	p.log.InfoContext(ctx, "jobs reset", "jobs", len(out))
	return out, nil
}

// unloaded says why a job has no initial load to repeat.
func unloaded(job *pipelinev1.Job) string {
	switch job.GetSource().GetInitialLoad() {
	case pipelinev1.InitialLoad_INITIAL_LOAD_ALWAYS:
		return ""
	case pipelinev1.InitialLoad_INITIAL_LOAD_IF_EMPTY:
		for _, o := range job.GetOutputs() {
			if s := o.GetRelational().GetLoadStrategy(); history(s) {
				return "initial_load: if_empty, and an output keeps history, which a second load would write twice; resync does it all the same"
			}
		}
		return ""
	default:
		return "the job has no initial_load; resync reads its keys all the same"
	}
}

// history says whether a strategy adds rows instead of replacing them.
func history(s pipelinev1.LoadStrategy) bool {
	return s == pipelinev1.LoadStrategy_LOAD_STRATEGY_APPEND || s == pipelinev1.LoadStrategy_LOAD_STRATEGY_TYPE2
}

// sweep asks for a sweep of a job, or says why it has none. One that is queued already is told instead, where it serves.
func (s *shot) sweep(ctx context.Context, q sweep.Request, job *pipelinev1.Job) (*capturev1.RequestedSweep, error) {
	out := &capturev1.RequestedSweep{Job: job.GetName()}
	switch {
	case !job.GetEnabled():
		out.Reason = "the job is disabled"
	case job.GetSource().GetKeyPattern() == "":
		out.Reason = "the job reads a stream that the application writes, and names no key_pattern: there are no keys to read"
	default:
		var err error
		q.Job, q.Known = job.GetName(), s.generation
		if out.Id, err = s.site.sweeps.Request(ctx, q); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// named are the jobs of these names, in the order of the pipeline; all where none is named.
func (p *pipeline) named(s *shot, names []string) ([]*pipelinev1.Job, error) {
	if len(names) == 0 {
		return s.spec.GetJobs(), nil
	}
	var out []*pipelinev1.Job
	for _, job := range s.spec.GetJobs() {
		if slices.Contains(names, job.GetName()) {
			out = append(out, job)
		}
	}
	for _, name := range names {
		if !slices.ContainsFunc(out, func(j *pipelinev1.Job) bool { return j.GetName() == name }) {
			return nil, fmt.Errorf("job %q of pipeline %q: %w", name, p.name, ErrUnknownJob)
		}
	}
	return out, nil
}
