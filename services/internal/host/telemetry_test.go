package host_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"slipstream/services/internal/host"
)

// TestCollectorAway: a collector that is not there, or hangs, neither keeps a process from its work nor holds up its end.
// Everything else that could end the wait takes an hour here.
func TestCollectorAway(t *testing.T) {
	hangs, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0") // connects, and nobody answers
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = hangs.Close() })
	t.Cleanup(func() { otel.SetTracerProvider(noop.NewTracerProvider()) })
	for name, collector := range map[string]string{
		"refuses": "127.0.0.1:1", "hangs": hangs.Addr().String(), "has no address": "collector.invalid:4317",
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"+collector)
			for _, patience := range []string{"OTEL_EXPORTER_OTLP_TIMEOUT", "OTEL_BSP_EXPORT_TIMEOUT", "OTEL_BSP_SCHEDULE_DELAY"} {
				t.Setenv(patience, "3600000")
			}
			drained := make(chan struct{})
			_, _, stop, log := started(t, func(context.Context, *host.Process) (host.Service, error) {
				return host.ServiceFunc(func(ctx context.Context) error {
					for range 10_000 { // more than the queue holds: the rest is dropped, and nobody waits
						_, span := otel.Tracer("test").Start(ctx, "batch")
						span.End()
					}
					<-ctx.Done()
					close(drained)
					return nil
				}), nil
			}, "--grace", "1h")
			ended := make(chan int, 1)
			go func() { ended <- stop() }()
			deadline := time.After(time.Minute)
			select {
			case <-drained:
			case <-deadline:
				t.Fatal("the service was not asked to end")
			}
			select {
			case code := <-ended:
				if code != 0 || !strings.Contains(log.String(), "the last traces are lost") {
					t.Errorf("exit code %d, log %s", code, log)
				}
			case <-deadline:
				t.Fatalf("the process waits for the collector: %s", log)
			}
		})
	}
}

// failing is an exporter that fails on demand.
type failing struct{ err error }

func (f *failing) ExportSpans(context.Context, []trace.ReadOnlySpan) error { return f.err }
func (f *failing) Shutdown(context.Context) error                          { return nil }

// TestCollectorGoesAndComes: the log says once that the collector is away, and once that it is back, with what was lost.
func TestCollectorGoesAndComes(t *testing.T) {
	log, collector := &logged{}, &failing{}
	e := host.Telling(collector, slog.New(slog.NewTextHandler(log, nil)))
	spans := make([]trace.ReadOnlySpan, 3)
	for _, err := range []error{nil, errors.New("refused"), errors.New("refused"), nil, nil, errors.New("reset")} {
		collector.err = err
		if err := e.ExportSpans(t.Context(), spans); err != nil {
			t.Error(err) // the SDK would log it again
		}
	}
	var said []string
	for line := range strings.Lines(log.String()) {
		_, rest, _ := strings.Cut(line, "level=")
		said = append(said, strings.TrimSpace(rest))
	}
	want := []string{
		`WARN msg="the OTLP collector takes no traces: they are lost until it does" error=refused`,
		`INFO msg="the OTLP collector takes traces again" lost=6`,
		`WARN msg="the OTLP collector takes no traces: they are lost until it does" error=reset`,
	}
	if !slices.Equal(said, want) {
		t.Errorf("said %q", said)
	}
}
