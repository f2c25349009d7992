package server

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	applierv1 "slipstream/proto/slipstream/applier/v1"
	changev1 "slipstream/proto/slipstream/change/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"

	"slipstream/proto/fault"
	"slipstream/proto/flow"
	"slipstream/transformer/block"
	"slipstream/transformer/job"
)

// lane is one lane under way.
type lane struct {
	name    string
	server  *Server
	up      *flow.Receiver[*changev1.Batch]
	down    *flow.Sender[*applierv1.RowBatch] // set before the reader starts
	job     *job.Lane
	program *job.Program
	metrics laneMetrics
	span    trace.SpanStartEventOption
	queue   *queue
	lookups Lookups // nil where no block reads from Redis
	before  chan *applierv1.BeforeResponse
	asked   uint64 // questions for before images so far

	mu      sync.Mutex
	pending []underWay // batches, oldest first
	failed  error      // why something could not be said upstream
}

func (s *Server) newLane(up *flow.Receiver[*changev1.Batch], open *flowv1.Open, program *job.Program) *lane {
	at := open.GetLane()
	return &lane{
		name: flow.Name(at), server: s, up: up, job: job.NewLane(program), program: program, queue: newQueue(),
		before:  make(chan *applierv1.BeforeResponse, 1),
		metrics: s.metrics.lane(at.GetPipeline(), at.GetJob(), at.GetConnection()),
		span: trace.WithAttributes(
			attribute.String("slipstream.pipeline", at.GetPipeline()),
			attribute.String("slipstream.job", at.GetJob()),
			attribute.String("slipstream.connection", at.GetConnection()),
			attribute.Int64("slipstream.partition", int64(at.GetPartition())),
		),
	}
}

// close frees what the lane holds. Nothing runs for it any more, but for a reader that waits for the stream to end.
func (l *lane) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.pending {
		done(r.Result)
	}
	l.pending = nil
	if l.lookups != nil {
		if err := l.lookups.Close(); err != nil {
			l.server.options.Logger.Warn("closing what a lane looks up failed", "lane", l.name, "error", err)
		}
	}
	if err := l.job.Close(); err != nil {
		l.server.options.Logger.Warn("closing a lane's expressions failed", "lane", l.name, "error", err)
	}
}

// run opens the downstream and serves until one of the streams ends. It returns once nothing comes from below any more.
func (l *lane) run(ctx context.Context, cancel context.CancelFunc, open *flowv1.Open, dial dial) error {
	link, err := dial(ctx, open)
	if err != nil {
		return broken(err)
	}
	down, opened, err := flow.Open(ctx, link, open, events{l})
	if err != nil {
		return broken(err)
	}
	l.down = down
	if err = l.up.Opened(opened); err == nil {
		l.server.readers.Go(l.read)
		err = l.serve(ctx)
	}
	if err == nil {
		if err = l.down.Close(); err != nil {
			return broken(err)
		}
		return nil
	}
	cancel()
	<-l.down.Done()
	return err
}

// read takes frames from capture until its stream ends. Stored goes straight on: a batch in front of it may be waiting
// for room that only Stored makes. The queue needs no bound of its own, since capture keeps to the window.
func (l *lane) read() {
	for {
		d, err := l.up.Next()
		if err == nil && d.Stored != nil {
			// The error shows in the downstream itself.
			_ = l.down.Stored(d.Stored.GetSequence())
			continue
		}
		l.queue.push(d, err)
		if err != nil {
			return
		}
	}
}

// serve transforms batches in order. It returns nil when capture has said all it wants to say.
func (l *lane) serve(ctx context.Context) error {
	for {
		select {
		case <-l.queue.ready:
		case <-l.down.Done():
			return l.ended()
		case <-ctx.Done():
			return fault.New(flowv1.FaultClass_FAULT_CLASS_CONNECTION, ctx.Err()).WithStage(Stage)
		}
		frames, err := l.queue.take()
		for _, d := range frames {
			if err := l.frame(ctx, d); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fault.New(flowv1.FaultClass_FAULT_CLASS_CONNECTION, err).WithStage(Stage)
		}
	}
}

// ended is why the downstream ended.
func (l *lane) ended() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failed != nil {
		return fault.New(flowv1.FaultClass_FAULT_CLASS_CONNECTION, l.failed).WithStage(Stage)
	}
	return broken(l.down.Err())
}

func (l *lane) frame(ctx context.Context, d flow.Down[*changev1.Batch]) error {
	switch {
	case d.Batch != nil:
		if err := l.images(ctx, d.Batch); err != nil {
			return err
		}
		begun := time.Now()
		if err := l.look(ctx, d.Batch); err != nil {
			return err
		}
		r := l.transform(ctx, d.Batch, begun)
		if err := l.down.Send(ctx, r.Rows); err != nil {
			return broken(err)
		}
	case d.Drain != nil:
		position, err := l.down.Drain(ctx)
		if err != nil {
			return broken(err)
		}
		if err := l.up.Drained(&flowv1.Drained{Position: position}); err != nil {
			return fault.New(flowv1.FaultClass_FAULT_CLASS_CONNECTION, err).WithStage(Stage)
		}
	}
	return nil
}

// images asks the target for the before images of a batch's keys, where the job has them (before_image: full). The
// answer comes after every batch before this one has committed, so it holds what they wrote.
func (l *lane) images(ctx context.Context, b *changev1.Batch) error {
	output, ok := l.program.Images()
	if !ok || len(b.GetChanges()) == 0 {
		return nil
	}
	l.asked++
	if err := l.down.Before(&applierv1.BeforeRequest{Id: l.asked, Output: output, Keys: job.Keys(b)}); err != nil {
		return broken(err)
	}
	select {
	case answer := <-l.before:
		if answer.GetId() != l.asked || len(answer.GetImages()) != len(job.Keys(b)) {
			return fault.Errorf(flowv1.FaultClass_FAULT_CLASS_CONNECTION, "the applier answered another question for before images").WithStage(Stage)
		}
		l.program.Fill(b, answer.GetImages())
		return nil
	case <-l.down.Done():
		return l.ended()
	case <-ctx.Done():
		return fault.New(flowv1.FaultClass_FAULT_CLASS_CONNECTION, ctx.Err()).WithStage(Stage)
	}
}

// look does the lookups of a batch (spec 4.8).
func (l *lane) look(ctx context.Context, b *changev1.Batch) error {
	if l.lookups == nil {
		return nil
	}
	if err := l.job.Look(ctx, b, patient{l}); err != nil {
		return fault.New(fault.Class(err), err).WithStage(Stage)
	}
	return nil
}

// patient waits for a Redis that is away, and says so upstream (G6).
type patient struct{ lane *lane }

// Look implements block.Looker.
func (p patient) Look(ctx context.Context, connection string, commands [][]string, size int) ([]block.Reply, error) {
	pause := flow.Backoff{Base: 100 * time.Millisecond, Max: 5 * time.Second}
	for waiting := false; ; waiting = true {
		replies, err := p.lane.lookups.Look(ctx, connection, commands, size)
		if err == nil {
			if waiting {
				events{p.lane}.said(p.lane.up.Waiting(&flowv1.Waiting{}))
			}
			return replies, nil
		}
		f := *fault.Of(err)
		f.Stage = Stage
		events{p.lane}.said(p.lane.up.Waiting(&flowv1.Waiting{Fault: fault.Proto(&f)}))
		select {
		case <-time.After(pause.Next()):
		case <-p.lane.down.Done():
			return nil, p.lane.ended()
		case <-ctx.Done():
			return nil, fault.New(flowv1.FaultClass_FAULT_CLASS_CONNECTION, ctx.Err())
		}
	}
}

// transform makes the rows of a batch, whose lookups have begun then, and keeps it until it is settled.
func (l *lane) transform(ctx context.Context, b *changev1.Batch, begun time.Time) *job.Result {
	start := time.Now()
	ctx, span := l.server.options.Tracer.Start(flow.WithTraceparent(ctx, b.GetTraceparent()), "transform", l.span)
	defer span.End()
	r := l.job.Run(b)
	r.Rows.Traceparent = flow.Traceparent(ctx)
	if span.IsRecording() {
		span.SetAttributes(
			attribute.Int64("slipstream.sequence", int64(b.GetSequence())),
			attribute.Int("slipstream.changes", len(b.GetChanges())),
			attribute.Int("slipstream.rejected", len(r.Rejects)),
		)
	}
	l.metrics.batch(r, time.Since(start), flow.TraceID(span.SpanContext()))
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pending = append(l.pending, underWay{r, time.Since(begun)})
	return r
}

// underWay is a batch that is not settled, and the time it took here, lookups included.
type underWay struct {
	*job.Result
	took time.Duration
}

// done gives back the memory of a batch.
func done(r *job.Result) {
	b := r.Batch()
	r.Release()
	b.ReturnToVTPool()
}

// events is what comes from the applier.
type events struct{ *lane }

// Settled adds the counts of this stage for every batch it settles, and hands it up.
func (e events) Settled(s *flowv1.Settled) {
	counts := &flowv1.Counts{
		Rows: s.GetCounts().GetRows(), TakenOver: s.GetCounts().GetTakenOver(), Outdated: s.GetCounts().GetOutdated(),
	}
	e.mu.Lock()
	n, took := 0, time.Duration(0)
	for n < len(e.pending) && e.pending[n].Batch().GetSequence() <= s.GetSequence() {
		e.pending[n].Counts(counts)
		took += e.pending[n].took
		done(e.pending[n].Result)
		n++
	}
	e.pending = append(e.pending[:0], e.pending[n:]...)
	e.mu.Unlock()
	e.said(e.up.Settled(&flowv1.Settled{
		Sequence: s.GetSequence(), Position: s.GetPosition(), Counts: counts, CommitNs: s.GetCommitNs(),
		TransformNs: took.Nanoseconds(),
	}))
}

// Rejects joins the rejects of both stages and hands them up.
func (e events) Rejects(x *flowv1.Rejects) {
	out := &flowv1.Rejects{Sequence: x.GetSequence(), Rejects: x.GetRejects()}
	e.mu.Lock()
	for _, r := range e.pending {
		if r.Batch().GetSequence() == x.GetSequence() {
			out.Rejects = r.Merge(x.GetRejects())
		}
	}
	e.mu.Unlock()
	e.said(e.up.Rejects(out))
}

// Before hands over the answer that serve waits for; one question is open at a time.
func (e events) Before(r *applierv1.BeforeResponse) {
	select {
	case e.before <- r:
	default:
	}
}

// Waiting is handed up as it is (G6).
func (e events) Waiting(w *flowv1.Waiting) { e.said(e.up.Waiting(w)) }

// said keeps the first failure to tell capture something; its stream is over then, and the lane with it.
func (e events) said(err error) {
	if err == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.failed == nil {
		e.failed = err
	}
}
