package helm

import (
	"maps"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// stranger is a pod of the same namespace that is none of the line, and prometheus one of the namespace monitoring.
var (
	stranger   = peer{name: "stranger", namespace: "data", labels: map[string]string{"app": "theirs"}}
	prometheus = peer{name: "prometheus", namespace: "monitoring", labels: map[string]string{"app": "prometheus"}}
)

type peer struct {
	name, namespace string
	labels          map[string]string
	ports           []corev1.ContainerPort
}

// is says whether a peer of a rule means a pod; policies are in the namespace data.
func is(t *testing.T, p peer, rule networkingv1.NetworkPolicyPeer) bool {
	t.Helper()
	if rule.IPBlock != nil {
		t.Fatal("this test does not know blocks of addresses")
	}
	matches := func(s *metav1.LabelSelector, of map[string]string) bool {
		selector, err := metav1.LabelSelectorAsSelector(s)
		if err != nil {
			t.Fatal(err)
		}
		return selector.Matches(labels.Set(of))
	}
	if rule.NamespaceSelector == nil && p.namespace != "data" ||
		rule.NamespaceSelector != nil && !matches(rule.NamespaceSelector, map[string]string{"kubernetes.io/metadata.name": p.namespace}) {
		return false
	}
	return rule.PodSelector == nil || matches(rule.PodSelector, p.labels)
}

// opens says whether a rule opens a port to or from a pod; no peers mean everybody, no ports mean every port.
func opens(t *testing.T, p peer, port corev1.ContainerPort, peers []networkingv1.NetworkPolicyPeer, ports []networkingv1.NetworkPolicyPort) bool {
	t.Helper()
	return (len(peers) == 0 || slices.ContainsFunc(peers, func(r networkingv1.NetworkPolicyPeer) bool { return is(t, p, r) })) &&
		(len(ports) == 0 || slices.ContainsFunc(ports, func(r networkingv1.NetworkPolicyPort) bool {
			return r.Port == nil || r.Port.StrVal == port.Name && port.Name != "" || r.Port.IntVal == port.ContainerPort
		}))
}

// passes says whether a pod may call a port of another: what the one may call, and by whom the other may be called.
func passes(t *testing.T, policies map[string]*networkingv1.NetworkPolicy, from, to peer, port corev1.ContainerPort) bool {
	t.Helper()
	out, in := policies[from.name] == nil, policies[to.name] == nil
	if !out {
		for _, r := range policies[from.name].Spec.Egress {
			out = out || opens(t, to, port, r.To, r.Ports)
		}
	}
	if !in {
		for _, r := range policies[to.name].Spec.Ingress {
			in = in || opens(t, from, port, r.From, r.Ports)
		}
	}
	return in && out
}

// TestNetwork: each hop of the line passes the policies, and no other call between any two pods does.
func TestNetwork(t *testing.T) {
	calls := map[string][]string{ // who calls whom, by component
		"gateway": {"capture", "transformer", "applier"}, "capture": {"transformer"}, "transformer": {"applier"},
		"monitor": {"gateway"}, "deploy": {"gateway"},
	}
	each(t, func(t *testing.T, o *objects, v values) {
		if v["networkPolicy"] != nil {
			return
		}
		all := []peer{stranger, prometheus}
		for name, pod := range o.pods() {
			all = append(all, peer{name: name, namespace: "data", labels: pod.Labels, ports: pod.Spec.Containers[0].Ports})
			if p := o.policies[name]; p == nil || !slices.Equal(p.Spec.PolicyTypes, []networkingv1.PolicyType{"Ingress", "Egress"}) {
				t.Errorf("no policy denies what is not allowed to %s", name)
			}
		}
		component := func(p peer) string {
			kind, _, _ := strings.Cut(p.labels["app.kubernetes.io/component"], "-")
			return kind
		}
		passed := 0
		for _, from := range all {
			for _, to := range all {
				for _, port := range to.ports {
					if from.name == to.name {
						continue
					}
					want := slices.Contains(calls[component(from)], component(to)) && port.Name == "grpc" ||
						from.name == "stranger" && component(to) == "gateway" && port.Name != "metrics" || // gatewayFrom
						from.name == "prometheus" && port.Name == "metrics"
					got := passes(t, o.policies, from, to, port)
					if got {
						passed++
					}
					// the gateway's peers, its namespace by default, include the line's own pods, whose egress decides
					if got != want {
						t.Errorf("%s to %s, port %s: passes %v", from.name, to.name, port.Name, got)
					}
				}
			}
		}
		if passed < 8 {
			t.Errorf("only %d calls pass", passed)
		}
	})
}

// TestEgress: which ports outside the line may be called, by whom.
func TestEgress(t *testing.T) {
	for name, want := range map[string]map[string][]int32{
		"defaults": {
			"line-slipstream-gateway": {53, 6379}, "line-slipstream-capture": {53, 6379}, "line-slipstream-transformer": {53},
			"line-slipstream-applier-postgres": {53, 5432},
		},
		"everything": {
			"line-slipstream-gateway": {53, 4317, 6379}, "line-slipstream-capture": {53, 4317, 6379}, "line-slipstream-transformer": {53, 4317, 6379},
			"line-slipstream-applier-postgres": {53, 4317, 5432}, "line-slipstream-applier-mysql": {53, 3306, 4317},
			"line-slipstream-applier-sqlserver": {53, 1433, 4317}, "line-slipstream-applier-redis": {53, 4317, 6379},
			"line-slipstream-applier-oracle": {53, 1521, 4317}, "line-slipstream-applier-cassandra": {53, 4317, 9042},
			"line-slipstream-applier-sqlite": {53, 4317}, "line-slipstream-monitor": {53}, "line-slipstream-deploy": {53},
		},
	} {
		o := decode(t, manifests(t, set(t, name)))
		if got := slices.Sorted(maps.Keys(o.policies)); !slices.Equal(got, slices.Sorted(maps.Keys(want))) {
			t.Errorf("%s: policies of %v", name, got)
		}
		for who, ports := range want {
			open := map[int32]bool{}
			for _, r := range o.policies[who].Spec.Egress {
				if len(r.To) > 0 {
					continue
				}
				if len(r.Ports) == 0 {
					t.Errorf("%s may call everybody", who)
				}
				for _, p := range r.Ports {
					open[p.Port.IntVal] = true
				}
			}
			if got := slices.Sorted(maps.Keys(open)); !slices.Equal(got, ports) {
				t.Errorf("%s: %s may call %v, want %v", name, who, got, ports)
			}
		}
	}
}
