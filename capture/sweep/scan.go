package sweep

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"slipstream/capture/resp"
	"slipstream/proto/keyspace"
)

// round is how many keys one SCAN looks at.
const round = 1000

// typeJSON is the name under which TYPE knows JSON documents, of RedisJSON and valkey-json alike.
const typeJSON = "ReJSON-RL"

// scanner finds the keys of a target, on one connection to the source.
type scanner struct {
	conn   *resp.Conn
	target Target
	json   bool // the server knows JSON documents
	arena  resp.Arena
	keys   [][]byte
}

// next looks at about count keys from the cursor on and returns those of the target, and the next cursor, 0 at the end.
// The keys are valid until the next call.
func (s *scanner) next(ctx context.Context, cursor uint64, count int) (keys [][]byte, next uint64, err error) {
	s.arena.Reset()
	s.keys = s.keys[:0]
	if s.target.Pattern == "" || (!s.target.Hash && !s.json) {
		return nil, 0, nil
	}
	defer s.conn.Interrupt(ctx)()
	defer func() {
		if cause := context.Cause(ctx); err != nil && cause != nil {
			err = cause
		}
		if err != nil {
			err = fmt.Errorf("scanning for keys of job %q: %w", s.target.Job, err)
		}
	}()
	typed := s.target.JSON && s.json // then the server's filter does not do
	if s.target.exact() {
		s.keys, typed = append(s.keys, s.arena.Copy([]byte(s.target.Pattern))), true
	} else if next, err = s.scan(cursor, count, typed); err != nil {
		return nil, 0, err
	}
	if typed {
		if err := s.filter(); err != nil {
			return nil, 0, err
		}
	}
	return s.keys, next, nil
}

func (s *scanner) scan(cursor uint64, count int, typed bool) (uint64, error) {
	args := []string{
		"SCAN", strconv.FormatUint(cursor, 10), "MATCH", s.target.Pattern, "COUNT", strconv.Itoa(count),
	}
	if !typed {
		args = append(args, "TYPE", "hash")
	}
	s.conn.Out.Command(args...)
	if err := s.conn.Out.Flush(); err != nil {
		return 0, err
	}
	in := s.conn.In
	if n, err := in.Array(); err != nil || n != 2 {
		return 0, errors.Join(err, wrong(n, 2))
	}
	text, err := in.Bulk()
	if err != nil {
		return 0, err
	}
	next, err := strconv.ParseUint(string(text), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("reading the cursor: %w", err)
	}
	n, err := in.Array()
	if err != nil {
		return 0, err
	}
	for range n {
		key, err := in.Bulk()
		if err != nil {
			return 0, err
		}
		if !keyspace.Internal(key) {
			s.keys = append(s.keys, s.arena.Copy(key))
		}
	}
	return next, nil
}

func wrong(n, want int) error {
	if n == want {
		return nil
	}
	return &resp.ProtocolError{Detail: fmt.Sprintf("%d members instead of %d", n, want)}
}

// filter keeps the keys of the types that the target wants.
func (s *scanner) filter() error {
	if len(s.keys) == 0 {
		return nil
	}
	for _, key := range s.keys {
		s.conn.Out.Begin(2)
		s.conn.Out.String("TYPE")
		s.conn.Out.Bytes(key)
	}
	if err := s.conn.Out.Flush(); err != nil {
		return err
	}
	kept := s.keys[:0]
	for _, key := range s.keys {
		name, err := s.conn.In.Bulk()
		if err != nil {
			return err
		}
		if (s.target.Hash && string(name) == "hash") || (s.target.JSON && string(name) == typeJSON) {
			kept = append(kept, key)
		}
	}
	s.keys = kept
	return nil
}

// pace keeps a scan below its rate.
type pace struct {
	rate int
	next time.Time
}

// count is how many keys a round may look at: no more than a tenth of a second's worth.
func (p *pace) count() int {
	if p.rate <= 0 {
		return round
	}
	return min(round, max(p.rate/10, 1))
}

// wait returns how long to wait before a round of n keys at a time.
func (p *pace) wait(now time.Time, n int) time.Duration {
	if p.rate <= 0 {
		return 0
	}
	if p.next.Before(now) {
		p.next = now
	}
	d := p.next.Sub(now)
	p.next = p.next.Add(time.Duration(n) * time.Second / time.Duration(p.rate))
	return d
}
