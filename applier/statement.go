package applier

import (
	"context"
	"strings"
	"unicode/utf8"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

// mostText is how much of a statement a span shows.
const mostText = 4096

// Statement says, in the span of the write under way, what is sent to the target: the text with placeholders, never with
// a value of a row (G10). Each dialect calls it from Txn.Write with the ctx it was given; the text is asked for only where
// the batch is traced.
func Statement(ctx context.Context, text func() string) {
	span := trace.SpanFromContext(ctx)
	if !span.IsRecording() {
		return
	}
	s := text()
	if len(s) > mostText {
		s = strings.TrimRightFunc(s[:mostText], func(r rune) bool { return r == utf8.RuneError }) + "…"
	}
	span.SetAttributes(attribute.String("db.query.text", s))
}
