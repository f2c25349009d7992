package e2e_test

import (
	"context"
	"encoding/hex"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	collectorv1 "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"

	"slipstream/deploy/dev/devserver"
)

// collector is an OTLP collector that keeps what it gets.
type collector struct {
	collectorv1.UnimplementedTraceServiceServer

	mu    sync.Mutex
	spans map[string]received // by span id
}

// startCollector starts a collector, and gives the environment of processes that send to it.
func startCollector(t *testing.T) (c *collector, environment []string) {
	t.Helper()
	lis, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	c = &collector{spans: map[string]received{}}
	srv := grpc.NewServer()
	collectorv1.RegisterTraceServiceServer(srv, c)
	served := make(chan error, 1)
	go func() { served <- srv.Serve(lis) }()
	t.Cleanup(func() { srv.Stop(); must(t, <-served) })
	return c, []string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://" + lis.Addr().String(), "OTEL_BSP_SCHEDULE_DELAY=100"}
}

// received is a span and the service it came from.
type received struct {
	service string
	span    *tracev1.Span
}

func (c *collector) Export(_ context.Context, r *collectorv1.ExportTraceServiceRequest) (*collectorv1.ExportTraceServiceResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, rs := range r.ResourceSpans {
		service := ""
		for _, a := range rs.Resource.Attributes {
			if a.Key == "service.name" {
				service = a.Value.GetStringValue()
			}
		}
		for _, ss := range rs.ScopeSpans {
			for _, s := range ss.Spans {
				c.spans[hex.EncodeToString(s.SpanId)] = received{service, s}
			}
		}
	}
	return &collectorv1.ExportTraceServiceResponse{}, nil
}

// chain looks for a commit span and gives the path from its root down, as "service name" each.
func (c *collector) chain() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var best []string
	for _, s := range c.spans {
		if s.span.Name != "commit" {
			continue
		}
		var path []string
		for at, ok := s, true; ok; at, ok = c.spans[hex.EncodeToString(at.span.ParentSpanId)] {
			if string(at.span.TraceId) != string(s.span.TraceId) {
				break
			}
			path = append([]string{at.service + " " + at.span.Name}, path...)
		}
		if len(path) > len(best) {
			best = path
		}
	}
	return best
}

// linked says whether a capture.read span links to the trace.
func (c *collector) linked(traceID string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.spans {
		for _, l := range s.span.Links {
			if s.span.Name == "capture.read" && hex.EncodeToString(l.TraceId) == traceID {
				return true
			}
		}
	}
	return false
}

// TestTrace: the trace of a batch is one tree across processes, capture → transform → apply → commit, and links to the
// trace of the application's write (design D11).
func TestTrace(t *testing.T) {
	otlp, environment := startCollector(t)
	tg := sqliteTarget(t)
	tg.exec(t, empTable)
	server := devserver.Redis(t, devserver.RedisOptions{})
	c := client(t, server.Addr)
	p := startProcesses(t, server.Addr, environment...)
	deploy(t, p, map[string]string{"config.yaml": config(server.Addr, tg, ""), "jobs/emp.yaml": quickstart})
	running(t, p)
	must(t, c.HSet(t.Context(), "emp:Ada:Lovelace", "gender", "F").Err())
	rowsAre(t, tg, "SELECT first_name FROM emp", "Ada")

	want := []string{
		"slipstream-capture capture.read", "slipstream-transformer transform",
		"slipstream-applier-sqlite apply", "slipstream-applier-sqlite commit",
	}
	await(t, 20*time.Second, "the trace", func() (bool, string) {
		got := otlp.chain()
		return fmt.Sprint(got) == fmt.Sprint(want), fmt.Sprintf("spans from root to commit: %q", got)
	})

	const trace = "0af7651916cd43dd8448eb211c80319c"
	jobs := map[string]string{"config.yaml": config(server.Addr, tg, ""), "jobs/emp.yaml": quickstart, "jobs/outbox.yaml": outboxJob}
	deploy(t, p, jobs)
	running(t, p)
	must(t, c.XAdd(t.Context(), outboxEntry("emp:Grace:Hopper", trace)).Err())
	rowsAre(t, tg, "SELECT first_name, gender FROM emp ORDER BY 1", "Ada|F", "Grace|F")
	await(t, 20*time.Second, "the link to the application's trace", func() (bool, string) {
		return otlp.linked(trace), "no capture.read span links to it"
	})
}
