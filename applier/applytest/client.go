package applytest

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"slipstream/applier"
	"slipstream/applier/engine"
	"slipstream/proto/flow"
	applierv1 "slipstream/proto/slipstream/applier/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// client is the sending end of a lane, with the engine at the other.
type client struct {
	t      testing.TB
	form   func(*applierv1.RowBatch) *applierv1.RowBatch // a batch as the target has it
	sender *flow.Sender[*applierv1.RowBatch]
	opened *flowv1.Opened
	cancel context.CancelFunc
	done   chan error // what Engine.Run returned

	settled chan *flowv1.Settled
	rejects chan *flowv1.Rejects
	waiting chan *flowv1.Waiting
	images  chan *applierv1.BeforeResponse
	manual  bool // Stored is up to the case

	mu    sync.Mutex
	ready chan struct{} // closed when sender is set
}

// laneOf is a lane of the suite's pipeline.
func laneOf(partition uint32) *flowv1.Lane {
	return &flowv1.Lane{Source: "src-1", Pipeline: "suite", Job: "job", Connection: "db", Layout: 4, Partition: partition}
}

func settings() *pipelinev1.Settings {
	return &pipelinev1.Settings{OnFailedRetryInterval: 1, WriteBatchSize: 200}
}

// open opens lane 0 of job.
func (f *fixture) open(t testing.TB, db Database, j *pipelinev1.Job) *client {
	t.Helper()
	return f.openWith(t, db, f.Dialect, j, 0)
}

// openWith opens a lane through a given dialect.
func (f *fixture) openWith(t testing.TB, db Database, d applier.Dialect, j *pipelinev1.Job, partition uint32) *client {
	t.Helper()
	c := f.dial(t, f.engine(t, d), db, j, partition)
	c.await()
	return c
}

// openPatient opens a lane that waits for what must come from another, however slow the server is.
func (f *fixture) openPatient(t testing.TB, db Database, j *pipelinev1.Job, partition uint32) *client {
	t.Helper()
	c := f.dial(t, f.waiting(t, f.Dialect, patience), db, j, partition)
	c.await()
	return c
}

// dial begins to open a lane and does not wait for it.
func (f *fixture) dial(t testing.TB, e *engine.Engine, db Database, j *pipelinev1.Job, partition uint32) *client {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	down, up, end := flow.Pipe[*applierv1.RowBatch](ctx)
	c := &client{
		t: t, cancel: cancel, done: make(chan error, 1), ready: make(chan struct{}),
		settled: make(chan *flowv1.Settled, 1000), rejects: make(chan *flowv1.Rejects, 1000), waiting: make(chan *flowv1.Waiting, 1000),
		images: make(chan *applierv1.BeforeResponse, 1),
		form:   func(b *applierv1.RowBatch) *applierv1.RowBatch { return f.translate(j, b) },
	}
	go func() {
		err := e.Run(up)
		end(err)
		c.done <- err
	}()
	open := &flowv1.Open{
		Lane: laneOf(partition), Job: f.form(j), Connection: db.Connection, Settings: settings(), WindowBytes: 64 << 20, Owner: "suite",
	}
	go func() {
		defer close(c.ready)
		s, o, err := flow.Open(ctx, down, open, c)
		if err != nil {
			return // await says so
		}
		c.mu.Lock()
		c.sender, c.opened = s, o
		c.mu.Unlock()
	}()
	t.Cleanup(c.cut)
	return c
}

// await waits until the lane is open.
func (c *client) await() {
	c.t.Helper()
	receive(c.t, c.ready, "Opened")
	if c.sender == nil {
		c.t.Fatalf("lane did not open: %v", <-c.done)
	}
}

// Settled, Rejects and Waiting are flow.Events.
func (c *client) Settled(s *flowv1.Settled) { c.settled <- s }

func (c *client) Waiting(w *flowv1.Waiting) {
	select {
	case c.waiting <- w:
	default: // a long wait; nobody looks at the rest
	}
}

func (c *client) Rejects(r *flowv1.Rejects) {
	c.rejects <- r
	if !c.manual {
		c.store(r.Sequence)
	}
}

// store says that rejects are stored. The stream may have ended; then the case sees that elsewhere.
func (c *client) store(sequence uint64) {
	<-c.ready
	_ = c.sender.Stored(sequence)
}

// send sends batches.
func (c *client) send(batches ...*applierv1.RowBatch) {
	c.t.Helper()
	for _, b := range batches {
		c.raw(c.form(b))
	}
}

// raw sends a batch as it is.
func (c *client) raw(b *applierv1.RowBatch) {
	c.t.Helper()
	if err := c.sender.Send(c.t.Context(), b); err != nil {
		c.t.Fatalf("sending batch %d: %v", b.Sequence, err)
	}
}

// settle waits until batch n is settled.
func (c *client) settle(n uint64) *flowv1.Settled {
	c.t.Helper()
	for {
		s := receive(c.t, c.settled, "Settled")
		if s.Sequence == n {
			return s
		}
	}
}

// apply sends a batch and waits until it is settled.
func (c *client) apply(b *applierv1.RowBatch) *flowv1.Settled {
	c.t.Helper()
	c.send(b)
	return c.settle(b.Sequence)
}

// waits waits for a Waiting frame of a class.
func (c *client) waits(class flowv1.FaultClass) *flowv1.Fault {
	c.t.Helper()
	for {
		w := receive(c.t, c.waiting, "Waiting "+class.String())
		if w.Fault.GetClass() == class && w.Fault != nil {
			return w.Fault
		}
	}
}

// resumes waits for the frame that says the wait is over.
func (c *client) resumes() {
	c.t.Helper()
	for receive(c.t, c.waiting, "the end of the wait").Fault != nil {
	}
}

// refused waits for Rejects and gives the reasons, one a reject.
func (c *client) refused() []*flowv1.Reject {
	c.t.Helper()
	return receive(c.t, c.rejects, "Rejects").Rejects
}

// none fails when rejects have come.
func (c *client) none() {
	c.t.Helper()
	select {
	case r := <-c.rejects:
		c.t.Errorf("rejects came: %v", r)
	default:
	}
}

// ends waits for the end of the stream and gives its error.
func (c *client) ends() error {
	c.t.Helper()
	err := receive(c.t, c.done, "the end of the stream")
	c.done <- err
	return err
}

// cut ends the stream as a crash of the client would, and waits until the engine is done with it.
func (c *client) cut() {
	c.cancel()
	err := <-c.done
	c.done <- err
	<-c.ready
	if c.sender != nil {
		<-c.sender.Done()
	}
}

// receive takes one value, or fails the test.
func receive[T any](t testing.TB, from <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		t.Fatalf("%s did not come", what)
		var none T
		return none
	}
}

// reasons are the reasons of rejects, a line each.
func reasons(rejects []*flowv1.Reject) string {
	var b strings.Builder
	for _, r := range rejects {
		b.WriteString(r.Reason + "\n")
	}
	return b.String()
}
