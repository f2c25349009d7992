package host_test

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel"
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
