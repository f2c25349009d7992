package engine

import (
	"context"
	"errors"
	"time"

	"slipstream/applier"
	"slipstream/proto/fault"
	flowv1 "slipstream/proto/slipstream/flow/v1"
)

// errAgain says that the batch is to be written once more, as it is now known: without the records that were refused.
var errAgain = errors.New("once more")

// missing is a row that the target refuses because of another row: one that is not there, or still is.
type missing struct {
	step
	err error
}

// isolation writes a batch so that every row that can be written is, and the others are known.
type isolation struct {
	txn     applier.Txn
	out     refused
	bad     bool
	missing []missing
}

// writeIsolated writes the steps of a batch under savepoints, halving those that fail. Rows whose fault is REFERENCE are
// tried again in event order after all others, until no more of them pass; then unique values are swapped. If every row
// was written, the transaction may go on to commit.
func (l *lane) writeIsolated(ctx context.Context, txn applier.Txn, a *attempt) error {
	iso := &isolation{txn: txn, out: a.refused}
	for _, s := range a.steps {
		if err := iso.halve(ctx, s); err != nil {
			return err
		}
	}
	if err := iso.settleReferences(ctx); err != nil {
		return err
	}
	if err := iso.swap(ctx); err != nil {
		return err
	}
	if len(iso.missing) > 0 {
		first := iso.missing[0].err
		if l.reference.left(time.Now()) > 0 && !a.sent {
			return &awaited{first}
		}
		for _, m := range iso.missing {
			iso.refuse(m.step, m.err)
		}
	}
	if iso.bad {
		return errAgain
	}
	return nil
}

// awaited is a REFERENCE fault that may pass: the rows referred to may be under way in another lane.
type awaited struct{ error }

func (e *awaited) Unwrap() error { return e.error }

// halve writes a step; where it fails because of its rows, each half of it.
func (i *isolation) halve(ctx context.Context, s step) error {
	err := i.txn.Try(ctx, func() error { return i.txn.Write(ctx, s.write) })
	class := fault.Class(err)
	switch {
	case err == nil:
		return nil
	case class != flowv1.FaultClass_FAULT_CLASS_DATA && class != flowv1.FaultClass_FAULT_CLASS_REFERENCE:
		return err
	}
	n := len(s.write.Rows)
	switch {
	case n > 1:
		if err := i.halve(ctx, step{s.write.Slice(0, n/2), s.output}); err != nil {
			return err
		}
		return i.halve(ctx, step{s.write.Slice(n/2, n), s.output})
	case class == flowv1.FaultClass_FAULT_CLASS_DATA:
		i.refuse(s, err)
	default:
		i.missing = append(i.missing, missing{s, err})
	}
	return nil
}

// settleReferences tries what failed for want of other rows, in event order, as long as something passes.
func (i *isolation) settleReferences(ctx context.Context) error {
	for progress := true; progress && len(i.missing) > 0; {
		steps := make([]step, len(i.missing))
		for n, m := range i.missing {
			steps[n] = m.step
		}
		sortByEvent(steps)
		i.missing = nil
		before := len(steps)
		for _, s := range steps {
			if err := i.halve(ctx, s); err != nil {
				return err
			}
		}
		progress = len(i.missing) < before
	}
	return nil
}

func (i *isolation) refuse(s step, err error) {
	i.bad = true
	f := fault.Of(err)
	i.out.add(s.output.rows.Output, s.change(), &flowv1.Reject{Reason: f.Error(), ErrorClass: "target", Code: f.Code})
}
