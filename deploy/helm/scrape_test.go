package helm

import (
	"maps"
	"slices"
	"testing"
)

// scraped are the endpoints of PodMonitors by the pods that each finds.
func scraped(t *testing.T, o *objects) map[string]endpoint {
	t.Helper()
	all := map[string]endpoint{}
	for name, m := range o.podMonitors {
		if len(m.Spec.PodMetricsEndpoints) != 1 || m.Spec.JobLabel != "app.kubernetes.io/name" {
			t.Fatalf("the PodMonitor %s: %+v", name, m.Spec)
		}
		for _, pods := range o.chosen(t, &m.Spec.Selector) {
			if o.deployments[pods] != nil {
				all[pods] = m.Spec.PodMetricsEndpoints[0]
			}
		}
	}
	return all
}

// TestScrapes: every service and the monitor are scraped, labels as the rules want them; where they serve metrics over TLS,
// under a name that their certificate has, with a certificate that Prometheus has from a Secret, and in the clear nowhere.
func TestScrapes(t *testing.T) {
	for _, c := range []struct {
		set, values string
		secret      string // that Prometheus has its certificate from; empty: in the clear
	}{
		{"everything", "", "line-slipstream-prometheus-tls"},
		{"everything", "prometheus: {podMonitor: true, tlsSecret: of-prometheus}", "of-prometheus"},
		{"everything", "tls: {enabled: true, issuer: {name: line-ca}, metrics: false}", ""},
		{"everything", "tls: {enabled: false}", ""},
		{"existing", "tls: {enabled: true, secret: line-tls, metrics: true}\nprometheus: {podMonitor: true}", "line-tls"},
	} {
		t.Run(c.set+" "+c.values, func(t *testing.T) {
			v := set(t, c.set)
			maps.Copy(v, parsed(t, c.values))
			o := decode(t, manifests(t, v))
			found := scraped(t, o)
			for name, d := range o.deployments {
				e, ok := found[name]
				if !ok || e.Port != "metrics" || !e.HonorLabels || e.Interval == "" {
					t.Errorf("%s is scraped as %+v", name, e)
				}
				serves := variable(d.Spec.Template.Spec.Containers[0], "SLIPSTREAM_METRICS_TLS")
				if c.secret == "" {
					if serves != "" || e.Scheme != "" || e.TLSConfig != nil {
						t.Errorf("%s serves over TLS %q, and is scraped as %+v", name, serves, e)
					}
					continue
				}
				if serves != "true" || e.Scheme != "https" || e.TLSConfig == nil {
					t.Errorf("%s serves over TLS %q, and is scraped as %+v", name, serves, e)
					continue
				}
				if cert := o.certificates[name]; e.TLSConfig.ServerName != name || cert != nil && !slices.Contains(cert.Spec.DNSNames, name) {
					t.Errorf("%s is asked for the name %s; its certificate is %+v", name, e.TLSConfig.ServerName, cert)
				}
				for key, s := range map[string]struct{ name, key string }{
					"ca.crt":  {e.TLSConfig.CA.Secret.Name, e.TLSConfig.CA.Secret.Key},
					"tls.crt": {e.TLSConfig.Cert.Secret.Name, e.TLSConfig.Cert.Secret.Key},
					"tls.key": {e.TLSConfig.KeySecret.Name, e.TLSConfig.KeySecret.Key},
				} {
					if s.name != c.secret || s.key != key {
						t.Errorf("%s of the scrapes of %s is in %+v", key, name, s)
					}
				}
			}
			made := o.certificates["line-slipstream-prometheus"]
			if (made != nil) != (c.secret == "line-slipstream-prometheus-tls") || made != nil && made.Spec.SecretName != c.secret {
				t.Errorf("the certificate of Prometheus: %+v", made)
			}
		})
	}
}
