package engine

import "github.com/prometheus/client_golang/prometheus"

// staleMetric tells which jobs need a resync. Every instance tells of all.
type staleMetric struct {
	gauge *prometheus.GaugeVec
}

func newStaleMetric(r prometheus.Registerer) (*staleMetric, error) {
	m := &staleMetric{prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Namespace: "slipstream", Subsystem: "capture", Name: "job_stale",
		Help: "1 while a job needs a resync: its meaning changed since rows were written.",
	}, []string{"pipeline", "job"})}
	return m, r.Register(m.gauge)
}

// set replaces what is told of a pipeline.
func (m *staleMetric) set(pipeline string, all []stale) {
	m.gauge.DeletePartialMatch(prometheus.Labels{"pipeline": pipeline})
	for _, s := range all {
		m.gauge.WithLabelValues(pipeline, s.GetJob()).Set(1)
	}
}
