// Package lanetest is a transformer and a target in one, for tests of what stands before them. It keeps rows and position
// as a database does: both change together or not at all, and only for the holder of the newest epoch (design D4).
package lanetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"sync"

	"google.golang.org/protobuf/proto"

	"slipstream/proto/flow"
	changev1 "slipstream/proto/slipstream/change/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
)

// ErrCrash is what a stream ends with that Crash ended.
var ErrCrash = errors.New("the target crashed")

// Moment is a point in the life of a batch at which a test may interfere.
type Moment int

// The moments.
const (
	BeforeOpen Moment = iota
	BeforeCommit
	AfterCommit // and before Settled is sent
)

// Target keeps the rows of every lane. Its hooks may be nil; they are called without its lock.
type Target struct {
	// At may end the stream at a moment by returning an error, or block.
	At func(ctx context.Context, m Moment, lane *flowv1.Lane, sequence uint64) error
	// Reject gives the reason to reject a change; empty: none.
	Reject func(*changev1.Change) string
	// Fault is waited for before Opened is sent, until it gives nil.
	Fault func() *flowv1.Fault
	// Stuck is waited for before a batch commits, until it gives nil.
	Stuck func(sequence uint64) *flowv1.Fault

	mu      sync.Mutex
	lanes   map[string]*position
	rows    map[string]map[string]string // lane's job and connection → key → value
	stored  map[string][]*flowv1.Reject
	opens   []*flowv1.Open
	batches []*changev1.Batch
	wg      sync.WaitGroup
}

type position struct {
	epoch uint64
	at    *changev1.Position
	state *changev1.LaneState
}

// Dial opens a stream to the target, as a transformer would be dialled.
func (t *Target) Dial(ctx context.Context) (flow.Downlink[*changev1.Batch], error) {
	down, up, end := flow.Pipe[*changev1.Batch](ctx)
	t.wg.Add(1)
	go func() {
		defer t.wg.Done()
		end(t.serve(up))
	}()
	return down, nil
}

// Wait waits until every stream has ended.
func (t *Target) Wait() { t.wg.Wait() }

func (t *Target) moment(ctx context.Context, m Moment, lane *flowv1.Lane, sequence uint64) error {
	if t.At == nil {
		return nil
	}
	return t.At(ctx, m, lane, sequence)
}

func (t *Target) serve(up flow.Uplink[*changev1.Batch]) error {
	r, open, err := flow.Accept(up)
	if err != nil {
		return err
	}
	ctx := up.Context()
	for t.Fault != nil {
		f := t.Fault()
		if err := r.Waiting(&flowv1.Waiting{Fault: f, Attempts: 1}); err != nil {
			return err
		}
		if f == nil {
			break
		}
	}
	if err := t.moment(ctx, BeforeOpen, open.Lane, 0); err != nil {
		return err
	}
	epoch, opened := t.open(open)
	if err := r.Opened(opened); err != nil {
		return err
	}
	return t.batchesOf(ctx, r, open, epoch)
}

func (t *Target) open(open *flowv1.Open) (uint64, *flowv1.Opened) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.lanes == nil {
		t.lanes, t.rows, t.stored = map[string]*position{}, map[string]map[string]string{}, map[string][]*flowv1.Reject{}
	}
	t.opens = append(t.opens, open)
	name := flow.Name(open.Lane)
	p := t.lanes[name]
	if p == nil {
		p = &position{}
		t.lanes[name] = p
	}
	p.epoch++
	return p.epoch, &flowv1.Opened{
		Epoch: p.epoch, Position: p.at, State: p.state, Dialect: "fake", Delivery: flowv1.Delivery_DELIVERY_EXACTLY_ONCE,
	}
}

func (t *Target) batchesOf(ctx context.Context, r *flow.Receiver[*changev1.Batch], open *flowv1.Open, epoch uint64) error {
	var queue []flow.Down[*changev1.Batch] // what came while Stored was awaited
	next := func() (flow.Down[*changev1.Batch], error) {
		if len(queue) > 0 {
			d := queue[0]
			queue = queue[1:]
			return d, nil
		}
		return r.Next()
	}
	var last *changev1.Position
	for {
		d, err := next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		switch {
		case d.Drain != nil:
			if err := r.Drained(&flowv1.Drained{Position: last}); err != nil {
				return err
			}
			continue
		case d.Batch == nil:
			return fmt.Errorf("unexpected frame %v", d)
		}
		rejects := t.rejects(open.Lane, d.Batch)
		if len(rejects) > 0 {
			if err := r.Rejects(&flowv1.Rejects{Sequence: d.Batch.Sequence, Rejects: rejects}); err != nil {
				return err
			}
			for { // Stored, before anything commits (D9)
				x, err := r.Next()
				if err != nil {
					return err
				}
				if x.Stored != nil {
					break
				}
				queue = append(queue, x)
			}
		}
		for t.Stuck != nil {
			f := t.Stuck(d.Batch.Sequence)
			if err := errors.Join(r.Waiting(&flowv1.Waiting{Fault: f, Attempts: 1}), ctx.Err()); err != nil {
				return err
			}
			if f == nil {
				break
			}
		}
		if err := t.moment(ctx, BeforeCommit, open.Lane, d.Batch.Sequence); err != nil {
			return err
		}
		counts, err := t.commit(open.Lane, epoch, d.Batch, rejects)
		if err != nil {
			return err
		}
		last = d.Batch.Position
		if err := t.moment(ctx, AfterCommit, open.Lane, d.Batch.Sequence); err != nil {
			return err
		}
		if err := r.Settled(&flowv1.Settled{Sequence: d.Batch.Sequence, Position: last, Counts: counts, CommitNs: 1000, TransformNs: 500}); err != nil {
			return err
		}
	}
}

func (t *Target) rejects(lane *flowv1.Lane, b *changev1.Batch) []*flowv1.Reject {
	var out []*flowv1.Reject
	for i, c := range b.Changes {
		if t.Reject == nil {
			break
		}
		if reason := t.Reject(c); reason != "" {
			id := fmt.Sprintf("%d-%d", c.Id.GetMs(), c.Id.GetSeq())
			if c.Side {
				id += "r"
			}
			out = append(out, &flowv1.Reject{
				Change: uint32(i), SourceId: id, Key: c.Key, Reason: reason, ErrorClass: "target", Attempts: 1,
				Connection: lane.GetConnection(), Opcode: letters[c.Op], Record: record(b, c),
			})
		}
	}
	return out
}

var letters = map[changev1.Op]string{
	changev1.Op_OP_CREATE: "c", changev1.Op_OP_UPDATE: "u", changev1.Op_OP_DELETE: "d", changev1.Op_OP_READ: "r",
}

// record is a change as a dead letter has it (spec 1.3).
func record(b *changev1.Batch, c *changev1.Change) []byte {
	r := map[string]any{"opcode": letters[c.Op], "after": nil, "ts_ms": c.TsMs}
	switch c.Type {
	case changev1.ValueType_VALUE_TYPE_JSON:
		r["type"], r["after"] = "json", json.RawMessage(c.Document)
	case changev1.ValueType_VALUE_TYPE_HASH:
		hash, from := map[string]string{}, uint32(0)
		for i, f := range b.Shapes[c.Shape].Fields {
			hash[string(f)] = string(c.Values[from:c.Ends[i]])
			from = c.Ends[i]
		}
		r["type"], r["after"] = "hash", hash
	}
	text, err := json.Marshal(r)
	if err != nil {
		return nil
	}
	return text
}

// commit is the target's transaction.
func (t *Target) commit(lane *flowv1.Lane, epoch uint64, b *changev1.Batch, rejects []*flowv1.Reject) (*flowv1.Counts, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.lanes[flow.Name(lane)]
	if p == nil || p.epoch != epoch {
		return nil, errors.New("fenced")
	}
	table := lane.Job + "/" + lane.Connection
	rows := t.rows[table]
	if rows == nil {
		rows = map[string]string{}
		t.rows[table] = rows
	}
	rejected := map[uint32]bool{}
	for _, r := range rejects {
		rejected[r.Change] = true
	}
	counts := &flowv1.Counts{Changes: uint64(len(b.Changes)), Rejected: uint64(len(rejects))}
	for i, c := range b.Changes {
		switch {
		case rejected[uint32(i)]:
		case c.Op == changev1.Op_OP_DELETE:
			delete(rows, string(c.Key))
			counts.Deleted++
		default:
			rows[string(c.Key)] = Text(b, c)
			counts.Updated++
		}
	}
	p.at = proto.Clone(b.Position).(*changev1.Position)
	if b.State != nil {
		p.state = b.State
	}
	t.stored[table] = append(t.stored[table], rejects...)
	t.batches = append(t.batches, b)
	return counts, nil
}

// Text is the value of a change as one string: "field=value;…" with the fields in the order of the shape, or the document.
func Text(b *changev1.Batch, c *changev1.Change) string {
	if c.Type == changev1.ValueType_VALUE_TYPE_JSON {
		return string(c.Document)
	}
	s, from := "", uint32(0)
	for i, f := range b.Shapes[c.Shape].Fields {
		s += fmt.Sprintf("%s=%s;", f, c.Values[from:c.Ends[i]])
		from = c.Ends[i]
	}
	return s
}

// Rows is a copy of the rows that the lanes of a job wrote to a connection.
func (t *Target) Rows(job, connection string) map[string]string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.rows[job+"/"+connection])
}

// Position is what the target has of a lane: nil before it was opened.
func (t *Target) Position(lane *flowv1.Lane) (*changev1.Position, *changev1.LaneState) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.lanes[flow.Name(lane)]
	if p == nil {
		return nil, nil
	}
	return p.at, p.state
}

// Restore sets what the target has of a lane, as a database restored from a backup.
func (t *Target) Restore(lane *flowv1.Lane, at *changev1.Position, state *changev1.LaneState) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.lanes[flow.Name(lane)]
	p.at, p.state = at, state
}

// Opens are the Open frames received so far.
func (t *Target) Opens() []*flowv1.Open {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]*flowv1.Open(nil), t.opens...)
}

// Batches are the batches committed so far.
func (t *Target) Batches() []*changev1.Batch {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]*changev1.Batch(nil), t.batches...)
}
