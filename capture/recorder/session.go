package recorder

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"slipstream/capture/resp"
	"slipstream/capture/source"
	"slipstream/proto/keyspace"
)

const (
	// drain bounds the writing of what was received when a session ends.
	drain = 5 * time.Second
	// checkEvery is the time between looks at the headers of all streams.
	checkEvery = 5 * time.Second
)

// session records from one connect to the end of the connection. It returns why it ended, nil only when ctx did.
func (n *Notifications) session(ctx context.Context, token string) (err error) {
	plan, err := n.planned(ctx)
	if err != nil {
		return err
	}
	conn, err := n.Streams.Dial(ctx)
	if err != nil {
		return err
	}
	w := &writer{
		n: n, known: n.known, alive: n.alive,
		fence: fence{conn: conn, Lease: n.leaseOf(token)},
	}
	w.reader = reader{n: n, conns: map[int]*resp.Conn{}}
	defer func() {
		w.reader.close()
		n.alive = w.alive
		err = errors.Join(err, w.fence.conn.Close())
	}()
	if _, err := w.fence.acquire(ctx); err != nil {
		return err
	}
	w.renewed = time.Now()
	defer n.release(ctx, token)
	if err := w.remembered(ctx); err != nil {
		return err
	}
	facts, err := source.Probe(ctx, n.src)
	if err != nil {
		return err
	}
	if facts.Cluster {
		return errors.New("the source is a cluster: recording by keyspace events follows one server only")
	}
	watched, err := n.enable(ctx)
	if err != nil {
		return err
	}
	if err := n.flushes.resume(ctx, facts); err != nil {
		return err
	}
	sub, err := n.Source.Dial(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sub.Close()) }()
	n.sessions++

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s := &subscription{
		n: n, conn: sub, queue: newQueue(n.Memory), watched: watched,
		tables: map[string]*table{}, extra: map[string]*event{},
	}
	var group errgroup.Group
	group.Go(func() error { // reads; ends with its connection, which ends with ctx
		defer s.queue.close()
		err := s.read(ctx)
		if ctx.Err() == nil {
			n.broke(err)
		}
		cancel(err)
		return nil
	})
	group.Go(func() error { // asks
		err := s.control(ctx, plan)
		cancel(err)
		return nil
	})
	group.Go(func() error { // writes what was read, also after the end
		lasting, stop := context.WithCancelCause(context.WithoutCancel(ctx))
		defer stop(nil)
		release := context.AfterFunc(ctx, func() {
			time.AfterFunc(drain, func() { stop(errors.New("the events received last could not be written in time")) })
		})
		defer release()
		err := w.run(lasting, s.queue)
		if err != nil {
			cancel(err)
		}
		return err
	})
	err = group.Wait()
	if cause := context.Cause(ctx); !errors.Is(err, cause) && !errors.Is(err, errTaken) {
		err = errors.Join(cause, err)
	}
	return err
}

// planned waits for a plan.
func (n *Notifications) planned(ctx context.Context) (*Plan, error) {
	for {
		if p := n.plan.Load(); p != nil {
			return p, nil
		}
		n.change(ctx, "nothing is to be recorded yet", func(s *state) { s.connected = false })
		select {
		case <-n.replan:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// release gives the lease back, so that another instance need not wait for its end.
func (n *Notifications) release(ctx context.Context, token string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	// When it fails the lease runs out by itself.
	_ = n.leaseOf(token).Drop(ctx, n.rdb)
}

// run writes batches until the queue has ended.
func (w *writer) run(ctx context.Context, q *queue) error {
	tick := time.NewTicker(w.n.Lease / 4)
	defer tick.Stop()
	for {
		b, end := q.take()
		switch {
		case b != nil:
			if err := w.take(ctx, b); err != nil {
				return err
			}
			q.done(b)
			w.n.Metrics.queue(q.held())
			continue
		case end:
			return nil
		}
		select {
		case <-q.ready:
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if time.Since(w.renewed) >= w.n.Lease/4 {
			if w.renew(ctx) == nil {
				continue
			}
			w.tx.reset(0)
			if _, err := w.send(ctx); err != nil { // finds out what is wrong
				return err
			}
		}
	}
}

func (w *writer) take(ctx context.Context, b *batch) error {
	if b.attach {
		if err := w.attach(ctx, b.table); err != nil {
			return err
		}
	}
	if !w.attached {
		return nil // a beat before the first attach proves nothing
	}
	if len(b.entries) > 0 || !b.beat.IsZero() {
		if err := w.write(ctx, b); err != nil {
			return err
		}
	}
	if !b.beat.IsZero() && time.Since(w.checked) > checkEvery {
		return w.repair(ctx, "a change stream or its header was deleted or evicted")
	}
	return nil
}

// subscription is the reading side of a session.
type subscription struct {
	n       *Notifications
	queue   *queue
	conn    conn
	watched bool // CONFIG tells whether the events are still on

	mu     sync.Mutex
	tables map[string]*table // waiting for the answer to their PING, by its payload

	// Of the goroutine that reads.
	table *table
	extra map[string]*event
	key   []byte
}

// control subscribes, sends the beats, and follows the plan.
func (s *subscription) control(ctx context.Context, plan *Plan) error {
	out := s.conn.Out
	quiet := channelPrefix(s.n.Source.Database) + keyspace.Lease(s.n.pipeline, "none")
	out.Command("PSUBSCRIBE", quiet) // so that PING is answered in one way, with or without jobs
	subscribed := map[string]bool{}
	follow := func(plan *Plan) error {
		if err := s.n.tellCreations(ctx, plan); err != nil {
			return err
		}
		t := newTable(plan)
		for pattern := range t.patterns {
			if !subscribed[pattern] {
				out.Command("PSUBSCRIBE", pattern)
				subscribed[pattern] = true
			}
		}
		s.attach(t)
		for pattern := range subscribed {
			if t.patterns[pattern] == nil {
				out.Command("PUNSUBSCRIBE", pattern)
				delete(subscribed, pattern)
			}
		}
		return out.Flush()
	}
	if err := follow(plan); err != nil {
		return fmt.Errorf("subscribing: %w", err)
	}
	beat := time.NewTicker(s.n.Beat)
	defer beat.Stop()
	checked := time.Now()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-s.n.replan:
			if next := s.n.plan.Load(); next != plan {
				plan = next
				if err := follow(plan); err != nil {
					return fmt.Errorf("subscribing: %w", err)
				}
			}
		case <-beat.C:
			payload := beatPayload(time.Now())
			err := s.check(ctx)
			switch {
			case err == nil:
				checked = time.Now()
			case errors.Is(err, errTurnedOff) || time.Since(checked) > s.n.Source.Timeout:
				return err
			default: // a broken connection of the client is not the subscription's; but nothing is vouched for
				payload = "unchecked"
			}
			out.Command("PING", payload)
			if err := out.Flush(); err != nil {
				return fmt.Errorf("sending a beat: %w", err)
			}
		}
	}
}

// check looks whether the source still sends events, and whether it was flushed. It comes before the PING of a beat:
// what the beat vouches for is what was received while the events were on.
func (s *subscription) check(ctx context.Context) error {
	if s.watched {
		if err := s.n.stillEnabled(ctx); err != nil {
			return err
		}
	}
	return s.n.flushes.look(ctx)
}
