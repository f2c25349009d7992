package server

import (
	"context"

	"google.golang.org/protobuf/proto"

	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// readerKey marks the calls of readers.
type readerKey struct{}

// WithReader marks a call as that of somebody who may only look. Where a pipeline does not keep the payload of dead letters
// in clear, readers see no values of records: not in dead letters, and not in a trace.
func WithReader(ctx context.Context) context.Context {
	return context.WithValue(ctx, readerKey{}, true)
}

// reads says whether a call is that of a reader.
func reads(ctx context.Context) bool {
	is, _ := ctx.Value(readerKey{}).(bool)
	return is
}

// guarded says that a pipeline does not keep payloads in clear.
func guarded(p *pipelinev1.Pipeline) bool {
	switch p.GetSettings().GetDlqPayload() {
	case pipelinev1.DeadLetterPayload_DEAD_LETTER_PAYLOAD_UNSPECIFIED, pipelinev1.DeadLetterPayload_DEAD_LETTER_PAYLOAD_KEEP:
		return false
	}
	return true
}

// withoutValues is a step of a trace without what the record holds.
func withoutValues(e *gatewayv1.TraceResponse) *gatewayv1.TraceResponse {
	if e.GetStage() == nil {
		return e
	}
	e = proto.CloneOf(e)
	s := e.GetStage()
	s.Document, s.Statement = nil, ""
	if s.GetStep() == gatewayv1.TraceStep_TRACE_STEP_UNSHOWN {
		s.Text = "something is not shown" // why not may quote a value
	}
	if r := s.GetReject(); r != nil {
		r.Record, r.Transformed, r.Reason = nil, nil, ""
		s.Text = rejection(r)
	}
	return e
}
