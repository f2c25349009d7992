package engine

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"slipstream/capture/deadletter"
	"slipstream/capture/lane"
	"slipstream/capture/lease"
	"slipstream/capture/recorder"
	"slipstream/capture/stream"
	"slipstream/proto/keyspace"
	capturev1 "slipstream/proto/slipstream/capture/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// shot is what the loop of a pipeline knew at one moment.
type shot struct {
	spec       *pipelinev1.Pipeline
	generation uint64
	running    bool
	site       *site
	reason     string
	plan       []wanted
	held       map[string]*holding
	halted     map[string]time.Time
	staying    map[string]int
}

// partitions is the layout that a job is recorded in.
func (s *shot) partitions(job *pipelinev1.Job) int {
	return cmp.Or(s.staying[job.GetName()], recorder.Partitions(s.spec.GetSettings()))
}

func (p *pipeline) shot() shot {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := shot{
		spec: p.spec, generation: p.generation, running: p.running, site: p.site, reason: p.reason, plan: p.plan, halted: p.halted,
		staying: p.staying,
		held:    make(map[string]*holding, len(p.held)),
	}
	for name, h := range p.held {
		s.held[name] = h
	}
	return s
}

// Status tells the state of a pipeline; an empty name means the only one, or the default. What stands in Redis is reported
// for all instances, what only the owner of a lane knows for the lanes that run here.
func (e *Engine) Status(ctx context.Context, name string) (*capturev1.PipelineStatus, error) {
	p, err := e.pipeline(name)
	if err != nil {
		return nil, err
	}
	s := p.shot()
	out := &capturev1.PipelineStatus{
		Pipeline: p.name, Generation: s.generation, Running: s.running, Instance: e.o.Instance, ReadMs: time.Now().UnixMilli(),
	}
	if s.site == nil {
		out.Recorder = &capturev1.RecorderStatus{Reason: cmp.Or(s.reason, "no generation is deployed")}
		return out, nil
	}
	out.Recorder = s.site.recorder.Status()
	out.SourceAddress = s.site.source.Addr()
	out.SourceServer = s.site.server(ctx).Server
	for _, fill := range []func(context.Context, *shot, *capturev1.PipelineStatus) error{
		p.fillLanes, p.fillJobs, p.fillBooks,
	} {
		if err := fill(ctx, &s, out); err != nil {
			return nil, fmt.Errorf("status of pipeline %q: %w", p.name, err)
		}
	}
	return out, nil
}

// fillLanes reports every lane of the plan: those that run here in full, the others by what Redis tells.
func (p *pipeline) fillLanes(ctx context.Context, s *shot, out *capturev1.PipelineStatus) error {
	keys := make([]string, len(s.plan))
	streams := make([]stream.Stream, len(s.plan))
	for i, w := range s.plan {
		keys[i] = keyspace.Lease(p.name, w.lease())
		streams[i] = w.stream
	}
	holders, err := lease.Instances(ctx, s.site.rdb, keys)
	if err != nil {
		return err
	}
	headers, err := s.site.store.Headers(ctx, streams)
	if err != nil {
		return err
	}
	for i, w := range s.plan {
		status := &capturev1.LaneStatus{Lane: w.lane, State: capturev1.LaneState_LANE_STATE_IDLE, Owner: holders[i]}
		flushed, halted := s.halted[w.lane.GetJob()]
		if h := s.held[w.name()]; h != nil {
			status = h.lane.Status()
		} else if halted && holders[i] == "" {
			status = stoppedByFlush(w.lane, flushed)
		} else if holders[i] != "" {
			status.State = capturev1.LaneState_LANE_STATE_UNSPECIFIED // its owner knows
			if at, ok := headers[i].Settled([]string{w.lane.GetConnection()}); ok {
				status.Position = at.Proto()
			}
		}
		status.Backlog = backlog(headers[i], w.lane.GetConnection())
		out.Lanes = append(out.Lanes, status)
	}
	return nil
}

// fillJobs sums lanes up by job and adds the totals that survive restarts.
func (p *pipeline) fillJobs(ctx context.Context, s *shot, out *capturev1.PipelineStatus) error {
	names := make([]string, len(s.spec.GetJobs()))
	counts := make([]*redis.MapStringStringCmd, len(names))
	pipe := s.site.rdb.Pipeline()
	for i, job := range s.spec.GetJobs() {
		names[i] = job.GetName()
		counts[i] = pipe.HGetAll(ctx, keyspace.Counts(p.name, job.GetName()))
	}
	if len(names) > 0 {
		if _, err := pipe.Exec(ctx); err != nil {
			return fmt.Errorf("reading counters: %w", err)
		}
	}
	letters, err := deadletter.Lengths(ctx, s.site.rdb, p.name, names)
	if err != nil {
		return err
	}
	lags, err := p.lags(ctx, s, out.Lanes)
	if err != nil {
		return err
	}
	for j, l := range out.Lanes {
		l.LagMs = lags[j]
	}
	for i, job := range s.spec.GetJobs() {
		status := jobStatus(counts[i].Val())
		status.Job, status.Enabled, status.DeadLetters, status.NotLoaded = names[i], job.GetEnabled(), letters[i], -1
		var main []string
		for _, st := range stream.OfJob(p.name, job, s.partitions(job)) {
			main = append(main, st.Main)
		}
		status.Stream = strings.Join(main, ",")
		slowest := map[string]uint64{} // by connection
		for j, l := range out.Lanes {
			if l.Lane.GetJob() != names[i] {
				continue
			}
			slowest[l.Lane.GetConnection()] += l.Backlog
			status.Backlog = max(status.Backlog, slowest[l.Lane.GetConnection()])
			status.LagMs = max(status.LagMs, lags[j])
		}
		out.Jobs = append(out.Jobs, status)
	}
	return nil
}

// jobStatus reads the totals of a job.
func jobStatus(fields map[string]string) *capturev1.JobStatus {
	number := func(name string) uint64 {
		n, err := strconv.ParseUint(fields[name], 10, 64)
		if err != nil {
			return 0 // never counted
		}
		return n
	}
	return &capturev1.JobStatus{
		Counts: &flowv1.Counts{
			Changes: number(lane.FieldChanges), Filtered: number(lane.FieldFiltered), Rejected: number(lane.FieldRejected),
			Inserted: number(lane.FieldInserted), Updated: number(lane.FieldUpdated), Deleted: number(lane.FieldDeleted),
			Rows: number(lane.FieldRows), TakenOver: number(lane.FieldTakenOver), Outdated: number(lane.FieldOutdated),
		},
		Skipped: number(lane.FieldSkipped), ExpiredUnread: number(lane.FieldUnread),
		LastArrivalMs: int64(number(lane.FieldLastArrival)),
		Work:          lane.WorkOf("", number), LastBatch: lane.WorkOf(lane.LastBatch, number),
	}
}

// lags are the ages of the oldest unsettled entries, milliseconds, one a lane: of lanes that run what they know, of the
// others what their stream says after the position they published.
func (p *pipeline) lags(ctx context.Context, s *shot, lanes []*capturev1.LaneStatus) ([]int64, error) {
	out := make([]int64, len(lanes))
	next := make([]*redis.XMessageSliceCmd, len(lanes))
	pipe := s.site.rdb.Pipeline()
	for i, l := range lanes {
		if h := s.held[s.plan[i].name()]; h != nil {
			out[i] = h.lane.Lag().Milliseconds()
		}
		if out[i] == 0 && l.Backlog > 0 {
			after := stream.FromPosition(l.Position).Main
			next[i] = pipe.XRangeN(ctx, s.plan[i].stream.Main, "("+after.String(), "+", 1)
		}
	}
	if pipe.Len() == 0 {
		return out, nil
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, fmt.Errorf("reading the oldest unsettled entries: %w", err)
	}
	now := time.Now().UnixMilli()
	for i, cmd := range next {
		if cmd == nil || len(cmd.Val()) == 0 {
			continue
		}
		out[i] = max(0, now-entryMs(cmd.Val()[0]))
	}
	return out, nil
}

// entryMs is when an entry was made, Unix milliseconds.
func entryMs(m redis.XMessage) int64 {
	text, _ := m.Values[stream.FieldTs].(string)
	if ms, err := strconv.ParseInt(text, 10, 64); err == nil {
		return ms
	}
	id, err := stream.ParseID(m.ID)
	if err != nil {
		return time.Now().UnixMilli()
	}
	return int64(id.Ms)
}

// fillBooks adds gaps, sweeps and the instances alive.
func (p *pipeline) fillBooks(ctx context.Context, s *shot, out *capturev1.PipelineStatus) error {
	gaps, err := s.site.gaps.List(ctx)
	if err != nil {
		return err
	}
	for _, g := range gaps {
		out.Gaps = append(out.Gaps, g.Proto())
	}
	if out.Sweeps, err = s.site.sweeps.List(ctx); err != nil {
		return err
	}
	p.mu.Lock()
	out.Instances = slices.Clone(p.instances)
	p.mu.Unlock()
	return nil
}
