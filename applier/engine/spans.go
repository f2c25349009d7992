package engine

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"slipstream/applier"
	"slipstream/proto/fault"
)

// mostStatements is how many writes of an attempt have spans of their own: a batch of many shapes would fill a trace.
const mostStatements = 64

// systems are the names of databases that OpenTelemetry knows by others than ours.
var systems = map[string]string{"sqlserver": "microsoft.sql_server", "oracle": "oracle.db"}

// traced does a part of an attempt in a span of its own, where the batch is traced.
func (l *lane) traced(ctx context.Context, name string, do func(context.Context) error, about ...attribute.KeyValue) error {
	if !trace.SpanFromContext(ctx).IsRecording() {
		return do(ctx)
	}
	ctx, span := l.engine.tracer.Start(ctx, name, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(about...))
	defer span.End()
	err := do(ctx)
	fail(span, err)
	return err
}

// statement writes a step. Its span says what and where, and the dialect adds the text (applier.Statement).
func (l *lane) statement(ctx context.Context, txn applier.Txn, w *applier.Write) error {
	if !trace.SpanFromContext(ctx).IsRecording() {
		return txn.Write(ctx, w)
	}
	system := l.engine.dialect.Name()
	if known, ok := systems[system]; ok {
		system = known
	}
	return l.traced(ctx, w.Verb.String()+" "+w.Table.Name, func(ctx context.Context) error { return txn.Write(ctx, w) },
		attribute.String("db.system.name", system), attribute.String("db.collection.name", w.Table.Name),
		attribute.String("db.operation.name", w.Verb.String()), attribute.Int("db.operation.batch.size", len(w.Rows)))
}

// fail marks what failed by the class of the fault and the code of the driver: its text may hold values (G10), and is
// in the log and the dead letters.
func fail(span trace.Span, err error) {
	if err == nil || errors.Is(err, errAgain) || errors.Is(err, errSlow) { // what follows tells
		return
	}
	f := fault.Of(err)
	span.SetStatus(codes.Error, fault.ClassName(f.Class))
	span.SetAttributes(attribute.String("error.type", fault.ClassName(f.Class)))
	if f.Code != "" {
		span.SetAttributes(attribute.String("db.response.status_code", f.Code))
	}
}
