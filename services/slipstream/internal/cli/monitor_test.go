package cli_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
)

// TestMonitor: spec 7 and 8.1: port 9121, the state of the pipeline named, the quickstart's names only when asked for.
func TestMonitor(t *testing.T) {
	for _, c := range []struct {
		args    []string
		address string
		compat  bool
	}{
		{[]string{"monitor"}, "127.0.0.1:9121", false},
		{[]string{"monitor", "--exporter-port", "9200", "--listen", "0.0.0.0", "--compat-metrics", "--pipeline", "p"}, "0.0.0.0:9200", true},
	} {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) {
			l := newLine()
			pipeline := "none"
			l.gateway.status = func(r *gatewayv1.StatusRequest) (*gatewayv1.StatusResponse, error) {
				pipeline = r.GetPipeline()
				return busy(), nil
			}
			names := map[string]int{}
			l.deps.Exporter = func(_ context.Context, address string, metrics prometheus.Gatherer, ready func(string)) error {
				if address != c.address {
					t.Errorf("serves at %s", address)
				}
				ready(address)
				families, err := metrics.Gather()
				for _, f := range families {
					names[f.GetName()] = len(f.GetMetric())
				}
				return err
			}
			code, _, stderr := l.do(t, c.args...)
			if code != 0 || !strings.Contains(stderr, "http://"+c.address+"/metrics") || l.closed != 1 {
				t.Errorf("code %d, %q, closed %d", code, stderr, l.closed)
			}
			if names["rdi_incoming_entries"] != 12 || names["rdi_engine_state"] != 1 || (names["rdi_metrics_stream_size"] > 0) != c.compat {
				t.Errorf("metrics %v", names)
			}
			if want := map[bool]string{true: "p"}[c.compat]; pipeline != want {
				t.Errorf("asked for pipeline %q", pipeline)
			}
		})
	}
}

// TestMonitorRefused: ranges of spec 7 are usage errors; a port in use is a failure.
func TestMonitorRefused(t *testing.T) {
	for args, want := range map[string]int{
		"--exporter-port=999": 2, "--exporter-port=65536": 2, "--collect-interval=0": 2, "--collect-interval=61": 2, "--exporter-port=9121": 1,
	} {
		l := newLine()
		l.deps.Exporter = func(context.Context, string, prometheus.Gatherer, func(string)) error { return errors.New("in use") }
		if code, _, stderr := l.do(t, "monitor", args); code != want || stderr == "" {
			t.Errorf("%s: code %d, %q", args, code, stderr)
		}
	}
}
