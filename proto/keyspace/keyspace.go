// Package keyspace names every key that Slipstream keeps in Redis. Gateway and capture agree on them here; nothing else
// in the project spells a key.
//
// All names begin with "slipstream:", dead-letter streams with "dlq:slipstream:" (spec 9.4). The part in braces is a
// cluster hash tag: what one transaction touches has one tag (design D2). Keys named here are never captured (spec 3.5).
package keyspace

import (
	"bytes"
	"strconv"
)

// DefaultPipeline is the name of a pipeline that was given none.
const DefaultPipeline = "default"

// Fields of the hash Pipeline.
const (
	// FieldGeneration is the generation deployed last, decimal.
	FieldGeneration = "generation"
	// FieldRunning is "1" when lanes shall run, "0" when the pipeline is stopped.
	FieldRunning = "running"
	// FieldSpec is the current pipeline.v1.Pipeline in binary form.
	FieldSpec = "spec"
)

// Fields of the hash Header.
const (
	// FieldIncarnation is the random id of a change stream; it changes when the stream had to begin anew.
	FieldIncarnation = "incarnation"
	// FieldSince is the ID from which the stream is complete.
	FieldSince = "since"
	// FieldTrimmedTo is the highest ID that was trimmed away.
	FieldTrimmedTo = "trimmed_to"
	// FieldLast is the last ID recorded.
	FieldLast = "last"
)

// Pipelines is the set of pipeline names.
func Pipelines() string { return "slipstream:pipelines" }

// Source is the random id of the source installation; set once (design D4).
func Source() string { return "slipstream:source" }

func tagged(pipeline, what string) string { return "slipstream:{" + pipeline + "}:" + what }

// Pipeline is the hash that holds the current generation; see the Field constants.
func Pipeline(pipeline string) string { return tagged(pipeline, "pipeline") }

// Generation is the pipeline.v1.Pipeline of generation n, binary.
func Generation(pipeline string, n uint64) string {
	return tagged(pipeline, "generation:"+strconv.FormatUint(n, 10))
}

// Stale is the hash of the jobs that need a resync: job to pipeline.v1.StaleJob, binary. The gateway writes it with the
// generation, capture takes out what a sweep has brought in line.
func Stale(pipeline string) string { return tagged(pipeline, "stale") }

// Stream is the main change stream of a job's partition; count is part of the name, so a new layout is new streams.
func Stream(pipeline string, partition, count int, job string) string {
	return "slipstream:{" + pipeline + ":" + strconv.Itoa(partition) + "of" + strconv.Itoa(count) + "}:" + job
}

// Side is the side stream of a main stream: entries of sweeps and replay.
func Side(stream string) string { return stream + ":r" }

// Header is the header hash of a main stream.
func Header(stream string) string { return stream + ":header" }

// DeadLetters is the dead-letter stream of a job (spec 9.4).
func DeadLetters(pipeline, job string) string { return "dlq:" + tagged(pipeline, job) }

// Lease is the lease on something only one instance may do: "recorder", or a lane.
func Lease(pipeline, what string) string { return tagged(pipeline, "lease:"+what) }

// Instances is the sorted set of capture instances by heartbeat, Unix milliseconds.
func Instances(pipeline string) string { return tagged(pipeline, "instances") }

// Counts is the hash of a job's totals; it survives restarts.
func Counts(pipeline, job string) string { return tagged(pipeline, "counts:"+job) }

// Gaps is the hash of gaps by id.
func Gaps(pipeline string) string { return tagged(pipeline, "gaps") }

// Sweeps is the hash of sweeps by id.
func Sweeps(pipeline string) string { return tagged(pipeline, "sweeps") }

// Recorder is the hash in which the recorder leaves what its successor must know, its last sign of life among it.
func Recorder(pipeline string) string { return tagged(pipeline, "recorder") }

var (
	ours        = []byte("slipstream:")
	deadLetters = []byte("dlq:slipstream:")
)

// Internal says whether a key is one of ours: such keys never match a job's pattern (spec 3.5).
func Internal(key []byte) bool {
	return bytes.HasPrefix(key, ours) || bytes.HasPrefix(key, deadLetters)
}

// Partition is the partition of a key: CRC-16/XMODEM, the checksum of Redis Cluster, modulo count
// (https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/, Appendix A). count must be positive.
func Partition(key []byte, count int) int {
	var crc uint16
	for _, b := range key {
		crc = crc<<8 ^ table[byte(crc>>8)^b]
	}
	return int(crc) % count
}

var table = func() (t [256]uint16) {
	const poly = 0x1021
	for i := range t {
		crc := uint16(i) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ poly
			} else {
				crc <<= 1
			}
		}
		t[i] = crc
	}
	return t
}()
