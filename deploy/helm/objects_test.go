package helm

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// objects are what the chart makes, decoded into their types.
type objects struct {
	deployments     map[string]*appsv1.Deployment
	services        map[string]*corev1.Service
	policies        map[string]*networkingv1.NetworkPolicy
	budgets         map[string]*policyv1.PodDisruptionBudget
	scalers         map[string]*autoscalingv2.HorizontalPodAutoscaler
	jobs            map[string]*batchv1.Job
	configs         map[string]*corev1.ConfigMap
	accounts        map[string]*corev1.ServiceAccount
	claims          map[string]*corev1.PersistentVolumeClaim
	certificates    map[string]*certificate
	podMonitors     map[string]*podMonitor
	prometheusRules map[string]*prometheusRule
}

// certificate, podMonitor with its parts and prometheusRule are what the chart uses of the types of cert-manager and of the Prometheus
// operator, whose modules would bring more with them than they hold.
type (
	certificate struct {
		metav1.TypeMeta   `json:",inline"`
		metav1.ObjectMeta `json:"metadata"`
		Spec              struct {
			SecretName string   `json:"secretName"`
			Usages     []string `json:"usages"`
			PrivateKey struct {
				Algorithm      string `json:"algorithm"`
				Size           int    `json:"size"`
				RotationPolicy string `json:"rotationPolicy"`
			} `json:"privateKey"`
			DNSNames  []string `json:"dnsNames"`
			IssuerRef struct {
				Name  string `json:"name"`
				Kind  string `json:"kind"`
				Group string `json:"group"`
			} `json:"issuerRef"`
		} `json:"spec"`
	}
	podMonitor struct {
		metav1.TypeMeta   `json:",inline"`
		metav1.ObjectMeta `json:"metadata"`
		Spec              struct {
			JobLabel            string               `json:"jobLabel"`
			Selector            metav1.LabelSelector `json:"selector"`
			PodMetricsEndpoints []endpoint           `json:"podMetricsEndpoints"`
		} `json:"spec"`
	}
	endpoint struct {
		Port        string     `json:"port"`
		Interval    string     `json:"interval"`
		HonorLabels bool       `json:"honorLabels"`
		Scheme      string     `json:"scheme"`
		TLSConfig   *tlsConfig `json:"tlsConfig"`
	}
	tlsConfig struct {
		CA struct {
			Secret corev1.SecretKeySelector `json:"secret"`
		} `json:"ca"`
		Cert struct {
			Secret corev1.SecretKeySelector `json:"secret"`
		} `json:"cert"`
		KeySecret  corev1.SecretKeySelector `json:"keySecret"`
		ServerName string                   `json:"serverName"`
	}
	prometheusRule struct {
		metav1.TypeMeta   `json:",inline"`
		metav1.ObjectMeta `json:"metadata"`
		Spec              struct {
			Groups []struct {
				Name  string `json:"name"`
				Rules []struct {
					Record      string            `json:"record"`
					Alert       string            `json:"alert"`
					Expr        string            `json:"expr"`
					For         string            `json:"for"`
					Labels      map[string]string `json:"labels"`
					Annotations map[string]string `json:"annotations"`
				} `json:"rules"`
			} `json:"groups"`
		} `json:"spec"`
	}
)

// decode reads manifests strictly: a field that a type does not have, or that is there twice, is an error, as is a second
// object of one name.
func decode(t *testing.T, manifests string) *objects {
	t.Helper()
	o := &objects{}
	for doc := range strings.SplitSeq("\n"+manifests, "\n---\n") {
		if doc = strings.TrimSpace(doc) + "\n"; doc == "\n" {
			continue
		}
		var head struct {
			metav1.TypeMeta   `json:",inline"`
			metav1.ObjectMeta `json:"metadata"`
		}
		if err := yaml.Unmarshal([]byte(doc), &head); err != nil {
			t.Fatalf("%v in\n%s", err, doc)
		}
		switch kind := head.APIVersion + " " + head.Kind; kind {
		case "apps/v1 Deployment":
			add(t, &o.deployments, head.Name, doc)
		case "v1 Service":
			add(t, &o.services, head.Name, doc)
		case "networking.k8s.io/v1 NetworkPolicy":
			add(t, &o.policies, head.Name, doc)
		case "policy/v1 PodDisruptionBudget":
			add(t, &o.budgets, head.Name, doc)
		case "autoscaling/v2 HorizontalPodAutoscaler":
			add(t, &o.scalers, head.Name, doc)
		case "batch/v1 Job":
			add(t, &o.jobs, head.Name, doc)
		case "v1 ConfigMap":
			add(t, &o.configs, head.Name, doc)
		case "v1 ServiceAccount":
			add(t, &o.accounts, head.Name, doc)
		case "v1 PersistentVolumeClaim":
			add(t, &o.claims, head.Name, doc)
		case "cert-manager.io/v1 Certificate":
			add(t, &o.certificates, head.Name, doc)
		case "monitoring.coreos.com/v1 PodMonitor":
			add(t, &o.podMonitors, head.Name, doc)
		case "monitoring.coreos.com/v1 PrometheusRule":
			add(t, &o.prometheusRules, head.Name, doc)
		default:
			t.Errorf("%s %s: this test does not know the kind", kind, head.Name)
		}
		if head.Labels["app.kubernetes.io/name"] != "slipstream" || head.Labels["app.kubernetes.io/instance"] != "line" || len(head.Name) > 63 {
			t.Errorf("%s %s has the labels %v", head.Kind, head.Name, head.Labels)
		}
	}
	return o
}

func add[T any](t *testing.T, all *map[string]*T, name, doc string) {
	t.Helper()
	v := new(T)
	if err := yaml.UnmarshalStrict([]byte(doc), v); err != nil {
		t.Errorf("%v in\n%s", err, doc)
	}
	if *all == nil {
		*all = map[string]*T{}
	}
	if (*all)[name] != nil {
		t.Errorf("there are two of %s: %s", name, doc)
	}
	(*all)[name] = v
}

// pods are the templates of pods with the names of what makes them.
func (o *objects) pods() map[string]corev1.PodTemplateSpec {
	all := map[string]corev1.PodTemplateSpec{}
	for name, d := range o.deployments {
		all[name] = d.Spec.Template
	}
	for name, j := range o.jobs {
		all[name] = j.Spec.Template
	}
	return all
}

// each renders the chart with every set of values and decodes it.
func each(t *testing.T, check func(t *testing.T, o *objects, v values)) {
	t.Helper()
	for _, name := range sets {
		t.Run(name, func(t *testing.T) {
			v := set(t, name)
			check(t, decode(t, manifests(t, v)), v)
		})
	}
}
