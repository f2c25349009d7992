package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	"slipstream/applier"
	"slipstream/proto/fault"
	"slipstream/proto/flow"
	applierv1 "slipstream/proto/slipstream/applier/v1"
	changev1 "slipstream/proto/slipstream/change/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// tableSet are bound tables by output. A set is never changed, only replaced.
type tableSet map[uint32]*applier.Table

// lane is one stream. Three goroutines know it: receive reads the stream, stage converts the next batch, run does all
// else.
type lane struct {
	engine     *Engine
	recv       *flow.Receiver[*applierv1.RowBatch]
	open       *flowv1.Open
	connection string
	log        *slog.Logger

	inbox  *inbox        // from receive to stage; closed when the client sends nothing more
	work   chan item     // from stage to run; closed by stage
	stored chan uint64   // batches whose rejects are stored
	eof    chan struct{} // closed by receive at its end

	tables atomic.Pointer[tableSet]

	// The rest belongs to run.
	lease    *lease
	session  applier.Session
	epoch    uint64
	position *changev1.Position

	wait      wait
	reference patience
}

// item is a batch, prepared if its tables were known, a question for before images, or the wish to drain.
type item struct {
	batch    *applierv1.RowBatch
	prepared *prepared
	before   *applierv1.BeforeRequest
	drain    bool
}

func newLane(e *Engine, recv *flow.Receiver[*applierv1.RowBatch], open *flowv1.Open) *lane {
	longest := time.Duration(open.Settings.GetOnFailedRetryInterval()) * time.Second
	if longest == 0 {
		longest = 5 * time.Second // spec 2.5
	}
	l := &lane{
		engine: e, recv: recv, open: open,
		connection: open.Connection.GetName(),
		log:        e.log.With(slog.String("lane", flow.Name(open.Lane))),
		inbox:      newInbox(),
		work:       make(chan item), // one batch is ready while one commits; more would only hold memory
		stored:     make(chan uint64, 1),
		eof:        make(chan struct{}),
		reference:  patience{most: e.referenceWait},
	}
	l.wait = wait{lane: l, pause: flow.Backoff{Base: e.shortestPause, Max: longest}}
	l.tables.Store(&tableSet{})
	return l
}

// receive reads the stream to its end. It ends the lane when the stream breaks.
func (l *lane) receive(cancel context.CancelCauseFunc) {
	defer close(l.eof)
	defer l.inbox.close()
	for {
		down, err := l.recv.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err == nil {
			switch {
			case down.Batch != nil:
				l.inbox.put(item{batch: down.Batch})
			case down.Drain != nil:
				l.inbox.put(item{drain: true})
			case down.Before != nil:
				l.inbox.put(item{before: down.Before})
			case down.Stored != nil:
				select {
				case l.stored <- down.Stored.Sequence:
				default:
					err = fmt.Errorf("%w: Stored twice", flow.ErrProtocol)
				}
			}
		}
		if err != nil {
			cancel(err)
			return
		}
	}
}

// stage converts batches ahead of run.
func (l *lane) stage(ctx context.Context) {
	defer close(l.work)
	for {
		it, ok := l.inbox.take(ctx.Done())
		if !ok {
			return
		}
		if it.batch != nil {
			it.prepared = l.prepareAhead(it.batch)
		}
		select {
		case l.work <- it:
		case <-ctx.Done():
			return
		}
	}
}

// prepareAhead converts a batch while the one before it commits. Whatever is wrong with it is found again, and said, when
// its turn comes.
func (l *lane) prepareAhead(batch *applierv1.RowBatch) *prepared {
	tables := *l.tables.Load()
	for _, rows := range batch.Tables {
		if tables[rows.Output] == nil {
			return nil
		}
	}
	p, err := prepare(batch, tables)
	if err != nil {
		return nil
	}
	return p
}

// run opens the lane and applies what receive hands over, until the client ends the stream or the lane is lost.
func (l *lane) run(ctx context.Context) error {
	opened, err := l.openTarget(ctx)
	if err != nil {
		return l.ended(ctx, err)
	}
	l.position = opened.Position
	l.wait.over()
	if err := l.recv.Opened(opened); err != nil {
		return l.ended(ctx, err)
	}
	l.log.InfoContext(ctx, "lane open", slog.String("owner", l.open.Owner), slog.Uint64("epoch", l.epoch),
		slog.String("position", applier.FormatID(l.position.GetMain())))
	drained := false
	for {
		select {
		case it, more := <-l.work:
			switch {
			case !more && ctx.Err() == nil:
				l.log.InfoContext(ctx, "lane closed", slog.String("position", applier.FormatID(l.position.GetMain())))
				return nil
			case !more:
				return l.ended(ctx, context.Cause(ctx))
			case it.drain:
				drained = true
				err = l.recv.Drained(&flowv1.Drained{Position: l.position})
			case it.before != nil:
				err = l.images(ctx, it.before)
			case drained:
				err = fmt.Errorf("%w: batch %d after Drain", flow.ErrProtocol, it.batch.Sequence)
			default:
				err = l.apply(ctx, it)
			}
			if err != nil {
				return l.ended(ctx, err)
			}
		case <-ctx.Done():
			return l.ended(ctx, context.Cause(ctx))
		}
	}
}

// ended gives the reason why a lane ended; a stream that broke is the reason of whatever failed because of it.
func (l *lane) ended(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	l.log.InfoContext(ctx, "lane ended", slog.String("class", fault.ClassName(fault.Class(err))))
	return err
}

// close gives back what the lane holds.
func (l *lane) close() {
	l.wait.forget()
	l.closeTarget()
}

func (l *lane) closeTarget() {
	if l.session != nil {
		if err := l.session.Close(); err != nil {
			l.log.Warn("closing a session", slog.Any("error", err))
		}
		l.session = nil
	}
	if l.lease != nil {
		if err := l.lease.release(); err != nil {
			l.log.Warn("closing a target", slog.Any("error", err))
		}
		l.lease = nil
	}
}

// output is the writer that rows of an index are for.
func (l *lane) output(index uint32) (*pipelinev1.Output, error) {
	if int(index) < len(l.open.Job.Outputs) {
		if o := l.open.Job.Outputs[index]; o.GetRelational() != nil && o.Connection == l.connection {
			return o, nil
		}
	}
	return nil, fmt.Errorf("%w: the job has no output %d to connection %q", flow.ErrProtocol, index, l.connection)
}

// bind makes sure that the tables of a batch are known. It asks the target only for those that are not.
func (l *lane) bind(ctx context.Context, batch *applierv1.RowBatch) error {
	tables := *l.tables.Load()
	var grown tableSet
	for _, rows := range batch.Tables {
		if tables[rows.Output] != nil || grown[rows.Output] != nil {
			continue
		}
		o, err := l.output(rows.Output)
		if err != nil {
			return err
		}
		table, err := bindTable(ctx, l.lease.target, o)
		if err != nil {
			return err
		}
		if grown == nil {
			grown = make(tableSet, len(tables)+1)
			for k, v := range tables {
				grown[k] = v
			}
		}
		grown[rows.Output] = table
	}
	if grown != nil {
		l.tables.Store(&grown)
	}
	return nil
}

// unbind forgets all tables, so that the catalogue is read again.
func (l *lane) unbind() { l.tables.Store(&tableSet{}) }

// fenced is the fault that ends a lane because somebody else has it.
func fenced(format string, args ...any) error {
	return fault.Errorf(flowv1.FaultClass_FAULT_CLASS_FENCED, format, args...)
}
