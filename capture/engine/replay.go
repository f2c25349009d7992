package engine

import (
	"context"
	"errors"
	"fmt"

	"slipstream/capture/deadletter"
	"slipstream/capture/replay"
	"slipstream/capture/stream"
	"slipstream/proto/keyspace"
	capturev1 "slipstream/proto/slipstream/capture/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// ErrRequest says that a request cannot be meant as it was sent.
var ErrRequest = errors.New("the request is not understood")

// Replay puts dead letters back on the line (spec 9.4): those of one job or stream, or of all jobs of the pipeline, oldest
// first. Every instance can do it, whoever holds the lanes.
func (e *Engine) Replay(ctx context.Context, r *capturev1.ReplayRequest) ([]*capturev1.ReplayedStream, error) {
	p, s, err := e.reachable(r.GetPipeline())
	if err != nil {
		return nil, err
	}
	jobs, err := p.jobsOf(s, r.GetJob(), r.GetDlqName())
	if err != nil {
		return nil, err
	}
	if len(r.GetIds()) > 0 && len(jobs) > 1 {
		return nil, fmt.Errorf("%w: IDs are those of one dead-letter stream: name its job", ErrRequest)
	}
	for _, id := range r.GetIds() {
		if _, err := stream.ParseID(id); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrRequest, err)
		}
	}
	var out []*capturev1.ReplayedStream
	for _, job := range jobs {
		one, err := p.replay(ctx, s, job, r)
		if err != nil {
			return nil, err
		}
		if one.Replayed > 0 || len(one.Kept) > 0 {
			out = append(out, one)
		}
	}
	return out, nil
}

// replay replays the dead letters of one job.
func (p *pipeline) replay(ctx context.Context, s *shot, job *pipelinev1.Job, r *capturev1.ReplayRequest) (*capturev1.ReplayedStream, error) {
	name := keyspace.DeadLetters(p.name, job.GetName())
	var letters []*capturev1.DeadLetter
	var missing []string
	var err error
	var open *deadletter.Opener // the key's current value needs no payload
	if r.GetAsRecorded() {
		open = deadletter.KeysOf(s.spec.GetSettings()).Opener()
	}
	if len(r.GetIds()) > 0 {
		letters, missing, err = deadletter.Find(ctx, s.site.rdb, name, r.GetIds(), open)
	} else {
		var all *capturev1.DeadLetterStream
		if all, err = deadletter.Stream(ctx, s.site.rdb, name, int(r.GetMaxRecords()), true, open); err == nil {
			letters = all.GetEntries()
		}
	}
	if err != nil {
		return nil, err
	}
	out := &capturev1.ReplayedStream{Name: name, Job: job.GetName()}
	if job.GetEnabled() {
		out, err = replay.Run(ctx, replay.Job{
			Pipeline: p.name, Spec: job, Streams: stream.OfJob(p.name, job, s.partitions(job)),
			Store: s.site.store, Redis: s.site.rdb, Values: s.site.values(s.site.source.Logical(job)),
		}, letters, r.GetAsRecorded())
		if err != nil {
			return nil, err
		}
	} else {
		for _, l := range letters {
			out.Kept = append(out.Kept, &capturev1.KeptDeadLetter{Id: l.GetId(), Reason: "the job is disabled"})
		}
	}
	for _, id := range missing {
		out.Kept = append(out.Kept, &capturev1.KeptDeadLetter{Id: id, Reason: "there is no such dead letter"})
	}
	return out, nil
}

// reachable finds a pipeline that has a site.
func (e *Engine) reachable(name string) (*pipeline, *shot, error) {
	p, err := e.pipeline(name)
	if err != nil {
		return nil, nil, err
	}
	s := p.shot()
	if s.site == nil {
		return nil, nil, fmt.Errorf("pipeline %q: its source cannot be reached: %s", p.name, s.reason)
	}
	return p, &s, nil
}

// jobsOf are the jobs that a request names, by name or by the name of their dead-letter stream; all where it names none.
func (p *pipeline) jobsOf(s *shot, job, letters string) ([]*pipelinev1.Job, error) {
	if letters != "" {
		name, ok := deadletter.Job(p.name, letters)
		if !ok {
			return nil, fmt.Errorf("%w: %q is no dead-letter stream of pipeline %q", ErrUnknownStream, letters, p.name)
		}
		if job != "" && job != name {
			return nil, fmt.Errorf("%w: dead-letter stream %q is not of job %q", ErrRequest, letters, job)
		}
		job = name
	}
	if job == "" {
		return s.spec.GetJobs(), nil
	}
	for _, j := range s.spec.GetJobs() {
		if j.GetName() == job {
			return []*pipelinev1.Job{j}, nil
		}
	}
	return nil, fmt.Errorf("job %q of pipeline %q: %w", job, p.name, ErrUnknownJob)
}
