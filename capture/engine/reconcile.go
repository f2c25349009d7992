package engine

import (
	"context"
	"errors"
	"time"

	"slipstream/capture/lane"
	"slipstream/capture/stream"
)

// reconcile drains the lanes that should not run here, or not as they do, and starts those that should.
func (p *pipeline) reconcile(ctx context.Context) error {
	p.reap(ctx)
	plan, err := p.planned(ctx)
	if err != nil {
		return err
	}
	p.mu.Lock()
	p.plan = plan
	p.mu.Unlock()
	share := map[string]wanted{}
	if p.running {
		for _, w := range plan {
			if _, halted := p.halted[w.job.GetName()]; halted {
				continue
			}
			if assigned(w.name(), p.instances) == p.e.o.Instance {
				share[w.name()] = w
			}
		}
	}
	for name, h := range p.held {
		w, still := share[name]
		aged := !h.until.IsZero() && time.Now().After(h.until)
		if !still || h.generation != p.generation || w.finite != h.want.finite || aged {
			h.lane.Drain() // and starts anew, if it is still in the share, once it has ended
		}
	}
	var errs []error
	for name, w := range share {
		if p.held[name] != nil {
			continue
		}
		ours, err := p.leases.acquire(ctx, w.lease())
		if err != nil {
			errs = append(errs, err)
			break
		}
		if !ours {
			continue
		}
		if err := p.unfinish(ctx, w); err != nil {
			errs = append(errs, err)
			break
		}
		p.start(ctx, w)
	}
	return errors.Join(errs...)
}

// start runs a lane whose lease is ours.
func (p *pipeline) start(ctx context.Context, w wanted) {
	s := p.site
	db := s.source.Logical(w.job)
	l := lane.New(lane.Config{
		Lane: w.lane, Generation: p.generation, Job: w.job, Connection: w.connection, Settings: p.spec.GetSettings(),
		Lookups: lookups(p.spec, w.job),
		Owner:   p.e.o.Instance, Stream: w.stream, Database: uint32(db), Finite: w.finite,
		Dial: p.e.o.Transformer, Redis: s.rdb, Store: s.store, Bell: s.bell, Sweeps: s.sweeps, Gaps: s.gaps,
		Streams: s.streams.Dial, Values: s.values(db), WindowBytes: p.e.o.WindowBytes,
		Board: &p.e.board, Metrics: p.e.metrics, Tracer: p.e.tracer, Logger: p.log,
	})
	running, cancel := context.WithCancelCause(context.WithoutCancel(ctx)) // it drains before it ends
	h := &holding{
		want: w, generation: p.generation, lane: l, until: renewal(w.name(), time.Now(), p.e.o.LaneAge),
		cancel: cancel, done: make(chan struct{}),
	}
	if w.finite {
		h.until = time.Time{} // it ends by itself
	}
	p.mu.Lock()
	p.held[w.name()] = h
	p.mu.Unlock()
	p.lanes.Go(func() {
		h.err = l.Run(running)
		close(h.done)
		select {
		case p.wake <- struct{}{}:
		default:
		}
	})
}

// reap takes the lanes that have ended off the books and gives their leases back.
func (p *pipeline) reap(ctx context.Context) {
	for name, h := range p.held {
		select {
		case <-h.done:
		default:
			continue
		}
		h.cancel(nil)
		p.mu.Lock()
		delete(p.held, name)
		p.mu.Unlock()
		if h.want.finite && h.err == nil {
			p.finished(ctx, h)
		}
		if err := p.leases.release(ctx, h.want.lease()); err != nil {
			p.log.DebugContext(ctx, "lease not given back", "lane", name, "error", err) // it runs out by itself
		}
	}
}

// observe measures the backlog of the lanes held here, for the metrics, and looks after the id of the installation.
func (p *pipeline) observe(ctx context.Context) error {
	if time.Since(p.observed) < observePause {
		return nil
	}
	p.observed = time.Now()
	if err := p.site.identify(ctx); err != nil {
		return err
	}
	var streams []stream.Stream
	var held []*holding
	for _, h := range p.held {
		held = append(held, h)
		streams = append(streams, h.want.stream)
	}
	headers, err := p.site.store.Headers(ctx, streams)
	if err != nil {
		return err
	}
	for i, h := range held {
		h.lane.Observe(backlog(headers[i], h.want.lane.GetConnection()))
	}
	return nil
}

// backlog is what a lane has not settled, main and side; what the server cannot tell counts as nothing.
func backlog(h stream.Header, connection string) uint64 {
	main, side := h.Backlog(connection)
	return uint64(max(main, 0)) + uint64(max(side, 0))
}
