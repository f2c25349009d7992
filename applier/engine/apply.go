package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"slipstream/applier"
	"slipstream/proto/fault"
	"slipstream/proto/flow"
	flowv1 "slipstream/proto/slipstream/flow/v1"
)

// attempt is a batch on its way into the target.
type attempt struct {
	item
	refused  refused // records left out, with the reason
	isolate  bool    // write under savepoints and find the rows that fail
	attempts uint32
	sent     bool // Rejects went out; they do so once
	count    int  // how many of them
	stored   bool // and are dead letters now
	bound    bool // the tables were known: what fails now failed in a transaction

	steps   []step
	ledgers map[uint32]*ledger // by output, of those that keep a row index
	took    time.Duration      // from the first statement to the end of COMMIT
	settled bool
}

// apply makes one batch durable, or fails because the lane is lost.
func (l *lane) apply(ctx context.Context, it item) error {
	ctx, span := l.engine.tracer.Start(flow.WithTraceparent(ctx, it.batch.Traceparent), "apply",
		trace.WithAttributes(attribute.String("slipstream.lane", flow.Name(l.open.Lane)),
			attribute.Int64("slipstream.sequence", int64(it.batch.Sequence))))
	defer span.End()
	a := &attempt{item: it, refused: refused{}}
	conflicts := 0
	for !a.settled {
		a.attempts++
		err := l.try(ctx, a)
		if err == nil {
			break
		}
		if err := l.recover(ctx, a, err, &conflicts); err != nil {
			fail(span, err)
			return err
		}
	}
	l.wait.over()
	rows := tally(a.steps)
	rejected := a.refused.count()
	span.SetAttributes(attribute.Int("slipstream.rejected", rejected), attribute.Int64("slipstream.attempts", int64(a.attempts)))
	l.position = it.batch.Position
	m := l.engine.metrics
	observe(m.commit.WithLabelValues(l.connection), a.took.Seconds(), flow.TraceID(span.SpanContext()))
	m.rejected.WithLabelValues(l.connection).Add(float64(rejected))
	total := 0
	for verb, n := range rows {
		if n > 0 {
			m.rows.WithLabelValues(l.connection, applier.Verb(verb).String()).Add(float64(n))
			total += n
		}
	}
	takenOver, outdated := a.counts()
	return l.recv.Settled(&flowv1.Settled{
		Sequence: it.batch.Sequence, Position: it.batch.Position, CommitNs: a.took.Nanoseconds(),
		Counts: &flowv1.Counts{Rows: uint64(total), Rejected: uint64(rejected), TakenOver: takenOver, Outdated: outdated},
	})
}

// recover decides by its class what to do about a failed attempt (design D9): nil means try again.
func (l *lane) recover(ctx context.Context, a *attempt, err error, conflicts *int) error {
	var end *final
	if ctx.Err() != nil || errors.As(err, &end) || errors.Is(err, flow.ErrProtocol) {
		return err
	}
	if errors.Is(err, errAgain) {
		a.isolate = false
		return nil
	}
	class := fault.Class(err)
	switch class {
	case flowv1.FaultClass_FAULT_CLASS_FENCED:
		return err
	case flowv1.FaultClass_FAULT_CLASS_DATA, flowv1.FaultClass_FAULT_CLASS_REFERENCE:
		if a.isolate { // rows that may still pass, or a fault that no row alone has
			return l.wait.next(ctx, err)
		}
		a.isolate = true
		return nil
	case flowv1.FaultClass_FAULT_CLASS_CONFLICT:
		*conflicts++
		if *conflicts <= 10 {
			return l.wait.again(ctx, err, conflictPause(*conflicts))
		}
		return l.wait.next(ctx, err)
	}
	if err := l.wait.next(ctx, err); err != nil {
		return err
	}
	if class == flowv1.FaultClass_FAULT_CLASS_SCHEMA && !a.bound {
		return nil // the catalogue said so: ask it again
	}
	committed, err := l.reopen(ctx, a.batch)
	if err == nil && committed {
		l.log.InfoContext(ctx, "commit had succeeded before the connection was lost",
			slog.Uint64("sequence", a.batch.Sequence))
		a.settled = true
	}
	return err
}

// try makes one attempt: convert, fold, and one transaction.
func (l *lane) try(ctx context.Context, a *attempt) error {
	a.bound = false
	if err := l.bind(ctx, a.batch); err != nil {
		return err
	}
	a.bound = true
	if a.prepared == nil || !a.prepared.fresh(*l.tables.Load()) {
		p, err := prepare(a.batch, *l.tables.Load())
		if err != nil {
			a.bound = false
			return err
		}
		a.prepared = p
		if !a.sent { // other types, other conversions
			a.refused = refused{}
		}
	}
	for _, c := range a.prepared.outputs {
		for change, why := range c.bad {
			a.refused.add(c.rows.Output, change, why)
		}
	}
	indexed := a.prepared.indexed()
	if !indexed {
		if err := a.plan(); err != nil {
			return err
		}
	}

	start := time.Now()
	var txn applier.Txn
	err := l.traced(ctx, "begin", func(ctx context.Context) (err error) {
		txn, err = l.session.Begin(ctx, l.position, a.batch.Position, a.batch.State)
		return err
	})
	if err != nil {
		return err
	}
	if indexed {
		err = l.traced(ctx, "read row index", func(ctx context.Context) (err error) {
			a.ledgers, err = load(ctx, txn, a.prepared, l.open.Job)
			return err
		})
		if err == nil {
			err = a.plan()
		}
	}
	if err == nil {
		err = l.write(ctx, txn, a)
	}
	if err == nil && len(a.ledgers) > 0 {
		err = l.traced(ctx, "write row index", func(ctx context.Context) error { return a.own(ctx, txn) })
	}
	if err == nil {
		err = l.hold(ctx, txn, a, &start)
	}
	if err != nil {
		l.rollback(ctx, txn)
		if errors.Is(err, errSlow) { // without the locks, as long as it takes; then once more
			if err = l.awaitStored(ctx, a.batch.Sequence, nil); err == nil {
				a.stored, err = true, errAgain
			}
		}
		return err
	}
	err = l.traced(ctx, "commit", txn.Commit)
	a.took = time.Since(start)
	if err != nil {
		l.rollback(ctx, txn)
	}
	return err
}

// plan works out what to write.
func (a *attempt) plan() (err error) {
	a.steps, err = plan(a.prepared, a.refused, a.ledgers)
	return err
}

// own brings the row index up to what was written.
func (a *attempt) own(ctx context.Context, txn applier.Txn) error {
	for _, c := range a.prepared.outputs {
		if g := a.ledgers[c.rows.Output]; g != nil {
			if err := g.own(ctx, txn); err != nil {
				return err
			}
		}
	}
	return nil
}

// counts adds up what the ledgers noticed.
func (a *attempt) counts() (takenOver, outdated uint64) {
	for _, g := range a.ledgers {
		takenOver += uint64(g.takenOver)
		outdated += uint64(g.outdated)
	}
	return takenOver, outdated
}

func (l *lane) rollback(ctx context.Context, txn applier.Txn) {
	if err := txn.Rollback(); err != nil {
		l.log.WarnContext(ctx, "rolling back", slog.Any("error", err))
	}
}

// write writes the steps, as a whole or, once that has failed, so that bad rows are found.
func (l *lane) write(ctx context.Context, txn applier.Txn, a *attempt) error {
	if a.isolate { // its attempts are too many to be told one by one
		return l.traced(ctx, "isolate", func(ctx context.Context) error { return l.writeIsolated(ctx, txn, a) })
	}
	for i, s := range a.steps {
		if i == mostStatements {
			return l.traced(ctx, "further writes", func(ctx context.Context) error { return writeAll(ctx, txn, a.steps[i:]) },
				attribute.Int("slipstream.writes", len(a.steps)-i))
		}
		if err := l.statement(ctx, txn, s.write); err != nil {
			return err
		}
	}
	return nil
}

func writeAll(ctx context.Context, txn applier.Txn, steps []step) error {
	for _, s := range steps {
		if err := txn.Write(ctx, s.write); err != nil {
			return err
		}
	}
	return nil
}

// final is an error after which the lane must be opened again, whatever its class.
type final struct{ error }

func (e *final) Unwrap() error { return e.error }

// errSlow says that Stored did not come soon.
var errSlow = errors.New("rejects are not stored yet")

// hold is the first of the two steps in which a batch with rejects commits (design D9): they go up the hop, and only
// when capture has stored them the commit may follow. The transaction stays open meanwhile, but not for long.
func (l *lane) hold(ctx context.Context, txn applier.Txn, a *attempt, start *time.Time) error {
	n := a.refused.count()
	switch {
	case n == 0 && !a.batch.Hold:
		return nil
	case a.sent && n != a.count:
		return &final{fault.Errorf(flowv1.FaultClass_FAULT_CLASS_CONFLICT,
			"batch %d: %d records were rejected before, now it is %d", a.batch.Sequence, a.count, n)}
	case !a.sent:
		// What was deferred to the commit must fail now: after this, no reject can be added.
		if err := txn.Try(ctx, func() error { return nil }); err != nil {
			return err
		}
		if err := l.recv.Rejects(l.rejects(a)); err != nil {
			return err
		}
		a.sent, a.count = true, n
	}
	if a.stored {
		return nil
	}
	asked := time.Now()
	err := l.traced(ctx, "await stored", func(ctx context.Context) error {
		return l.awaitStored(ctx, a.batch.Sequence, time.After(l.engine.holdOpen))
	})
	if err != nil {
		return err
	}
	*start = start.Add(time.Since(asked)) // the target did not take that time
	a.stored = true
	return nil
}

// awaitStored waits until capture has stored the rejects of a batch, or limit comes first.
func (l *lane) awaitStored(ctx context.Context, batch uint64, limit <-chan time.Time) error {
	var sequence uint64
	select {
	case sequence = <-l.stored:
	case <-limit:
		return errSlow
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-l.eof:
		select {
		case sequence = <-l.stored: // it came just before the end
		default:
			return &final{fmt.Errorf("the stream ended before the rejects of batch %d were stored", batch)}
		}
	}
	if sequence != batch {
		return fmt.Errorf("%w: batch %d stored, asked for was %d", flow.ErrProtocol, sequence, batch)
	}
	return nil
}
