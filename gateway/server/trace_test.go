package server_test

import (
	"context"
	"io"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	capturev1 "slipstream/proto/slipstream/capture/v1"
	changev1 "slipstream/proto/slipstream/change/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
	transformerv1 "slipstream/proto/slipstream/transformer/v1"

	"slipstream/gateway/server"
)

// tracer is a capture instance that tells what a test says, or fails.
type tracer struct {
	capturev1.CaptureServiceClient
	events []*capturev1.TraceResponse
	err    error
}

type told struct {
	grpc.ServerStreamingClient[capturev1.TraceResponse]
	left []*capturev1.TraceResponse
}

func (s *told) Recv() (*capturev1.TraceResponse, error) {
	if len(s.left) == 0 {
		return nil, io.EOF
	}
	next := s.left[0]
	s.left = s.left[1:]
	return next, nil
}

func (c *tracer) Trace(context.Context, *capturev1.TraceRequest, ...grpc.CallOption) (grpc.ServerStreamingClient[capturev1.TraceResponse], error) {
	ready := &capturev1.TraceResponse{Event: &capturev1.TraceResponse_Ready{Ready: &capturev1.TraceReady{Instance: "one"}}}
	return &told{left: append([]*capturev1.TraceResponse{ready}, c.events...)}, c.err
}

// heard takes what a trace sends.
type heard struct {
	grpc.ServerStreamingServer[gatewayv1.TraceResponse]
	ctx context.Context
	all []*gatewayv1.TraceResponse
}

func (h *heard) Context() context.Context              { return h.ctx }
func (h *heard) Send(r *gatewayv1.TraceResponse) error { h.all = append(h.all, r); return nil }
func (h *heard) steps() (out []gatewayv1.TraceStep) {
	for _, r := range h.all {
		if s := r.GetStage(); s != nil {
			out = append(out, s.GetStep())
		}
	}
	return out
}

// TestTrace: an instance that is away is named, and the others are followed; a filtered record says by which block; a reject before
// the transformer needs no record; what cannot be shown says why.
func TestTrace(t *testing.T) {
	l := newLine()
	if _, err := l.server().Deploy(t.Context(), &gatewayv1.DeployRequest{Files: files()}); err != nil {
		t.Fatal(err)
	}
	change := &capturev1.TracedChange{
		Record: 1, Lane: &flowv1.Lane{Job: "emp", Connection: "hr"}, Stream: "s", ReadMs: 7, BatchChanges: 1,
		Batch: &changev1.Batch{
			Shapes:  []*changev1.Shape{{Fields: [][]byte{[]byte("a")}}},
			Changes: []*changev1.Change{{Key: []byte("k"), Op: changev1.Op_OP_UPDATE, Type: changev1.ValueType_VALUE_TYPE_HASH, Values: []byte("\"\xff"), Ends: []uint32{2}, FirstTsMs: 5, TsMs: 6, Folded: 3}},
		},
	}
	one := &tracer{events: []*capturev1.TraceResponse{
		{Event: &capturev1.TraceResponse_Change{Change: change}},
		{Event: &capturev1.TraceResponse_Outcome{Outcome: &capturev1.TracedOutcome{Record: 1, AtMs: 9, Settled: true}}},
		{Event: &capturev1.TraceResponse_Change{Change: &capturev1.TracedChange{Record: 2, Lane: change.Lane, ReadMs: 10}}},
		{Event: &capturev1.TraceResponse_Outcome{Outcome: &capturev1.TracedOutcome{Record: 2, AtMs: 10, Rejects: []*flowv1.Reject{{Key: []byte("gone"), Reason: "expired"}}}}},
	}}
	l.config.Capture = []server.Peer[capturev1.CaptureServiceClient]{{Client: &tracer{err: errDown}, Address: "away:1"}, {Client: one, Address: "one:1"}}
	l.transformer.preview = func(*transformerv1.PreviewRequest) (*transformerv1.PreviewResponse, error) {
		return &transformerv1.PreviewResponse{Changes: []*transformerv1.PreviewedChange{{Record: []byte(`{"a":"1"}`), FilteredBy: "transform[0] filter"}}}, nil
	}
	h := &heard{ctx: t.Context()}
	if err := l.server().Trace(&gatewayv1.TraceRequest{}, h); err != nil {
		t.Fatal(err)
	}
	sum := h.all[len(h.all)-1].GetSummary()
	if sum.GetRecords() != 2 || sum.GetSettled() != 1 || sum.GetFiltered() != 1 || sum.GetRejected() != 1 || sum.GetLatencyMaxMs() != 4 ||
		len(sum.GetUnreachable()) != 1 || !strings.Contains(sum.GetUnreachable()[0], "away:1") {
		t.Errorf("summary %v", sum)
	}
	if got := h.all[0].GetStarted().GetInstances(); !slices.Equal(got, []string{"one"}) {
		t.Errorf("instances %v", got)
	}
	for _, want := range []gatewayv1.TraceStep{
		gatewayv1.TraceStep_TRACE_STEP_FILTERED, gatewayv1.TraceStep_TRACE_STEP_RESULT, gatewayv1.TraceStep_TRACE_STEP_REJECTED,
	} {
		if !slices.Contains(h.steps(), want) {
			t.Errorf("%v is missing in %v", want, h.steps())
		}
	}
	for _, r := range h.all {
		s := r.GetStage()
		switch s.GetStep() {
		case gatewayv1.TraceStep_TRACE_STEP_CAPTURED:
			if string(s.GetDocument()) != "{\"a\":\"\\\"\uFFFD\"}" {
				t.Errorf("captured %s", s.GetDocument())
			}
		case gatewayv1.TraceStep_TRACE_STEP_EVENT:
			if !strings.Contains(s.GetText(), "first of 3 events") {
				t.Errorf("event %q", s.GetText())
			}
		case gatewayv1.TraceStep_TRACE_STEP_RESULT:
			if !strings.HasPrefix(s.GetText(), "its batch is durable") {
				t.Errorf("the result of a record that was filtered: %q", s.GetText())
			}
		case gatewayv1.TraceStep_TRACE_STEP_REJECTED:
			if string(s.GetKey()) != "gone" {
				t.Errorf("rejected %v", s)
			}
		}
	}

	l.transformer.preview = func(*transformerv1.PreviewRequest) (*transformerv1.PreviewResponse, error) { return nil, errDown }
	h = &heard{ctx: t.Context()}
	if err := l.server().Trace(&gatewayv1.TraceRequest{}, h); err != nil || !slices.Contains(h.steps(), gatewayv1.TraceStep_TRACE_STEP_UNSHOWN) {
		t.Errorf("without a transformer: %v, %v", h.steps(), err)
	}
	wantCode(t, l.server().Trace(&gatewayv1.TraceRequest{TimeoutMs: 600_001}, h), codes.InvalidArgument)
	l.config.Capture = l.config.Capture[:1]
	wantCode(t, l.server().Trace(&gatewayv1.TraceRequest{}, h), codes.Unavailable)
	l.config.Capture = nil
	wantCode(t, l.server().Trace(&gatewayv1.TraceRequest{}, h), codes.FailedPrecondition)
	l.store.state.Pipeline = nil
	wantCode(t, l.server().Trace(&gatewayv1.TraceRequest{}, h), codes.NotFound)
}
