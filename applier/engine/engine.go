// Package engine drives lanes: it takes rows from a hop (package flow) and commits them with a dialect (package
// applier), whatever happens to the target meanwhile.
//
// The life of a batch. It is received while the batch before it commits, and prepared: every value is converted by the
// type of its column (spec 10.3), rows that cannot be are rejected, the rest is folded until each row of the target is
// touched once (spec 5.2), sorted by key and split by the columns that take part. Then one transaction moves the
// position, upserts the outputs in listed order and deletes in reverse, and commits (G3). What fails is treated by its
// class (design D9):
//
//   - DATA: the transaction is rolled back, the bad rows are isolated by halving under savepoints, and the batch is
//     written without them (G5).
//   - REFERENCE: rows are isolated in the same way, those that failed are tried again in event order until no more of
//     them pass; what is left is waited for, once a lane, and then rejected.
//   - CONFLICT: again at once, after a short pause.
//   - FENCED: the stream ends.
//   - everything else waits, says so upstream, and never gives up (G6). The lane is opened again, which raises the epoch
//     (G4). The position then found tells whether the commit had happened.
//
// A record is rejected an output at a time: if one row of a foreach does not fit, none of the record's rows of that
// output are written, and its other outputs are. A batch with rejects, or one that the transformer holds, commits only
// after capture said Stored (G2); if that takes long, the transaction is rolled back and made again afterwards. If the
// stream ends before that, nothing was written. A Drain does not cut that short:
// what was received is settled first.
//
// Folding keeps the last operation on a target row. A delete followed by an upsert in one batch is an upsert: columns
// that the job does not map keep what they had. Two outputs of one job that write to the same table are written in event
// order instead.
//
// The engine knows no database. Pauses grow from 100 ms to applier.on_failed_retry_interval and stay there.
package engine

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/trace"

	"slipstream/applier"
	"slipstream/proto/flow"
	applierv1 "slipstream/proto/slipstream/applier/v1"
)

// Options are the choices of a process. The zero value works.
type Options struct {
	// Log takes changes of state. Default: slog.Default().
	Log *slog.Logger
	// Metrics takes the collectors. Default: none.
	Metrics prometheus.Registerer
	// Tracing makes the spans. Default: the global provider.
	Tracing trace.TracerProvider
	// ReferenceWait is how long a lane waits for rows that others refer to. Default 30s; negative: not at all.
	ReferenceWait time.Duration
	// HoldOpen is how long a transaction stays open while its rejects are being stored. After that it is rolled back, so
	// that a capture that hangs keeps no locks in the target, and made again once they are stored. Default 2s.
	HoldOpen time.Duration
	// ShortestPause is the first pause after a failure; it doubles up to applier.on_failed_retry_interval. Default 100ms.
	ShortestPause time.Duration
}

// Engine runs the lanes of one dialect. It is safe for concurrent use.
type Engine struct {
	dialect applier.Dialect
	log     *slog.Logger
	metrics *metrics
	tracer  trace.Tracer
	targets *targets

	referenceWait time.Duration
	shortestPause time.Duration
	holdOpen      time.Duration

	readers sync.WaitGroup // the goroutine of each lane that receives
}

// New makes an engine. It fails when the metrics cannot be registered.
func New(dialect applier.Dialect, o Options) (*Engine, error) {
	e := &Engine{
		dialect:       dialect,
		log:           o.Log,
		targets:       newTargets(dialect),
		referenceWait: o.ReferenceWait,
		shortestPause: o.ShortestPause,
		holdOpen:      o.HoldOpen,
	}
	if e.log == nil {
		e.log = slog.Default()
	}
	e.log = e.log.With(slog.String("dialect", dialect.Name()))
	if o.Tracing == nil {
		o.Tracing = otel.GetTracerProvider()
	}
	e.tracer = o.Tracing.Tracer("slipstream/applier")
	if e.referenceWait == 0 {
		e.referenceWait = 30 * time.Second
	}
	if e.shortestPause <= 0 {
		e.shortestPause = 100 * time.Millisecond
	}
	if e.holdOpen <= 0 {
		e.holdOpen = 2 * time.Second
	}
	var err error
	if e.metrics, err = newMetrics(o.Metrics); err != nil {
		return nil, fmt.Errorf("registering metrics of the applier: %w", err)
	}
	return e, nil
}

// Run serves one lane until its stream ends: nil when the client ended it, and otherwise a fault that knows its gRPC
// status. A goroutine of it reads the stream until that ends, which with gRPC is shortly after Run returned; Close waits
// for it.
func (e *Engine) Run(link flow.Uplink[*applierv1.RowBatch]) error {
	recv, open, err := flow.Accept(link)
	if err != nil {
		return err
	}
	if got := open.Connection.GetType(); !applier.Serves(e.dialect, got) {
		return fmt.Errorf("%w: connection %q is of type %s, this applier writes to %s",
			flow.ErrProtocol, open.Connection.GetName(), got, e.dialect.Name())
	}
	ctx, cancel := context.WithCancelCause(link.Context())
	l := newLane(e, recv, open)
	e.readers.Go(func() { l.receive(cancel) })
	var stage sync.WaitGroup
	stage.Go(func() { l.stage(ctx) })
	defer func() {
		cancel(nil)
		stage.Wait()
		l.close()
	}()
	return l.run(ctx)
}

// Check tries a connection and compares the outputs that use it with the catalogue. A target that does not answer is given up
// while there is time left to say so: whoever asks would take it for an applier that is away.
func (e *Engine) Check(ctx context.Context, r *applierv1.CheckRequest) *applierv1.CheckResponse {
	if end, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(end)*2/3)
		defer cancel()
	}
	lease, err := e.targets.acquire(ctx, r.GetConnection(), r.GetSettings())
	if err != nil {
		return unreachable(r.GetConnection(), err)
	}
	response := lease.target.Check(ctx, r.GetJobs())
	e.release(ctx, lease)
	return response
}

// Close waits for what Run left behind. Every stream must have ended.
func (e *Engine) Close() { e.readers.Wait() }
