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
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"slipstream/services/internal/host"
	"slipstream/services/internal/host/authority"
)

// exported serves metrics as `slipstream monitor` does, until end is called, and tells where.
func exported(t *testing.T, e host.Exporter) (address string, end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	at, ended := make(chan string, 1), make(chan error, 1)
	e.Address, e.Log, e.Ready = "127.0.0.1:0", slog.New(slog.DiscardHandler), func(address string) { at <- address }
	go func() { ended <- e.Serve(ctx) }()
	end = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(end)
	select {
	case address = <-at:
	case err := <-ended:
		ended <- err
		t.FailNow()
	}
	return address, end
}

// answer are metrics of something that is no process.
func answer() *prometheus.Registry {
	registry := prometheus.NewRegistry()
	answer := prometheus.NewGauge(prometheus.GaugeOpts{Name: "answer", Help: "of everything"})
	answer.Set(42)
	registry.MustRegister(answer)
	return registry
}

// TestExport: metrics at / and /metrics (spec 7, monitor), nothing elsewhere, until told to end; a port in use says so.
func TestExport(t *testing.T) {
	address, end := exported(t, host.Exporter{Metrics: answer()})
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
	again := host.Exporter{Address: address, Metrics: answer(), Log: slog.New(slog.DiscardHandler), Ready: func(string) {}}
	if err := again.Serve(t.Context()); err == nil || !strings.Contains(err.Error(), "--exporter-port") {
		t.Errorf("a port in use: %v", err)
	}
	end()
}

// scraper scrapes an address, trusting the authorities in a file.
type scraper struct {
	address, authorities string
}

func (s scraper) scrape(t *testing.T, scheme string, shown ...tls.Certificate) (string, *x509.Certificate, error) {
	t.Helper()
	roots := x509.NewCertPool()
	text, err := os.ReadFile(s.authorities)
	if err != nil || !roots.AppendCertsFromPEM(text) {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: shown, MinVersion: tls.VersionTLS12},
	}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, scheme+"://"+s.address+"/metrics", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	res, err := client.Do(req)
	if err != nil {
		return "", nil, err
	}
	body, err := io.ReadAll(res.Body)
	var peer *x509.Certificate
	if res.TLS != nil {
		peer = res.TLS.PeerCertificates[0]
	}
	return string(body), peer, errors.Join(err, res.Body.Close())
}

// TestMetricsOverTLS: with --metrics-tls whoever scrapes a service or `slipstream monitor` must show a certificate that our
// authority signed. Its name need not be one that may call. A certificate that was renewed is shown to the next who scrapes,
// and an authority that was taken away counts no more.
func TestMetricsOverTLS(t *testing.T) {
	for _, c := range []struct {
		name, metric string
		serve        func(*testing.T, host.Identity) string
	}{
		{"a service", "slipstream_build_info{", func(t *testing.T, i host.Identity) string {
			p := host.New("capture", slog.New(slog.DiscardHandler), host.WithIdentity(i))
			server, err := host.ServeMetrics(t.Context(), "127.0.0.1:0", true, p)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := server.Close(); err != nil {
					t.Error(err)
				}
			})
			return server.Addr()
		}},
		{"slipstream monitor", "answer 42", func(t *testing.T, i host.Identity) string {
			i.Peers = nil // it has none
			address, _ := exported(t, host.Exporter{Metrics: answer(), Secure: true, Identity: i})
			return address
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			ours, others := authority.New(t), authority.New(t)
			cert, key := ours.Issue("capture.example.org")
			trusted := filepath.Join(t.TempDir(), "ca.pem")
			trust := func(authorities ...*authority.Authority) {
				var all []byte
				for _, a := range authorities {
					text, err := os.ReadFile(a.File)
					if err != nil {
						t.Fatal(err)
					}
					all = append(all, text...)
				}
				if err := os.WriteFile(trusted, all, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			trust(ours)
			s := scraper{
				address:     c.serve(t, host.Identity{Cert: cert, Key: key, CA: trusted, Peers: []string{"gateway.example.org"}}),
				authorities: ours.File,
			}
			of := func(a *authority.Authority) tls.Certificate {
				pair, err := tls.LoadX509KeyPair(a.Issue("prometheus.example.org"))
				if err != nil {
					t.Fatal(err)
				}
				return pair
			}
			scraper, stranger := of(ours), of(others)
			body, first, err := s.scrape(t, "https", scraper)
			if err != nil || !strings.Contains(body, c.metric) {
				t.Fatalf("with a certificate of our authority: %v %.80s", err, body)
			}
			for name, try := range map[string]func() (string, *x509.Certificate, error){
				"without a certificate": func() (string, *x509.Certificate, error) { return s.scrape(t, "https") },
				"of another authority":  func() (string, *x509.Certificate, error) { return s.scrape(t, "https", stranger) },
				"in the clear":          func() (string, *x509.Certificate, error) { return s.scrape(t, "http") },
			} {
				if body, _, err := try(); strings.Contains(body, c.metric) {
					t.Errorf("%s the metrics are shown (%v)", name, err)
				}
			}

			ours.Issue("capture.example.org")
			trust(ours, others)
			body, second, err := s.scrape(t, "https", stranger)
			if err != nil || !strings.Contains(body, c.metric) {
				t.Fatalf("with another authority in the file: %v %.80s", err, body)
			}
			if second.SerialNumber.Cmp(first.SerialNumber) == 0 {
				t.Error("the old certificate is shown")
			}
			trust(others)
			if body, _, err := s.scrape(t, "https", scraper); strings.Contains(body, c.metric) {
				t.Errorf("a certificate counts whose authority was taken away (%v)", err)
			}
		})
	}
	if err := new(host.Identity).CheckMetricsTLS(true); err == nil || !strings.Contains(err.Error(), "--tls-cert") {
		t.Errorf("without a certificate to show: %v", err)
	}
	for name, i := range map[string]host.Identity{"no files": {}, "no such files": {Cert: "nowhere.pem", Key: "nowhere-key.pem"}} {
		e := host.Exporter{Address: "127.0.0.1:0", Metrics: answer(), Secure: true, Identity: i, Log: slog.New(slog.DiscardHandler), Ready: func(string) {
			t.Errorf("%s: it is served", name)
		}}
		if err := e.Serve(t.Context()); err == nil || !strings.Contains(err.Error(), "--tls-cert") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
