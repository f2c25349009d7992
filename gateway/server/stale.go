package server

import (
	"context"
	"slices"
	"strings"

	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"

	"slipstream/gateway/meaning"
	"slipstream/gateway/store"
)

// mostChanges is how many changes a stale job tells of; the oldest give way.
const mostChanges = 20

// staleness is what a deploy does to the meaning of the jobs.
type staleness struct {
	changed []*gatewayv1.ChangedJob
	made    []*pipelinev1.StaleJob // that this deploy makes stale, or stale once more
	all     []*pipelinev1.StaleJob // that are stale once it is done, by name
}

// staleAfter compares a pipeline with the generation that runs. A job that was stale before stays so, also where it gets
// its old meaning back: what was written in between has the other one.
func (s *Server) staleAfter(now store.State, next *pipelinev1.Pipeline, resync bool) staleness {
	var out staleness
	for _, job := range meaning.Compare(now.Pipeline, next) {
		out.changed = append(out.changed, &gatewayv1.ChangedJob{Job: job.Name, Changes: job.Changes})
		if !job.Stale() {
			continue
		}
		one := &pipelinev1.StaleJob{
			Job: job.Name, Generation: now.Pipeline.GetGeneration() + 1, SinceMs: s.config.Now().UnixMilli(), Caution: job.Caution,
		}
		if before := staleJob(now.Stale, job.Name); before != nil {
			one.SinceMs, one.Changes, one.Resync = before.GetSinceMs(), before.GetChanges(), before.GetResync()
		}
		for _, c := range job.Changes {
			if c.GetNeedsResync() {
				one.Changes = append(one.Changes, c)
			}
		}
		one.Changes = one.Changes[max(0, len(one.Changes)-mostChanges):]
		one.Resync = automatic(next, job.Name) && (one.GetResync() || resync)
		out.made = append(out.made, one)
	}
	for _, job := range next.GetJobs() {
		switch made, before := staleJob(out.made, job.GetName()), staleJob(now.Stale, job.GetName()); {
		case made != nil:
			out.all = append(out.all, made)
		case before != nil:
			before.Caution = meaning.Caution(job)
			before.Resync = before.GetResync() || resync && automatic(next, job.GetName())
			out.all = append(out.all, before)
		}
	}
	slices.SortFunc(out.all, func(a, b *pipelinev1.StaleJob) int { return strings.Compare(a.GetJob(), b.GetJob()) })
	return out
}

func staleJob(all []*pipelinev1.StaleJob, job string) *pipelinev1.StaleJob {
	for _, s := range all {
		if s.GetJob() == job {
			return s
		}
	}
	return nil
}

func automatic(p *pipelinev1.Pipeline, job string) bool {
	return slices.ContainsFunc(p.GetJobs(), func(j *pipelinev1.Job) bool { return j.GetName() == job && meaning.Automatic(j) })
}

// requestResync asks for the resyncs of jobs that were stale before this deploy. Capture sees it in the store.
func (s *Server) requestResync(ctx context.Context, name string, all []*pipelinev1.StaleJob) error {
	var jobs []string
	for _, one := range all {
		if one.GetResync() {
			jobs = append(jobs, one.GetJob())
		}
	}
	if len(jobs) == 0 {
		return nil
	}
	return s.config.Store.RequestResync(ctx, name, jobs)
}
