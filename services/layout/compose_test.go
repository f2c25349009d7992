package layout

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"slipstream/services/internal/host"
)

// composed is a compose file.
type composed struct {
	Name     string
	Services map[string]struct {
		Image       string
		Entrypoint  []string
		Command     []string
		Environment map[string]string
		Profiles    []string
		Volumes     []string
		ReadOnly    bool     `yaml:"read_only"`
		CapDrop     []string `yaml:"cap_drop"`
		Healthcheck struct {
			Test    []string
			Disable bool
		}
		DependsOn map[string]struct{ Condition string } `yaml:"depends_on"`
	}
}

// images are those that deploy/dev/images builds, with their ports: of calls, and of /metrics.
func images(t *testing.T) map[string][2]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root(t), "deploy/dev/images"))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][2]string{}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) == 3 && strings.HasPrefix(f[0], "slipstream") {
			all[f[0]] = [2]string{f[1], f[2]}
		}
	}
	return all
}

// variables are those that a process reads; nil for the command line, which compose gives arguments.
func variables(service string) map[string]bool {
	for _, spec := range specs() {
		if spec.Name != service && (spec.Name != "applier-postgres" || !strings.HasPrefix(service, "applier-")) {
			continue
		}
		f := pflag.NewFlagSet(service, pflag.ContinueOnError)
		if spec.Flags != nil {
			spec.Flags(f)
		}
		all := map[string]bool{"SLIPSTREAM_LOG_FORMAT": true, "SLIPSTREAM_DATA_DIR": service == "applier-sqlite"}
		f.VisitAll(func(f *pflag.Flag) { all[host.Variable(f.Name)] = true })
		return all
	}
	return nil
}

// TestCompose: every image is run by deploy/compose.yaml, hardened, with a probe, variables that its process reads and
// addresses at which its like listen; Prometheus scrapes each; every file it mounts is there.
func TestCompose(t *testing.T) {
	compose, built := read[composed](t, "compose.yaml"), images(t)
	if compose.Name != "" {
		t.Error("compose 1.29 does not accept a name at the top")
	}
	scraped, err := os.ReadFile(filepath.Join(root(t), "deploy/prometheus/prometheus.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if jobs := strings.Count(string(scraped), "job_name:"); strings.Count(string(scraped), "honor_labels: true\n") != jobs {
		t.Errorf("not every one of %d scrapes keeps the label job of the metrics", jobs)
	}
	run := map[string]bool{}
	for name, service := range compose.Services {
		for _, volume := range service.Volumes {
			from, _, _ := strings.Cut(volume, ":")
			if _, err := os.Stat(filepath.Join(root(t), "deploy", from)); strings.HasPrefix(from, "./") && err != nil {
				t.Errorf("%s mounts what is not there: %v", name, err)
			}
		}
		for other, on := range service.DependsOn {
			if waited, ok := compose.Services[other]; !ok || on.Condition == "service_healthy" && len(waited.Healthcheck.Test) == 0 {
				t.Errorf("%s waits for the health of %s, which has none", name, other)
			}
		}
		if name != "jaeger" && len(service.Healthcheck.Test) == 0 && !service.Healthcheck.Disable {
			t.Errorf("%s has no health check", name)
		}
		image, ours := strings.CutSuffix(service.Image, ":latest")
		if !ours {
			continue
		}
		ports, ok := built[image]
		if run[image] = true; !ok {
			t.Errorf("%s: make images does not build %s", name, image)
		}
		if !service.ReadOnly || !slices.Equal(service.CapDrop, []string{"ALL"}) {
			t.Errorf("%s may write to its root, or keeps capabilities", name)
		}
		if image == "slipstream" {
			continue
		}
		if "slipstream-"+name != image || !slices.Equal(service.Healthcheck.Test, []string{"CMD", "/slipstream", "--healthy"}) {
			t.Errorf("%s runs %s, and its health is asked by %q", name, image, service.Healthcheck.Test)
		}
		if static := name + ":" + ports[1]; !strings.Contains(string(scraped), "- "+static+"\n") &&
			!strings.Contains(string(scraped), "names: ["+name+"], type: A, port: "+ports[1]+"}") {
			t.Errorf("Prometheus does not scrape %s", static)
		}
		reads := variables(name)
		for variable, value := range service.Environment {
			if strings.HasPrefix(variable, "SLIPSTREAM_") && !reads[variable] {
				t.Errorf("%s does not read %s", name, variable)
			}
			if variable == "SLIPSTREAM_LOG_FORMAT" || variable == "SLIPSTREAM_REDIS" || !strings.HasPrefix(variable, "SLIPSTREAM_") || variable == "SLIPSTREAM_DATA_DIR" {
				continue
			}
			for address := range strings.SplitSeq(value, ",") {
				if _, after, ok := strings.Cut(address, "="); ok {
					address = after
				}
				peer, port, _ := strings.Cut(address, ":")
				if built["slipstream-"+peer][0] != port || port == "" {
					t.Errorf("%s of %s: %s listens elsewhere", variable, name, address)
				}
			}
		}
	}
	for _, image := range slices.Sorted(maps.Keys(built)) {
		if !run[image] {
			t.Errorf("no service runs %s", image)
		}
	}
}
