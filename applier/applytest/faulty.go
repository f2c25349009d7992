package applytest

import (
	"context"
	"errors"
	"sync/atomic"

	"slipstream/applier"
	"slipstream/proto/fault"
	changev1 "slipstream/proto/slipstream/change/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// faulty is a dialect around the real one, where a case can put trouble between the engine and the database. Each hook
// is called before the call it is named for, or after; nil hooks do nothing.
type faulty struct {
	applier.Dialect
	opens, begins, commits atomic.Int32

	beforeOpen   func(n int32) error // n counts openings of lanes from 1
	beforeBegin  func(n int32) error // n counts transactions from 1
	beforeWrite  func(n int32) error // n counts writes from 1
	beforeCommit func(n int32) error // n counts commits from 1
	afterCommit  func(n int32) error
	onRollback   func() // after a rollback

	writes atomic.Int32
}

// lost is the fault of a connection that broke.
func lost() error {
	return fault.New(flowv1.FaultClass_FAULT_CLASS_CONNECTION, errors.New("the suite cut the connection"))
}

// once makes a hook that fails the first time.
func once() func(int32) error {
	return func(n int32) error {
		if n == 1 {
			return lost()
		}
		return nil
	}
}

func (d *faulty) Connect(ctx context.Context, c *pipelinev1.Connection, s *pipelinev1.Settings) (applier.Target, error) {
	t, err := d.Dialect.Connect(ctx, c, s)
	return &faultyTarget{t, d}, err
}

type faultyTarget struct {
	applier.Target
	d *faulty
}

func (t *faultyTarget) OpenLane(ctx context.Context, lane *flowv1.Lane, owner string) (applier.Session, *flowv1.Opened, error) {
	n := t.d.opens.Add(1)
	if t.d.beforeOpen != nil {
		if err := t.d.beforeOpen(n); err != nil {
			return nil, nil, err
		}
	}
	s, o, err := t.Target.OpenLane(ctx, lane, owner)
	if err != nil {
		return nil, nil, err
	}
	return &faultySession{s, t.d}, o, nil
}

type faultySession struct {
	applier.Session
	d *faulty
}

func (s *faultySession) Begin(ctx context.Context, prev, next *changev1.Position, state *changev1.LaneState) (applier.Txn, error) {
	n := s.d.begins.Add(1)
	if s.d.beforeBegin != nil {
		if err := s.d.beforeBegin(n); err != nil {
			return nil, err
		}
	}
	t, err := s.Session.Begin(ctx, prev, next, state)
	if err != nil {
		return nil, err
	}
	return &faultyTxn{t, s.d}, nil
}

type faultyTxn struct {
	applier.Txn
	d *faulty
}

func (t *faultyTxn) Write(ctx context.Context, w *applier.Write) error {
	n := t.d.writes.Add(1)
	if t.d.beforeWrite != nil {
		if err := t.d.beforeWrite(n); err != nil {
			return err
		}
	}
	return t.Txn.Write(ctx, w)
}

func (t *faultyTxn) Commit(ctx context.Context) error {
	n := t.d.commits.Add(1)
	if t.d.beforeCommit != nil {
		if err := t.d.beforeCommit(n); err != nil {
			return err
		}
	}
	if err := t.Txn.Commit(ctx); err != nil {
		return err
	}
	if t.d.afterCommit != nil {
		return t.d.afterCommit(n)
	}
	return nil
}

func (t *faultyTxn) Rollback() error {
	err := t.Txn.Rollback()
	if t.d.onRollback != nil {
		t.d.onRollback()
	}
	return err
}
