package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"slipstream/applier"
	"slipstream/proto/fault"
	"slipstream/proto/flow"
	applierv1 "slipstream/proto/slipstream/applier/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// images answers a question for before images. Its turn comes after all batches before it have committed, so the
// answer holds what they wrote. A target that is away is waited for, as for a batch.
func (l *lane) images(ctx context.Context, r *applierv1.BeforeRequest) error {
	o, err := l.output(r.Output)
	if err != nil {
		return err
	}
	if !o.GetRelational().GetRowIndex() {
		return fmt.Errorf("%w: output %d keeps no row index", flow.ErrProtocol, r.Output)
	}
	for {
		images, err := l.session.Images(ctx, l.indexName(r.Output), r.Keys)
		if err == nil {
			l.wait.over()
			return l.recv.Before(&applierv1.BeforeResponse{Id: r.Id, Images: images})
		}
		if ctx.Err() != nil || fault.Class(err) == flowv1.FaultClass_FAULT_CLASS_FENCED {
			return err
		}
		if err := l.wait.next(ctx, err); err != nil {
			return err
		}
		if _, err := l.reopen(ctx, &applierv1.RowBatch{Position: l.position}); err != nil {
			return err
		}
	}
}

// Images reads the before images of keys outside a lane, for a preview, in a transaction that is rolled back.
func (e *Engine) Images(ctx context.Context, r *applierv1.ImagesRequest) *applierv1.ImagesResponse {
	outputs := r.GetJob().GetOutputs()
	if int(r.GetOutput()) >= len(outputs) || !outputs[r.GetOutput()].GetRelational().GetRowIndex() {
		return &applierv1.ImagesResponse{Fault: fault.Proto(fmt.Errorf("%w: output %d keeps no row index", flow.ErrProtocol, r.GetOutput()))}
	}
	lease, err := e.targets.acquire(ctx, r.GetConnection(), r.GetSettings())
	if err != nil {
		return &applierv1.ImagesResponse{Fault: fault.Proto(err)}
	}
	defer e.release(ctx, lease)
	images, err := owned(ctx, lease.target, r)
	if err != nil {
		return &applierv1.ImagesResponse{Fault: fault.Proto(err)}
	}
	return &applierv1.ImagesResponse{Images: images}
}

func owned(ctx context.Context, t applier.Target, r *applierv1.ImagesRequest) (images [][]byte, err error) {
	x, err := t.Rehearse(ctx, r.GetLane())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, x.Rollback()) }()
	output, images := indexName(r.GetJob(), r.GetOutput()), make([][]byte, len(r.GetKeys()))
	entries, err := x.Owned(ctx, output, distinct(slices.Clone(r.GetKeys())), nil)
	if err != nil {
		return nil, fmt.Errorf("reading the row index: %w", err)
	}
	if len(entries) == 0 { // nothing was written yet, or the row index is not even there
		return images, nil
	}
	if images, err = x.Images(ctx, output, r.GetKeys()); err != nil {
		return nil, fmt.Errorf("reading the row index: %w", err)
	}
	return images, nil
}

// keepsIndex tells whether any output of the lane keeps a row index.
func (l *lane) keepsIndex() bool {
	for _, o := range l.open.Job.Outputs {
		if o.Connection == l.connection && o.GetRelational().GetRowIndex() {
			return true
		}
	}
	return false
}

// indexName names an output in the row index: by its table, so that outputs may be reordered, and by a number where
// several outputs of the job write to one table.
func (l *lane) indexName(output uint32) string { return indexName(l.open.Job, output) }

func indexName(job *pipelinev1.Job, output uint32) string {
	name := func(o *pipelinev1.Output) string {
		w := o.GetRelational()
		if w.GetSchema() == "" {
			return w.GetTable()
		}
		return w.GetSchema() + "." + w.GetTable()
	}
	self := job.Outputs[output]
	n := 1
	for _, o := range job.Outputs[:output] {
		if o.Connection == self.Connection && strings.EqualFold(name(o), name(self)) {
			n++
		}
	}
	if n == 1 {
		return name(self)
	}
	return name(self) + "#" + strconv.Itoa(n)
}
