package lane_test

import (
	"strconv"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"slipstream/capture/lane"
	"slipstream/proto/keyspace"
	capturev1 "slipstream/proto/slipstream/capture/v1"
)

// Batches and what the stages spent on them are added to the totals of the job, once each, and the last one stands beside
// them (spec 8.2).
func TestWorkIsCounted(t *testing.T) {
	l := newLine(t, addr(t))
	l.create()
	one, stop := l.run()
	l.set("a", "1")
	l.set("b", "1")
	eventually(t, "both are settled", func() bool { return one.Status().Counts.Changes == 2 })
	_ = stop() // what is not written yet is written at the end
	read := func(prefix string) *capturev1.Work {
		fields, err := l.rdb.HGetAll(t.Context(), keyspace.Counts(l.name, "job")).Result()
		if err != nil {
			t.Fatal(err)
		}
		return lane.WorkOf(prefix, func(name string) uint64 {
			n, err := strconv.ParseUint(fields[name], 10, 64)
			if err != nil {
				t.Errorf("field %s: %v", name, err)
			}
			return n
		})
	}
	all, last := read(""), read(lane.LastBatch)
	if all.Changes != 2 || all.Batches < 1 || all.Batches > 2 || all.WriteNs != all.Batches*1000 || all.TransformNs != all.Batches*500 {
		t.Errorf("totals %v", all)
	}
	if all.ReadNs == 0 || all.AcknowledgeNs == 0 {
		t.Errorf("nothing was read or acknowledged in no time: %v", all)
	}
	if last.Batches != 1 || last.Changes < 1 || last.WriteNs != 1000 || last.TransformNs != 500 || last.ReadNs == 0 ||
		last.ReadNs > all.ReadNs || last.AcknowledgeNs == 0 {
		t.Errorf("last batch %v of %v", last, all)
	}
}

// The histograms lead to the trace of a batch where that is kept, and only there.
func TestExemplars(t *testing.T) {
	for name, sampler := range map[string]sdktrace.Sampler{"kept": sdktrace.AlwaysSample(), "not kept": sdktrace.NeverSample()} {
		t.Run(name, func(t *testing.T) {
			l := newLine(t, addr(t))
			recorded := tracetest.NewSpanRecorder()
			provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorded), sdktrace.WithSampler(sampler))
			registry := prometheus.NewRegistry()
			metrics, err := lane.NewMetrics(registry)
			if err != nil {
				t.Fatal(err)
			}
			l.config.Tracer, l.config.Metrics = provider.Tracer("test"), metrics
			l.create()
			one, _ := l.run()
			l.set("a", "1")
			eventually(t, "the change is settled", func() bool { return one.Status().Counts.Changes == 1 })
			eventually(t, "the span of its batch has ended", func() bool { return name != "kept" || len(recorded.Ended()) > 0 })
			traces := map[string]bool{}
			for _, span := range recorded.Ended() {
				traces[span.SpanContext().TraceID().String()] = true
			}
			for _, histogram := range []string{"slipstream_capture_latency_seconds", "slipstream_capture_commit_seconds"} {
				var got []string
				eventually(t, "the histogram has it", func() bool {
					var count uint64
					got, count = exemplars(t, registry, histogram)
					return count > 0 && (name != "kept" || len(got) > 0)
				})
				if name == "kept" && (len(got) != 1 || !traces[got[0]]) || name != "kept" && len(got) > 0 {
					t.Errorf("%s has exemplars %q, traces are %v", histogram, got, traces)
				}
			}
		})
	}
}

// exemplars are the traces that a histogram leads to, and its count.
func exemplars(t *testing.T, registry *prometheus.Registry, histogram string) (traces []string, count uint64) {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != histogram {
			continue
		}
		for _, m := range family.Metric {
			count += m.Histogram.GetSampleCount()
			for _, b := range m.Histogram.Bucket {
				traces = append(traces, labels(b.GetExemplar())...)
			}
		}
	}
	return traces, count
}

func labels(e *dto.Exemplar) (values []string) {
	for _, l := range e.GetLabel() {
		if l.GetName() == "trace_id" {
			values = append(values, l.GetValue())
		}
	}
	return values
}

// A value of a batch that is not traced costs what it did without exemplars: no memory.
func TestObserveWithoutTraceAllocatesNothing(t *testing.T) {
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "h", Help: "h"})
	if n := testing.AllocsPerRun(1000, func() { lane.Observe(h, 0.5, "") }); n != 0 {
		t.Errorf("%v allocations a value", n)
	}
}
