package host

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/spf13/pflag"
)

// ServeMetrics serves the metrics of p and its parts on address, in Prometheus' formats; "off" or an empty address serves
// nothing. secure serves them over TLS: where the process has authorities, whoever scrapes must show a certificate that one
// of them signed. Its name need not be among the peers, so that who scrapes may call nothing.
func ServeMetrics(ctx context.Context, address string, secure bool, p *Process) (*HTTPServer, error) {
	server := metricsServer(p.registry, "GET /metrics")
	if !secure {
		return p.ServeHTTP(ctx, "metrics", address, server)
	}
	return p.serveHTTP(ctx, "metrics", address, server, func(lis net.Listener) net.Listener {
		return tls.NewListener(lis, p.papers.scraped())
	})
}

// MetricsTLS adds the flag that says whether metrics are served over TLS.
func MetricsTLS(f *pflag.FlagSet, secure *bool) {
	f.BoolVar(secure, "metrics-tls", false, "serve /metrics over TLS; with --tls-ca, who scrapes must show a certificate")
}

// CheckMetricsTLS says what an identity lacks for serving metrics over TLS.
func (i *Identity) CheckMetricsTLS(secure bool) error {
	if secure && i.Cert == "" {
		return errors.New("--metrics-tls needs --tls-cert and --tls-key: the certificate to show")
	}
	return nil
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
