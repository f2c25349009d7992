package recorder

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"slipstream/capture/resp"
	"slipstream/proto/keyspace"
)

type conn = *resp.Conn

// Payloads of PING, by which its answers are told apart.
const (
	attachPrefix = "attach:"
	beatPrefix   = "beat:"
)

func beatPayload(t time.Time) string { return beatPrefix + strconv.FormatInt(t.UnixNano(), 10) }

// attach gathers a PING whose answer tells the reader that every subscription asked for before is confirmed: from there
// on t is recorded.
func (s *subscription) attach(t *table) {
	s.mu.Lock()
	defer s.mu.Unlock()
	payload := attachPrefix + strconv.Itoa(len(s.tables)+1)
	s.tables[payload] = t
	s.conn.Out.Command("PING", payload)
}

// read takes in what the server sends until the connection ends, and returns why it did.
func (s *subscription) read(ctx context.Context) error {
	defer s.conn.Interrupt(ctx)()
	for {
		err := s.message(ctx)
		if err == nil {
			continue
		}
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		switch {
		case errors.Is(err, io.EOF):
			return errors.New("the server closed the subscription: it ended, or it cut a subscriber off that was too slow " +
				"(client-output-buffer-limit pubsub)")
		case resp.Silent(err):
			return errors.New("the server did not answer a PING on the subscription in time")
		default:
			return fmt.Errorf("reading keyspace events: %w", err)
		}
	}
}

func (s *subscription) message(ctx context.Context) error {
	in := s.conn.In
	n, err := in.Array()
	if err != nil {
		return err
	}
	kind, err := in.Bulk()
	if err != nil {
		return err
	}
	switch {
	case n == 4 && string(kind) == "pmessage":
		return s.event(ctx)
	case n == 2 && string(kind) == "pong":
		payload, err := in.Bulk()
		if err != nil {
			return err
		}
		return s.pong(string(payload))
	default:
		for range n - 1 {
			if err := in.Skip(); err != nil {
				return err
			}
		}
		return nil
	}
}

func (s *subscription) pong(payload string) error {
	if nanos, ok := strings.CutPrefix(payload, beatPrefix); ok {
		sent, err := strconv.ParseInt(nanos, 10, 64)
		if err != nil {
			return fmt.Errorf("reading a beat: %w", err)
		}
		if s.table != nil {
			s.queue.beat(s.table, time.Unix(0, sent))
		}
		return nil
	}
	s.mu.Lock()
	t := s.tables[payload]
	s.mu.Unlock() // what is not waited for is a PING that vouches for nothing
	if t != nil {
		s.table = t
		s.queue.attach(t)
	}
	return nil
}

// event takes in one keyspace event: pattern, channel and name are still to be read.
func (s *subscription) event(ctx context.Context) error {
	in := s.conn.In
	pattern, err := in.Bulk()
	if err != nil {
		return err
	}
	var to *target
	if s.table != nil {
		to = s.table.patterns[string(pattern)]
	}
	channel, err := in.Bulk()
	if err != nil {
		return err
	}
	s.key = s.key[:0]
	if to != nil && len(channel) >= to.prefix {
		s.key = append(s.key, channel[to.prefix:]...)
	}
	name, err := in.Bulk()
	if err != nil || to == nil {
		return err
	}
	if keyspace.Internal(s.key) {
		return nil // ours, whatever the pattern (spec 3.5)
	}
	if string(name) == eventNew {
		to.created = append(to.created[:0], s.key...)
		to.fresh = true
		return nil
	}
	// Between the two there may be events of another key: RENAME sends new, rename_from, rename_to.
	created := to.fresh && bytes.Equal(to.created, s.key)
	to.fresh = to.fresh && !created
	e := eventOf(name, s.extra)
	if e == nil {
		return nil
	}
	_, err = s.queue.add(ctx, s.table, to, s.key, e, created, time.Now().UnixMilli())
	return err
}
