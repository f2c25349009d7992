package rdimetrics

import (
	"github.com/prometheus/client_golang/prometheus"

	capturev1 "slipstream/proto/slipstream/capture/v1"
)

// timed is a time that RDI's processor tells in two metrics: of all batches, and of the last.
type timed struct {
	total, last *prometheus.Desc
	ns          func(*capturev1.Work) uint64
}

func newTimed(name, of string, ns func(*capturev1.Work) uint64) timed {
	return timed{
		desc("rdi_processor_"+name+"_time_ms_total", "Milliseconds spent "+of+", of all batches and lanes."),
		desc("rdi_processor_"+name+"_time_ms_last", "Milliseconds spent "+of+", of the batch settled last."), ns,
	}
}

// spent are the times of spec 8.2. As in RDI, processing is transforming and writing, and the total is reading, processing
// and acknowledging: times worked, not waited.
var spent = []timed{
	newTimed("read", "reading entries and the values of their keys", (*capturev1.Work).GetReadNs),
	newTimed("transform", "turning changes into rows", (*capturev1.Work).GetTransformNs),
	newTimed("write", "writing to the target, from the first statement to the end of COMMIT", (*capturev1.Work).GetWriteNs),
	newTimed("process", "transforming and writing", processNs),
	newTimed("ack", "publishing the positions reached", (*capturev1.Work).GetAcknowledgeNs),
	newTimed("total", "reading, processing and acknowledging", totalNs),
}

func processNs(w *capturev1.Work) uint64 { return w.GetTransformNs() + w.GetWriteNs() }

func totalNs(w *capturev1.Work) uint64 { return w.GetReadNs() + processNs(w) + w.GetAcknowledgeNs() }

// TotalWork adds the work of a pipeline's jobs up, and finds the batch settled last.
func TotalWork(st *capturev1.PipelineStatus) (all, last *capturev1.Work) {
	all, last = &capturev1.Work{}, &capturev1.Work{}
	latest := int64(-1)
	for _, j := range st.GetJobs() {
		w := j.GetWork()
		all.Batches += w.GetBatches()
		all.Changes += w.GetChanges()
		all.ReadNs += w.GetReadNs()
		all.TransformNs += w.GetTransformNs()
		all.WriteNs += w.GetWriteNs()
		all.AcknowledgeNs += w.GetAcknowledgeNs()
		if j.GetLastBatch().GetBatches() > 0 && j.GetLastArrivalMs() > latest {
			latest, last = j.GetLastArrivalMs(), j.GetLastBatch()
		}
	}
	return all, last
}

// tellWork sends the metrics of RDI's processor (spec 8.2).
func tellWork(ch chan<- prometheus.Metric, st *capturev1.PipelineStatus) {
	send := func(d *prometheus.Desc, kind prometheus.ValueType, v float64) {
		ch <- prometheus.MustNewConstMetric(d, kind, v)
	}
	all, last := TotalWork(st)
	send(batches, prometheus.CounterValue, float64(all.GetBatches()))
	send(batchSize, prometheus.CounterValue, float64(all.GetChanges()))
	send(lastSize, prometheus.GaugeValue, float64(last.GetChanges()))
	for _, s := range spent {
		send(s.total, prometheus.CounterValue, float64(s.ns(all))/1e6)
		send(s.last, prometheus.GaugeValue, float64(s.ns(last))/1e6)
	}
	send(speed, prometheus.GaugeValue, perSecond(all))
	send(lastSpeed, prometheus.GaugeValue, perSecond(last))
}

// perSecond is how many changes a second of work takes; 0 where nothing was done.
func perSecond(w *capturev1.Work) float64 {
	ns := totalNs(w)
	if ns == 0 {
		return 0
	}
	return float64(w.GetChanges()) * 1e9 / float64(ns)
}
