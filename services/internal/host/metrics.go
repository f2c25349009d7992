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

// MetricsServer serves /metrics.
type MetricsServer struct {
	lis    net.Listener
	server *http.Server
	done   chan struct{}
}

// ServeMetrics serves the metrics of p and its parts on address, in Prometheus' formats; "off" or an empty address serves nothing.
func ServeMetrics(ctx context.Context, address string, p *Process) (*MetricsServer, error) {
	if address == "" || address == "off" {
		return &MetricsServer{}, nil
	}
	lis, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listening for /metrics: %w; choose another address with --metrics", err)
	}
	m := &MetricsServer{lis: lis, done: make(chan struct{}), server: metricsServer(p.registry, "GET /metrics")}
	go func() {
		defer close(m.done)
		if err := m.server.Serve(lis); !errors.Is(err, http.ErrServerClosed) {
			p.Log.ErrorContext(ctx, "serving metrics", "error", err)
		}
	}()
	return m, nil
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

// Addr is where it listens; "off" where it does not.
func (m *MetricsServer) Addr() string {
	if m.lis == nil {
		return "off"
	}
	return m.lis.Addr().String()
}

// Close ends it.
func (m *MetricsServer) Close() error {
	if m.server == nil {
		return nil
	}
	err := m.server.Close()
	<-m.done
	return err
}
