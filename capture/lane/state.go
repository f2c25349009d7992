package lane

import (
	"context"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"slipstream/capture/stream"
	"slipstream/proto/fault"
	capturev1 "slipstream/proto/slipstream/capture/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
)

// flight is a batch sent and not settled.
type flight struct {
	sequence   uint64
	position   stream.Position
	main, side int
	oldestMs   int64
	firstMs    []int64          // when some of its changes were made, for the latency
	rejects    []*flowv1.Reject // stored as dead letters
	skipped    int
	unread     int
	own        int           // rejects made by this stage
	trace      string        // its trace, where that is kept
	took       time.Duration // reading it
}

// latencySamples is how many changes of a batch are timed; the oldest is always among them.
const latencySamples = 64

// depart notes a batch that is about to be sent.
func (l *Lane) depart(sequence uint64, read departing) {
	f := flight{
		sequence: sequence, position: read.Position, main: read.Main, side: read.Side, oldestMs: read.OldestMs,
		rejects: read.Rejects, skipped: read.Skipped, unread: read.Unread, own: len(read.Rejects),
		trace: read.trace, took: read.took,
	}
	changes := read.Batch.Changes
	step := max(1, len(changes)/latencySamples)
	for i := 0; i < len(changes); i += step {
		f.firstMs = append(f.firstMs, changes[i].FirstTsMs)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.flights = append(l.flights, f)
	l.pending = 0
}

// arrive takes the flights that a settlement ends, and books them.
func (l *Lane) arrive(s *flowv1.Settled) []flight {
	now := l.c.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for n < len(l.flights) && l.flights[n].sequence <= s.Sequence {
		n++
	}
	done := append([]flight(nil), l.flights[:n]...)
	l.flights = append(l.flights[:0], l.flights[n:]...)
	for _, f := range done {
		l.position = f.position
		slowest := -1 // whose value leads to the trace of the batch
		if f.trace != "" && len(f.firstMs) > 0 {
			slowest = slices.Index(f.firstMs, slices.Min(f.firstMs))
		}
		for i, ms := range f.firstMs {
			latency := max(0, now.Sub(time.UnixMilli(ms)))
			l.window.add(latency)
			if i == slowest {
				observe(l.m.latency, latency.Seconds(), f.trace)
			} else {
				l.m.latency.Observe(latency.Seconds())
			}
		}
	}
	l.commit = time.Duration(s.CommitNs)
	add(&l.counts, s.Counts)
	l.rate.add(now, s.Counts.GetChanges())
	return done
}

// add sums counts up.
func add(to, c *flowv1.Counts) {
	to.Changes += c.GetChanges()
	to.Filtered += c.GetFiltered()
	to.Rejected += c.GetRejected()
	to.Inserted += c.GetInserted()
	to.Updated += c.GetUpdated()
	to.Deleted += c.GetDeleted()
	to.Rows += c.GetRows()
	to.TakenOver += c.GetTakenOver()
	to.Outdated += c.GetOutdated()
}

// landed notes that a session has ended: what was under way is not known to be settled and will be read again.
func (l *Lane) landed() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.flights) > 0 && l.flights[0].oldestMs != 0 {
		l.pending = l.flights[0].oldestMs
	}
	l.flights, l.held, l.inFlight = nil, nil, nil
}

// gathered notes when the oldest entry was made that waits to be sent; 0 when none waits.
func (l *Lane) gathered(oldestMs int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pending = oldestMs
}

// opening notes that a session begins. A lane that waits goes on waiting until it is open.
func (l *Lane) opening() {
	l.mu.Lock()
	waits := l.own != nil
	l.mu.Unlock()
	if !waits {
		l.become(capturev1.LaneState_LANE_STATE_OPENING)
	}
}

// found notes what the target answered.
func (l *Lane) found(opened *flowv1.Opened) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.opened = opened
}

// start notes that the lane runs from a position.
func (l *Lane) start(at stream.Position, inFlight func() (int, uint64)) {
	l.mu.Lock()
	l.own, l.position, l.inFlight = nil, at, inFlight
	l.mu.Unlock()
	l.become(capturev1.LaneState_LANE_STATE_RUNNING)
}

// wait notes that an error holds the lane up (G6), and logs when the reason is a new one.
func (l *Lane) wait(ctx context.Context, err error) {
	f := faultOf(err).Proto()
	l.mu.Lock()
	known := l.own.GetMessage() == f.GetMessage() && l.own.GetClass() == f.GetClass()
	l.own = f
	l.mu.Unlock()
	l.become(capturev1.LaneState_LANE_STATE_WAITING)
	if !known {
		l.log.WarnContext(ctx, "lane waits", "class", fault.ClassName(f.Class), "reason", f.Message, "stage", f.Stage)
	}
}

// clear notes that nothing on this side holds the lane up any more.
func (l *Lane) clear() {
	l.mu.Lock()
	waited := l.own != nil
	l.own = nil
	l.mu.Unlock()
	if waited {
		l.become(capturev1.LaneState_LANE_STATE_RUNNING)
	}
}

// hold notes what the stages below wait for; nil: nothing any more.
func (l *Lane) hold(ctx context.Context, f *flowv1.Fault) {
	l.mu.Lock()
	changed := l.held.GetMessage() != f.GetMessage() || (l.held == nil) != (f == nil)
	if (l.held == nil) != (f == nil) {
		l.since = l.c.Now()
	}
	l.held = f
	l.mu.Unlock()
	switch {
	case !changed:
	case f == nil:
		l.log.InfoContext(ctx, "lane goes on")
	default:
		l.log.WarnContext(ctx, "lane waits", "class", fault.ClassName(f.Class), "reason", f.Message, "stage", f.Stage)
	}
}

// holds tells whether the stages below wait for something.
func (l *Lane) holds() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.held != nil
}

// become sets the state.
func (l *Lane) become(state capturev1.LaneState) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.state != state {
		l.state, l.since = state, l.c.Now()
	}
}

// Status tells what the lane does. Backlog and owner of lanes elsewhere are the engine's to fill in.
func (l *Lane) Status() *capturev1.LaneStatus {
	now := l.c.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	p50, p99 := l.window.percentiles()
	s := &capturev1.LaneStatus{
		Lane: l.c.Lane, State: l.state, Owner: l.c.Owner, Position: l.position.Proto(), Epoch: l.opened.GetEpoch(),
		Fault: l.own, SinceMs: l.since.UnixMilli(), Rate: l.rate.perSecond(now),
		LatencyP50Ms: p50, LatencyP99Ms: p99, CommitMs: float64(l.commit) / float64(time.Millisecond),
		Counts: proto.Clone(&l.counts).(*flowv1.Counts), Dialect: l.opened.GetDialect(), Delivery: l.opened.GetDelivery(),
	}
	if l.held != nil { // the stage nearest the trouble says it best
		s.Fault = l.held
		if s.State == capturev1.LaneState_LANE_STATE_RUNNING || s.State == capturev1.LaneState_LANE_STATE_OPENING {
			s.State = capturev1.LaneState_LANE_STATE_WAITING
		}
	}
	if l.inFlight != nil {
		s.Generation = l.c.Generation
		_, s.InFlightBytes = l.inFlight()
	}
	return s
}

// Position is the position settled last; zero before the lane was opened.
func (l *Lane) Position() stream.Position {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.position
}

// Lag is the age of the oldest entry read and not settled; 0 when there is none.
func (l *Lane) Lag() time.Duration {
	now := l.c.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	oldest := l.pending
	for _, f := range l.flights {
		if f.oldestMs != 0 {
			oldest = f.oldestMs
			break
		}
	}
	if oldest == 0 {
		return 0
	}
	return max(0, now.Sub(time.UnixMilli(oldest)))
}
