package stream

import (
	"slices"

	"slipstream/proto/keyspace"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// Stream names a change stream: one partition of a job, or the stream that an application writes itself.
type Stream struct {
	Job       string
	Partition int
	Count     int // partitions of the layout
	Main      string
	Side      string
	Header    string
	// Foreign says that an application writes the main stream: we read it and never trim it.
	Foreign bool
}

// Recorded is a partition of the stream that the recorder writes for a job (design D2).
func Recorded(pipeline, job string, partition, count int) Stream {
	main := keyspace.Stream(pipeline, partition, count, job)
	return Stream{
		Job: job, Partition: partition, Count: count,
		Main: main, Side: keyspace.Side(main), Header: keyspace.Header(main),
	}
}

// Written is the stream that an application writes for a job. It has one partition: its order is the application's.
// Side stream and header are ours, and have names of ours.
func Written(pipeline, job, key string) Stream {
	s := Recorded(pipeline, job, 0, 1)
	s.Main, s.Foreign = key, true
	return s
}

// OfJob returns the streams of a job, one for each partition.
func OfJob(pipeline string, job *pipelinev1.Job, partitions int) []Stream {
	if key := job.GetSource().GetStream(); key != "" {
		return []Stream{Written(pipeline, job.GetName(), key)}
	}
	streams := make([]Stream, max(partitions, 1))
	for i := range streams {
		streams[i] = Recorded(pipeline, job.GetName(), i, len(streams))
	}
	return streams
}

// Connections returns the names of the connections a job writes to, sorted: one lane a partition for each.
func Connections(job *pipelinev1.Job) []string {
	var names []string
	for _, o := range job.GetOutputs() {
		names = append(names, o.GetConnection())
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Group is the consumer group by which the lanes of a connection publish their position (design D4).
func Group(connection string) string { return "slipstream:" + connection }
