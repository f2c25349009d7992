package flow

import (
	"context"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

var w3c propagation.TraceContext

// Traceparent is the W3C trace context of the span in ctx, as a batch carries it; empty where nothing is sampled or
// there is no span (design D11, https://www.w3.org/TR/trace-context/).
func Traceparent(ctx context.Context) string {
	c := propagation.MapCarrier{}
	w3c.Inject(ctx, c)
	return c["traceparent"]
}

// ExemplarLabel is what exemplars of metrics call the trace that a value is from, as Grafana and OpenMetrics do.
const ExemplarLabel = "trace_id"

// TraceID is the trace of a span that is kept; empty where it is not, so that no exemplar leads to a trace that nobody has.
func TraceID(c trace.SpanContext) string {
	if !c.IsSampled() {
		return ""
	}
	return c.TraceID().String()
}

// WithTraceparent makes the span that a batch was sent in the parent of spans started with the returned context.
func WithTraceparent(ctx context.Context, traceparent string) context.Context {
	if traceparent == "" {
		return ctx
	}
	return w3c.Extract(ctx, propagation.MapCarrier{"traceparent": traceparent})
}
