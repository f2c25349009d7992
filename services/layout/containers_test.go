package layout

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	target "slipstream/applier"
	"slipstream/applier/postgres"
	"slipstream/services/internal/host"
	"slipstream/services/internal/stage/applier"
	"slipstream/services/internal/stage/capture"
	"slipstream/services/internal/stage/gateway"
	"slipstream/services/internal/stage/transformer"
)

// read decodes a YAML file below deploy/, and fails on one that is not what T says.
func read[T any](t *testing.T, name string) (v T) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root(t), "deploy", name))
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, &v); err != nil {
		t.Fatalf("deploy/%s: %v", name, err)
	}
	return v
}

// specs are the processes; one applier stands for all, which differ by dialect alone.
func specs() []host.Spec {
	return []host.Spec{
		gateway.Spec(), capture.Spec(), transformer.Spec(),
		applier.Spec("applier-postgres", "", "127.0.0.1:7411", "127.0.0.1:9411", nil, func() target.Dialect { return postgres.Dialect{} }),
	}
}

// registered are the metrics that the processes register, those of slipstream monitor among them.
func registered(t *testing.T) known {
	t.Helper()
	n := known{"up": false}
	for name, m := range catalogued(t) {
		n[name] = m.kind == "histogram"
	}
	for _, name := range []string{"slipstream_capture_lag_seconds", "slipstream_applier_rows_total", "slipstream_transformer_changes_total", "rdi_dlq_size"} {
		if histogram, there := n[name]; !there || histogram {
			t.Fatalf("%s is not among the metrics found: %v", name, slices.Sorted(maps.Keys(n)))
		}
	}
	if !n["slipstream_capture_latency_seconds"] || !n["slipstream_capture_record_seconds"] {
		t.Fatal("a histogram is not known for one")
	}
	return n
}

// rules are a file of rules of Prometheus.
type rules struct {
	Groups []struct {
		Rules []struct{ Record, Alert, Expr string }
	}
}

// dashboard is what matters here of a dashboard of Grafana.
type dashboard struct {
	UID        string `json:"uid"`
	Templating struct {
		List []struct {
			Definition string            `json:"definition"`
			Datasource map[string]string `json:"datasource"`
		} `json:"list"`
	} `json:"templating"`
	Panels []struct {
		ID         int               `json:"id"`
		Title      string            `json:"title"`
		Datasource map[string]string `json:"datasource"`
		Targets    []struct {
			Expr     string `json:"expr"`
			Exemplar bool   `json:"exemplar"`
		} `json:"targets"`
	} `json:"panels"`
}

var labelValues = regexp.MustCompile(`^label_values\((.*), *\w+\)$`)

// TestMetricsOfDashboardsAndAlerts: each metric that a rule, an alert or a panel asks for is one that a process
// registers or a rule records, and each data source of a panel is provisioned.
func TestMetricsOfDashboardsAndAlerts(t *testing.T) {
	exist := registered(t)
	asked := 0
	check := func(where, expr string) {
		found := metricsOf(expr)
		if len(found) == 0 {
			t.Errorf("%s asks for no metric: %s", where, expr)
		}
		for _, name := range found {
			asked++
			if fault := exist.fault(name); fault != "" {
				t.Errorf("%s: %s", where, fault)
			}
		}
	}
	for _, file := range []string{"prometheus/rules.yaml", "prometheus/alerts.yaml"} {
		for _, group := range read[rules](t, file).Groups {
			for _, r := range group.Rules {
				check(file+" "+r.Record+r.Alert, r.Expr)
				if r.Record != "" {
					exist[r.Record] = false
				}
			}
		}
	}
	sources := map[string]bool{}
	for _, s := range read[struct {
		Datasources []struct{ UID, Type, URL string }
	}](t, "grafana/provisioning/datasources/slipstream.yaml").Datasources {
		sources[s.Type+" "+s.UID] = true
	}
	text, err := os.ReadFile(filepath.Join(root(t), "deploy/grafana/dashboards/slipstream.json"))
	if err != nil {
		t.Fatal(err)
	}
	var d dashboard
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	for _, v := range d.Templating.List {
		query := labelValues.FindStringSubmatch(v.Definition)
		if query == nil || !sources[v.Datasource["type"]+" "+v.Datasource["uid"]] {
			t.Errorf("variable %q: no label_values, or of no data source that is provisioned", v.Definition)
			continue
		}
		check("variable "+v.Definition, query[1])
	}
	ids := map[int]bool{}
	for _, p := range d.Panels {
		if ids[p.ID] || len(p.Targets) == 0 || !sources[p.Datasource["type"]+" "+p.Datasource["uid"]] {
			t.Errorf("panel %q: its id %d is taken, it asks nothing, or its data source is not provisioned", p.Title, p.ID)
		}
		ids[p.ID] = true
		for _, target := range p.Targets {
			check("panel "+p.Title, target.Expr)
		}
	}
	if asked < 40 || len(d.Panels) < 10 {
		t.Errorf("only %d names were checked, in %d panels and the rules", asked, len(d.Panels))
	}
}

// TestMetricsOfExpressions: the check finds names and faults.
func TestMetricsOfExpressions(t *testing.T) {
	expr := `histogram_quantile(0.99, sum by (job, le) (rate(a_seconds_bucket{job=~"b|c"}[1m]))) or a:b:c unless d_total offset 10m == 1 and absent(e)`
	if got := metricsOf(expr); !slices.Equal(got, []string{"a_seconds_bucket", "a:b:c", "d_total", "e"}) {
		t.Errorf("names: %q", got)
	}
	k := known{"a_seconds": true, "d_total": false}
	for name, ok := range map[string]bool{"a_seconds_bucket": true, "a_seconds": false, "d_total": true, "d_total_bucket": false, "x": false} {
		if fault := k.fault(name); (fault == "") != ok {
			t.Errorf("%s: %q", name, fault)
		}
	}
}

// TestPrometheusAcceptsRules: promtool finds nothing wrong, and the alerts fire when they should (alerts_test.yaml).
func TestPrometheusAcceptsRules(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if errors.Is(err, exec.ErrNotFound) {
		t.Fatal("promtool is not installed: make install-servers")
	} else if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"check", "config", "prometheus.yaml"}, {"test", "rules", "alerts_test.yaml"}} {
		cmd := exec.CommandContext(t.Context(), promtool, args...)
		cmd.Dir = filepath.Join(root(t), "deploy/prometheus")
		if out, err := cmd.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("SUCCESS")) {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}
