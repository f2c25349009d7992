package rdimetrics

import (
	"github.com/prometheus/client_golang/prometheus"

	capturev1 "slipstream/proto/slipstream/capture/v1"
	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
)

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

// The metrics of spec 8.1 and 8.2, and ours.
var (
	state = desc("rdi_engine_state", "1 while the pipeline runs, 0 while it is stopped or its state cannot be read.",
		"state", "status", "sync_mode")
	incoming = desc("rdi_incoming_entries", "Changes of a job since its totals began, by what became of them; pending: not settled yet.",
		"data_source", "job", "operation")
	latency = desc("rdi_stream_event_latency_ms", "Age in milliseconds of the oldest change of a job that is not settled; 0 when there is none.",
		"data_source", "job")
	seedIncoming = desc("rdi_metrics_incoming_entries", "rdi_incoming_entries under its quickstart name.", "data_source", "job", "operation")
	seedSize     = desc("rdi_metrics_stream_size", "Entries of a job's change stream that are not settled.", "data_source", "job")
	seedLatency  = desc("rdi_metrics_stream_last_latency_ms", "rdi_stream_event_latency_ms under its quickstart name.", "data_source", "job")

	version   = desc("rdi_version_info", "Version of the services; the value is always 1.", "cli", "engine")
	elapsed   = desc("monitor_time_elapsed_total", "Seconds since these metrics are served.")
	received  = desc("incoming_records_total", "Changes read, settled or not.")
	processed = desc("processed_records_total", "Changes that were written.")
	rejected  = desc("rejected_records_total", "Records that were rejected, once an output.")
	filtered  = desc("filtered_records_total", "Changes that a filter dropped.")

	batches   = desc("rdi_processed_batches_total", "Batches settled.")
	batchSize = desc("rdi_processor_batch_size_total", "Changes in the batches settled.")
	lastSize  = desc("rdi_processor_batch_size_last", "Changes in the batch settled last.")
	speed     = desc("rdi_processor_rec_per_sec_total", "Changes for each second of rdi_processor_total_time_ms_total.")
	lastSpeed = desc("rdi_processor_rec_per_sec_last", "Changes for each second of rdi_processor_total_time_ms_last.")

	connected  = desc("rdi_target_connected", "1 while a connection answers.", "connection", "type")
	skipped    = desc("rdi_skipped_entries", "Changes that were not written because of what was at their key.", "data_source", "job", "reason")
	gaps       = desc("rdi_capture_gap_total", "Gaps recorded since the change streams began.")
	open       = desc("rdi_capture_gaps_open", "Gaps that are not repaired yet.")
	letters    = desc("rdi_dlq_size", "Dead letters stored now.", "data_source", "job")
	guarantee  = desc("rdi_capture_guarantee", "1 for the capture method and guarantee in force.", "method", "guarantee")
	readErrors = desc("slipstream_status_read_errors_total", "Scrapes for which the state of the pipeline could not be read.")
)

func all(compat bool) []*prometheus.Desc {
	d := []*prometheus.Desc{
		state, incoming, latency, version, elapsed, received, processed, rejected, filtered, connected, skipped, gaps, open, letters,
		guarantee, readErrors, batches, batchSize, lastSize, speed, lastSpeed,
	}
	for _, s := range spent {
		d = append(d, s.total, s.last)
	}
	if compat {
		d = append(d, seedIncoming, seedSize, seedLatency)
	}
	return d
}

// tell sends the metrics of a status; nil where it could not be read.
func tell(ch chan<- prometheus.Metric, res *gatewayv1.StatusResponse, compat bool) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	count := func(d *prometheus.Desc, v uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	st := res.GetStatus()
	word := "STOPPED"
	if st.GetRunning() {
		word = "RUNNING"
	}
	gauge(state, truth(st.GetRunning()), word, word, SyncMode(st))
	if res == nil {
		return
	}
	gauge(version, 1, res.GetVersion(), res.GetVersion())
	for _, c := range res.GetConnections() {
		gauge(connected, truth(c.GetStatus() == "connected"), c.GetName(), c.GetType())
	}
	r := st.GetRecorder()
	count(gaps, r.GetGaps())
	unrepaired := 0
	for _, g := range st.GetGaps() {
		if g.GetRepairedMs() == 0 {
			unrepaired++
		}
	}
	gauge(open, float64(unrepaired))
	gauge(guarantee, 1, methods[r.GetMethod()], guarantees[r.GetGuarantee()])

	var changes, written, refused, dropped uint64
	for _, j := range st.GetJobs() {
		from, job, n := source(st.GetPipeline(), j.GetJob()), j.GetJob(), j.GetCounts()
		for _, o := range []struct {
			operation string
			value     uint64
		}{
			{"pending", j.GetBacklog()},
			{"inserted", n.GetInserted()},
			{"updated", n.GetUpdated()},
			{"deleted", n.GetDeleted()},
			{"filtered", n.GetFiltered()},
			{"rejected", n.GetRejected()},
		} {
			gauge(incoming, float64(o.value), from, job, o.operation)
			if compat {
				gauge(seedIncoming, float64(o.value), from, job, o.operation)
			}
		}
		gauge(latency, float64(max(0, j.GetLagMs())), from, job)
		if compat {
			gauge(seedSize, float64(j.GetBacklog()), from, job)
			gauge(seedLatency, float64(max(0, j.GetLagMs())), from, job)
		}
		gauge(letters, float64(j.GetDeadLetters()), from, job)
		count(skipped, j.GetSkipped(), from, job, "type")
		count(skipped, j.GetExpiredUnread(), from, job, "expired")
		changes += n.GetChanges() + j.GetBacklog()
		written += n.GetInserted() + n.GetUpdated() + n.GetDeleted()
		refused += n.GetRejected()
		dropped += n.GetFiltered()
	}
	count(received, changes)
	count(processed, written)
	count(rejected, refused)
	count(filtered, dropped)
	tellWork(ch, st)
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// methods and guarantees are the words of status (G9).
var (
	methods = map[capturev1.CaptureMethod]string{
		capturev1.CaptureMethod_CAPTURE_METHOD_UNSPECIFIED:   "unknown",
		capturev1.CaptureMethod_CAPTURE_METHOD_REPLICATION:   "replication",
		capturev1.CaptureMethod_CAPTURE_METHOD_NOTIFICATIONS: "notifications",
		capturev1.CaptureMethod_CAPTURE_METHOD_STREAM:        "stream",
	}
	guarantees = map[capturev1.Guarantee]string{
		capturev1.Guarantee_GUARANTEE_UNSPECIFIED: "unknown",
		capturev1.Guarantee_GUARANTEE_LOSSLESS:    "lossless",
		capturev1.Guarantee_GUARANTEE_REPAIRED:    "repaired",
	}
)
