package recorder

import (
	"context"
	"errors"
	"fmt"

	"slipstream/capture/lease"
	"slipstream/capture/resp"
)

// errTaken says that another instance records.
var errTaken = errors.New("another instance records")

// fence is a plain connection whose transactions take place only while the lease is ours: it always has the lease
// watched, and has seen our token in it since.
type fence struct {
	lease.Lease
	conn *resp.Conn
}

// takenError is errTaken with the name of the owner.
type takenError struct{ by string }

func (e *takenError) Error() string        { return fmt.Sprintf("%v: %s", errTaken, e.by) }
func (e *takenError) Is(target error) bool { return target == errTaken }

// acquire takes the lease, or finds that it is ours already, and begins to watch it. Fresh says that it was nobody's.
func (f *fence) acquire(ctx context.Context) (fresh bool, err error) {
	v, err := f.conn.Do(ctx, f.TakeCommand()...)
	if err != nil {
		return false, fmt.Errorf("taking the lease: %w", err)
	}
	return v.Text() != f.Token, f.watch(ctx)
}

var (
	// errLapsed says that the lease is nobody's: it ran out, or Redis lost it. Nothing was written.
	errLapsed = errors.New("the lease of the recorder has run out")
	// errAborted says that the lease was touched by somebody. Nothing was written.
	errAborted = errors.New("the lease of the recorder was touched")
)

// prolong holds the lease with nothing to record. It is no transaction: a server that is out of memory refuses those.
func (f *fence) prolong(ctx context.Context) error {
	v, err := f.conn.Do(ctx, f.ProlongCommand()...)
	if err != nil {
		return err
	}
	if v.Int == 1 {
		return f.watch(ctx) // the key was touched, by ourselves
	}
	return errors.Join(errAborted, f.watch(ctx))
}

// watch watches the lease, and sees that it is ours still.
func (f *fence) watch(ctx context.Context) error {
	// What was watched before has been touched.
	if _, err := f.conn.Do(ctx, "UNWATCH"); err != nil {
		return fmt.Errorf("watching the lease no more: %w", err)
	}
	if _, err := f.conn.Do(ctx, "WATCH", f.Key); err != nil {
		return fmt.Errorf("watching the lease: %w", err)
	}
	v, err := f.conn.Do(ctx, "GET", f.Key)
	if err != nil {
		return fmt.Errorf("reading the lease: %w", err)
	}
	if v.Null {
		return errLapsed
	}
	if by := lease.Holder(v.Text()); by != f.Token {
		return &takenError{by: lease.Instance(by)}
	}
	return nil
}

// transact sends commands, encoded, as one transaction that also prolongs the lease, and hands each answer to answer. A
// refusal before EXEC is returned as a resp.Error: nothing was written then. An error of the connection leaves open
// whether the transaction took place.
func (f *fence) transact(ctx context.Context, commands int, encoded []byte, answer func(i int, in *resp.Reader) error) error {
	defer f.conn.Interrupt(ctx)()
	out, in := f.conn.Out, f.conn.In
	out.Command("MULTI")
	out.Raw(encoded)
	out.Command(f.ProlongCommand()...)
	out.Command("EXEC")
	out.Command("WATCH", f.Key)
	out.Command("GET", f.Key)
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
	value, err := in.Bulk()
	if err != nil {
		return err
	}
	if refusal == nil || errors.Is(refusal, errAborted) {
		switch {
		case value == nil:
			return errors.Join(refusal, errLapsed)
		case lease.Holder(string(value)) != f.Token:
			return errors.Join(refusal, &takenError{by: lease.Instance(string(value))})
		}
	}
	return refusal
}
