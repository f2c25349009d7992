package recorder

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"slipstream/capture/gap"
	"slipstream/capture/resp"
	"slipstream/capture/stream"
	"slipstream/proto/keyspace"
)

// fate is what became of a job's streams.
type fate int

const (
	begun    fate = iota // recorded for the first time: complete from now, and no gap
	resumed              // recorded before, not recorded for a while
	lost                 // something recorded is gone
	recorded             // recorded all the while
)

// attach makes the streams of a table complete from now on, and records what may have been missed before (G1).
func (w *writer) attach(ctx context.Context, t *table) error {
	first := !w.attached
	before := map[string]string{} // selection by stream, of what was recorded until now
	if w.attached {
		for _, j := range w.table.jobs {
			for _, s := range j.Streams {
				before[s.Main] = j.Selection()
			}
		}
	}
	w.table = t
	fates, err := w.settle(ctx, before)
	if err != nil {
		return err
	}
	now := time.Now()
	began := w.alive
	cause, detail := gap.Connect, "nobody recorded: capture had not run, or another instance ended"
	switch {
	case !first:
		detail = "the job was not recorded: it had been disabled, or is new again"
		began = time.Time{}
	case w.n.sessions > 1:
		cause, detail = gap.Reconnect, "the connection to the source was lost: "+w.n.lastReason()
	}
	if err := w.report(ctx, fates, resumed, gap.Gap{Cause: cause, Began: began, Ended: now, Detail: detail}); err != nil {
		return err
	}
	if err := w.report(ctx, fates, lost, gap.Gap{
		Cause: gap.Incarnation, Began: w.alive, Ended: now,
		Detail: "Redis lost what was recorded: it was flushed, came back with older data, or a stream was deleted or evicted",
	}); err != nil {
		return err
	}
	w.attached, w.checked = true, now
	if first || w.alive.IsZero() {
		w.alive = now
		var t transaction
		t.command("HSET", keyspace.Recorder(w.n.pipeline), fieldAlive, strconv.FormatInt(now.UnixMilli(), 10))
		if err := w.once(ctx, &t); err != nil {
			return fmt.Errorf("leaving a sign of life: %w", err)
		}
	}
	w.n.attached()
	return nil
}

// repair looks whether the streams are still what they were, and begins those anew that are not.
func (w *writer) repair(ctx context.Context, why string) error {
	if !w.attached {
		return nil
	}
	before := map[string]string{}
	for _, j := range w.table.jobs {
		for _, s := range j.Streams {
			before[s.Main] = j.Selection()
		}
	}
	began := w.alive
	fates, err := w.settle(ctx, before)
	if err != nil {
		return err
	}
	w.checked = time.Now()
	return w.report(ctx, fates, lost, gap.Gap{Cause: gap.Incarnation, Began: began, Ended: time.Now(), Detail: why})
}

// settle creates the streams that have to begin, and tells the fate of each job.
func (w *writer) settle(ctx context.Context, before map[string]string) (map[string]fate, error) {
	headers, err := w.n.store.Headers(ctx, w.table.streams)
	if err != nil {
		return nil, err
	}
	for _, h := range headers {
		w.last = stream.Later(w.last, h.Last)
	}
	fates := map[string]fate{}
	for _, j := range w.table.jobs {
		worst := recorded
		for i, s := range j.Streams {
			h := headers[j.first+i]
			f, create := w.fate(h, s, j.Selection(), before)
			if f == begun && j.Moved && !w.attached {
				f = resumed // in other streams, by somebody else, and not until now
			}
			if create {
				if err := w.create(ctx, s, j.Selection()); err != nil {
					return nil, err
				}
			}
			if f != recorded && (worst == recorded || f > worst) {
				worst = f
			}
		}
		fates[j.Name] = worst
	}
	return fates, nil
}

func (w *writer) fate(h stream.Header, s stream.Stream, selection string, before map[string]string) (f fate, create bool) {
	known, seen := w.known[s.Main]
	switch {
	case !h.Exists && !seen:
		return begun, true
	case !h.Exists, h.Lost, h.Last.Less(known):
		return lost, true
	case h.Selection != selection:
		return begun, true // another pattern: lanes see another incarnation and repair what they have
	case before[s.Main] == selection:
		return recorded, false
	}
	return resumed, false
}

// create begins an incarnation of a stream, guarded by the lease. It must not wait: it may run while other entries do.
func (w *writer) create(ctx context.Context, s stream.Stream, selection string) error {
	since := w.next(time.Now().UnixMilli())
	w.last = since.Next()
	var t transaction
	for _, command := range stream.Creation(s, rand.Text(), since, selection) {
		t.command(command...)
	}
	if err := w.once(ctx, &t); err != nil {
		return fmt.Errorf("creating stream %q: %w", s.Main, err)
	}
	w.known[s.Main] = since
	return nil
}

// once sends a transaction that is given up when it fails.
func (w *writer) once(ctx context.Context, t *transaction) error {
	var refusal error
	err := w.fence.transact(ctx, t.commands, t.encoded, func(_ int, in *resp.Reader) error {
		err := in.Skip()
		if resp.Refused(err) != "" {
			refusal, err = err, nil
		}
		return err
	})
	return errors.Join(err, refusal)
}

// report opens a gap for the jobs of a fate: one for all where it is everybody's.
func (w *writer) report(ctx context.Context, fates map[string]fate, of fate, g gap.Gap) error {
	all := true
	var jobs []string
	for _, j := range w.table.jobs {
		if fates[j.Name] == of {
			jobs = append(jobs, j.Name)
		} else {
			all = false
		}
	}
	if all && len(jobs) > 1 {
		jobs = []string{""}
	}
	for _, job := range jobs {
		g.Job = job
		if err := w.n.openGap(ctx, g); err != nil {
			return err
		}
	}
	return nil
}

// remembered reads until when a predecessor recorded.
func (w *writer) remembered(ctx context.Context) error {
	text, err := w.n.rdb.HGet(ctx, keyspace.Recorder(w.n.pipeline), fieldAlive).Result()
	if errors.Is(err, redis.Nil) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the recorder's last sign of life: %w", err)
	}
	ms, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return fmt.Errorf("reading the recorder's last sign of life %q: %w", text, err)
	}
	if then := time.UnixMilli(ms); then.After(w.alive) {
		w.alive = then
	}
	return nil
}
