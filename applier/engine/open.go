package engine

import (
	"context"
	"time"

	"slipstream/applier"
	"slipstream/proto/fault"
	applierv1 "slipstream/proto/slipstream/applier/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// openTarget connects and takes the fence, however long that takes (G6).
func (l *lane) openTarget(ctx context.Context) (*flowv1.Opened, error) {
	for {
		opened, err := l.tryOpen(ctx)
		if err == nil {
			return opened, nil
		}
		l.closeTarget()
		if ctx.Err() != nil || fault.Class(err) == flowv1.FaultClass_FAULT_CLASS_FENCED {
			return nil, err
		}
		if err := l.wait.next(ctx, err); err != nil {
			return nil, err
		}
	}
}

func (l *lane) tryOpen(ctx context.Context) (*flowv1.Opened, error) {
	var err error
	if l.lease, err = l.engine.targets.acquire(ctx, l.open.Connection, l.open.Settings); err != nil {
		return nil, err
	}
	var opened *flowv1.Opened
	if l.session, opened, err = l.lease.target.OpenLane(ctx, l.open.Lane, l.open.Owner); err != nil {
		return nil, err
	}
	opened.Dialect = l.engine.dialect.Name()
	l.epoch = opened.Epoch
	if l.keepsIndex() {
		if err = l.session.OpenIndex(ctx); err != nil {
			return nil, err
		}
	}
	if opened.State == nil && l.open.Job.GetSource().GetInitialLoad() == pipelinev1.InitialLoad_INITIAL_LOAD_IF_EMPTY {
		opened.Empty, err = l.empty(ctx)
	}
	return opened, err
}

// empty says whether every table that the lane writes to has no rows (spec 3.4, initial_load: if_empty).
func (l *lane) empty(ctx context.Context) (bool, error) {
	for _, o := range l.open.Job.Outputs {
		if o.GetRelational() == nil || o.Connection != l.connection {
			continue
		}
		if empty, err := l.lease.target.Empty(ctx, o); err != nil || !empty {
			return false, err
		}
	}
	return true, nil
}

// reopen opens the lane again after a connection was lost, and tells whether batch had been committed: the position
// found is then the batch's own (design D4). An epoch that somebody else raised, or any other position, means that the
// lane is not ours any more. The catalogue is read again as well.
func (l *lane) reopen(ctx context.Context, batch *applierv1.RowBatch) (committed bool, err error) {
	before := l.epoch
	l.closeTarget()
	l.unbind()
	opened, err := l.openTarget(ctx)
	if err != nil {
		return false, err
	}
	if opened.Epoch != before+1 {
		return false, fenced("the lane's epoch is %d after %d: another owner opened it", opened.Epoch, before)
	}
	switch {
	case applier.SamePosition(opened.Position, l.position):
		return false, nil
	case applier.SamePosition(opened.Position, batch.Position):
		return true, nil
	}
	return false, fenced("the position in the target is %s, not %s: somebody else moved it",
		applier.FormatID(opened.Position.GetMain()), applier.FormatID(l.position.GetMain()))
}

// conflictPause is the pause after the n-th conflict in a row: short, since the other side is done soon.
func conflictPause(n int) time.Duration {
	return min(time.Duration(n)*5*time.Millisecond, 250*time.Millisecond)
}
