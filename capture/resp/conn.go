package resp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"time"
)

// Options say how to reach a server.
type Options struct {
	Addr     string        // host:port
	User     string        // empty: the default user
	Password string        // empty: no AUTH is sent
	DB       int           // logical database
	Name     string        // name shown in CLIENT LIST; empty: none
	TLS      *tls.Config   // nil: no TLS
	Dial     time.Duration // longest time to connect; default 2s
	Timeout  time.Duration // longest silence while an answer is awaited; default 10s
	Buffer   int           // size of the reading buffer; default 64 KB
	// KeepAlive is the time between TCP keep-alive probes: 0 the system's default, negative none.
	KeepAlive time.Duration
}

// Conn is an authenticated connection. In serves one goroutine, Out another one at most.
type Conn struct {
	In  *Reader
	Out *Writer

	net     net.Conn
	timeout time.Duration
}

// patient sets a fresh deadline before each read and write, so that a connection dies of silence, not of age.
type patient struct{ c *Conn }

func (p patient) Read(b []byte) (int, error) {
	if p.c.timeout > 0 {
		if err := p.c.net.SetReadDeadline(time.Now().Add(p.c.timeout)); err != nil {
			return 0, err
		}
	}
	return p.c.net.Read(b)
}

func (p patient) Write(b []byte) (int, error) {
	if p.c.timeout > 0 {
		if err := p.c.net.SetWriteDeadline(time.Now().Add(p.c.timeout)); err != nil {
			return 0, err
		}
	}
	return p.c.net.Write(b)
}

// Dial connects, authenticates and selects the database.
func Dial(ctx context.Context, o Options) (*Conn, error) {
	if o.Dial <= 0 {
		o.Dial = 2 * time.Second
	}
	if o.Timeout <= 0 {
		o.Timeout = 10 * time.Second
	}
	if o.Buffer <= 0 {
		o.Buffer = 64 << 10
	}
	dialer := &net.Dialer{Timeout: o.Dial, KeepAlive: o.KeepAlive}
	var (
		n   net.Conn
		err error
	)
	if o.TLS != nil {
		n, err = (&tls.Dialer{NetDialer: dialer, Config: o.TLS}).DialContext(ctx, "tcp", o.Addr)
	} else {
		n, err = dialer.DialContext(ctx, "tcp", o.Addr)
	}
	if err != nil {
		return nil, fmt.Errorf("connecting to %s: %w", o.Addr, err)
	}
	c := &Conn{net: n, timeout: o.Timeout}
	c.In, c.Out = NewReader(patient{c}, o.Buffer), NewWriter(patient{c})
	if err := c.greet(ctx, o); err != nil {
		return nil, errors.Join(fmt.Errorf("greeting %s: %w", o.Addr, err), n.Close())
	}
	return c, nil
}

func (c *Conn) greet(ctx context.Context, o Options) error {
	defer c.Interrupt(ctx)()
	var asked []string
	ask := func(what string, args ...string) {
		c.Out.Command(args...)
		asked = append(asked, what)
	}
	switch {
	case o.Password != "" && o.User != "":
		ask("authenticating", "AUTH", o.User, o.Password)
	case o.Password != "":
		ask("authenticating", "AUTH", o.Password)
	}
	if o.Name != "" {
		ask("", "CLIENT", "SETNAME", o.Name)
	}
	ask(fmt.Sprintf("selecting database %d", o.DB), "SELECT", fmt.Sprint(o.DB))
	if err := c.Out.Flush(); err != nil {
		return interrupted(ctx, err)
	}
	var first error
	for _, what := range asked {
		err := c.In.OK()
		switch {
		case err == nil || (what == "" && Refused(err) != ""): // the name is a courtesy
		case Refused(err) == "":
			return interrupted(ctx, err)
		case first == nil:
			first = fmt.Errorf("%s: %w", what, err)
		}
	}
	return first
}

// Interrupt makes the end of ctx end what is under way on the connection, and any later use of it, until the returned
// function is called.
func (c *Conn) Interrupt(ctx context.Context) (release func()) {
	stop := context.AfterFunc(ctx, func() { _ = c.net.Close() })
	return func() { stop() }
}

// SetTimeout changes the longest silence; 0 waits for ever. Not to be called while a read is under way.
func (c *Conn) SetTimeout(d time.Duration) error {
	c.timeout = d
	if d > 0 {
		return nil
	}
	return c.net.SetDeadline(time.Time{})
}

// Silent says whether err is the end of patience: no byte arrived within the timeout.
func Silent(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

// Do sends one command and reads its answer. A refusal is an Error.
func (c *Conn) Do(ctx context.Context, args ...string) (Value, error) {
	defer c.Interrupt(ctx)()
	c.Out.Command(args...)
	if err := c.Out.Flush(); err != nil {
		return Value{}, interrupted(ctx, err)
	}
	v, err := c.In.Value()
	if err != nil {
		return Value{}, interrupted(ctx, err)
	}
	return v, v.Err()
}

// interrupted prefers the reason of ctx to the error that its end has caused.
func interrupted(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// Close ends the connection. It may be called more than once and from any goroutine.
func (c *Conn) Close() error {
	if err := c.net.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// LocalAddr is the address of our end, as CLIENT LIST shows it.
func (c *Conn) LocalAddr() string { return c.net.LocalAddr().String() }
