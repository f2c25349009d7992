package recorder

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"slipstream/capture/resp"
)

// errTaken says that another instance records.
var errTaken = errors.New("another instance records")

// leaseGone gives the lease back, if it is still ours. KEYS: the lease. ARGV: our token.
var leaseGone = redis.NewScript(`
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0`)

// fence is a plain connection whose transactions take place only while the lease is ours: it always has the lease
// watched, and has seen our token in it since.
type fence struct {
	conn  *resp.Conn
	key   string
	token string
	ttl   time.Duration
}

// owner is the instance in a token.
func owner(token string) string {
	name, _, _ := strings.Cut(token, "/")
	return name
}

// takenError is errTaken with the name of the owner.
type takenError struct{ by string }

func (e *takenError) Error() string        { return fmt.Sprintf("%v: %s", errTaken, e.by) }
func (e *takenError) Is(target error) bool { return target == errTaken }

// acquire takes the lease, or finds that it is ours already, and begins to watch it. Fresh says that it was nobody's.
func (f *fence) acquire(ctx context.Context) (fresh bool, err error) {
	// What was watched before has been touched, by the loss or by the SET that follows.
	if _, err := f.conn.Do(ctx, "UNWATCH"); err != nil {
		return false, fmt.Errorf("watching the lease no more: %w", err)
	}
	v, err := f.conn.Do(ctx, "SET", f.key, f.token, "NX", "PX", strconv.FormatInt(f.ttl.Milliseconds(), 10))
	if err != nil {
		return false, fmt.Errorf("taking the lease: %w", err)
	}
	fresh = !v.Null
	if _, err := f.conn.Do(ctx, "WATCH", f.key); err != nil {
		return false, fmt.Errorf("watching the lease: %w", err)
	}
	v, err = f.conn.Do(ctx, "GET", f.key)
	if err != nil {
		return false, fmt.Errorf("reading the lease: %w", err)
	}
	if v.Null {
		return false, errLapsed
	}
	if v.Text() != f.token {
		return false, &takenError{by: owner(v.Text())}
	}
	return fresh, nil
}

var (
	// errLapsed says that the lease is nobody's: it ran out, or Redis lost it. Nothing was written.
	errLapsed = errors.New("the lease of the recorder has run out")
	// errAborted says that the lease was touched by somebody. Nothing was written.
	errAborted = errors.New("the lease of the recorder was touched")
)

// transact sends commands, encoded, as one transaction that also prolongs the lease, and hands each answer to answer. A
// refusal before EXEC is returned as a resp.Error: nothing was written then. An error of the connection leaves open
// whether the transaction took place.
func (f *fence) transact(ctx context.Context, commands int, encoded []byte, answer func(i int, in *resp.Reader) error) error {
	defer f.conn.Interrupt(ctx)()
	out, in := f.conn.Out, f.conn.In
	out.Command("MULTI")
	out.Raw(encoded)
	out.Command("PEXPIRE", f.key, strconv.FormatInt(f.ttl.Milliseconds(), 10))
	out.Command("EXEC")
	out.Command("WATCH", f.key)
	out.Command("GET", f.key)
	if err := out.Flush(); err != nil {
		return err
	}
	var refusal error
	for range commands + 2 { // MULTI and what is queued
		if err := in.OK(); err != nil {
			if resp.Refused(err) == "" {
				return err
			}
			if refusal == nil {
				refusal = err
			}
		}
	}
	n, err := in.Array()
	switch {
	case err != nil && resp.Refused(err) == "":
		return err
	case err != nil && refusal == nil:
		refusal = err
	case err == nil && n < 0:
		refusal = errAborted
	case err == nil:
		if n != commands+1 {
			return &resp.ProtocolError{Detail: fmt.Sprintf("%d answers to %d commands", n, commands+1)}
		}
		for i := range commands {
			if err := answer(i, in); err != nil {
				return err
			}
		}
		if err := in.Skip(); err != nil {
			return err
		}
	}
	if err := in.OK(); err != nil {
		return err
	}
	token, err := in.Bulk()
	if err != nil {
		return err
	}
	if refusal == nil || errors.Is(refusal, errAborted) {
		switch {
		case token == nil:
			return errors.Join(refusal, errLapsed)
		case string(token) != f.token:
			return errors.Join(refusal, &takenError{by: owner(string(token))})
		}
	}
	return refusal
}
