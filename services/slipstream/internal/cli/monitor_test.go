package cli_test

import (
	"context"
	"errors"
	"maps"
	"strings"
	"testing"

	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
	"slipstream/services/slipstream/internal/cli"
)

// TestMonitor: spec 7 and 8.1: port 9121, the state of the pipeline named, the quickstart's names only when asked for.
func TestMonitor(t *testing.T) {
	for _, c := range []struct {
		args    []string
		address string
		compat  bool
	}{
		{[]string{"monitor"}, "127.0.0.1:9121", false},
		{[]string{"monitor", "--listen", "::1"}, "[::1]:9121", false},
		{[]string{"monitor", "--listen", "[::1]"}, "[::1]:9121", false},
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
			l.deps.Exporter = func(_ context.Context, e cli.Export) error {
				if e.Address != c.address || e.Secure != nil {
					t.Errorf("serves at %s, secure %v", e.Address, e.Secure)
				}
				e.Ready(e.Address)
				families, err := e.Metrics.Gather()
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
		l.deps.Exporter = func(context.Context, cli.Export) error { return errors.New("in use") }
		if code, _, stderr := l.do(t, "monitor", args); code != want || stderr == "" {
			t.Errorf("%s: code %d, %q", args, code, stderr)
		}
	}
}

// TestMonitorOverTLS: with --metrics-tls, or its variable, the metrics are served with the files that are shown to the
// gateway, by flag, variable or context; without a certificate to show nothing is served.
func TestMonitorOverTLS(t *testing.T) {
	files := []string{"--tls-cert", "c.pem", "--tls-key", "k.pem", "--tls-ca", "ca.pem"}
	shown := &cli.Door{Cert: "c.pem", Key: "k.pem", CA: "ca.pem"}
	variables := map[string]string{"SLIPSTREAM_TLS_CERT": "c.pem", "SLIPSTREAM_TLS_KEY": "k.pem", "SLIPSTREAM_TLS_CA": "ca.pem"}
	with := func(metrics string) map[string]string {
		all := maps.Clone(variables)
		all["SLIPSTREAM_METRICS_TLS"] = metrics
		return all
	}
	for _, c := range []struct {
		name      string
		args      []string
		variables map[string]string
		want      *cli.Door // nil: in the clear
		says      string    // of a refusal
	}{
		{"by flags", append([]string{"--metrics-tls"}, files...), nil, shown, ""},
		{"by variables", nil, with("true"), shown, ""},
		{"by a context", []string{"--metrics-tls", "--context", "saved"}, nil, shown, ""},
		{"a variable that says no", nil, with("0"), nil, ""},
		{"a flag against the variable", []string{"--metrics-tls=false"}, with("true"), nil, ""},
		{"TLS to the gateway alone", files, nil, nil, ""},
		{"no certificate", []string{"--metrics-tls"}, nil, nil, "--metrics-tls needs --tls-cert and --tls-key"},
		{"an authority alone", []string{"--metrics-tls", "--tls-ca", "ca.pem"}, nil, nil, "--metrics-tls needs --tls-cert and --tls-key"},
		{"no key", []string{"--metrics-tls", "--tls-cert", "c.pem"}, nil, nil, "belong together"},
		{"a variable that is no word", nil, with("maybe"), nil, `SLIPSTREAM_METRICS_TLS is "maybe"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLine()
			l.config = t.TempDir()
			l.deps.Getenv = func(name string) string { return c.variables[name] }
			for _, args := range [][]string{{"active", "--gateway", "gw:1"}, append([]string{"saved", "--gateway", "gw:2"}, files...)} {
				if code, _, stderr := l.do(t, append([]string{"context", "add"}, args...)...); code != 0 {
					t.Fatal(stderr)
				}
			}
			served := false
			l.deps.Exporter = func(_ context.Context, e cli.Export) error {
				served = true
				if (e.Secure == nil) != (c.want == nil) || c.want != nil && *e.Secure != *c.want {
					t.Errorf("served with %+v", e.Secure)
				}
				e.Ready(e.Address)
				return nil
			}
			code, _, stderr := l.do(t, append([]string{"monitor"}, c.args...)...)
			if c.says != "" {
				if code != 2 || !strings.Contains(stderr, c.says) || served || len(l.dialed) > 0 {
					t.Errorf("code %d, served %v, %q", code, served, stderr)
				}
				return
			}
			scheme := map[bool]string{true: "https", false: "http"}[c.want != nil]
			if code != 0 || !strings.Contains(stderr, " at "+scheme+"://127.0.0.1:9121/metrics") {
				t.Errorf("code %d, %q", code, stderr)
			}
		})
	}
}
