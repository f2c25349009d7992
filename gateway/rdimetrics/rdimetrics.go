// Package rdimetrics gives the state of a pipeline as metrics with the names and labels that users of RDI have on their
// dashboards and in their alerts (spec 8), and the few of ours that belong beside them. What a process knows of itself
// (commit times, bytes under way) is on that process's own /metrics; here is what the whole pipeline says, as status does.
//
// A data source is the change stream of a job, one name for all its partitions; the label job has the job's name.
package rdimetrics

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"slipstream/proto/keyspace"
	capturev1 "slipstream/proto/slipstream/capture/v1"
	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
)

// Config says where the numbers come from.
type Config struct {
	// Read asks for the state of the pipeline.
	Read func(context.Context) (*gatewayv1.StatusResponse, error)
	// Interval is how long an answer serves; scrapes in between get the same. Default 5 s (spec 7, --collect-interval).
	Interval time.Duration
	// Timeout bounds one reading. Default 5 s.
	Timeout time.Duration
	// Compat also exports the names of the RDI quickstart, rdi_metrics_* (A14).
	Compat bool
	// Now is the clock. Default time.Now.
	Now func() time.Time
}

// Collector is a prometheus.Collector over the state of a pipeline. While the state cannot be read there are no metrics
// but rdi_engine_state, which is 0, and slipstream_status_read_errors_total, which counts.
type Collector struct {
	config Config

	mu      sync.Mutex
	read    time.Time // when last was read; zero: never
	last    *gatewayv1.StatusResponse
	started time.Time
	errors  float64
}

// New makes a collector.
func New(c Config) *Collector {
	if c.Interval == 0 {
		c.Interval = 5 * time.Second
	}
	if c.Timeout == 0 {
		c.Timeout = 5 * time.Second
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Collector{config: c, started: c.Now()}
}

// Describe tells every metric.
func (c *Collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range all(c.config.Compat) {
		ch <- d
	}
}

// Collect reads the state, unless the last reading is young enough, and tells it.
func (c *Collector) Collect(ch chan<- prometheus.Metric) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := c.config.Now(); c.read.IsZero() || now.Sub(c.read) >= c.config.Interval {
		ctx, cancel := context.WithTimeout(context.Background(), c.config.Timeout)
		res, err := c.config.Read(ctx)
		cancel()
		c.last, c.read = res, now
		if err != nil {
			c.last, c.errors = nil, c.errors+1
		}
	}
	ch <- prometheus.MustNewConstMetric(readErrors, prometheus.CounterValue, c.errors)
	ch <- prometheus.MustNewConstMetric(elapsed, prometheus.CounterValue, c.config.Now().Sub(c.started).Seconds())
	tell(ch, c.last, c.config.Compat)
}

// SyncMode is SNAPSHOT while an initial load runs, STREAMING otherwise; UNKNOWN where nobody knows (spec 8.1).
func SyncMode(st *capturev1.PipelineStatus) string {
	if st.GetRecorder() == nil {
		return "UNKNOWN"
	}
	for _, s := range st.GetSweeps() {
		if s.GetCause() == "initial_load" && s.GetSettledMs() == 0 {
			return "SNAPSHOT"
		}
	}
	return "STREAMING"
}

// source is the name of a job's change stream without its partitions.
func source(pipeline, job string) string {
	return strings.TrimPrefix(keyspace.DeadLetters(pipeline, job), "dlq:")
}
