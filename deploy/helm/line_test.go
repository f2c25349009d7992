package helm

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/lint"
	"helm.sh/helm/v3/pkg/lint/support"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
)

// TestLint: Helm's own lint finds nothing that it would say.
func TestLint(t *testing.T) {
	for _, name := range sets {
		for _, m := range lint.All(Folder, set(t, name), "data", true).Messages {
			if m.Severity > support.InfoSev {
				t.Errorf("%s: %s", name, m)
			}
		}
	}
}

// container is the one of a service.
func (o *objects) env(t *testing.T, name, of string) string {
	t.Helper()
	pod, ok := o.pods()[name]
	if !ok {
		t.Fatalf("there is no %s among %v", name, slices.Sorted(maps.Keys(o.pods())))
	}
	return variable(pod.Spec.Containers[0], of)
}

// TestAddresses: what a service is told to call is a Service of the chart, at its port; the appliers are those enabled, under
// the types of connection that they serve.
func TestAddresses(t *testing.T) {
	each(t, func(t *testing.T, o *objects, _ values) {
		asked := 0
		for name, pod := range o.pods() {
			for _, v := range []string{"SLIPSTREAM_CAPTURE", "SLIPSTREAM_TRANSFORMER", "SLIPSTREAM_APPLIERS", "SLIPSTREAM_GATEWAY"} {
				list := variable(pod.Spec.Containers[0], v)
				if list == "" {
					continue
				}
				for address := range strings.SplitSeq(list, ",") {
					if kind, at, ok := strings.Cut(address, "="); ok {
						if address = at; kind != strings.Replace(afterLast(at, "applier-"), "postgres", "postgresql", 1) {
							t.Errorf("%s calls %s for %s", name, at, kind)
						}
					}
					asked++
					called, port, _ := strings.Cut(address, ":")
					s := o.services[called]
					if s == nil || s.Spec.Ports[0].TargetPort.StrVal != "grpc" || port != s.Spec.Ports[0].TargetPort.String() && port != portOf(o, called) {
						t.Errorf("%s: %s names %s, which is not there", name, v, address)
					}
				}
				if v == "SLIPSTREAM_APPLIERS" {
					enabled := 0
					for d := range o.deployments {
						if strings.Contains(d, "-applier-") {
							enabled++
						}
					}
					if n := strings.Count(list, "="); n != enabled {
						t.Errorf("%s knows %d appliers of %d", name, n, enabled)
					}
				}
			}
		}
		if asked < 4 {
			t.Errorf("only %d addresses", asked)
		}
	})
}

func afterLast(address, word string) string {
	name, _, _ := strings.Cut(address, ":")
	return name[strings.LastIndex(name, word)+len(word):]
}

func portOf(o *objects, service string) string {
	return strings.TrimPrefix(variable(o.deployments[service].Spec.Template.Spec.Containers[0], "SLIPSTREAM_LISTEN"), ":")
}

// TestMergedSettings: what a service says of itself counts before what all say, also where it is nothing.
func TestMergedSettings(t *testing.T) {
	o := decode(t, manifests(t, set(t, "everything")))
	replicas := func(name string) int32 {
		if n := o.deployments["line-slipstream-"+name].Spec.Replicas; n != nil {
			return *n
		}
		return -1
	}
	for name, want := range map[string]int32{"gateway": 2, "capture": -1, "transformer": -1, "applier-postgres": -1, "applier-mysql": 0, "applier-sqlite": 1, "monitor": 1} {
		if got := replicas(name); got != want {
			t.Errorf("%s has %d instances (-1: as autoscaling says), want %d", name, got, want)
		}
	}
	want := []string{"applier-cassandra", "applier-oracle", "applier-postgres", "applier-redis", "applier-sqlserver", "capture", "transformer"}
	var scaled []string
	for name, s := range o.scalers {
		scaled = append(scaled, strings.TrimPrefix(name, "line-slipstream-"))
		if o.deployments[s.Spec.ScaleTargetRef.Name] == nil || s.Spec.ScaleTargetRef.Kind != "Deployment" || *s.Spec.MinReplicas > s.Spec.MaxReplicas {
			t.Errorf("%s scales %+v", name, s.Spec)
		}
		if s.Spec.Behavior == nil || s.Spec.Behavior.ScaleUp == nil || s.Spec.Behavior.ScaleDown == nil {
			t.Errorf("%s does not say how fast", name)
		}
		m := s.Spec.Metrics[0]
		if strings.HasSuffix(name, "transformer") {
			if m.Type != autoscalingv2.ResourceMetricSourceType || m.Resource.Name != "cpu" || *m.Resource.Target.AverageUtilization != 70 {
				t.Errorf("%s looks at %+v", name, m)
			}
		} else if m.Type != autoscalingv2.ExternalMetricSourceType || m.External.Metric.Name != "slipstream_lag_seconds" ||
			m.External.Target.Value.Value() != 10 || m.External.Metric.Selector.MatchLabels["connection"] != "hr" {
			t.Errorf("%s looks at %+v", name, m)
		}
	}
	if slices.Sort(scaled); !slices.Equal(scaled, want) {
		t.Errorf("scaled are %v, want %v", scaled, want)
	}
	pods := o.pods()
	if a := pods["line-slipstream-capture"].Annotations; a["example.org/note"] != "capture" || a["example.org/of"] != "service" {
		t.Errorf("annotations of capture: %v", a)
	}
	if a := pods["line-slipstream-gateway"].Annotations; a["example.org/note"] != "all" {
		t.Errorf("annotations of the gateway: %v", a)
	}
	limits := pods["line-slipstream-applier-cassandra"].Spec.Containers[0].Resources
	if limits.Limits.Memory().String() != "2Gi" || limits.Requests.Memory().String() != "64Mi" {
		t.Errorf("resources %v", limits)
	}
	if c := o.claims["line-slipstream-applier-sqlite"]; c == nil || *c.Spec.StorageClassName != "fast" || c.Annotations["helm.sh/resource-policy"] != "keep" {
		t.Errorf("claims %v", o.claims)
	}
	if strategy := o.deployments["line-slipstream-applier-sqlite"].Spec.Strategy.Type; strategy != "Recreate" {
		t.Errorf("two SQLite appliers may have one claim: %s", strategy)
	}
}

// TestSecrets: what is secret comes from Secrets, and TLS is on at each service with a certificate that names it, shown to
// those alone that it has to be shown to.
func TestSecrets(t *testing.T) {
	o := decode(t, manifests(t, set(t, "everything")))
	for name, pod := range o.pods() {
		c := pod.Spec.Containers[0]
		if variable(c, "SLIPSTREAM_TLS_CERT") != "/run/tls/tls.crt" || variable(c, "SLIPSTREAM_TLS_KEY") != "/run/tls/tls.key" || variable(c, "SLIPSTREAM_TLS_CA") != "/run/tls/ca.crt" {
			t.Errorf("%s has no TLS: %v", name, c.Env)
		}
		want := name + "-tls"
		if strings.HasSuffix(name, "-cassandra") {
			want = "its-own"
		}
		for _, v := range pod.Spec.Volumes {
			if v.Name == "tls" && v.Secret.SecretName != want {
				t.Errorf("%s shows the certificate of %s", name, v.Secret.SecretName)
			}
		}
		if cert := o.certificates[name]; cert == nil || cert.Spec.SecretName != name+"-tls" || cert.Spec.DNSNames[0] != name ||
			cert.Spec.IssuerRef.Name != "line-ca" || !slices.Contains(cert.Spec.Usages, "client auth") || !slices.Contains(cert.Spec.Usages, "server auth") {
			t.Errorf("the certificate of %s: %+v", name, cert)
		}
	}
	const n = "line-slipstream-"
	for name, volumes := range map[string]map[string]string{"gateway": {"access": "who-may-call"}, "deploy": {"token": "deployer-token"}, "monitor": {"token": "deployer-token"}} {
		for _, v := range o.pods()[n+name].Spec.Volumes {
			if want, ok := volumes[v.Name]; ok && v.Secret.SecretName != want {
				t.Errorf("%s has %s from the Secret %s", name, v.Name, v.Secret.SecretName)
			}
			delete(volumes, v.Name)
		}
		if len(volumes) > 0 {
			t.Errorf("%s lacks %v", name, volumes)
		}
	}
	for service, peers := range map[string]string{
		"gateway": "", "capture": n + "gateway," + n + "capture", "transformer": n + "capture," + n + "gateway," + n + "transformer",
		"applier-mysql": n + "transformer," + n + "gateway," + n + "applier-mysql",
	} {
		if got := o.env(t, n+service, "SLIPSTREAM_TLS_PEERS"); got != peers {
			t.Errorf("%s is called by %q, want %q", service, got, peers)
		}
	}
	if got := o.env(t, n+"gateway", "SLIPSTREAM_ACCESS"); got != "/run/access/access.yaml" {
		t.Errorf("the file of those who may call: %q", got)
	}
	if got := o.env(t, n+"deploy", "SLIPSTREAM_TOKEN_FILE"); got != "/run/token/token" {
		t.Errorf("the token of deploy: %q", got)
	}
	if got := o.env(t, n+"capture", "SLIPSTREAM_SECRETS_DIR"); got != "/run/secrets" {
		t.Errorf("secrets of capture: %q", got)
	}
	o = decode(t, manifests(t, set(t, "existing")))
	for service, secret := range map[string]string{"existing-gateway": "secret redis-address/address", "existing-capture": "secret redis-address/address"} {
		if got := o.env(t, service, "SLIPSTREAM_REDIS"); got != secret {
			t.Errorf("Redis of %s: %q", service, got)
		}
	}
	if o.certificates != nil || o.configs != nil || o.accounts != nil || o.claims != nil {
		t.Errorf("what is there is made again: %v %v %v %v", o.certificates, o.configs, o.accounts, o.claims)
	}
}

// TestDeployJob: the files are where the command looks for them, and Helm runs the Job after everything else.
func TestDeployJob(t *testing.T) {
	o := decode(t, manifests(t, set(t, "everything")))
	job := o.jobs["line-slipstream-deploy"]
	if job == nil || job.Annotations["helm.sh/hook"] != "post-install,post-upgrade" || o.configs["line-slipstream-jobs"].Annotations["helm.sh/hook"] != "" {
		t.Fatalf("jobs %v", o.jobs)
	}
	c := job.Spec.Template.Spec.Containers[0]
	if !slices.Equal(c.Args, []string{"deploy", "--dir=/pipeline", "--pipeline=orders"}) {
		t.Errorf("runs %q", c.Args)
	}
	if m := c.VolumeMounts[:2]; m[0].MountPath != "/pipeline/config.yaml" || m[0].SubPath != "config.yaml" || m[1].MountPath != "/pipeline/jobs" {
		t.Errorf("files are at %+v", m)
	}
	v := set(t, "everything")["deploy"].(values)
	if got := o.configs["line-slipstream-config"].Data["config.yaml"]; got != v["config"] {
		t.Errorf("config.yaml is %q, want %q", got, v["config"])
	}
	if got := o.configs["line-slipstream-jobs"].Data["emp.yaml"]; got != v["jobs"].(values)["emp.yaml"] {
		t.Errorf("emp.yaml is %q", got)
	}
}

// TestObservation: Prometheus gets each rule of deploy/prometheus, and labels as the rules want them; Grafana the dashboard.
func TestObservation(t *testing.T) {
	o := decode(t, manifests(t, set(t, "everything")))
	rule := o.prometheusRules["line-slipstream"]
	names := map[string]bool{}
	for _, g := range rule.Spec.Groups {
		for _, r := range g.Rules {
			names[r.Record+r.Alert] = true
		}
	}
	if len(names) < 15 || !names["slipstream:lag_seconds"] || !names["SlipstreamLag"] || rule.Labels["release"] != "prometheus" {
		t.Errorf("rules %v, labels %v", slices.Sorted(maps.Keys(names)), rule.Labels)
	}
	board := o.configs["line-slipstream-dashboard"]
	if !strings.Contains(board.Data["slipstream.json"], `"panels"`) || board.Labels["grafana_dashboard"] != "1" {
		t.Errorf("the dashboard: %.80s", board.Data["slipstream.json"])
	}
}
