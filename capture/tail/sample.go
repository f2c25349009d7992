package tail

import (
	"context"

	"slipstream/capture/stream"
	changev1 "slipstream/proto/slipstream/change/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// ReadKeys reads the values of keys as a sweep's changes, in one batch: as many as fit into bytes, at least one. Keys that
// are gone, or that the job does not take, are left out. At is when, Unix milliseconds.
func ReadKeys(ctx context.Context, values *Pool, source *pipelinev1.Source, db uint32, keys [][]byte, bytes int, at int64) (*changev1.Batch, error) {
	t := New(Options{Source: source, Database: db, Values: values, Entries: len(keys), Bytes: bytes})
	for i, key := range keys {
		t.pending = append(t.pending, stream.Entry{
			ID: stream.ID{Ms: uint64(at), Seq: uint64(i)}, Side: true, Key: key, Op: stream.OpRead, Command: "scan", Ms: at,
		})
	}
	read, err := t.Batch(ctx)
	if err != nil || read == nil {
		return &changev1.Batch{}, err
	}
	return read.Batch, nil
}
