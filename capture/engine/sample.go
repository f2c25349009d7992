package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"slipstream/capture/resp"
	"slipstream/capture/source"
	"slipstream/capture/sweep"
	"slipstream/capture/tail"
	capturev1 "slipstream/proto/slipstream/capture/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

const (
	defaultSample = 20
	mostSample    = 10_000
	// sampleBytes bounds an answer: it travels in one message.
	sampleBytes = 3 << 20
	// samplePatience bounds the search: a pattern that few keys match may take it through a whole database.
	samplePatience = 30 * time.Second
)

// ReadKeys reads live keys of a job as changes. The pipeline need not be deployed, and nothing is recorded.
func (e *Engine) ReadKeys(ctx context.Context, r *capturev1.ReadKeysRequest) (*capturev1.ReadKeysResponse, error) {
	var job *pipelinev1.Job
	for _, j := range r.GetPipeline().GetJobs() {
		if j.GetName() == r.GetJob() {
			job = j
		}
	}
	if job == nil {
		return nil, fmt.Errorf("job %q: %w", r.GetJob(), ErrUnknownJob)
	}
	src, err := configOf(r.GetPipeline(), sourceConnection)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRequest, err)
	}
	ctx, cancel := context.WithTimeout(ctx, samplePatience)
	defer cancel()
	return sample(ctx, src, job, r)
}

func sample(ctx context.Context, src *source.Config, job *pipelinev1.Job, r *capturev1.ReadKeysRequest) (_ *capturev1.ReadKeysResponse, err error) {
	rdb := src.Client()
	defer func() { err = errors.Join(err, rdb.Close()) }()
	facts, err := source.Probe(ctx, rdb)
	if err != nil {
		return nil, err
	}
	target := sweep.TargetOf(job, src)
	if target.Pattern == "" { // an application writes the stream, and its entries may be of any key
		target.Pattern = "*"
	}
	values := tail.NewPool(func(ctx context.Context) (*resp.Conn, error) { return src.DialDB(ctx, target.DB) }, 1)
	defer func() { err = errors.Join(err, values.Close()) }()
	most := defaultSample
	if n := r.GetMaxKeys(); n > 0 {
		most = int(min(n, mostSample))
	}
	out := &capturev1.ReadKeysResponse{}
	var keys [][]byte
	err = values.With(ctx, func(conn *resp.Conn) error {
		var err error
		keys, out.Scanned, err = sweep.Sample(ctx, conn, target, facts.JSON, r.GetPattern(), most)
		return err
	})
	if err != nil {
		return nil, err
	}
	out.Batch, err = tail.ReadKeys(ctx, values, job.GetSource(), uint32(target.DB), keys, sampleBytes, time.Now().UnixMilli())
	return out, err
}
