package flow

import (
	"context"

	"go.opentelemetry.io/otel/propagation"
)

var w3c propagation.TraceContext

// Traceparent is the W3C trace context of the span in ctx, as a batch carries it; empty where nothing is sampled or
// there is no span (design D11, https://www.w3.org/TR/trace-context/).
func Traceparent(ctx context.Context) string {
	c := propagation.MapCarrier{}
	w3c.Inject(ctx, c)
	return c["traceparent"]
}

// WithTraceparent makes the span that a batch was sent in the parent of spans started with the returned context.
func WithTraceparent(ctx context.Context, traceparent string) context.Context {
	if traceparent == "" {
		return ctx
	}
	return w3c.Extract(ctx, propagation.MapCarrier{"traceparent": traceparent})
}
