package helm

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"log" //nolint:depguard // Helm writes to it
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "write testdata and the table of README.md anew")

// values are a set of values; sets of them are YAML, as users write them.
type values = map[string]any

// sets are the values that the chart is tried with, by name, in testdata/<name>.values.yaml; "defaults" are none.
var sets = []string{"defaults", "everything", "existing", "bare"}

func set(t *testing.T, name string) values {
	t.Helper()
	if name == "defaults" {
		return values{}
	}
	text, err := os.ReadFile(filepath.Join("testdata", name+".values.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return parsed(t, string(text))
}

func parsed(t *testing.T, text string) values {
	t.Helper()
	v := values{}
	if err := yaml.UnmarshalStrict([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// TestMain keeps quiet that the chart has links to the rules and the dashboard, as Helm says whenever it reads it.
func TestMain(m *testing.M) {
	log.SetOutput(io.Discard)
	os.Exit(m.Run())
}

var load = sync.OnceValues(func() (*chart.Chart, error) { return loader.Load(Folder) })

// loaded is the chart as it is in its folder.
func loaded(t *testing.T) *chart.Chart {
	t.Helper()
	c, err := load()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// rendered are the manifests of a chart with values, as Helm would send them, and what it says afterwards.
func rendered(c *chart.Chart, v values) (manifests, notes string, err error) {
	all, err := chartutil.ToRenderValues(c, v, chartutil.ReleaseOptions{
		Name: "line", Namespace: "data", Revision: 1, IsInstall: true,
	}, chartutil.DefaultCapabilities.Copy())
	if err != nil {
		return "", "", err
	}
	files, err := engine.Render(c, all)
	if err != nil {
		return "", "", err
	}
	var out strings.Builder
	for _, name := range slices.Sorted(maps.Keys(files)) {
		switch {
		case strings.HasSuffix(name, "NOTES.txt"):
			notes = files[name]
		case strings.TrimSpace(files[name]) != "":
			fmt.Fprintf(&out, "---\n%s\n", strings.TrimPrefix(strings.TrimSpace(files[name]), "---\n"))
		}
	}
	return out.String(), notes, nil
}

// manifests renders the chart in its folder.
func manifests(t *testing.T, v values) string {
	t.Helper()
	text, _, err := rendered(loaded(t), v)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// workloads are the objects among manifests that run processes, or that others reach them by.
func workloads(manifests string) string {
	var out strings.Builder
	for doc := range strings.SplitAfterSeq("\n"+manifests, "\n---\n") {
		doc, _ = strings.CutSuffix(doc, "---\n")
		for _, kind := range []string{"Deployment", "Job", "Service", "NetworkPolicy", "HorizontalPodAutoscaler"} {
			if strings.Contains(doc, "\nkind: "+kind+"\n") {
				out.WriteString("---\n" + strings.TrimSpace(doc) + "\n")
			}
		}
	}
	return out.String()
}

// TestGolden: testdata is what the chart renders, so that a change of a template is seen. services/layout reads it.
func TestGolden(t *testing.T) {
	for _, name := range []string{"defaults", "everything"} {
		got := workloads(manifests(t, set(t, name)))
		file := filepath.Join("testdata", name+".yaml")
		if *update {
			if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(want, []byte(got)) {
			t.Errorf("%s is not what the chart renders: go test ./deploy/helm -update", file)
		}
	}
}

// TestNotes: what Helm says after an installation names the gateway, and what is open.
func TestNotes(t *testing.T) {
	for name, says := range map[string][]string{
		"defaults":   {"service/line-slipstream-gateway 7400", "slipstream deploy --dir DIR", "in the clear", "may do everything"},
		"everything": {"The Job line-slipstream-deploy"},
	} {
		_, notes, err := rendered(loaded(t), set(t, name))
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range says {
			if !strings.Contains(notes, part) {
				t.Errorf("%s: the notes do not say %q:\n%s", name, part, notes)
			}
		}
		if name == "everything" && (strings.Contains(notes, "in the clear") || strings.Contains(notes, "may do everything")) {
			t.Errorf("the notes warn of what is not so:\n%s", notes)
		}
	}
}

// TestRefused: values that cannot work are refused, and what is said names the value.
func TestRefused(t *testing.T) {
	for name, c := range map[string]struct{ values, says string }{
		"an unknown value":          {"gatway: {}", "gatway"},
		"an unknown value below":    {"capture: {replica: 2}", "replica"},
		"another type":              {"capture: {replicas: two}", "/capture/replicas"},
		"no applier":                {"appliers: {postgres: {enabled: false}}", "no applier is enabled"},
		"no Redis":                  {`redis: {address: ""}`, "redis.address"},
		"TLS without certificates":  {"tls: {enabled: true}", "tls.secret"},
		"metrics over TLS alone":    {"tls: {metrics: true}", "tls.metrics needs tls.enabled"},
		"two instances of SQLite":   {"appliers: {sqlite: {enabled: true, replicas: 2}}", "/appliers/sqlite/replicas"},
		"deploy without a pipeline": {"deploy: {enabled: true}", "deploy.config"},
		"deploy without jobs":       {"deploy: {enabled: true, config: x}", "deploy.jobs"},
	} {
		_, _, err := rendered(loaded(t), parsed(t, c.values))
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v does not say %q", name, err, c.says)
		}
	}
}
