package flow_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"go.uber.org/goleak"

	changev1 "slipstream/proto/slipstream/change/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"

	"slipstream/proto/fault"
	"slipstream/proto/flow"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type batch = *changev1.Batch

// recorder keeps what came up.
type recorder struct {
	settled chan uint64
	rejects chan uint64
	waiting chan *flowv1.Fault
}

func newRecorder() *recorder {
	return &recorder{make(chan uint64, 100), make(chan uint64, 100), make(chan *flowv1.Fault, 100)}
}

func (r *recorder) Settled(s *flowv1.Settled) { r.settled <- s.Sequence }
func (r *recorder) Rejects(x *flowv1.Rejects) { r.rejects <- x.Sequence }
func (r *recorder) Waiting(w *flowv1.Waiting) { r.waiting <- w.Fault }

func openFrame(window uint64) *flowv1.Open {
	return &flowv1.Open{
		Lane: &flowv1.Lane{Pipeline: "p", Job: "emp", Connection: "pg", Layout: 4, Partition: 1},
		Job:  &pipelinev1.Job{Name: "emp"}, Connection: &pipelinev1.Connection{Name: "pg"}, WindowBytes: window,
	}
}

func numbered(n uint64, bytes int) batch {
	return &changev1.Batch{
		Sequence: n, Position: &changev1.Position{Main: &changev1.StreamId{Ms: n}},
		Changes: []*changev1.Change{{Key: make([]byte, bytes)}},
	}
}

// opened opens a lane over a pipe and gives both ends.
func opened(t *testing.T, window uint64) (*flow.Sender[batch], *flow.Receiver[batch], *recorder, func(error)) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	down, up, end := flow.Pipe[batch](ctx)
	events := newRecorder()
	got := make(chan *flow.Receiver[batch], 1)
	go func() {
		r, o, err := flow.Accept(up)
		if err == nil {
			err = r.Opened(&flowv1.Opened{Epoch: 7, Position: &changev1.Position{Main: &changev1.StreamId{Ms: uint64(o.Lane.Partition)}}})
		}
		if err != nil {
			t.Errorf("accepting: %v", err)
		}
		got <- r
	}()
	s, o, err := flow.Open(ctx, down, openFrame(window), events)
	if err != nil {
		t.Fatal(err)
	}
	if o.Epoch != 7 || o.Position.Main.Ms != 1 {
		t.Fatalf("opened with %v", o)
	}
	t.Cleanup(func() { cancel(); <-s.Done() })
	return s, <-got, events, end
}

func next(t *testing.T, r *flow.Receiver[batch]) flow.Down[batch] {
	t.Helper()
	d, err := r.Next()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestLife walks a lane from Open to the end: batches, rejects and Stored (G2, design D9), settlement, drain.
func TestLife(t *testing.T) {
	s, r, events, end := opened(t, 1<<20)
	for n := uint64(1); n <= 3; n++ {
		if err := s.Send(t.Context(), numbered(n, 10)); err != nil {
			t.Fatal(err)
		}
		if d := next(t, r); d.Batch.Sequence != n {
			t.Fatalf("received %v", d)
		}
	}
	if n, bytes := s.InFlight(); n != 3 || bytes == 0 {
		t.Errorf("in flight: %d batches, %d bytes", n, bytes)
	}
	if err := r.Rejects(&flowv1.Rejects{Sequence: 1}); err != nil {
		t.Fatal(err)
	}
	if n := <-events.rejects; n != 1 {
		t.Errorf("rejects of batch %d", n)
	}
	if err := s.Stored(1); err != nil {
		t.Fatal(err)
	}
	if d := next(t, r); d.Stored.GetSequence() != 1 {
		t.Fatalf("received %v", d)
	}
	for _, n := range []uint64{1, 3} { // 3 settles 2 as well
		if err := r.Settled(&flowv1.Settled{Sequence: n}); err != nil {
			t.Fatal(err)
		}
		if got := <-events.settled; got != n {
			t.Errorf("settled %d, want %d", got, n)
		}
	}
	if n, bytes := s.InFlight(); n != 0 || bytes != 0 {
		t.Errorf("in flight after settlement: %d batches, %d bytes", n, bytes)
	}
	go func() {
		if d, err := r.Next(); err != nil || d.Drain == nil {
			t.Errorf("received %v, %v, want Drain", d, err)
		}
		if err := r.Drained(&flowv1.Drained{Position: &changev1.Position{Main: &changev1.StreamId{Ms: 3}}}); err != nil {
			t.Error(err)
		}
		if _, err := r.Next(); !errors.Is(err, io.EOF) {
			t.Errorf("after the client closed: %v", err)
		}
		end(nil)
	}()
	pos, err := s.Drain(t.Context())
	if err != nil || pos.Main.Ms != 3 {
		t.Errorf("drained at %v, %v", pos, err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("closing: %v", err)
	}
}

// TestWindow: bytes under way stay within the window, one batch may always go, settlement makes room (design D5).
func TestWindow(t *testing.T) {
	s, r, events, _ := opened(t, 100)
	if err := s.Send(t.Context(), numbered(1, 500)); err != nil {
		t.Fatal("one batch must pass even a window that is too small:", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := s.Send(ctx, numbered(2, 1)); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("sent into a full window: %v", err)
	}
	sent := make(chan error, 1)
	go func() { sent <- s.Send(t.Context(), numbered(2, 1)) }()
	next(t, r)
	if err := r.Settled(&flowv1.Settled{Sequence: 1}); err != nil {
		t.Fatal(err)
	}
	<-events.settled
	if err := <-sent; err != nil {
		t.Fatalf("after room was made: %v", err)
	}
}

// TestBreak: whatever blocks ends with the cause when the stream breaks, class included (design D9).
func TestBreak(t *testing.T) {
	s, _, _, end := opened(t, 1)
	if err := s.Send(t.Context(), numbered(1, 10)); err != nil {
		t.Fatal(err)
	}
	blocked := make(chan error, 2)
	go func() { blocked <- s.Send(t.Context(), numbered(2, 10)) }()
	go func() { _, err := s.Drain(t.Context()); blocked <- err }()
	cause := fault.Errorf(flowv1.FaultClass_FAULT_CLASS_FENCED, "epoch 8 took over")
	end(cause)
	for range 2 {
		if err := <-blocked; fault.Class(err) != flowv1.FaultClass_FAULT_CLASS_FENCED {
			t.Errorf("ended with %v", err)
		}
	}
	<-s.Done()
	if err := s.Send(t.Context(), numbered(2, 1)); fault.Class(err) != flowv1.FaultClass_FAULT_CLASS_FENCED {
		t.Errorf("sending on a broken lane: %v", err)
	}
	if err := s.Close(); fault.Class(err) != flowv1.FaultClass_FAULT_CLASS_FENCED {
		t.Errorf("closing a broken lane: %v", err)
	}
}

// answering stores rejects from within Events, on a stream that has ended meanwhile.
type answering struct {
	*recorder
	sender chan *flow.Sender[batch]
	got    chan error
}

func (a answering) Rejects(x *flowv1.Rejects) {
	s := <-a.sender
	for { // until the end of the stream is noticed
		if err := s.Stored(x.Sequence); err != nil {
			a.got <- err
			return
		}
	}
}

// TestStoredFromEvents: an answer to Rejects from within Events does not wait for itself when the stream has ended.
func TestStoredFromEvents(t *testing.T) {
	down, up, end := flow.Pipe[batch](t.Context())
	a := answering{newRecorder(), make(chan *flow.Sender[batch], 1), make(chan error, 1)}
	go func() {
		_ = up.Send(flow.Up{Opened: &flowv1.Opened{}})
		_ = up.Send(flow.Up{Rejects: &flowv1.Rejects{Sequence: 1}})
	}()
	s, _, err := flow.Open(t.Context(), down, openFrame(1), a)
	if err != nil {
		t.Fatal(err)
	}
	a.sender <- s
	end(fault.Errorf(flowv1.FaultClass_FAULT_CLASS_FENCED, "gone"))
	if err := <-a.got; !errors.Is(err, flow.ErrClosed) {
		t.Errorf("got %v", err)
	}
	<-s.Done()
	if fault.Class(s.Err()) != flowv1.FaultClass_FAULT_CLASS_FENCED {
		t.Errorf("ended with %v", s.Err())
	}
}

// TestOpenFails: a refused lane says why, and Waiting before Opened is heard (G6).
func TestOpenFails(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	down, up, end := flow.Pipe[batch](ctx)
	events := newRecorder()
	go func() {
		r, _, err := flow.Accept(up)
		if err != nil {
			t.Error(err)
			return
		}
		if err := r.Waiting(&flowv1.Waiting{Fault: &flowv1.Fault{Message: "target is down"}}); err != nil {
			t.Error(err)
		}
		if f := <-events.waiting; f.GetMessage() != "target is down" {
			t.Errorf("heard %v", f)
		}
		end(fault.Errorf(flowv1.FaultClass_FAULT_CLASS_SCHEMA, "job does not compile"))
	}()
	_, _, err := flow.Open(ctx, down, openFrame(1), events)
	if fault.Class(err) != flowv1.FaultClass_FAULT_CLASS_SCHEMA {
		t.Errorf("opened with %v", err)
	}
}

// TestProtocol: frames out of order are errors on either side.
func TestProtocol(t *testing.T) {
	for name, up := range map[string]flow.Up{
		"settled before sent": {Settled: &flowv1.Settled{Sequence: 2}},
		"settled twice":       {Settled: &flowv1.Settled{Sequence: 0}},
		"opened twice":        {Opened: &flowv1.Opened{}},
		"empty frame":         {},
	} {
		t.Run("up: "+name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			down, link, _ := flow.Pipe[batch](ctx)
			go func() { // fill the slot of Opened, then misbehave
				_ = link.Send(flow.Up{Opened: &flowv1.Opened{}})
				_ = link.Send(up)
				if up.Opened != nil {
					_ = link.Send(up)
				}
			}()
			s, _, err := flow.Open(ctx, down, openFrame(1), newRecorder())
			if err == nil {
				<-s.Done()
				err = s.Err()
			}
			if !errors.Is(err, flow.ErrProtocol) {
				t.Errorf("ended with %v", err)
			}
		})
	}
	for name, frames := range map[string][]flow.Down[batch]{
		"no open":          {{Batch: numbered(1, 1)}},
		"open without job": {{Open: &flowv1.Open{Lane: &flowv1.Lane{}}}},
		"hole":             {{Open: openFrame(1)}, {Batch: numbered(2, 1)}},
		"opened twice":     {{Open: openFrame(1)}, {Open: openFrame(1)}},
		"empty":            {{Open: openFrame(1)}, {}},
	} {
		t.Run("down: "+name, func(t *testing.T) {
			down, up, end := flow.Pipe[batch](t.Context())
			defer end(nil)
			for _, f := range frames {
				if err := down.Send(f); err != nil {
					t.Fatal(err)
				}
			}
			r, _, err := flow.Accept(up)
			if err == nil {
				_, err = r.Next()
			}
			if !errors.Is(err, flow.ErrProtocol) {
				t.Errorf("got %v", err)
			}
		})
	}
	t.Run("sender numbers", func(t *testing.T) {
		s, _, _, _ := opened(t, 100)
		if err := s.Send(t.Context(), numbered(2, 1)); !errors.Is(err, flow.ErrProtocol) {
			t.Errorf("got %v", err)
		}
	})
}

func TestName(t *testing.T) {
	l := &flowv1.Lane{Pipeline: "p", Job: "emp", Connection: "pg", Layout: 4, Partition: 3}
	if got := flow.Name(l); got != "p/emp/pg/3of4" {
		t.Errorf("named %s", got)
	}
	l.Shard = "s1"
	if got := flow.Name(l); got != "p/emp/pg/3of4@s1" {
		t.Errorf("named %s", got)
	}
}

func TestBackoff(t *testing.T) {
	b := flow.Backoff{Base: 10 * time.Millisecond, Max: 70 * time.Millisecond}
	for round := range 2 {
		for i, most := range []time.Duration{10, 20, 40, 70, 70} {
			most *= time.Millisecond
			if d := b.Next(); d < most/2 || d > most {
				t.Errorf("round %d: pause %d is %v, want at most %v and at least half", round, i, d, most)
			}
		}
		b.Reset()
	}
	var zero flow.Backoff
	for range 100 {
		if d := zero.Next(); d <= 0 || d > 5*time.Second {
			t.Fatalf("pause %v", d)
		}
	}
}
