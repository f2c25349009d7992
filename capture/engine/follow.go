package engine

import (
	"fmt"
	"slices"

	"slipstream/capture/follow"
	capturev1 "slipstream/proto/slipstream/capture/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

const (
	defaultFollowed = 10     // spec 7
	mostFollowed    = 10_000 // a trace is read by a person, and what is followed is held in memory
)

// Follow begins to follow changes of the lanes that run here (spec 9.3). The follower must be closed.
func (e *Engine) Follow(r *capturev1.TraceRequest) (*follow.Follower, error) {
	p, err := e.pipeline(r.GetPipeline())
	if err != nil {
		return nil, err
	}
	most := int(r.GetMaxRecords())
	if most == 0 {
		most = defaultFollowed
	}
	if most > mostFollowed {
		return nil, fmt.Errorf("%w: a trace follows at most %d changes", ErrRequest, mostFollowed)
	}
	s := p.shot()
	if r.GetJob() != "" && !slices.ContainsFunc(s.spec.GetJobs(), func(j *pipelinev1.Job) bool { return j.GetName() == r.GetJob() }) {
		return nil, fmt.Errorf("job %q of pipeline %q: %w", r.GetJob(), p.name, ErrUnknownJob)
	}
	return e.board.Follow(follow.Request{
		Pipeline: p.name, Job: r.GetJob(), Keys: r.GetKeys(), Most: most, OnlyRejected: r.GetOnlyRejected(),
	}), nil
}

// Instance is the name of this instance.
func (e *Engine) Instance() string { return e.o.Instance }
