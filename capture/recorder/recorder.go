// Package recorder writes down what changes in the source: one entry a change in the change stream of every job that the
// key belongs to (design D1–D3).
//
// A Recorder stands for a capture method. The method here is Notifications: keyspace events of the server. It can miss
// changes while it is not connected, so every connect is a gap, recorded before the first entry that follows it and
// repaired by a sweep (guarantee: repaired). Another method can stand in its place; nothing outside this package knows
// the difference but by Status.
//
// The words:
//
//   - Plan: what is recorded: the jobs of a generation, their patterns, their partitions.
//   - session: the time between a connect and the loss of the connection.
//   - attach: the moment from which the streams of a plan are complete. It lies in the stream of events: what the server
//     sends after it has confirmed the subscription is recorded, what came before is not. Only then does a new header
//     say `since`, or an old one get its gap; only then may a sweep begin (design D10).
//   - beat: a PING on the subscription. Its answer proves that everything sent before it has been received, and becomes
//     the last sign of life: the beginning of the next gap.
//   - lease: the key that makes one instance of all the recorder. Every transaction that records is guarded by WATCH on
//     it, so that an instance that was paused and wakes writes nothing.
//
// Promises: memory is bounded; when it is full the recorder stops reading, and if the server then cuts the subscription
// off, that is a gap like any other (G8, G1). An entry is written once: after a broken connection the recorder looks
// whether the transaction took place before it repeats it. Our own keys are never recorded, whatever the pattern.
//
// What keyspace events cannot tell: which of HSET, HMSET and HSETNX was used, nor UNLINK from DEL (spec 1.4); that a
// …STORE command replaced a hash, unless the operator has turned on the classes s, z and l; that a database was flushed
// (that is found in the server's statistics, becomes a gap and stops the jobs that do not ignore it; rows stay, G7).
//
// For jobs with values: each the recorder reads the values of a transaction's keys, in one round trip before it, and
// records them with the changes (D1). Where it cannot, the changes are recorded all the same and the lanes read the values.
package recorder

import (
	"context"

	"slipstream/capture/gap"
	capturev1 "slipstream/proto/slipstream/capture/v1"
)

// Recorder records changes by one capture method.
type Recorder interface {
	// Run records until ctx ends, then writes what it has received, gives the lease back and returns nil. Whatever goes
	// wrong on the way is waited out and shown in Status; an error is returned only for what waiting cannot mend. Run is
	// called once.
	Run(ctx context.Context) error
	// Configure sets what is recorded, before or while Run runs. The last plan counts.
	Configure(*Plan)
	// Status tells method, guarantee and state; safe at any time.
	Status() *capturev1.RecorderStatus
}

// Gaps is where a recorder reports what it may have missed; *gap.Book is one.
type Gaps interface {
	Open(ctx context.Context, g gap.Gap) (string, error)
}
