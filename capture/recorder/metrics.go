package recorder

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are the recorder's collectors.
type Metrics struct {
	entries, gaps, refusals *prometheus.CounterVec
	up, queued              prometheus.Gauge
	guarantee               *prometheus.GaugeVec
	write, delay            prometheus.Histogram
}

// NewMetrics returns the collectors, registered with reg where one is given. It panics, as registration does, when they
// are registered twice; one set serves any number of recorders.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	const ns, sub = "slipstream", "capture"
	m := &Metrics{
		entries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: ns, Subsystem: sub, Name: "recorded_entries_total",
			Help: "Entries that the recorder wrote to change streams.",
		}, nil),
		gaps: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: ns, Subsystem: sub, Name: "recorder_gaps_total",
			Help: "Gaps that the recorder reported, by cause.",
		}, []string{"cause"}),
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: ns, Subsystem: sub, Name: "recorder_refusals_total",
			Help: "Times that the server refused to record, by its code, for example OOM.",
		}, []string{"code"}),
		up: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: ns, Subsystem: sub, Name: "recorder_connected",
			Help: "1 while this instance records.",
		}),
		queued: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: ns, Subsystem: sub, Name: "recorder_queued_bytes",
			Help: "Memory of the events received and not recorded yet.",
		}),
		guarantee: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Namespace: ns, Subsystem: sub, Name: "guarantee",
			Help: "1 for the capture method in force and the guarantee it gives.",
		}, []string{"method", "guarantee"}),
		write: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: ns, Subsystem: sub, Name: "record_seconds",
			Help:    "Time that a transaction of the recorder takes.",
			Buckets: prometheus.ExponentialBuckets(0.0002, 2, 15),
		}),
		delay: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: ns, Subsystem: sub, Name: "record_delay_seconds",
			Help:    "Time from the receipt of the oldest event of a transaction to its record.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 16),
		}),
	}
	if reg != nil {
		reg.MustRegister(m.entries, m.gaps, m.refusals, m.up, m.queued, m.guarantee, m.write, m.delay)
	}
	return m
}

func (m *Metrics) method(on bool) {
	if !on {
		m.guarantee.Reset()
		return
	}
	m.guarantee.WithLabelValues("notifications", "repaired").Set(1)
}

func (m *Metrics) connected(on bool) {
	if on {
		m.up.Set(1)
	} else {
		m.up.Set(0)
	}
}

func (m *Metrics) gap(cause string)    { m.gaps.WithLabelValues(cause).Inc() }
func (m *Metrics) refused(code string) { m.refusals.WithLabelValues(code).Inc() }
func (m *Metrics) queue(bytes int)     { m.queued.Set(float64(bytes)) }

func (m *Metrics) batch(entries int, took time.Duration, receivedMs int64) {
	m.entries.WithLabelValues().Add(float64(entries))
	m.write.Observe(took.Seconds())
	m.delay.Observe(time.Since(time.UnixMilli(receivedMs)).Seconds())
}
