package engine

import (
	"context"
	"slices"
	"time"

	"slipstream/capture/flush"
	capturev1 "slipstream/proto/slipstream/capture/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// halts learns which jobs a flush has stopped. A job that ignores flushes by now is not.
func (p *pipeline) halts(ctx context.Context) error {
	stopped, err := p.site.flushes.Stopped(ctx)
	if err != nil {
		return err
	}
	for _, job := range p.spec.GetJobs() {
		if !flush.Stops(job) {
			delete(stopped, job.GetName())
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for job := range stopped {
		if _, known := p.halted[job]; !known {
			p.log.WarnContext(ctx, "the source was flushed: the lanes of the job stop until that is acknowledged", "job", job)
		}
	}
	p.halted = stopped
	return nil
}

// AcknowledgeFlush lets the jobs of a pipeline run again that a flush of its source has stopped, and returns their names.
func (e *Engine) AcknowledgeFlush(ctx context.Context, name string) ([]string, error) {
	p, s, err := e.reachable(name)
	if err != nil {
		return nil, err
	}
	all, err := s.site.flushes.Acknowledge(ctx)
	if err != nil {
		return nil, err
	}
	jobs := slices.DeleteFunc(all, func(name string) bool {
		return !slices.ContainsFunc(s.spec.GetJobs(), func(j *pipelinev1.Job) bool { return j.GetName() == name && flush.Stops(j) })
	})
	if len(jobs) > 0 {
		p.log.InfoContext(ctx, "flush acknowledged", "jobs", jobs)
	}
	select {
	case p.wake <- struct{}{}:
	default:
	}
	return jobs, nil
}

// stoppedByFlush is the status of a lane that a flush has stopped.
func stoppedByFlush(lane *flowv1.Lane, at time.Time) *capturev1.LaneStatus {
	return &capturev1.LaneStatus{
		Lane: lane, State: capturev1.LaneState_LANE_STATE_STOPPED, SinceMs: at.UnixMilli(),
		Fault: &flowv1.Fault{
			Class: flowv1.FaultClass_FAULT_CLASS_UNSPECIFIED, Stage: "capture",
			Message: "FLUSHDB, FLUSHALL or SWAPDB ran on the source: the rows stay, and what is written now is recorded and waits",
			Fix:     "start the pipeline again to go on; source.redis.on_flush: ignore does not stop",
		},
	}
}
