package lane

import (
	"time"

	"slipstream/capture/tail"
	capturev1 "slipstream/proto/slipstream/capture/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
)

// LastBatch is what the names of fields begin with that tell of the batch settled last; without it they are totals.
const LastBatch = "last_batch_"

// workField is a member of Work under its name in the hash keyspace.Counts.
type workField struct {
	name  string
	value *uint64
}

func workFields(w *capturev1.Work) []workField {
	return []workField{
		{"batches", &w.Batches},
		{"batch_changes", &w.Changes},
		{"read_ns", &w.ReadNs},
		{"transform_ns", &w.TransformNs},
		{"write_ns", &w.WriteNs},
		{"acknowledge_ns", &w.AcknowledgeNs},
	}
}

// WorkOf reads what a job's lanes counted of their work; prefix is LastBatch, or nothing for the totals.
func WorkOf(prefix string, number func(field string) uint64) *capturev1.Work {
	w := &capturev1.Work{}
	for _, f := range workFields(w) {
		*f.value = number(prefix + f.name)
	}
	return w
}

// addWork sums work up.
func addWork(to, w *capturev1.Work) {
	sums := workFields(to)
	for i, f := range workFields(w) {
		*sums[i].value += *f.value
	}
}

// departing is a batch as it is sent.
type departing struct {
	*tail.Read
	trace string        // its trace, where that is kept
	took  time.Duration // reading it
}

// workOf is the work on the flights that a settlement ends; nil where they had no entries.
func workOf(s *flowv1.Settled, done []flight) *capturev1.Work {
	w := &capturev1.Work{
		Changes: s.GetCounts().GetChanges(), TransformNs: nanoseconds(time.Duration(s.GetTransformNs())),
		WriteNs: nanoseconds(time.Duration(s.GetCommitNs())),
	}
	for _, f := range done {
		if f.main+f.side > 0 {
			w.Batches++
			w.ReadNs += nanoseconds(f.took)
		}
	}
	if w.Batches == 0 {
		return nil
	}
	return w
}

func nanoseconds(d time.Duration) uint64 { return uint64(max(0, d)) }
