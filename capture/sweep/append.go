package sweep

import (
	"context"
	"fmt"
	"time"

	"slipstream/capture/resp"
	"slipstream/capture/stream"
)

// appender writes entries to side streams, on one connection.
type appender struct {
	conn    *resp.Conn
	streams []stream.Stream
	headers []stream.Header
	touched []string
}

func newAppender(conn *resp.Conn, streams []stream.Stream, headers []stream.Header) *appender {
	return &appender{conn: conn, streams: streams, headers: headers, touched: make([]string, len(streams))}
}

// append writes an entry for each key. While the server refuses, it waits.
func (a *appender) append(ctx context.Context, keys [][]byte) error {
	for attempt := 0; len(keys) > 0; attempt++ {
		if attempt > 0 {
			if err := sleep(ctx, min(time.Second, 50*time.Millisecond<<min(attempt, 5))); err != nil {
				return err
			}
		}
		left, err := a.attempt(ctx, keys)
		switch code := resp.Refused(err); {
		case err == nil:
			return nil
		case code == "" || code == "READONLY" || code == "NOAUTH" || code == "WRONGTYPE" || code == "NOPERM":
			if cause := context.Cause(ctx); cause != nil && code == "" {
				err = cause // which closed the connection
			}
			return fmt.Errorf("writing side streams: %w", err)
		}
		keys = left // OOM, MISCONF, BUSY …
	}
	return nil
}

// attempt writes what the server takes and returns the keys that it refused, with the first refusal.
func (a *appender) attempt(ctx context.Context, keys [][]byte) (left [][]byte, err error) {
	defer a.conn.Interrupt(ctx)()
	count := len(a.streams)
	for _, key := range keys {
		stream.AppendSide(a.conn.Out, a.streams[stream.PartitionOf(key, count)], stream.OpRead, "scan", key)
	}
	if err := a.conn.Out.Flush(); err != nil {
		return keys, err
	}
	clear(a.touched)
	var refusal error
	for _, key := range keys {
		id, err := a.conn.In.Bulk()
		switch {
		case err != nil && resp.Refused(err) == "":
			return keys, err
		case err != nil:
			left = append(left, key)
			if refusal == nil {
				refusal = err
			}
		case id == nil:
			return nil, errMoved // the connection is closed by the caller
		default:
			a.touched[stream.PartitionOf(key, count)] = string(id)
		}
	}
	if err := a.mark(); err != nil && refusal == nil {
		refusal = err
	}
	return left, refusal
}

// mark writes to the headers what the side streams hold, so that a stream that vanishes is missed.
func (a *appender) mark() error {
	n := 0
	for i, id := range a.touched {
		if id != "" {
			stream.MarkSide(a.conn.Out, a.streams[i], id)
			n++
		}
	}
	if n == 0 {
		return nil
	}
	if err := a.conn.Out.Flush(); err != nil {
		return err
	}
	var refusal error
	for range n {
		if err := a.conn.In.Skip(); err != nil {
			if resp.Refused(err) == "" {
				return err
			}
			refusal = err
		}
	}
	return refusal
}
