package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"
)

// flushWithin is how long the end of a process waits for the collector. An exporter that finds none tries on for ten
// seconds a batch of spans, which would be taken from the grace period of what comes after this process.
const flushWithin = time.Second

// Tracing sends spans to the OTLP collector that OTEL_EXPORTER_OTLP_ENDPOINT (or …_TRACES_ENDPOINT) names; without one
// nothing is recorded. All other OTEL_* variables of the SDK apply, OTEL_TRACES_SAMPLER among them; by default every
// batch is traced, since there is one trace a batch, not one a change (design D11). Spans wait in a queue of bounded
// length for their turn, and are dropped where it is full: nothing waits for a collector. The function returned sends
// what is held, for a second at most; a collector that is away is logged and fails nothing.
func Tracing(ctx context.Context, service string, log *slog.Logger) (flush func(), err error) {
	otel.SetTextMapPropagator(propagation.TraceContext{})
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		log.WarnContext(context.WithoutCancel(ctx), "exporting traces", "error", err)
	}))
	if os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") == "" && os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") == "" {
		return func() {}, nil
	}
	exporter, err := otlptracegrpc.New(ctx)
	if err != nil {
		return nil, fmt.Errorf("connecting to the OTLP collector: %w", err)
	}
	res, err := resource.New(ctx, resource.WithAttributes(attribute.String("service.name", "slipstream-"+service),
		attribute.String("service.version", Version())), resource.WithFromEnv(), resource.WithHost())
	if err != nil && !errors.Is(err, resource.ErrPartialResource) {
		return nil, fmt.Errorf("describing the process to the OTLP collector: %w", err)
	}
	provider := trace.NewTracerProvider(trace.WithBatcher(&telling{SpanExporter: exporter, log: log}), trace.WithResource(res))
	otel.SetTracerProvider(provider)
	return func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushWithin)
		defer cancel()
		if err := provider.Shutdown(ctx); err != nil {
			log.WarnContext(ctx, "the last traces are lost: the OTLP collector took none in time", "within", flushWithin, "error", err)
			_ = exporter.Shutdown(ctx) // its time is over: what it still tries ends now
		}
	}, nil
}

// telling is an exporter that logs when the collector goes away and when it is back, not each of its failures.
type telling struct {
	trace.SpanExporter
	log  *slog.Logger
	away bool // known to the one goroutine that exports
	lost int  // spans, since it is
}

// ExportSpans implements trace.SpanExporter.
func (e *telling) ExportSpans(ctx context.Context, spans []trace.ReadOnlySpan) error {
	err := e.SpanExporter.ExportSpans(ctx, spans)
	switch {
	case err == nil && e.away:
		e.log.InfoContext(ctx, "the OTLP collector takes traces again", "lost", e.lost)
		e.away, e.lost = false, 0
	case err != nil:
		if !e.away {
			e.log.WarnContext(ctx, "the OTLP collector takes no traces: they are lost until it does", "error", err)
		}
		e.away, e.lost = true, e.lost+len(spans)
	}
	return nil
}
