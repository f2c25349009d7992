package engine

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/redis/go-redis/v9"

	"slipstream/capture/recorder"
	"slipstream/capture/stream"
	"slipstream/proto/keyspace"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// layoutsKey is the set of layouts in which a job's changes may still stand, beside its counters.
func layoutsKey(pipeline, job string) string { return keyspace.Counts(pipeline, job) + ":layouts" }

// endedKey is the set of lanes of an older layout that have reached its end.
func endedKey(pipeline, job string, layout int) string {
	return layoutsKey(pipeline, job) + ":" + strconv.Itoa(layout) + ":ended"
}

// planned are the lanes to run now. A job whose layout changed runs the lanes of the older layouts to their ends first,
// and only then those of the new one, so that a key's changes stay in order (design D2, G4).
func (p *pipeline) planned(ctx context.Context) ([]wanted, error) {
	layout := recorder.Partitions(p.spec.GetSettings())
	var plan []wanted
	var recorded []*pipelinev1.Job
	for _, job := range p.spec.GetJobs() {
		switch {
		case !job.GetEnabled():
		case job.GetSource().GetStream() != "":
			plan = append(plan, lanesOf(p.spec, p.site.id, job, layout)...)
		default:
			recorded = append(recorded, job)
		}
	}
	layouts, err := p.layouts(ctx, recorded, layout)
	if err != nil {
		return nil, err
	}
	for i, job := range recorded {
		lanes, err := p.lanesNow(ctx, job, layout, layouts[i])
		if err != nil {
			return nil, err
		}
		plan = append(plan, lanes...)
	}
	return plan, nil
}

// layouts reads the layouts in which each job may have changes, and notes the present one where it is not among them. It
// reads first: a server that is out of memory refuses a SADD that would add nothing.
func (p *pipeline) layouts(ctx context.Context, jobs []*pipelinev1.Job, now int) ([][]string, error) {
	out := make([][]string, len(jobs))
	if len(jobs) == 0 {
		return out, nil
	}
	pipe := p.site.rdb.Pipeline()
	sets := make([]*redis.StringSliceCmd, len(jobs))
	for i, job := range jobs {
		sets[i] = pipe.SMembers(ctx, layoutsKey(p.name, job.GetName()))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, fmt.Errorf("reading the layouts of %d jobs: %w", len(jobs), err)
	}
	text := strconv.Itoa(now)
	for i, job := range jobs {
		out[i] = sets[i].Val()
		if slices.Contains(out[i], text) {
			continue
		}
		if err := p.site.rdb.SAdd(ctx, layoutsKey(p.name, job.GetName()), text).Err(); err != nil {
			return nil, fmt.Errorf("noting the layout of job %q: %w", job.GetName(), err)
		}
		out[i] = append(out[i], text)
	}
	return out, nil
}

// lanesNow are the lanes of a recorded job, given the layouts in which it may have changes.
func (p *pipeline) lanesNow(ctx context.Context, job *pipelinev1.Job, layout int, layouts []string) ([]wanted, error) {
	var older []wanted
	for _, text := range layouts {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n == layout {
			continue
		}
		left, err := p.leftOf(ctx, job, n)
		if err != nil {
			return nil, err
		}
		older = append(older, left...)
	}
	if len(older) == 0 {
		return lanesOf(p.spec, p.site.id, job, layout), nil
	}
	// The recorder writes the headers of the new layout after its last entry of the old one.
	headers, err := p.site.store.Headers(ctx, stream.OfJob(p.name, job, layout))
	if err != nil {
		return nil, err
	}
	for _, h := range headers {
		if !h.Exists {
			for i := range older {
				older[i].finite = false // still recorded: it goes on as before
			}
			break
		}
	}
	return older, nil
}

// leftOf are the lanes of an older layout that have not reached its end. When none is left the layout is dropped.
func (p *pipeline) leftOf(ctx context.Context, job *pipelinev1.Job, layout int) ([]wanted, error) {
	ended, err := p.site.rdb.SMembers(ctx, endedKey(p.name, job.GetName(), layout)).Result()
	if err != nil {
		return nil, fmt.Errorf("reading the ended lanes of job %q: %w", job.GetName(), err)
	}
	done := map[string]bool{}
	for _, name := range ended {
		done[name] = true
	}
	var left []wanted
	for _, w := range lanesOf(p.spec, p.site.id, job, layout) {
		if !done[w.name()] {
			w.finite = true
			left = append(left, w)
		}
	}
	if len(left) > 0 {
		return left, nil
	}
	p.log.InfoContext(ctx, "older layout has reached its end", "job", job.GetName(), "partitions", layout)
	return nil, p.drop(ctx, job, layout)
}

// drop forgets a layout whose lanes have reached its end, and its streams. The set is last: a crash on the way repeats it.
func (p *pipeline) drop(ctx context.Context, job *pipelinev1.Job, layout int) error {
	pipe := p.site.rdb.Pipeline()
	for _, s := range stream.OfJob(p.name, job, layout) {
		pipe.Del(ctx, s.Main, s.Side, s.Header)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return fmt.Errorf("dropping the streams of %d partitions of job %q: %w", layout, job.GetName(), err)
	}
	_, err := p.site.rdb.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
		pipe.SRem(ctx, layoutsKey(p.name, job.GetName()), layout)
		pipe.Del(ctx, endedKey(p.name, job.GetName(), layout))
		return nil
	})
	if err != nil {
		return fmt.Errorf("dropping the layout of %d partitions of job %q: %w", layout, job.GetName(), err)
	}
	return nil
}

// finished notes that a lane of an older layout has reached its end. Until it is noted the lane runs again, and finds its
// end again.
func (p *pipeline) finished(ctx context.Context, h *holding) {
	if h.lane.Drained() {
		return // it was told to end: what is left is not known
	}
	key := endedKey(p.name, h.want.job.GetName(), int(h.want.lane.GetLayout()))
	if err := p.site.rdb.SAdd(ctx, key, h.want.name()).Err(); err != nil {
		p.log.WarnContext(ctx, "end of a lane not noted", "lane", h.want.name(), "error", err)
	}
}
