package lane

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"slipstream/capture/tail"
	"slipstream/proto/flow"
	flowv1 "slipstream/proto/slipstream/flow/v1"
)

// annotate says what a capture.read span read, and links it to the traces of its changes (design D11).
func annotate(span trace.Span, lane *flowv1.Lane, read *tail.Read) {
	if !span.IsRecording() {
		return
	}
	span.SetAttributes(
		attribute.String("slipstream.lane", flow.Name(lane)),
		attribute.Int("slipstream.entries", read.Main+read.Side),
		attribute.Int("slipstream.changes", len(read.Batch.Changes)),
		attribute.String("slipstream.position", read.Position.String()),
	)
	for _, parent := range read.Traceparents {
		if c := trace.SpanContextFromContext(flow.WithTraceparent(context.Background(), parent)); c.IsValid() {
			span.AddLink(trace.Link{SpanContext: c})
		}
	}
}
