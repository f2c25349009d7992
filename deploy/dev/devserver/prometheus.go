package devserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// PrometheusServer is a private Prometheus that scrapes some addresses every second.
type PrometheusServer struct {
	Addr string // host:port
	Dir  string // the folder with its configuration, data and log

	process *process
}

// StartPrometheus starts a server that scrapes /metrics of targets, each host:port, and keeps exemplars; it returns when it answers. The caller
// must Close it.
func StartPrometheus(ctx context.Context, targets ...string) (*PrometheusServer, error) {
	binary, found := program([]string{"prometheus"}, []string{"/usr/bin", "/opt/homebrew/bin", "/usr/local/bin"})
	if !found {
		return nil, &MissingError{Server: "Prometheus", Debian: "prometheus", Brew: "prometheus"}
	}
	dir, err := temporary("prometheus")
	if err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "prometheus.yml")
	text := "global: {scrape_interval: 1s, scrape_timeout: 1s}\nscrape_configs:\n  - job_name: slipstream\n    static_configs:\n      - targets: [\"" +
		strings.Join(targets, `", "`) + "\"]\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	p := &process{
		name: "Prometheus",
		dir:  dir,
		command: func(port int) *exec.Cmd {
			cmd := exec.Command(binary, "--config.file="+config, "--storage.tsdb.path="+filepath.Join(dir, "data"),
				"--enable-feature=exemplar-storage", "--web.listen-address="+address(port))
			cmd.Dir = dir
			return cmd
		},
		ready: func(ctx context.Context, port, _ int) error {
			// It tells where its data is, so that the server of somebody else on this port is not taken for ours.
			text, err := fetch(ctx, "http://"+address(port)+"/api/v1/status/flags")
			if err == nil && !strings.Contains(text, dir) {
				err = fmt.Errorf("the server on port %d is another one", port)
			}
			return err
		},
		quit:  syscall.SIGTERM,
		abort: syscall.SIGKILL,
	}
	if err := p.launch(ctx); err != nil {
		return nil, err
	}
	return &PrometheusServer{Addr: address(p.port), Dir: dir, process: p}, nil
}

// Prometheus starts a private Prometheus for one test and closes it when the test ends.
func Prometheus(t TB, targets ...string) *PrometheusServer {
	t.Helper()
	s, err := StartPrometheus(t.Context(), targets...)
	if err != nil {
		t.Fatalf("starting Prometheus: %v", err)
	}
	attach(t, s.process)
	return s
}

// Query runs a query of PromQL now and returns the values found, one a series, in no order; none is no error.
func (s *PrometheusServer) Query(ctx context.Context, query string) ([]string, error) {
	text, err := fetch(ctx, "http://"+s.Addr+"/api/v1/query?query="+url.QueryEscape(query))
	if err != nil {
		return nil, fmt.Errorf("query %s: %w", query, err)
	}
	var answer struct {
		Data struct {
			Result []struct{ Value [2]any }
		}
	}
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		return nil, fmt.Errorf("query %s: %w", query, err)
	}
	var values []string
	for _, r := range answer.Data.Result {
		values = append(values, fmt.Sprint(r.Value[1]))
	}
	return values, nil
}

// Exemplar is a value that a metric kept with its labels, as an example of others.
type Exemplar struct {
	Labels map[string]string
	Value  float64 `json:",string"`
}

// Exemplars returns what the series of a query kept of the last hour.
func (s *PrometheusServer) Exemplars(ctx context.Context, query string) ([]Exemplar, error) {
	now := time.Now()
	span := fmt.Sprintf("&start=%d&end=%d", now.Add(-time.Hour).Unix(), now.Add(time.Minute).Unix())
	text, err := fetch(ctx, "http://"+s.Addr+"/api/v1/query_exemplars?query="+url.QueryEscape(query)+span)
	if err != nil {
		return nil, fmt.Errorf("exemplars of %s: %w", query, err)
	}
	var answer struct {
		Data []struct{ Exemplars []Exemplar }
	}
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		return nil, fmt.Errorf("exemplars of %s: %w", query, err)
	}
	var all []Exemplar
	for _, series := range answer.Data {
		all = append(all, series.Exemplars...)
	}
	return all, nil
}

// Close ends the server and removes its folder.
func (s *PrometheusServer) Close() error { return s.process.close() }

// fetch gets a page.
func fetch(ctx context.Context, page string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, page, nil)
	if err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", response.Status, text)
	}
	return string(text), err
}
