package layout

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/pflag"

	"slipstream/gateway/rdimetrics"
	capturev1 "slipstream/proto/slipstream/capture/v1"
	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
	"slipstream/services/internal/host"
)

var metricRow = regexp.MustCompile("(?m)^\\| `(\\w+)` \\| \\w+ \\| [^|]*\\| .+ \\|$")

// TestMetricsReference: docs/reference/metrics.md lists the metrics that the processes register, each once, with its kind,
// its labels and its own help sentence, and no others.
func TestMetricsReference(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root(t), "docs/reference/metrics.md"))
	if err != nil {
		t.Fatal(err)
	}
	exist := catalogued(t)
	listed := map[string]bool{}
	for _, row := range metricRow.FindAllStringSubmatch(string(text), -1) {
		name := row[1]
		if listed[name] {
			t.Errorf("%s is listed twice", name)
		}
		listed[name] = true
		if want, there := exist[name]; !there {
			t.Errorf("%s is no metric of any process", name)
		} else if row[0] != want.row(name) {
			t.Errorf("the row of %s is\n%s\nand should be\n%s", name, row[0], want.row(name))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(exist)) {
		m := exist[name]
		if !listed[name] {
			t.Errorf("not listed:\n%s", m.row(name))
		}
		if len(m.help) < 10 || !strings.HasSuffix(m.help, ".") {
			t.Errorf("%s: its help is no sentence: %q", name, m.help)
		}
	}
	if len(exist) < 40 {
		t.Errorf("only %d metrics were found", len(exist))
	}
}

// metric is what a process says of one of its own.
type metric struct{ kind, labels, help string }

// row is its row in the reference.
func (m metric) row(name string) string {
	return fmt.Sprintf("| `%s` | %s | %s | %s |", name, m.kind, m.labels, strings.ReplaceAll(m.help, "|", `\|`))
}

// catalogue takes what is registered and keeps what it says.
type catalogue map[string]metric

var described = regexp.MustCompile(`^Desc\{fqName: "(\w+)", help: "(.*)", unit: "\w*", constLabels: \{(.*)\}, variableLabels: \{(.*)\}\}$`)

// add keeps a metric by its description.
func (c catalogue) add(d *prometheus.Desc, kind string) error {
	m := described.FindStringSubmatch(d.String())
	if m == nil {
		return fmt.Errorf("not understood: %s", d)
	}
	var labels []string
	for _, l := range strings.Split(m[4], ",") {
		if l != "" {
			labels = append(labels, "`"+l+"`")
		}
	}
	c[m[1]] = metric{kind, strings.Join(labels, ", "), strings.ReplaceAll(m[2], `\"`, `"`)}
	return nil
}

// Register implements prometheus.Registerer.
func (c catalogue) Register(of prometheus.Collector) error {
	kind := "counter"
	switch of.(type) {
	case *prometheus.HistogramVec:
		kind = "histogram"
	case *prometheus.GaugeVec, prometheus.Gauge:
		kind = "gauge"
	case *prometheus.CounterVec, prometheus.Counter:
	case prometheus.Histogram:
		kind = "histogram"
	default:
		return fmt.Errorf("a collector of a kind that this test does not know: %T", of)
	}
	descs := make(chan *prometheus.Desc, 1)
	of.Describe(descs)
	return c.add(<-descs, kind)
}

// MustRegister implements prometheus.Registerer.
func (c catalogue) MustRegister(all ...prometheus.Collector) {
	for _, of := range all {
		if err := c.Register(of); err != nil {
			panic(err)
		}
	}
}

// Unregister implements prometheus.Registerer.
func (catalogue) Unregister(prometheus.Collector) bool { return false }

// catalogued are the metrics of every process and of slipstream monitor.
func catalogued(t *testing.T) catalogue {
	t.Helper()
	c := catalogue{"slipstream_build_info": {"gauge", "`service`, `version`", "Version of the process; the value is always 1."}}
	build(t, c)
	monitor := rdimetrics.New(rdimetrics.Config{Compat: true, Read: func(context.Context) (*gatewayv1.StatusResponse, error) {
		return &gatewayv1.StatusResponse{
			Connections: []*gatewayv1.ConnectionStatus{{Name: "hr"}},
			Status:      &capturev1.PipelineStatus{Jobs: []*capturev1.JobStatus{{Job: "emp"}}},
		}, nil
	}})
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(monitor)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]string{}
	for _, f := range families {
		kinds[f.GetName()] = strings.ToLower(f.GetType().String())
	}
	descs := make(chan *prometheus.Desc, 100)
	monitor.Describe(descs)
	close(descs)
	for d := range descs {
		kind := kinds[described.FindStringSubmatch(d.String())[1]]
		if kind == "" {
			t.Errorf("%s is described and not told", d)
		}
		if err := c.add(d, kind); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// build builds every process with a registerer.
func build(t *testing.T, r prometheus.Registerer) {
	t.Helper()
	for _, spec := range specs() {
		f := pflag.NewFlagSet(spec.Name, pflag.ContinueOnError)
		if spec.Flags != nil {
			spec.Flags(f)
		}
		if f.Lookup("http") != nil { // which listens before it is served
			if err := f.Set("http", "off"); err != nil {
				t.Fatal(err)
			}
		}
		p := host.New(spec.Name, slog.New(slog.DiscardHandler))
		p.Metrics = r
		if _, err := spec.Build(t.Context(), p); err != nil {
			t.Fatalf("building %s: %v", spec.Name, err)
		}
	}
}
