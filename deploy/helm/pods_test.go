package helm

import (
	"maps"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// chosen are the names of what makes pods that a selector finds.
func (o *objects) chosen(t *testing.T, s *metav1.LabelSelector) []string {
	t.Helper()
	selector, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for name, pod := range o.pods() {
		if selector.Matches(labels.Set(pod.Labels)) {
			found = append(found, name)
		}
	}
	slices.Sort(found)
	return found
}

// TestContainersMayDoNothing: every container is no root, cannot become it, keeps no capability, cannot write to its root
// and has a bound on its memory; its pod has no token of Kubernetes and no variables of other services.
func TestContainersMayDoNothing(t *testing.T) {
	each(t, func(t *testing.T, o *objects, _ values) {
		if len(o.pods()) < 4 {
			t.Fatalf("only %d kinds of pods", len(o.pods()))
		}
		for name, pod := range o.pods() {
			spec := pod.Spec
			if spec.AutomountServiceAccountToken == nil || *spec.AutomountServiceAccountToken || spec.EnableServiceLinks == nil || *spec.EnableServiceLinks {
				t.Errorf("%s has a token of Kubernetes, or variables of other services", name)
			}
			if p := spec.SecurityContext; p == nil || p.RunAsNonRoot == nil || !*p.RunAsNonRoot || p.SeccompProfile == nil ||
				p.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault || p.RunAsUser == nil || *p.RunAsUser == 0 {
				t.Errorf("%s: security context of the pod %+v", name, p)
			}
			if len(spec.Containers) != 1 || len(spec.InitContainers) != 0 || spec.HostNetwork || spec.HostPID || spec.HostIPC {
				t.Errorf("%s has not one container, or shares the host's network or processes", name)
			}
			for _, c := range spec.Containers {
				if s := c.SecurityContext; s == nil || s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation ||
					s.ReadOnlyRootFilesystem == nil || !*s.ReadOnlyRootFilesystem || s.Capabilities == nil ||
					!slices.Equal(s.Capabilities.Drop, []corev1.Capability{"ALL"}) || len(s.Capabilities.Add) > 0 || s.Privileged != nil {
					t.Errorf("%s: security context of the container %+v", name, s)
				}
				if c.Resources.Limits.Memory().IsZero() || c.Resources.Requests.Cpu().IsZero() || c.Resources.Requests.Memory().IsZero() {
					t.Errorf("%s: resources %+v", name, c.Resources)
				}
			}
			for _, v := range spec.Volumes {
				if v.HostPath != nil || v.EmptyDir != nil {
					t.Errorf("%s has the volume %s of its node", name, v.Name)
				}
			}
			if account := spec.ServiceAccountName; o.accounts[account] == nil && account != "theirs" {
				t.Errorf("%s runs as %s, which is not made", name, account)
			}
		}
		for name, a := range o.accounts {
			if a.AutomountServiceAccountToken == nil || *a.AutomountServiceAccountToken {
				t.Errorf("the account %s has a token in its pods", name)
			}
		}
	})
}

// TestSelectors: each selector finds the pods of its own and of no other; those of a Service are headless but for the
// gateway's, and its ports are ports of the container.
func TestSelectors(t *testing.T) {
	each(t, func(t *testing.T, o *objects, v values) {
		own := func(what, name string, s *metav1.LabelSelector) {
			t.Helper()
			if found := o.chosen(t, s); !slices.Equal(found, []string{name}) {
				t.Errorf("%s %s finds the pods of %v", what, name, found)
			}
		}
		for name, d := range o.deployments {
			own("the Deployment", name, d.Spec.Selector)
			for _, c := range d.Spec.Template.Spec.TopologySpreadConstraints {
				own("the spread of", name, c.LabelSelector)
			}
			service := o.services[name]
			if service == nil {
				if !strings.HasSuffix(name, "-monitor") {
					t.Errorf("%s has no Service", name)
				}
				continue
			}
			own("the Service", name, &metav1.LabelSelector{MatchLabels: service.Spec.Selector})
			if headless := service.Spec.ClusterIP == "None"; headless == strings.HasSuffix(name, "-gateway") {
				t.Errorf("the Service %s: headless %v", name, headless)
			}
			ports := map[string]int32{}
			for _, p := range d.Spec.Template.Spec.Containers[0].Ports {
				ports[p.Name] = p.ContainerPort
			}
			for _, p := range service.Spec.Ports {
				if ports[p.TargetPort.StrVal] != p.Port { // a headless Service does not translate
					t.Errorf("the Service %s has port %d (%s), its container %v", name, p.Port, p.TargetPort.StrVal, ports)
				}
			}
		}
		for name, b := range o.budgets {
			own("the budget", name, b.Spec.Selector)
		}
		for name, p := range o.policies {
			own("the policy", name, &p.Spec.PodSelector)
		}
		for _, made := range slices.Sorted(maps.Keys(o.deployments)) {
			by := 0
			for _, m := range o.podMonitors {
				if slices.Contains(o.chosen(t, &m.Spec.Selector), made) {
					by++
				}
			}
			if o.podMonitors != nil && by != 1 {
				t.Errorf("%s is found by %d of the PodMonitors %v", made, by, slices.Sorted(maps.Keys(o.podMonitors)))
			}
		}
		if o.policies == nil != (v["networkPolicy"] != nil) {
			t.Errorf("%d policies", len(o.policies))
		}
		if o.budgets == nil != (v["podDisruptionBudget"] != nil) {
			t.Errorf("%d budgets", len(o.budgets))
		}
	})
}

// TestProbesAndEnds: each service is asked for its own health by the binary that it is, and has longer to end than it takes.
func TestProbesAndEnds(t *testing.T) {
	each(t, func(t *testing.T, o *objects, _ values) {
		for name, d := range o.deployments {
			pod := d.Spec.Template.Spec
			c := pod.Containers[0]
			if strings.HasSuffix(name, "-monitor") {
				secure := variable(c, "SLIPSTREAM_METRICS_TLS") == "true"
				if p := c.ReadinessProbe; p == nil || secure != (p.TCPSocket != nil) || secure != (p.HTTPGet == nil) {
					t.Errorf("%s has the probe %+v; over TLS it would have to show a certificate", name, p)
				}
				continue
			}
			for what, p := range map[string]*corev1.Probe{"startup": c.StartupProbe, "readiness": c.ReadinessProbe, "liveness": c.LivenessProbe} {
				if p == nil || p.Exec == nil || !slices.Equal(p.Exec.Command, []string{"/slipstream", "--healthy"}) || p.TimeoutSeconds <= 3 {
					t.Errorf("%s: %s %+v", name, what, p)
				}
			}
			grace, ok := strings.CutSuffix(variable(c, "SLIPSTREAM_GRACE"), "s")
			if want := map[string]int64{"20": 45, "5": 15, "7": 19}[grace]; !ok || *pod.TerminationGracePeriodSeconds != want {
				t.Errorf("%s: drains for %ss, is killed after %d", name, grace, *pod.TerminationGracePeriodSeconds)
			}
		}
	})
}

// variable is the value of a variable of a container, and where it comes from if that is a Secret.
func variable(c corev1.Container, name string) string {
	for _, e := range c.Env {
		switch {
		case e.Name != name:
		case e.ValueFrom != nil:
			return "secret " + e.ValueFrom.SecretKeyRef.Name + "/" + e.ValueFrom.SecretKeyRef.Key
		default:
			return e.Value
		}
	}
	return ""
}

// TestFiles: every file that a variable names is in a volume that is mounted, every volume is mounted, and what holds
// secrets is a Secret.
func TestFiles(t *testing.T) {
	each(t, func(t *testing.T, o *objects, _ values) {
		for name, pod := range o.pods() {
			c := pod.Spec.Containers[0]
			mounted := map[string]bool{}
			for _, m := range c.VolumeMounts {
				mounted[m.Name] = true
				if m.Name != "data" && !m.ReadOnly {
					t.Errorf("%s may write to %s", name, m.MountPath)
				}
			}
			for _, v := range pod.Spec.Volumes {
				if !mounted[v.Name] {
					t.Errorf("%s does not mount %s", name, v.Name)
				}
				delete(mounted, v.Name)
				if slices.Contains([]string{"tls", "access", "token"}, v.Name) && v.Secret == nil || v.Name == "secrets" && v.Projected == nil {
					t.Errorf("%s: the volume %s is no Secret", name, v.Name)
				}
			}
			if len(mounted) > 0 {
				t.Errorf("%s mounts what it does not have: %v", name, mounted)
			}
			for _, e := range c.Env {
				if !strings.HasPrefix(e.Value, "/") {
					continue
				}
				there := slices.ContainsFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool {
					return e.Value == m.MountPath || strings.HasPrefix(e.Value, m.MountPath+"/")
				})
				if !there {
					t.Errorf("%s: %s=%s is not mounted", name, e.Name, e.Value)
				}
			}
		}
	})
}
