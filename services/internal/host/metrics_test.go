package host_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"slipstream/services/internal/host"
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
