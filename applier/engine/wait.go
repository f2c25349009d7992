package engine

import (
	"context"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"slipstream/proto/fault"
	"slipstream/proto/flow"
	flowv1 "slipstream/proto/slipstream/flow/v1"
)

// wait is how a lane waits for its target (G6): it says why upstream, pauses, and the caller tries again.
type wait struct {
	lane     *lane
	pause    flow.Backoff
	since    time.Time // of the first failure; zero: not waiting
	attempts uint32
	said     bool
}

// next counts a failed attempt, says why, and pauses. It fails when the lane ends meanwhile.
func (w *wait) next(ctx context.Context, err error) error {
	w.count(ctx, err)
	f := w.lane.quiet(err).Proto()
	f.Stage = "applier-" + w.lane.engine.dialect.Name()
	if !w.said {
		w.said = true
		w.lane.engine.metrics.waiting.WithLabelValues(w.lane.connection).Inc()
		w.lane.log.WarnContext(ctx, "waiting for the target", slog.String("class", fault.ClassName(f.Class)),
			slog.String("error", f.Message), slog.String("fix", f.Fix))
	}
	if err := w.lane.recv.Waiting(&flowv1.Waiting{Fault: f, SinceMs: w.since.UnixMilli(), Attempts: w.attempts}); err != nil {
		return err
	}
	return fault.Sleep(ctx, w.pause.Next())
}

// again counts a failed attempt and pauses without a word: the failure is of a kind that passes by itself.
func (w *wait) again(ctx context.Context, err error, pause time.Duration) error {
	w.count(ctx, err)
	return fault.Sleep(ctx, pause)
}

func (w *wait) count(ctx context.Context, err error) {
	if w.since.IsZero() {
		w.since = time.Now()
	}
	w.attempts++
	trace.SpanFromContext(ctx).AddEvent("tries again", trace.WithAttributes(
		attribute.String("error.type", fault.ClassName(fault.Class(err))), attribute.Int64("slipstream.attempts", int64(w.attempts))))
	w.lane.engine.metrics.retries.WithLabelValues(w.lane.connection, fault.ClassName(fault.Class(err))).Inc()
}

// over says that the wait is over, if there was one. A stream that cannot be told breaks by itself.
func (w *wait) over() {
	if w.said {
		w.lane.engine.metrics.waiting.WithLabelValues(w.lane.connection).Dec()
		w.lane.log.Info("the target is back", slog.Duration("after", time.Since(w.since)), slog.Uint64("attempts", uint64(w.attempts)))
		_ = w.lane.recv.Waiting(&flowv1.Waiting{SinceMs: w.since.UnixMilli(), Attempts: w.attempts})
	}
	w.clear()
}

// forget ends a wait that nobody listens to any more.
func (w *wait) forget() {
	if w.said {
		w.lane.engine.metrics.waiting.WithLabelValues(w.lane.connection).Dec()
	}
	w.clear()
}

func (w *wait) clear() {
	w.since, w.attempts, w.said = time.Time{}, 0, false
	w.pause.Reset()
}

// patience bounds how long a lane waits for rows that its own rows refer to: once a lane, not once a record. It comes
// back after as long a time without such a failure as was spent.
type patience struct {
	most  time.Duration
	began time.Time // of the wait in force
	last  time.Time // when a reference was missing last
}

// left is how much longer to wait, at the time of one more failure.
func (p *patience) left(now time.Time) time.Duration {
	if p.began.IsZero() || now.Sub(p.last) > max(p.most, time.Second) {
		p.began = now
	}
	p.last = now
	return p.most - now.Sub(p.began)
}
