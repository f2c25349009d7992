package host

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// ServeMetrics serves the metrics of p and its parts on address, in Prometheus' formats; "off" or an empty address serves nothing.
func ServeMetrics(ctx context.Context, address string, p *Process) (*HTTPServer, error) {
	return p.ServeHTTP(ctx, "metrics", address, metricsServer(p.registry, "GET /metrics"))
}

func metricsServer(metrics prometheus.Gatherer, patterns ...string) *http.Server {
	mux := http.NewServeMux()
	for _, pattern := range patterns {
		mux.Handle(pattern, promhttp.HandlerFor(metrics, promhttp.HandlerOpts{EnableOpenMetrics: true}))
	}
	return &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
}

// Export serves metrics at / and /metrics of an address until ctx ends. ready is told where it listens.
func Export(ctx context.Context, address string, metrics prometheus.Gatherer, ready func(address string)) error {
	lis, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("listening for scrapes: %w; choose another --exporter-port", err)
	}
	server := metricsServer(metrics, "GET /{$}", "GET /metrics")
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	ready(lis.Addr().String())
	if err := server.Serve(lis); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving metrics: %w", err)
	}
	return nil
}
