package lane

import (
	"context"
	"fmt"
	"strings"
	"time"

	"slipstream/capture/gap"
	"slipstream/capture/stream"
	"slipstream/capture/sweep"
	"slipstream/proto/flow"
	changev1 "slipstream/proto/slipstream/change/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// Phases of a lane, as they stand with its position.
const (
	phaseLive    = "live"
	phaseLoading = "loading:" // and the id of the sweep
)

// opening is where a session starts.
type opening struct {
	at   stream.Position
	load bool    // existing keys are to be loaded first
	gap  *string // the cause of a gap that is to be repaired; detail says more
	// detail is the gap in words.
	detail string
	// adopt says that the target does not know this start yet: an empty batch tells it, so that a crash resumes here.
	adopt bool
	phase string
}

// decide says where to start from what the target and the stream know (design D4). A lane without a position follows
// initial_load; a position that does not continue is a gap, and the lane starts over from what the stream still has, never
// deleting a row (G1, G7).
func decide(opened *flowv1.Opened, h stream.Header, load pipelinev1.InitialLoad) opening {
	at := stream.FromPosition(opened.GetPosition())
	incarnation := opened.GetState().GetIncarnation()
	if incarnation == "" && at == (stream.Position{}) {
		o := opening{at: h.Start(), adopt: true, phase: phaseLive}
		switch load {
		case pipelinev1.InitialLoad_INITIAL_LOAD_ALWAYS:
			o.load = true
		case pipelinev1.InitialLoad_INITIAL_LOAD_IF_EMPTY: // the sweep of the first lane serves those that open after it
			o.load = opened.GetEmpty()
		}
		return o
	}
	verdict := h.Continuity(incarnation, at)
	if verdict == stream.Continuous {
		return opening{at: at, phase: opened.GetState().GetPhase()}
	}
	cause := verdict.Cause()
	return opening{at: h.Start(), gap: &cause, detail: verdict.Detail(), adopt: true, phase: phaseLive}
}

// begin carries an opening out, in an order that a crash at any point leaves right: the position is published first, so
// that nothing after it is trimmed, and the generation noted; then the sweep or the gap is recorded, whose entries come after the position; only
// then is the start adopted by the target. A crash before that opens anew and asks again.
func (l *Lane) begin(ctx context.Context, o *opening) (*stream.Cursor, error) {
	cursor, err := l.c.Store.Cursor(ctx, l.c.Stream, l.c.Connection.GetName(), o.at)
	if err != nil {
		return nil, err
	}
	if err := l.c.Store.Take(ctx, l.c.Stream, l.c.Connection.GetName(), l.c.Generation); err != nil {
		return nil, err
	}
	if o.load {
		id, err := l.c.Sweeps.Request(ctx, sweep.Request{Job: l.c.Job.GetName(), Cause: sweep.InitialLoad})
		if err != nil {
			return nil, err
		}
		o.phase = phaseLoading + id
		l.log.InfoContext(ctx, "initial load requested", "sweep", id)
	}
	if o.gap != nil {
		now := l.c.Now()
		id, err := l.c.Gaps.Open(ctx, gap.Gap{
			Cause: *o.gap, Job: l.c.Job.GetName(), Began: l.began(now), Ended: now,
			Detail: fmt.Sprintf("lane %s: %s", flow.Name(l.c.Lane), o.detail),
		})
		if err != nil {
			return nil, err
		}
		l.log.WarnContext(ctx, "gap found", "gap", id, "cause", *o.gap, "detail", o.detail)
	}
	return cursor, nil
}

// began is when a gap found now began, as far as the position in the target tells: main IDs are times.
func (l *Lane) began(now time.Time) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	ms := l.opened.GetPosition().GetMain().GetMs()
	if ms == 0 || ms > uint64(now.UnixMilli()) {
		return now
	}
	return time.UnixMilli(int64(ms))
}

// stateOf is what the position row remembers.
func stateOf(incarnation, phase string) *changev1.LaneState {
	return &changev1.LaneState{Incarnation: incarnation, Phase: phase}
}

// loaded says whether a phase waits for a sweep that is settled.
func (l *Lane) loaded(ctx context.Context, phase string) (bool, error) {
	id, ok := strings.CutPrefix(phase, phaseLoading)
	if !ok {
		return false, nil
	}
	return l.c.Sweeps.Settled(ctx, id)
}
