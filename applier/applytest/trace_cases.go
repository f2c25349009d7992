package applytest

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"slipstream/applier"
	"slipstream/applier/engine"
	"slipstream/proto/fault"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// What the spans of a batch say: each statement, by its text and the number of rows, and no value of a row (G10).
var traceCases = []testCase{
	{"statements without values", tracedCase},
	{"statements about the rows of a parent", tracedPartsCase},
	{"a failure without its text", tracedFailureCase},
}

// secretive are values that no span may show.
var secretive = []string{"hunter2", "rosebud"}

// traced opens a lane whose spans are recorded.
func (f *fixture) traced(t *testing.T, db Database, d applier.Dialect, j *pipelinev1.Job) (*client, *tracetest.SpanRecorder) {
	t.Helper()
	spans := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
	e, err := engine.New(d, engine.Options{Log: slog.New(slog.DiscardHandler), ShortestPause: 5 * time.Millisecond, Tracing: provider})
	if err != nil {
		t.Fatalf("making an engine: %v", err)
	}
	t.Cleanup(e.Close)
	c := f.dial(t, e, db, j, 0)
	c.await()
	return c, spans
}

// told are the ended spans of a name's beginning, each with its attributes; none may show what is secret.
func told(t *testing.T, spans *tracetest.SpanRecorder, name string) []string {
	t.Helper()
	var list []string
	for _, s := range spans.Ended() {
		text := fmt.Sprint(s.Name(), " ", s.Status(), s.Events())
		for _, a := range s.Attributes() {
			text += fmt.Sprintf(" %s=%s", a.Key, a.Value.String())
		}
		for _, value := range secretive {
			if strings.Contains(text, value) {
				t.Errorf("a span shows a value: %s", text)
			}
		}
		if strings.HasPrefix(s.Name(), name) {
			list = append(list, text)
		}
	}
	return list
}

// batches waits until the spans of n batches have ended: that of a batch does so after its answer is on its way.
func (f *fixture) batches(t *testing.T, spans *tracetest.SpanRecorder, n int) {
	t.Helper()
	f.eventually(t, "the end of the batch's span", func() bool { return len(told(t, spans, "apply")) >= n })
}

// one is the only one of several texts, which must hold some others.
func one(t *testing.T, list []string, holds ...string) {
	t.Helper()
	if len(list) != 1 {
		t.Fatalf("%d spans, want 1: %q", len(list), list)
	}
	for _, want := range holds {
		if !strings.Contains(strings.ToLower(list[0]), strings.ToLower(want)) {
			t.Errorf("no %q in %s", want, list[0])
		}
	}
}

func tracedCase(t *testing.T, f *fixture) {
	db := f.pairs(t)
	c, spans := f.traced(t, db, f.Dialect, job(out("t", "*id", "v")))
	c.apply(batch(1, table(0).upsert(0, "rosebud", "hunter2").upsert(1, "b", "it's hunter2")))
	f.batches(t, spans, 1)
	one(t, told(t, spans, "upsert"), "db.query.text=", "db.operation.batch.size=2", "db.collection.name=", "db.system.name=")
	if len(told(t, spans, "apply")) != 1 || len(told(t, spans, "begin")) != 1 || len(told(t, spans, "commit")) != 1 {
		t.Error("the spans of a batch are not apply, begin and commit")
	}
	c.apply(batch(2, table(0).del(0, "rosebud", nil)))
	f.batches(t, spans, 2)
	one(t, told(t, spans, "delete"), "db.query.text=", "db.operation.batch.size=1")
}

func tracedPartsCase(t *testing.T, f *fixture) {
	db, plain := f.parts(t)
	plain.cut()
	c, spans := f.traced(t, db, f.Dialect, job(out("parts", "**ticket", "*sku", "qty")))
	c.apply(batch(1, table(0).prune(0, "1", nil, nil).upsert(0, "1", "hunter2", "5").upsert(0, "1", "rosebud", "5")))
	f.batches(t, spans, 1)
	one(t, told(t, spans, "prune"), "db.query.text=", "db.operation.batch.size=1")
	one(t, told(t, spans, "upsert"), "db.query.text=", "db.operation.batch.size=2")
}

func tracedFailureCase(t *testing.T, f *fixture) {
	db := f.pairs(t)
	d := &faulty{Dialect: f.Dialect, beforeWrite: func(n int32) error {
		if n > 1 {
			return nil
		}
		return fault.Errorf(flowv1.FaultClass_FAULT_CLASS_CONFLICT, "the row (id)=(hunter2) is locked").WithCode("55P03")
	}}
	c, spans := f.traced(t, db, d, job(out("t", "*id", "v")))
	c.apply(batch(1, table(0).upsert(0, "hunter2", "1")))
	f.batches(t, spans, 1)
	list := told(t, spans, "upsert")
	if len(list) != 2 {
		t.Fatalf("%d spans of two attempts: %q", len(list), list)
	}
	one(t, list[:1], "error.type=conflict", "db.response.status_code=55P03")
	one(t, told(t, spans, "apply"), "tries again", "slipstream.attempts=2")
}
