package lane

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"slipstream/proto/flow"
	flowv1 "slipstream/proto/slipstream/flow/v1"
)

// Metrics are the collectors of all lanes of a process.
type Metrics struct {
	changes *prometheus.CounterVec
	commit  *prometheus.HistogramVec
	latency *prometheus.HistogramVec
	lag     *prometheus.GaugeVec
	backlog *prometheus.GaugeVec
	bytes   *prometheus.GaugeVec
	waiting *prometheus.GaugeVec
}

var laneLabels = []string{"pipeline", "job", "connection", "partition"}

// buckets reach from a millisecond to half a minute.
var buckets = []float64{.001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 10, 30}

// NewMetrics makes the collectors and registers them.
func NewMetrics(r prometheus.Registerer) (*Metrics, error) {
	gauge := func(name, help string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "slipstream_capture_" + name, Help: help}, laneLabels)
	}
	histogram := func(name, help string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "slipstream_capture_" + name, Help: help, Buckets: buckets,
		}, laneLabels)
	}
	m := &Metrics{
		changes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "slipstream_capture_changes_total",
			Help: "Changes by what became of them: settled, filtered, rejected, inserted, updated, deleted, skipped, expired_unread.",
		}, append(append([]string(nil), laneLabels...), "result")),
		commit:  histogram("commit_seconds", "Time the target took for a batch, from the first statement to the end of COMMIT."),
		latency: histogram("latency_seconds", "Time from a change's recording to its commit; a sample of each batch."),
		lag:     gauge("lag_seconds", "Age of the oldest entry that is not settled."),
		backlog: gauge("backlog_entries", "Entries of the change stream that the lane has not settled."),
		bytes:   gauge("in_flight_bytes", "Bytes of batches sent and not settled."),
		waiting: gauge("waiting", "1 while the lane waits for its target, a stage or Redis."),
	}
	for _, c := range []prometheus.Collector{m.changes, m.commit, m.latency, m.lag, m.backlog, m.bytes, m.waiting} {
		if err := r.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// instruments are the collectors of one lane.
type instruments struct {
	m       *Metrics
	labels  prometheus.Labels
	commit  prometheus.Observer
	latency prometheus.Observer
}

func (m *Metrics) of(lane *flowv1.Lane) instruments {
	labels := prometheus.Labels{
		"pipeline": lane.GetPipeline(), "job": lane.GetJob(), "connection": lane.GetConnection(),
		"partition": strconv.FormatUint(uint64(lane.GetPartition()), 10),
	}
	return instruments{m: m, labels: labels, commit: m.commit.With(labels), latency: m.latency.With(labels)}
}

// count adds to the changes of a result.
func (i *instruments) count(result string, n uint64) {
	if n == 0 {
		return
	}
	labels := prometheus.Labels{"result": result}
	for k, v := range i.labels {
		labels[k] = v
	}
	i.m.changes.With(labels).Add(float64(n))
}

// settled books a settled batch and what its reading came to.
func (i *instruments) settled(s *flowv1.Settled, done []flight) {
	c := s.GetCounts()
	trace := ""
	if n := len(done); n > 0 {
		trace = done[n-1].trace
	}
	observe(i.commit, float64(s.GetCommitNs())/1e9, trace)
	i.count("settled", c.GetChanges())
	i.count("filtered", c.GetFiltered())
	i.count("inserted", c.GetInserted())
	i.count("updated", c.GetUpdated())
	i.count("deleted", c.GetDeleted())
	rejected := c.GetRejected()
	for _, f := range done {
		rejected += uint64(f.own)
		i.count("skipped", uint64(f.skipped))
		i.count("expired_unread", uint64(f.unread))
	}
	i.count("rejected", rejected)
}

// observe books a value, and of a batch that is traced the trace that it is from.
func observe(o prometheus.Observer, value float64, trace string) {
	if e, ok := o.(prometheus.ExemplarObserver); ok && trace != "" {
		e.ObserveWithExemplar(value, prometheus.Labels{flow.ExemplarLabel: trace})
		return
	}
	o.Observe(value)
}

// Observe sets the gauges of the lane; backlog is what the streams say.
func (l *Lane) Observe(backlog uint64) {
	s := l.Status()
	l.m.m.lag.With(l.m.labels).Set(l.Lag().Seconds())
	l.m.m.backlog.With(l.m.labels).Set(float64(backlog))
	l.m.m.bytes.With(l.m.labels).Set(float64(s.InFlightBytes))
	waits := 0.0
	if s.Fault != nil {
		waits = 1
	}
	l.m.m.waiting.With(l.m.labels).Set(waits)
}

// forget removes the gauges of a lane that ended: another instance may show them now.
func (i *instruments) forget() {
	for _, g := range []*prometheus.GaugeVec{i.m.lag, i.m.backlog, i.m.bytes, i.m.waiting} {
		g.Delete(i.labels)
	}
}
