package engine

import (
	"context"
	"fmt"
	"slices"

	"slipstream/capture/deadletter"
	"slipstream/proto/keyspace"
	capturev1 "slipstream/proto/slipstream/capture/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// Rejected reads dead letters (spec 9.4): of one job or stream, or of all jobs of the pipeline, those that were removed
// from it not included unless they are named.
func (e *Engine) Rejected(ctx context.Context, r *capturev1.ListRejectedRequest) ([]*capturev1.DeadLetterStream, error) {
	p, err := e.pipeline(r.GetPipeline())
	if err != nil {
		return nil, err
	}
	s := p.shot()
	if s.site == nil {
		return nil, fmt.Errorf("pipeline %q: its source cannot be reached: %s", p.name, s.reason)
	}
	var names []string
	switch {
	case r.GetDlqName() != "":
		if _, ok := deadletter.Job(p.name, r.GetDlqName()); !ok {
			return nil, fmt.Errorf("%w: %q is no dead-letter stream of pipeline %q", ErrUnknownStream, r.GetDlqName(), p.name)
		}
		names = []string{r.GetDlqName()}
	case r.GetJob() != "":
		names = []string{keyspace.DeadLetters(p.name, r.GetJob())}
	default:
		for _, job := range s.spec.GetJobs() {
			names = append(names, keyspace.DeadLetters(p.name, job.GetName()))
		}
	}
	var open *deadletter.Opener
	if r.GetOpen() {
		open = deadletter.KeysOf(s.spec.GetSettings()).Opener()
	}
	var out []*capturev1.DeadLetterStream
	for _, name := range names {
		most, skip := int(r.GetMaxRecords()), int(r.GetOffset())
		if most > 0 {
			most += skip // a stream has a cap: what is passed over is read
		}
		one, err := deadletter.Stream(ctx, s.site.rdb, name, most, r.GetOldest(), open)
		if err != nil {
			return nil, err
		}
		one.Job, _ = deadletter.Job(p.name, name)
		known := func(j *pipelinev1.Job) bool { return j.GetName() == r.GetJob() }
		if one.GetJob() == r.GetJob() && one.GetLength() == 0 && !slices.ContainsFunc(s.spec.GetJobs(), known) {
			return nil, fmt.Errorf("job %q of pipeline %q: %w", r.GetJob(), p.name, ErrUnknownJob)
		}
		one.Entries = one.Entries[min(skip, len(one.Entries)):]
		out = append(out, one)
	}
	return out, nil
}

// DeadLetterStreams lists the dead-letter streams of a pipeline, those of jobs that are gone among them.
func (e *Engine) DeadLetterStreams(ctx context.Context, pipeline string) ([]*capturev1.DeadLetterStream, error) {
	p, s, err := e.reachable(pipeline)
	if err != nil {
		return nil, err
	}
	var jobs []string
	for _, job := range s.spec.GetJobs() {
		jobs = append(jobs, job.GetName())
	}
	return deadletter.Streams(ctx, s.site.rdb, p.name, jobs, int(s.spec.GetSettings().GetDlqMaxMessages()))
}
