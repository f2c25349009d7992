package sweep

import "github.com/prometheus/client_golang/prometheus"

// Metrics are the collectors of sweeps.
type Metrics struct {
	keys    *prometheus.CounterVec
	settles *prometheus.CounterVec
}

// NewMetrics returns the collectors, registered with reg where one is given. It panics, as registration does, when they
// are registered twice.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		keys: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "slipstream", Subsystem: "capture", Name: "sweep_keys_total",
			Help: "Keys that sweeps looked at (scanned) and found to belong to a job (matched).",
		}, []string{"what"}),
		settles: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "slipstream", Subsystem: "capture", Name: "sweeps_settled_total",
			Help: "Sweeps whose keys every lane has settled, by cause.",
		}, []string{"cause"}),
	}
	if reg != nil {
		reg.MustRegister(m.keys, m.settles)
	}
	return m
}

func (m *Metrics) scanned(looked, matched int) {
	m.keys.WithLabelValues("scanned").Add(float64(looked))
	m.keys.WithLabelValues("matched").Add(float64(matched))
}

func (m *Metrics) settled(r record) { m.settles.WithLabelValues(string(r.Cause)).Inc() }
