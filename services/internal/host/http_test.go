package host_test

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"slipstream/services/internal/host"
	"slipstream/services/internal/host/authority"
)

// told hands on each line of a log.
type told chan string

func (c told) Write(p []byte) (int, error) {
	c <- string(p)
	return len(p), nil
}

// TestHTTPLog: what the HTTP server says by itself goes where the process logs, in its form.
func TestHTTPLog(t *testing.T) {
	cert, key := authority.New(t).Issue("gateway.example.org")
	lines := make(told, 100)
	log := slog.New(slog.NewJSONHandler(lines, &slog.HandlerOptions{Level: slog.LevelDebug}))
	p := host.New("gateway", log, host.WithIdentity(host.Identity{Cert: cert, Key: key}))
	server, err := p.ServeHTTPS(t.Context(), "http", "127.0.0.1:0", &http.Server{Handler: http.NotFoundHandler(), ReadHeaderTimeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	}()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+server.Addr(), http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	if res, err := client.Do(req); err == nil {
		_ = res.Body.Close() // it says that it wants TLS
	}
	for deadline := time.After(time.Minute); ; {
		select {
		case line := <-lines:
			var entry map[string]any
			if err := json.Unmarshal([]byte(line), &entry); err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			if text, _ := entry["msg"].(string); strings.Contains(text, "TLS handshake error") {
				return
			}
		case <-deadline:
			t.Fatal("a handshake that failed was not logged by the process")
		}
	}
}
