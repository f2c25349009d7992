package server

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"slipstream/proto/flow"
	"slipstream/transformer/job"
)

// metrics are the transformer's own; what became of batches in the end is counted where they began, by capture.
type metrics struct {
	changes, filtered, rejected *prometheus.CounterVec
	seconds                     *prometheus.HistogramVec
}

func newMetrics(registerer prometheus.Registerer) (*metrics, error) {
	labels := []string{"pipeline", "job", "connection"}
	counter := func(name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "slipstream", Subsystem: "transformer", Name: name, Help: help}, labels)
	}
	m := &metrics{
		changes:  counter("changes_total", "Changes received from capture, those of retried batches included."),
		filtered: counter("filtered_total", "Changes dropped by a filter."),
		rejected: counter("rejected_total", "Records rejected by blocks or outputs, once an output."),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "slipstream", Subsystem: "transformer", Name: "batch_seconds",
			Help:    "Time to turn a batch of changes into rows.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 4, 8),
		}, labels),
	}
	return m, errors.Join(registerer.Register(m.changes), registerer.Register(m.filtered),
		registerer.Register(m.rejected), registerer.Register(m.seconds))
}

// laneMetrics are the metrics of one lane, looked up once.
type laneMetrics struct {
	changes, filtered, rejected prometheus.Counter
	seconds                     prometheus.Observer
}

func (m *metrics) lane(pipeline, job, connection string) laneMetrics {
	return laneMetrics{
		m.changes.WithLabelValues(pipeline, job, connection), m.filtered.WithLabelValues(pipeline, job, connection),
		m.rejected.WithLabelValues(pipeline, job, connection), m.seconds.WithLabelValues(pipeline, job, connection),
	}
}

func (m laneMetrics) batch(r *job.Result, took time.Duration, trace string) {
	m.changes.Add(float64(len(r.Batch().GetChanges())))
	m.filtered.Add(float64(r.Filtered()))
	m.rejected.Add(float64(len(r.Rejects)))
	if e, ok := m.seconds.(prometheus.ExemplarObserver); ok && trace != "" {
		e.ObserveWithExemplar(took.Seconds(), prometheus.Labels{flow.ExemplarLabel: trace})
		return
	}
	m.seconds.Observe(took.Seconds())
}
