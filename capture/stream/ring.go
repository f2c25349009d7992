package stream

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"slipstream/capture/resp"
)

const (
	// ringBlock is how long the blocking read of a bell lasts at most; it bounds what a missed wake-up can cost.
	ringBlock = 250 * time.Millisecond
	// ringPause is the time between attempts to reach Redis.
	ringPause = 500 * time.Millisecond
	// ringRetry is the time between two attempts to wake a read that has not reached the server yet.
	ringRetry = time.Millisecond
)

func (b *Bell) run(ctx context.Context) error {
	for {
		_ = b.session(ctx) // the lanes meet the same Redis, and it is they who say what is wrong with it
		if ctx.Err() != nil {
			return nil
		}
		b.ringAll()
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(ringPause):
		}
	}
}

// ringAll wakes everybody.
func (b *Bell) ringAll() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for w := range b.waiting {
		b.release(w)
	}
}

// release wakes one; the mutex is held.
func (b *Bell) release(w *waiter) {
	delete(b.waiting, w)
	close(w.rung)
}

// session rings on one pair of connections: one that blocks, one that unblocks it when somebody new waits.
func (b *Bell) session(ctx context.Context) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	blocked, err := b.dial(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, blocked.Close()) }()
	waker, err := b.dial(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, waker.Close()) }()
	id, err := blocked.Do(ctx, "CLIENT", "ID")
	if err != nil {
		return fmt.Errorf("asking for the number of the connection: %w", err)
	}
	defer blocked.Interrupt(ctx)()

	asked := make(chan []*waiter) // closed by this function
	result := make(chan []int)    // closed by the reading goroutine
	failed := make(chan error, 1) // the reading goroutine's last words
	go func() {
		defer close(result)
		for ws := range asked {
			has, err := ask(blocked, ws)
			if err != nil {
				failed <- err
				return
			}
			result <- has
		}
	}()
	defer func() {
		cancel() // closes the connection under the reading goroutine
		close(asked)
		for range result {
		}
	}()
	for {
		ws := b.snapshot()
		if len(ws) == 0 {
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-b.changed:
				continue
			}
		}
		select {
		case asked <- ws:
		case err := <-failed:
			return err
		}
		has, err := b.await(ctx, waker, strconv.FormatInt(id.Int, 10), result, failed)
		if err != nil {
			return err
		}
		b.mu.Lock()
		for _, i := range has {
			if _, still := b.waiting[ws[i]]; still {
				b.release(ws[i])
			}
		}
		b.mu.Unlock()
	}
}

func (b *Bell) snapshot() []*waiter {
	b.mu.Lock()
	defer b.mu.Unlock()
	ws := make([]*waiter, 0, len(b.waiting))
	for w := range b.waiting {
		ws = append(ws, w)
	}
	return ws
}

// await waits for the blocking read, and cuts it short when somebody new waits.
func (b *Bell) await(ctx context.Context, waker *resp.Conn, id string, result <-chan []int, failed <-chan error) ([]int, error) {
	var retry <-chan time.Time
	for {
		select {
		case has, ok := <-result:
			if !ok {
				return nil, <-failed
			}
			return has, nil
		case err := <-failed:
			return nil, err
		case <-b.changed:
		case <-retry:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		unblocked, err := waker.Do(ctx, "CLIENT", "UNBLOCK", id)
		if err != nil {
			return nil, fmt.Errorf("waking the bell: %w", err)
		}
		if unblocked.Int == 0 { // not blocked yet, or not any more
			retry = time.After(ringRetry)
		}
	}
}

// ask blocks until one of the streams has something, and returns the indexes of those who have.
func ask(conn *resp.Conn, ws []*waiter) ([]int, error) {
	out := conn.Out
	out.Begin(6 + 4*len(ws))
	out.String("XREAD")
	out.String("COUNT")
	out.String("1")
	out.String("BLOCK")
	out.Uint(uint64(ringBlock.Milliseconds()))
	out.String("STREAMS")
	index := make(map[string][]int, 2*len(ws))
	for i, w := range ws {
		out.String(w.stream.Main)
		out.String(w.stream.Side)
		index[w.stream.Main] = append(index[w.stream.Main], i)
		index[w.stream.Side] = append(index[w.stream.Side], i)
	}
	for _, w := range ws {
		out.String(w.after.Main.String())
		out.String(w.after.Side.String())
	}
	if err := out.Flush(); err != nil {
		return nil, err
	}
	answer, err := conn.In.Value()
	if err != nil {
		return nil, err
	}
	if err := answer.Err(); err != nil {
		return nil, err
	}
	var has []int
	for _, s := range answer.Array {
		if len(s.Array) != 2 {
			return nil, &resp.ProtocolError{Detail: "a stream without a name"}
		}
		// Two lanes may wait on one stream at different positions: both look.
		has = append(has, index[s.Array[0].Text()]...)
	}
	return has, nil
}
