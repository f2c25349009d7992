package engine

import (
	"context"
	"fmt"

	"slipstream/capture/deadletter"
	"slipstream/proto/keyspace"
	capturev1 "slipstream/proto/slipstream/capture/v1"
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
	var out []*capturev1.DeadLetterStream
	for _, name := range names {
		one, err := deadletter.Stream(ctx, s.site.rdb, name, int(r.GetMaxRecords()), r.GetOldest())
		if err != nil {
			return nil, err
		}
		out = append(out, one)
	}
	return out, nil
}
