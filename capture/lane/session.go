package lane

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"

	"slipstream/capture/stream"
	"slipstream/capture/tail"
	"slipstream/proto/fault"
	"slipstream/proto/flow"
	capturev1 "slipstream/proto/slipstream/capture/v1"
	changev1 "slipstream/proto/slipstream/change/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

const (
	// mostFlights is how many batches are under way when there is enough for full ones: one is committed, one is
	// transformed, one waits on each hop.
	mostFlights = 4
	// fewFlights is how many are under way before a batch that is not full gathers more (design D6).
	fewFlights = 2
	// headerPause is the time between looks for a stream that is not there yet.
	headerPause = 200 * time.Millisecond
	// phasePause is the time between looks whether an initial load is settled.
	phasePause = 2 * time.Second
	// closePatience is how long a stream that is drained may take to end in order.
	closePatience = 2 * time.Second
	// drainPatience is how long a lane that drains bears with a target that it waits for.
	drainPatience = 2 * time.Second
)

var errDrain = errors.New("the lane drains")

// session is one stream to the target, from Open to its end.
type session struct {
	l       *Lane
	sender  *flow.Sender[*changev1.Batch]
	tail    *tail.Tail
	keeper  *keeper
	ctx     context.Context // of the stream to the transformer
	settled chan struct{}   // capacity 1: something was settled
	rejects chan *flowv1.Rejects

	sequence    uint64
	incarnation string
	phase       string
	asked       time.Time // when the phase was looked at
	state       *changev1.LaneState
	quiet       int           // reads in a row that found nothing
	gathered    time.Time     // when the first pending entry was gathered
	reading     time.Duration // that gathering the pending entries took
}

// session opens the lane and sends batches until it is drained (nil) or breaks.
func (l *Lane) session(ctx context.Context) error {
	if l.draining() {
		return nil
	}
	if !l.drops() {
		if err := l.dead.Ready(); err != nil { // a lane that could not store a reject does not begin
			return err
		}
	}
	l.opening()
	if err := l.recorded(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s := &session{l: l, ctx: ctx, settled: make(chan struct{}, 1), rejects: make(chan *flowv1.Rejects, mostFlights)}
	opened, err := s.open()
	if err != nil {
		return err
	}
	var storing sync.WaitGroup
	storing.Go(s.storeRejects)
	err = s.drive(opened)
	// The receiving goroutine ends with the stream: in order when all is settled, else at once. Close waits for it.
	if err != nil {
		cancel()
	}
	abort := time.AfterFunc(closePatience, cancel)
	_ = s.sender.Close() // why the stream ended is known already
	abort.Stop()
	cancel()
	storing.Wait()
	if s.keeper != nil {
		s.keeper.close(ctx)
	}
	l.landed()
	l.follow.Ended(l.c.Now())
	return err
}

// drive decides where to start and sends batches until the lane is drained or the stream breaks.
func (s *session) drive(opened *flowv1.Opened) error {
	l, ctx := s.l, s.ctx
	// The header is read again: what was recorded while the target was away is no sign of a position beyond the end.
	header, err := l.c.Store.Header(ctx, l.c.Stream)
	if err != nil {
		return err
	}
	if !header.Exists {
		return &stream.Discontinuity{Stream: l.c.Stream.Main, Verdict: stream.Missing}
	}
	s.incarnation = header.Incarnation
	l.found(opened)
	o := decide(opened, header, l.c.Job.GetSource().GetInitialLoad())
	cursor, err := l.begin(ctx, &o)
	if err != nil {
		return err
	}
	s.phase = o.phase
	s.keeper = newKeeper(l, cursor)
	l.start(o.at, s.sender.InFlight)
	s.tail = tail.New(tail.Options{
		Stream: l.c.Stream, Incarnation: s.incarnation, At: o.at, Source: l.c.Job.GetSource(), Database: l.c.Database,
		Connection: l.c.Connection.GetName(), Dial: l.c.Streams, Values: l.c.Values, Unread: &l.unread,
		Indexed: indexed(l.c.Job, l.c.Connection.GetName()),
		Entries: int(l.c.Settings.GetReadBatchSize()), Bytes: int(l.c.WindowBytes / batchShare),
	})
	defer func() { _ = s.tail.Close() }()
	if o.adopt {
		s.state = stateOf(s.incarnation, o.phase)
		if err := s.send(ctx, nothingAt(o.at)); err != nil {
			return err
		}
	}
	return s.run()
}

// indexed says whether a connection keeps a row index for a job. An output of it that keeps none knows its rows by the
// Redis key.
func indexed(job *pipelinev1.Job, connection string) bool {
	return slices.ContainsFunc(job.GetOutputs(), func(o *pipelinev1.Output) bool {
		return o.GetConnection() == connection && o.GetRelational().GetRowIndex()
	})
}

// recorded waits for the stream to have a header: the recorder makes it.
func (l *Lane) recorded(ctx context.Context) error {
	for {
		look := l.c.Store.Header
		if l.c.Stream.Foreign {
			look = l.c.Store.Adopt // the application knows nothing of headers
		}
		h, err := look(ctx, l.c.Stream)
		if err != nil || h.Exists {
			return err
		}
		l.wait(ctx, fault.Errorf(flowv1.FaultClass_FAULT_CLASS_CONNECTION, "the recorder has not begun the stream %q", l.c.Stream.Main))
		if !l.pause(ctx, headerPause) {
			return errDrain
		}
	}
}

// open opens the lane at the transformer. A drain gives the attempt up.
func (s *session) open() (*flowv1.Opened, error) {
	l := s.l
	ctx, cancel := context.WithCancelCause(s.ctx)
	defer cancel(nil)
	ready := make(chan struct{})
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case <-l.drain:
			cancel(errDrain)
		case <-ready:
		case <-ctx.Done():
		}
	}()
	defer func() {
		close(ready)
		<-watched
	}()
	link, err := l.c.Dial(s.ctx)
	if err != nil {
		return nil, fmt.Errorf("connecting to the transformer: %w", err)
	}
	sender, opened, err := flow.Open(ctx, link, &flowv1.Open{
		Lane: l.c.Lane, Generation: l.c.Generation, Job: l.c.Job, Connection: l.c.Connection, Settings: l.c.Settings,
		WindowBytes: l.c.WindowBytes, Owner: l.c.Owner, Lookups: l.c.Lookups,
	}, &events{s: s, lane: l, ctx: s.ctx})
	if err != nil {
		return nil, err
	}
	s.sender = sender
	return opened, nil
}

// run reads and sends until the lane is to drain, then drains; or until the stream breaks.
func (s *session) run() error {
	ctx, cancel := context.WithCancelCause(s.ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case <-s.l.drain:
			cancel(errDrain)
		case <-s.sender.Done():
			cancel(s.sender.Err())
		case <-ctx.Done():
		}
	}()
	err := s.pump(ctx)
	cancel(err)
	<-watched
	if err == nil || errors.Is(err, errDrain) || (s.l.draining() && s.sender.Err() == nil && s.ctx.Err() == nil) {
		s.l.become(capturev1.LaneState_LANE_STATE_DRAINING)
		return s.settleAll()
	}
	if broken := s.sender.Err(); broken != nil {
		return broken
	}
	return err
}

// settleAll waits until what is under way is settled. A target that the lane waits for may take for ever, and what ends
// the wait may be the generation that the lane makes room for: then the stream is given up, and the next opening finds in
// the target how far it came (design D4).
func (s *session) settleAll() error {
	ctx, cancel := context.WithCancelCause(s.ctx)
	defer cancel(nil)
	drained := make(chan error, 1)
	go func() {
		_, err := s.sender.Drain(ctx)
		drained <- err
	}()
	look := time.NewTicker(drainPatience / 10)
	defer look.Stop()
	waits := 0
	for {
		select {
		case err := <-drained:
			return err
		case <-look.C:
			if waits++; !s.l.holds() {
				waits = 0
			}
			if waits == 10 {
				cancel(errDrain)
			}
		}
	}
}

// pump gathers, reads and sends batch after batch. It returns nil at the end of a finite stream.
func (s *session) pump(ctx context.Context) error {
	l := s.l
	back := l.backoff()
	for {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		flights, _ := s.sender.InFlight()
		if flights >= mostFlights {
			s.await(ctx, nil)
			continue
		}
		done, err := s.step(ctx, flights)
		switch {
		case done:
			return nil
		case err == nil:
			back.Reset()
			continue
		case ctx.Err() != nil:
			return context.Cause(ctx)
		}
		var gone *stream.Discontinuity
		if errors.As(err, &gone) || s.sender.Err() != nil {
			return err
		}
		l.wait(ctx, err) // Redis is away or refuses: the stream to the target stays open meanwhile
		if err := fault.Sleep(ctx, back.Next()); err != nil {
			return context.Cause(ctx)
		}
	}
}

// step gathers entries and, when it is time, sends a batch. It says whether a finite stream has come to its end.
func (s *session) step(ctx context.Context, flights int) (bool, error) {
	l := s.l
	begun := l.c.Now()
	if _, err := s.tail.Gather(ctx); err != nil {
		return false, err
	}
	s.reading += l.c.Now().Sub(begun)
	l.clear()
	l.gathered(s.tail.OldestMs())
	if s.tail.Pending() == 0 {
		s.reading = 0
		s.quiet++
		if l.c.Finite && s.quiet > 1 { // one look may have met only one of the two streams
			return true, nil
		}
		return false, s.idle(ctx)
	}
	s.quiet = 0
	if s.gathered.IsZero() {
		s.gathered = l.c.Now()
	}
	if !s.tail.Full() && flights >= fewFlights {
		left := l.duration() - l.c.Now().Sub(s.gathered)
		if left > 0 {
			timer := time.NewTimer(left)
			defer timer.Stop()
			s.await(ctx, timer.C)
			return false, nil
		}
	}
	return false, s.batch(ctx)
}

// idle waits for entries, and meanwhile for the end of an initial load.
func (s *session) idle(ctx context.Context) error {
	if s.l.c.Finite {
		return nil
	}
	if err := s.turnLive(ctx); err != nil {
		return err
	}
	if !strings.HasPrefix(s.phase, phaseLoading) {
		return s.l.c.Bell.Wait(ctx, s.l.c.Stream, s.tail.At())
	}
	waiting, cancel := context.WithTimeout(ctx, phasePause)
	defer cancel()
	if err := s.l.c.Bell.Wait(waiting, s.l.c.Stream, s.tail.At()); err != nil && ctx.Err() != nil {
		return err
	}
	return nil
}

// await waits until something is settled, the timer fires, or ctx ends.
func (s *session) await(ctx context.Context, timer <-chan time.Time) {
	select {
	case <-s.settled:
	case <-timer:
	case <-ctx.Done():
	}
}

// batch reads the values of what was gathered and sends it.
func (s *session) batch(ctx context.Context) error {
	l := s.l
	from := s.gathered
	spanCtx, span := l.c.Tracer.Start(ctx, "capture.read", trace.WithNewRoot(), trace.WithTimestamp(from))
	begun := l.c.Now()
	read, err := s.tail.Batch(ctx)
	if err == nil && len(read.Rejects) > 0 {
		err = l.store(ctx, read.Rejects)
	}
	if err != nil {
		span.RecordError(err)
		span.End()
		return err
	}
	read.Batch.Traceparent = flow.Traceparent(spanCtx)
	annotate(span, l.c.Lane, read)
	span.End()
	s.gathered = time.Time{}
	if s.tail.Pending() > 0 {
		s.gathered = l.c.Now()
	}
	out := departing{Read: read, trace: flow.TraceID(span.SpanContext()), took: s.reading + l.c.Now().Sub(begun)}
	s.reading = 0
	return s.send(ctx, out)
}

// send numbers a batch and sends it; the window may hold it up.
func (s *session) send(ctx context.Context, read departing) error {
	s.sequence++
	read.Batch.Sequence = s.sequence
	read.Batch.State = s.state
	s.l.depart(s.sequence, read)
	s.l.follow.Sent(read.Batch, read.Rejects, s.l.c.Now())
	if err := s.sender.Send(ctx, read.Batch); err != nil {
		return err
	}
	s.state = nil
	return nil
}

// turnLive tells the target, with an empty batch, that the initial load it remembers is settled.
func (s *session) turnLive(ctx context.Context) error {
	now := s.l.c.Now()
	if !strings.HasPrefix(s.phase, phaseLoading) || now.Sub(s.asked) < phasePause {
		return nil
	}
	s.asked = now
	done, err := s.l.loaded(ctx, s.phase)
	if err != nil || !done {
		return err
	}
	s.phase = phaseLive
	s.state = stateOf(s.incarnation, s.phase)
	return s.send(ctx, nothingAt(s.tail.At()))
}

// nothingAt is a batch without changes, which only moves the position or tells a state.
func nothingAt(at stream.Position) departing {
	return departing{Read: &tail.Read{Batch: &changev1.Batch{Position: at.Proto()}, Position: at}}
}

// duration is the longest a batch that is not full waits for more.
func (l *Lane) duration() time.Duration {
	if d := l.c.Settings.GetDuration(); d > 0 {
		return time.Duration(d) * time.Millisecond
	}
	return 100 * time.Millisecond
}

// drops says that rejects do not become dead letters.
func (l *Lane) drops() bool {
	return l.c.Settings.GetErrorHandling() == pipelinev1.ErrorHandling_ERROR_HANDLING_IGNORE
}

// store makes rejects dead letters, or drops them where the pipeline says so (spec 2.5). It does not give up before ctx.
func (l *Lane) store(ctx context.Context, rejects []*flowv1.Reject) error {
	if l.drops() {
		return nil
	}
	back := l.backoff()
	for {
		_, err := l.dead.Store(ctx, rejects)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		l.wait(ctx, err)
		if err := fault.Sleep(ctx, back.Next()); err != nil {
			return context.Cause(ctx)
		}
	}
}
