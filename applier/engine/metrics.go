package engine

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"slipstream/proto/flow"
)

// metrics are the collectors of an applier. Engines that share a registry share them.
type metrics struct {
	commit   *prometheus.HistogramVec
	rows     *prometheus.CounterVec
	rejected *prometheus.CounterVec
	retries  *prometheus.CounterVec
	waiting  *prometheus.GaugeVec
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	const ns, sub = "slipstream", "applier"
	m := &metrics{
		commit: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: ns, Subsystem: sub, Name: "commit_seconds",
			Help:    "Time the target took for a batch, from the first statement to the end of COMMIT.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 16),
		}, []string{"connection"}),
		rows: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: ns, Subsystem: sub, Name: "rows_total",
			Help: "Rows committed after folding, by operation: upsert, insert, update, delete, prune or close.",
		}, []string{"connection", "op"}),
		rejected: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: ns, Subsystem: sub, Name: "rejected_total",
			Help: "Records rejected because a value or the target refused them; a record counts once an output.",
		}, []string{"connection"}),
		retries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: ns, Subsystem: sub, Name: "retries_total",
			Help: "Failed attempts that were made again, by class of the fault.",
		}, []string{"connection", "class"}),
		waiting: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Namespace: ns, Subsystem: sub, Name: "waiting",
			Help: "Lanes that wait for the target.",
		}, []string{"connection"}),
	}
	if r == nil {
		return m, nil
	}
	var err error
	m.commit, err = register(r, m.commit, err)
	m.rows, err = register(r, m.rows, err)
	m.rejected, err = register(r, m.rejected, err)
	m.retries, err = register(r, m.retries, err)
	m.waiting, err = register(r, m.waiting, err)
	return m, err
}

// observe books a value, and of a batch that is traced the trace that it is from.
func observe(o prometheus.Observer, value float64, trace string) {
	if e, ok := o.(prometheus.ExemplarObserver); ok && trace != "" {
		e.ObserveWithExemplar(value, prometheus.Labels{flow.ExemplarLabel: trace})
		return
	}
	o.Observe(value)
}

// register registers c, or finds the one that another engine registered; after an error it does nothing.
func register[C prometheus.Collector](r prometheus.Registerer, c C, err error) (C, error) {
	if err != nil {
		return c, err
	}
	err = r.Register(c)
	var there prometheus.AlreadyRegisteredError
	if errors.As(err, &there) {
		if same, ok := there.ExistingCollector.(C); ok {
			return same, nil
		}
	}
	return c, err
}
