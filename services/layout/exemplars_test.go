package layout

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"slipstream/proto/flow"
)

// TestExemplarsLeadToTraces: the histograms that keep exemplars are shown with them, from the series that have them, the
// label that holds the trace leads to a data source of traces, and Prometheus in the compose file stores them.
func TestExemplarsLeadToTraces(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root(t), "deploy/grafana/dashboards/slipstream.json"))
	if err != nil {
		t.Fatal(err)
	}
	var d dashboard
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	for _, histogram := range []string{"slipstream_capture_latency_seconds", "slipstream_applier_commit_seconds", "slipstream_transformer_batch_seconds"} {
		shown := false
		for _, p := range d.Panels {
			for _, target := range p.Targets {
				shown = shown || target.Exemplar && strings.Contains(target.Expr, "rate("+histogram+"_bucket")
			}
		}
		if !shown {
			t.Errorf("no panel shows the exemplars of %s", histogram)
		}
	}

	type source struct {
		UID, Type string
		JSONData  struct {
			Destinations []struct {
				Name          string
				DatasourceUID string `yaml:"datasourceUid"`
			} `yaml:"exemplarTraceIdDestinations"`
		} `yaml:"jsonData"`
	}
	sources := read[struct{ Datasources []source }](t, "grafana/provisioning/datasources/slipstream.yaml").Datasources
	leads := false
	for _, s := range sources {
		for _, to := range s.JSONData.Destinations {
			leads = leads || s.Type == "prometheus" && to.Name == flow.ExemplarLabel &&
				slices.ContainsFunc(sources, func(o source) bool { return o.Type == "jaeger" && o.UID == to.DatasourceUID })
		}
	}
	if !leads {
		t.Errorf("the label %s leads to no data source of traces", flow.ExemplarLabel)
	}
	if !slices.Contains(read[composed](t, "compose.yaml").Services["prometheus"].Command, "--enable-feature=exemplar-storage") {
		t.Error("Prometheus in the compose file drops exemplars")
	}
}
