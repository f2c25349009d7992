package host_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"slipstream/services/internal/host"
	"slipstream/services/internal/host/authority"
)

// TestExport: metrics at / and /metrics (spec 7, monitor), nothing elsewhere, until told to end; a port in use says so.
func TestExport(t *testing.T) {
	registry := prometheus.NewRegistry()
	answer := prometheus.NewGauge(prometheus.GaugeOpts{Name: "answer", Help: "of everything"})
	answer.Set(42)
	registry.MustRegister(answer)
	ctx, cancel := context.WithCancel(t.Context())
	at, ended := make(chan string, 1), make(chan error, 1)
	go func() { ended <- host.Export(ctx, "127.0.0.1:0", registry, func(address string) { at <- address }) }()
	address := <-at
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for path, want := range map[string]int{"/": 200, "/metrics": 200, "/else": 404} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		if cerr := res.Body.Close(); err != nil || cerr != nil {
			t.Fatal(err, cerr)
		}
		if res.StatusCode != want || (want == 200) != strings.Contains(string(body), "answer 42") {
			t.Errorf("%s answers %d: %.80s", path, res.StatusCode, body)
		}
	}
	if err := host.Export(t.Context(), address, registry, func(string) {}); err == nil || !strings.Contains(err.Error(), "--exporter-port") {
		t.Errorf("a port in use: %v", err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestMetricsOverTLS: with --metrics-tls whoever scrapes must show a certificate that our authority signed. Its name need
// not be one that may call.
func TestMetricsOverTLS(t *testing.T) {
	ours, others := authority.New(t), authority.New(t)
	cert, key := ours.Issue("capture.example.org")
	p := host.New("capture", slog.New(slog.DiscardHandler), host.WithIdentity(host.Identity{
		Cert: cert, Key: key, CA: ours.File, Peers: []string{"gateway.example.org"},
	}))
	server, err := host.ServeMetrics(t.Context(), "127.0.0.1:0", true, p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	scrape := func(scheme string, shown ...tls.Certificate) (string, error) {
		roots := x509.NewCertPool()
		text, err := os.ReadFile(ours.File)
		if err != nil || !roots.AppendCertsFromPEM(text) {
			t.Fatal(err)
		}
		client := &http.Client{Transport: &http.Transport{
			DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: shown, MinVersion: tls.VersionTLS12},
		}}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, scheme+"://"+server.Addr()+"/metrics", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		res, err := client.Do(req)
		if err != nil {
			return "", err
		}
		body, err := io.ReadAll(res.Body)
		return string(body), errors.Join(err, res.Body.Close())
	}
	of := func(a *authority.Authority) tls.Certificate {
		pair, err := tls.LoadX509KeyPair(a.Issue("prometheus.example.org"))
		if err != nil {
			t.Fatal(err)
		}
		return pair
	}
	const metric = "slipstream_build_info{"
	if body, err := scrape("https", of(ours)); err != nil || !strings.Contains(body, metric) {
		t.Errorf("with a certificate of our authority: %v %.80s", err, body)
	}
	for name, try := range map[string]func() (string, error){
		"without a certificate": func() (string, error) { return scrape("https") },
		"of another authority":  func() (string, error) { return scrape("https", of(others)) },
		"in the clear":          func() (string, error) { return scrape("http") },
	} {
		if body, err := try(); strings.Contains(body, metric) {
			t.Errorf("%s the metrics are shown (%v)", name, err)
		}
	}
	if err := new(host.Identity).CheckMetricsTLS(true); err == nil || !strings.Contains(err.Error(), "--tls-cert") {
		t.Errorf("without a certificate to show: %v", err)
	}
}
