package engine

import (
	"context"
	"fmt"
	"maps"
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

// planned are the lanes to run now, and what the recorder and the upkeep are to be told: the layout in which each job is
// recorded.
//
// Of a job at most two layouts have changes that count: the older one is read to its end, the newer one is recorded and read
// only then, so that a key's changes stay in order (design D2, G4). A third layout, or the older one again, has to wait: the
// recorder stays where it is until the older one is gone. Streams so never have entries from before and from after those
// of another layout.
func (p *pipeline) planned(ctx context.Context) ([]wanted, error) {
	layout := recorder.Partitions(p.spec.GetSettings())
	var plan []wanted
	var jobs []*pipelinev1.Job
	for _, job := range p.spec.GetJobs() {
		switch {
		case !job.GetEnabled():
		case job.GetSource().GetStream() != "":
			plan = append(plan, lanesOf(p.spec, p.site.id, job, layout)...)
		default:
			jobs = append(jobs, job)
		}
	}
	layouts, err := p.layouts(ctx, jobs)
	if err != nil {
		return nil, err
	}
	staying, moved := map[string]int{}, map[string]bool{}
	for i, job := range jobs {
		lanes, now, err := p.lanesNow(ctx, job, layout, layouts[i])
		if err != nil {
			return nil, err
		}
		plan = append(plan, lanes...)
		if now != layout {
			staying[job.GetName()] = now
		}
		moved[job.GetName()] = slices.ContainsFunc(layouts[i], func(n int) bool { return n != now })
	}
	p.configure(ctx, staying, moved)
	return plan, p.note(ctx, jobs, layout, staying, layouts)
}

// configure tells recorder and upkeep what is to be recorded, when that is something else than before.
func (p *pipeline) configure(ctx context.Context, staying map[string]int, moved map[string]bool) {
	p.mu.Lock()
	same := p.configured == p.generation && maps.Equal(p.staying, staying)
	p.staying = staying
	p.mu.Unlock()
	if same {
		return
	}
	for job, n := range staying {
		p.log.InfoContext(ctx, "job stays in its layout until the one before has reached its end", "job", job, "partitions", n)
	}
	p.site.configure(p.spec, staying, moved)
	p.configured = p.generation
}

// layouts reads the layouts in which each job may have changes.
func (p *pipeline) layouts(ctx context.Context, jobs []*pipelinev1.Job) ([][]int, error) {
	out := make([][]int, len(jobs))
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
	for i := range jobs {
		for _, text := range sets[i].Val() {
			if n, err := strconv.Atoi(text); err == nil && n > 0 {
				out[i] = append(out[i], n)
			}
		}
	}
	return out, nil
}

// note notes the layout in which each job is recorded where it is not noted yet. What is noted is not written again: a server
// that is out of memory refuses a SADD that would add nothing.
func (p *pipeline) note(ctx context.Context, jobs []*pipelinev1.Job, layout int, staying map[string]int, noted [][]int) error {
	for i, job := range jobs {
		if staying[job.GetName()] != 0 || slices.Contains(noted[i], layout) {
			continue
		}
		if err := p.site.rdb.SAdd(ctx, layoutsKey(p.name, job.GetName()), layout).Err(); err != nil {
			return fmt.Errorf("noting the layout of job %q: %w", job.GetName(), err)
		}
	}
	return nil
}

// occupied is a layout whose streams are there.
type occupied struct {
	partitions int
	since      stream.ID // the recorder begins a layout after its last entry of the one before
}

// lanesNow are the lanes of a recorded job, and the layout in which it is recorded, given the layout that is wanted and those
// in which it may have changes.
func (p *pipeline) lanesNow(ctx context.Context, job *pipelinev1.Job, want int, noted []int) ([]wanted, int, error) {
	if !slices.ContainsFunc(noted, func(n int) bool { return n != want }) {
		return lanesOf(p.spec, p.site.id, job, want), want, nil
	}
	present, err := p.occupied(ctx, job, want, noted)
	if err != nil {
		return nil, 0, err
	}
	if len(present) == 0 {
		return lanesOf(p.spec, p.site.id, job, want), want, nil
	}
	newest := present[len(present)-1].partitions
	for _, older := range present[:len(present)-1] {
		left, err := p.leftOf(ctx, job, older.partitions)
		if err != nil || len(left) > 0 {
			return left, newest, err
		}
	}
	// Nothing older is left. The recorder may move on, and until it has done so the newest goes on as before.
	return lanesOf(p.spec, p.site.id, job, newest), want, nil
}

// occupied are the layouts of a job that have streams, the oldest first. The one that is wanted counts when the recorder has
// begun all of it.
func (p *pipeline) occupied(ctx context.Context, job *pipelinev1.Job, want int, noted []int) ([]occupied, error) {
	var all []occupied
	for _, n := range slices.Compact(slices.Sorted(slices.Values(append([]int{want}, noted...)))) {
		headers, err := p.site.store.Headers(ctx, stream.OfJob(p.name, job, n))
		if err != nil {
			return nil, err
		}
		one, there := occupied{partitions: n}, 0
		for _, h := range headers {
			if h.Exists {
				there++
				one.since = stream.Later(one.since, h.Since)
			}
		}
		if there == len(headers) || (there > 0 && n != want) {
			all = append(all, one)
		}
	}
	slices.SortFunc(all, func(a, b occupied) int {
		switch {
		case a.since.Less(b.since):
			return -1
		case b.since.Less(a.since):
			return 1
		}
		return 0
	})
	return all, nil
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

// dropScript forgets a layout and its streams, once: who comes a moment later finds that no lane has ended, and leaves alone
// what the recorder may have begun meanwhile. KEYS: the lanes that ended, the layouts, and the streams. ARGV: the layout, and
// how many lanes it has.
var dropScript = redis.NewScript(`
if redis.call('SCARD', KEYS[1]) < tonumber(ARGV[2]) then return 0 end
for i = 3, #KEYS do redis.call('UNLINK', KEYS[i]) end
redis.call('SREM', KEYS[2], ARGV[1])
redis.call('DEL', KEYS[1])
return 1`)

// drop forgets a layout whose lanes have reached its end, and its streams.
func (p *pipeline) drop(ctx context.Context, job *pipelinev1.Job, layout int) error {
	keys := []string{endedKey(p.name, job.GetName(), layout), layoutsKey(p.name, job.GetName())}
	for _, s := range stream.OfJob(p.name, job, layout) {
		keys = append(keys, s.Main, s.Side, s.Header)
	}
	lanes := len(lanesOf(p.spec, p.site.id, job, layout))
	if err := dropScript.Run(ctx, p.site.rdb, keys, layout, lanes).Err(); err != nil {
		return fmt.Errorf("dropping the layout of %d partitions of job %q: %w", layout, job.GetName(), err)
	}
	return nil
}

// unfinish takes back that a lane has reached the end of its layout: the layout is recorded anew. Its lease is held, so
// nobody can note it again.
func (p *pipeline) unfinish(ctx context.Context, w wanted) error {
	if w.finite || w.stream.Foreign {
		return nil
	}
	key := endedKey(p.name, w.job.GetName(), int(w.lane.GetLayout()))
	if err := p.site.rdb.SRem(ctx, key, w.name()).Err(); err != nil {
		return fmt.Errorf("beginning the lane %s: %w", w.name(), err)
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
