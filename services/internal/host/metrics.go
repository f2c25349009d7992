package host

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
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
	server := metricsServer(p.registry, p.Log, "GET /metrics")
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

// metricsServer answers scrapes at patterns. Who is refused is told so, and why; here it is said at debug, since probes and
// scanners that only connect are refused as well.
func metricsServer(metrics prometheus.Gatherer, log *slog.Logger, patterns ...string) *http.Server {
	mux := http.NewServeMux()
	for _, pattern := range patterns {
		mux.Handle(pattern, promhttp.HandlerFor(metrics, promhttp.HandlerOpts{EnableOpenMetrics: true}))
	}
	return &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug)}
}

// Exporter serves metrics of something that is no Process.
type Exporter struct {
	// Address is host:port.
	Address string
	// Metrics are served at / and /metrics.
	Metrics prometheus.Gatherer
	// Secure serves them over TLS with the files of Identity, to those whom ServeMetrics would serve.
	Secure   bool
	Identity Identity
	// Log is told of certificates that were read anew, and at debug of refused connections.
	Log *slog.Logger
	// Ready is told where it listens.
	Ready func(address string)
}

// Serve serves until ctx ends.
func (e Exporter) Serve(ctx context.Context) error {
	shown := &papers{identity: e.Identity, log: e.Log}
	if e.Secure {
		if err := errors.Join(e.Identity.Check(true), e.Identity.CheckMetricsTLS(true)); err != nil {
			return err
		}
	}
	lis, err := (&net.ListenConfig{}).Listen(ctx, "tcp", e.Address)
	if err != nil {
		return fmt.Errorf("listening for scrapes: %w; choose another --exporter-port", err)
	}
	server := metricsServer(e.Metrics, e.Log, "GET /{$}", "GET /metrics")
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	e.Ready(lis.Addr().String())
	if e.Secure {
		lis = tls.NewListener(lis, shown.scraped())
	}
	if err := server.Serve(lis); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving metrics: %w", err)
	}
	return nil
}
