package server

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	capturev1 "slipstream/proto/slipstream/capture/v1"
	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

const (
	defaultTrace = 20 * time.Second // spec 7
	longestTrace = 600 * time.Second
	// showWithin bounds what showing one record may take: blocks and statements are asked for while the record goes its way.
	showWithin = 10 * time.Second
)

// Trace implements gatewayv1.GatewayServiceServer. Capture says which changes the lanes read and what became of them; the
// transformer and the applier then show, by the code that the lanes run, what they make of the same change.
func (s *Server) Trace(req *gatewayv1.TraceRequest, stream grpc.ServerStreamingServer[gatewayv1.TraceResponse]) error {
	return s.trace(stream.Context(), req, stream.Send)
}

func (s *Server) trace(ctx context.Context, req *gatewayv1.TraceRequest, send func(*gatewayv1.TraceResponse) error) error {
	timeout := time.Duration(req.GetTimeoutMs()) * time.Millisecond
	if timeout == 0 {
		timeout = defaultTrace
	}
	if timeout > longestTrace {
		return status.Errorf(codes.InvalidArgument, "timeout_ms is %d; a trace runs for at most %d", req.GetTimeoutMs(), longestTrace.Milliseconds())
	}
	p, err := s.deployed(ctx, req.GetPipeline())
	if err != nil {
		return err
	}
	if len(s.config.CaptureNow()) == 0 {
		return status.Error(codes.FailedPrecondition, "the gateway knows no capture service; give it one with --capture")
	}
	within, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if guarded(p) && reads(ctx) {
		all := send
		send = func(e *gatewayv1.TraceResponse) error { return all(withoutValues(e)) }
	}
	t := &tracing{s: s, ctx: ctx, within: within, pipeline: p, send: send, records: map[tracedKey]*traced{}}
	sources, instances, err := t.begin(req)
	if err != nil {
		return err
	}
	t.out(&gatewayv1.TraceResponse{Event: &gatewayv1.TraceResponse_Started{Started: &gatewayv1.TraceStarted{
		Instances: instances, TimeoutMs: uint32(timeout.Milliseconds()),
	}}})
	var reading sync.WaitGroup
	for _, source := range sources {
		reading.Go(func() { t.read(source) })
	}
	reading.Wait()
	t.showing.Wait()
	t.out(&gatewayv1.TraceResponse{Event: &gatewayv1.TraceResponse_Summary{Summary: t.sum()}})
	if t.broken != nil {
		return t.broken
	}
	if err := ctx.Err(); err != nil {
		return status.FromContextError(err).Err()
	}
	return nil
}

// tracing is one trace.
type tracing struct {
	s        *Server
	ctx      context.Context // of the caller
	within   context.Context // ends when records are followed no longer
	pipeline *pipelinev1.Pipeline
	showing  sync.WaitGroup

	mu      sync.Mutex
	send    func(*gatewayv1.TraceResponse) error
	broken  error
	records map[tracedKey]*traced
	summary gatewayv1.TraceSummary
	latency time.Duration // of all settled records together
}

// tracedKey names a record: its number at its instance.
type tracedKey struct {
	source int
	record uint64
}

// source is the trace of one capture instance.
type source struct {
	index  int
	stream grpc.ServerStreamingClient[capturev1.TraceResponse]
}

// begin has every capture instance that serves the pipeline follow changes. It fails where none can be asked, or one does not know
// what is asked for.
func (t *tracing) begin(req *gatewayv1.TraceRequest) (sources []source, instances []string, err error) {
	var failed, unserved error
	all := t.s.config.CaptureNow()
	for i, peer := range all {
		stream, err := peer.Client.Trace(t.within, &capturev1.TraceRequest{
			Pipeline: t.pipeline.GetName(), Job: req.GetJob(), Keys: req.GetKeys(), MaxRecords: req.GetMaxChangeRecords(),
			OnlyRejected: req.GetOnlyRejected(),
		})
		var first *capturev1.TraceResponse
		if err == nil {
			first, err = stream.Recv()
		}
		switch status.Code(err) {
		case codes.OK:
			sources = append(sources, source{index: i, stream: stream})
			instances = append(instances, first.GetReady().GetInstance())
		case codes.NotFound:
			if len(all) == 1 || serves(t.within, peer.Client, t.pipeline.GetName()) {
				return nil, nil, err
			}
			unserved = err
		case codes.InvalidArgument:
			return nil, nil, err
		default:
			failed = err
			t.summary.Unreachable = append(t.summary.Unreachable, peer.Address+": "+reason(err))
		}
	}
	switch {
	case len(sources) > 0:
	case failed == nil:
		return nil, nil, unserved
	default:
		return nil, nil, status.Errorf(status.Code(failed), "capture cannot be asked: %s", strings.Join(t.summary.Unreachable, "; "))
	}
	slices.Sort(instances)
	return sources, instances, nil
}

// read takes what one instance tells until it has told all, or time is up.
func (t *tracing) read(from source) {
	for {
		e, err := from.stream.Recv()
		if err != nil {
			return // it has told all, or time is up, or it has gone: what it followed is unfinished then
		}
		if c := e.GetChange(); c != nil {
			r := &traced{t: t, told: c, outcome: make(chan *capturev1.TracedOutcome, 1)}
			t.mu.Lock()
			t.summary.Records++
			r.number = t.summary.Records
			t.records[tracedKey{from.index, c.GetRecord()}] = r
			t.mu.Unlock()
			t.showing.Go(r.run)
		}
		if o := e.GetOutcome(); o != nil {
			t.mu.Lock()
			r := t.records[tracedKey{from.index, o.GetRecord()}]
			t.mu.Unlock()
			if r != nil {
				r.outcome <- o // one comes for each record
			}
		}
	}
}

// out sends to the caller. Once that failed nothing more is sent.
func (t *tracing) out(events ...*gatewayv1.TraceResponse) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, e := range events {
		if t.broken == nil {
			t.broken = t.send(e)
		}
	}
}

// finish books what became of a record.
func (t *tracing) finish(o *capturev1.TracedOutcome, filtered bool, latency time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if o == nil || o.GetInterrupted() {
		t.summary.Unfinished++
		return
	}
	if len(o.GetRejects()) > 0 {
		t.summary.Rejected++
	}
	if !o.GetSettled() {
		return
	}
	if filtered {
		t.summary.Filtered++
	}
	t.summary.Settled++
	t.latency += latency
	ms := float64(latency) / float64(time.Millisecond)
	if t.summary.Settled == 1 || ms < t.summary.LatencyMinMs {
		t.summary.LatencyMinMs = ms
	}
	t.summary.LatencyMaxMs = max(t.summary.LatencyMaxMs, ms)
}

func (t *tracing) sum() *gatewayv1.TraceSummary {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := t.summary.GetSettled(); n > 0 {
		t.summary.LatencyAvgMs = float64(t.latency) / float64(time.Millisecond) / float64(n)
	}
	return &t.summary
}
