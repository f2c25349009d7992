package layout

import (
	"bytes"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"slipstream/services/internal/host"
)

// manifest is what matters here of what the Helm chart renders.
type manifest struct {
	Kind     string
	Metadata struct{ Name string }
	Spec     struct {
		Template struct {
			Spec struct {
				Containers []container
			}
		}
	}
}

type container struct {
	Name, Image string
	Args        []string
	Env         []struct{ Name, Value string }
	Ports       []struct {
		Name          string
		ContainerPort int `yaml:"containerPort"`
	}
	LivenessProbe struct {
		Exec struct{ Command []string }
	} `yaml:"livenessProbe"`
}

// containers are those of a rendered chart in deploy/helm/testdata, which its own tests keep up to date.
func containers(t *testing.T, name string) (all []container) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root(t), "deploy/helm/testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	for doc := range strings.SplitSeq("\n"+string(text), "\n---\n") {
		var m manifest
		if err := yaml.Unmarshal([]byte(doc), &m); err != nil {
			t.Fatalf("%s: %v in\n%s", name, err, doc)
		}
		all = append(all, m.Spec.Template.Spec.Containers...)
	}
	return all
}

var flagOfHelp = regexp.MustCompile(`(?m)^\s+(?:-\w, )?--([a-z0-9-]+)`)

// flags are those that --help of a process names; one applier stands for all, but for what SQLite has of its own.
func flags(t *testing.T, service string) map[string]bool {
	t.Helper()
	for _, spec := range specs() {
		if spec.Name != service && (spec.Name != "applier-postgres" || !strings.HasPrefix(service, "applier-")) {
			continue
		}
		var help bytes.Buffer
		if code := host.Run(t.Context(), spec, []string{"--help"}, &help, io.Discard); code != 0 {
			t.Fatalf("--help of %s ends with %d", service, code)
		}
		all := map[string]bool{"data-dir": service == "applier-sqlite"}
		for _, m := range flagOfHelp.FindAllStringSubmatch(help.String(), -1) {
			all[m[1]] = true
		}
		if !all["listen"] || !all["tls-peers"] {
			t.Fatalf("--help of %s shows no flags:\n%s", service, help.String())
		}
		return all
	}
	t.Fatalf("no process is called %s", service)
	return nil
}

// TestChart: every container of the Helm chart runs an image that `make images` builds, at its ports, and is given only
// variables and arguments that its binary reads; every binary is run.
func TestChart(t *testing.T) {
	built := images(t)
	commands, err := os.ReadFile(filepath.Join(root(t), "docs/reference/commands.md"))
	if err != nil {
		t.Fatal(err)
	}
	cli := sources(t, filepath.Join(root(t), "services/slipstream/internal/cli"), "*.go")
	run := map[string]bool{}
	for _, file := range []string{"defaults.yaml", "everything.yaml"} {
		for _, c := range containers(t, file) {
			image, _, _ := strings.Cut(c.Image[strings.LastIndexByte(c.Image, '/')+1:], ":")
			ports, ok := built[image]
			if run[image] = true; !ok {
				t.Errorf("%s: make images does not build %s", c.Name, c.Image)
				continue
			}
			if image == "slipstream" {
				for _, arg := range c.Args {
					flag, _, _ := strings.Cut(arg, "=")
					if !strings.Contains(string(commands), "`"+flag+"`") {
						t.Errorf("%s: docs/reference/commands.md does not know %s", c.Name, flag)
					}
				}
				for _, e := range c.Env {
					if !strings.Contains(cli, `"`+e.Name+`"`) {
						t.Errorf("the command line does not read %s", e.Name)
					}
				}
				continue
			}
			known := flags(t, c.Name)
			reads := map[string]bool{}
			for flag, there := range known {
				reads[host.Variable(flag)] = there
			}
			for _, arg := range c.Args {
				if flag, _, _ := strings.Cut(strings.TrimPrefix(arg, "--"), "="); !known[flag] {
					t.Errorf("%s does not know %s", c.Name, arg)
				}
			}
			env := map[string]string{}
			for _, e := range c.Env {
				env[e.Name] = e.Value
				if strings.HasPrefix(e.Name, "SLIPSTREAM_") && e.Name != "SLIPSTREAM_SECRETS_DIR" && !reads[e.Name] {
					t.Errorf("%s does not read %s", c.Name, e.Name)
				}
			}
			listens := map[string]string{}
			for _, p := range c.Ports {
				listens[p.Name] = ":" + strconv.Itoa(p.ContainerPort)
			}
			want := map[string]string{"grpc": ":" + ports[0], "metrics": ":" + ports[1]}
			if c.Name == "gateway" {
				want["http"] = env["SLIPSTREAM_HTTP"]
			}
			if !maps.Equal(listens, want) || env["SLIPSTREAM_LISTEN"] != want["grpc"] || env["SLIPSTREAM_METRICS"] != want["metrics"] {
				t.Errorf("%s: ports %v, the image has %v, variables %v", c.Name, listens, want, env)
			}
			if "slipstream-"+c.Name != image || !known["healthy"] || !slices.Equal(c.LivenessProbe.Exec.Command, []string{"/slipstream", "--healthy"}) {
				t.Errorf("%s runs %s and is asked for its health by %q", c.Name, image, c.LivenessProbe.Exec.Command)
			}
		}
	}
	for _, image := range slices.Sorted(maps.Keys(built)) {
		if !run[image] {
			t.Errorf("the chart does not run %s", image)
		}
	}
}
