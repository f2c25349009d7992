package lane_test

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/redis/go-redis/v9"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"slipstream/capture/lane"
	changev1 "slipstream/proto/slipstream/change/v1"
)

// One trace a batch: the span capture.read is its root, the batch carries its context, and it is linked to the traces of
// the changes it folds (design D11).
func TestBatchesAreTraced(t *testing.T) {
	l := newLine(t, addr(t))
	recorded := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorded))
	t.Cleanup(func() { _ = provider.Shutdown(t.Context()) })
	l.config.Tracer = provider.Tracer("test")
	l.create()
	l.run()
	const write = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	if err := l.rdb.XAdd(t.Context(), &redis.XAddArgs{
		Stream: l.stream.Main, Values: []any{"key", l.key("a"), "op", "c", "after", `{"v":1}`, "traceparent", write},
	}).Err(); err != nil {
		t.Fatal(err)
	}
	var batch *changev1.Batch
	eventually(t, "the change is committed", func() bool {
		for _, b := range l.target.Batches() {
			if len(b.Changes) == 1 {
				batch = b
			}
		}
		return batch != nil
	})
	var span sdktrace.ReadOnlySpan
	eventually(t, "the span ends after the read", func() bool {
		for _, s := range recorded.Ended() {
			span = s
		}
		return span != nil
	})
	if span.Name() != "capture.read" || span.Parent().IsValid() {
		t.Errorf("span %q with parent %v", span.Name(), span.Parent())
	}
	if want := span.SpanContext().TraceID().String() + "-" + span.SpanContext().SpanID().String(); !strings.Contains(batch.Traceparent, want) {
		t.Errorf("batch carries %q, the span is %q", batch.Traceparent, want)
	}
	if batch.Changes[0].Traceparent != write {
		t.Errorf("change carries %q", batch.Changes[0].Traceparent)
	}
	links := span.Links()
	if len(links) != 1 || links[0].SpanContext.TraceID().String() != "0af7651916cd43dd8448eb211c80319c" {
		t.Errorf("links %v", links)
	}
}

func TestMetricsCount(t *testing.T) {
	l := newLine(t, addr(t))
	registry := prometheus.NewRegistry()
	metrics, err := lane.NewMetrics(registry)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lane.NewMetrics(registry); err == nil {
		t.Error("registered twice without an error")
	}
	l.config.Metrics = metrics
	l.target.Reject = func(c *changev1.Change) string {
		if strings.HasSuffix(string(c.Key), ":bad") {
			return "bad"
		}
		return ""
	}
	l.create()
	one, stop := l.run()
	l.set("a", "1")
	l.set("bad", "1")
	l.del("a")
	eventually(t, "all is settled", func() bool { return one.Status().Counts.Rejected == 1 && one.Status().Counts.Deleted == 1 })
	one.Observe(7)
	value := func(result string) float64 {
		got, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, family := range got {
			if family.GetName() != "slipstream_capture_changes_total" {
				continue
			}
			for _, m := range family.Metric {
				for _, label := range m.Label {
					if label.GetName() == "result" && label.GetValue() == result {
						return m.Counter.GetValue()
					}
				}
			}
		}
		return 0
	}
	if value("rejected") != 1 || value("deleted") != 1 || value("settled") < 2 {
		t.Errorf("rejected %v, deleted %v, settled %v", value("rejected"), value("deleted"), value("settled"))
	}
	if n := testutil.CollectAndCount(registry, "slipstream_capture_backlog_entries"); n != 1 {
		t.Errorf("%d backlog gauges, want 1", n)
	}
	_ = stop()
	if n := testutil.CollectAndCount(registry, "slipstream_capture_backlog_entries"); n != 0 {
		t.Errorf("%d backlog gauges of a lane that ended, want 0", n)
	}
}
