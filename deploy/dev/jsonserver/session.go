package jsonserver

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
)

// session is one client and its connection to the server underneath. One goroutine takes the client's commands, another
// one the answers.
type session struct {
	server *Server

	client   net.Conn
	in       *bufio.Reader // commands, of the goroutine that takes them
	up       net.Conn
	requests *bufio.Writer // of the same goroutine
	replies  *bufio.Reader // of the other goroutine

	outMu sync.Mutex
	out   *bufio.Writer // to the client

	mu      sync.Mutex
	changed *sync.Cond
	pending []*waiting // a command each that is not answered yet
	ended   bool

	// verbatim says that bytes are copied from here on: the session subscribed, or became a replica.
	verbatim atomic.Bool

	// Of the goroutine that takes commands.
	resp3    bool
	watching bool   // the client has WATCHed keys
	queue    *queue // since MULTI
}

// waiting is a command on its way. Its answer goes to the client, or is kept.
type waiting struct {
	keep  bool
	frame []byte
}

var errEnded = errors.New("the connection to the server underneath ended")

func newSession(s *Server, client, up net.Conn) *session {
	c := &session{
		server: s, client: client, up: up,
		in: bufio.NewReaderSize(client, bufferSize), out: bufio.NewWriterSize(client, bufferSize),
		replies: bufio.NewReaderSize(up, bufferSize), requests: bufio.NewWriterSize(up, bufferSize),
	}
	c.changed = sync.NewCond(&c.mu)
	return c
}

// close ends the session; run returns soon after.
func (c *session) close() {
	_ = c.client.Close() // either may have ended before
	_ = c.up.Close()
}

// run serves until either side ends. Why a connection ended is for the client to see, not for us to tell.
func (c *session) run() {
	var answers sync.WaitGroup
	answers.Go(func() {
		_ = c.answers()
		c.mu.Lock()
		c.ended = true
		c.changed.Broadcast()
		c.mu.Unlock()
		c.close()
	})
	_ = c.commands()
	c.close()
	answers.Wait()
}

// commands takes the client's commands.
func (c *session) commands() error {
	for {
		args, err := readCommand(c.in)
		if err != nil {
			return err
		}
		if len(args) == 0 {
			continue
		}
		if err := c.take(args); err != nil {
			return err
		}
		if c.verbatim.Load() {
			if err := c.requests.Flush(); err != nil {
				return err
			}
			_, err := io.Copy(c.up, c.in)
			return err
		}
		if c.in.Buffered() == 0 {
			if err := c.requests.Flush(); err != nil {
				return err
			}
		}
	}
}

// answers takes the answers of the server underneath.
func (c *session) answers() error {
	for {
		first, err := c.replies.Peek(1)
		if err != nil {
			return err
		}
		if c.verbatim.Load() {
			return c.copyAnswers()
		}
		if first[0] == '>' { // sent without being asked
			if err := c.pass(); err != nil {
				return err
			}
			continue
		}
		c.mu.Lock()
		var w *waiting
		if len(c.pending) > 0 {
			w = c.pending[0]
		}
		c.mu.Unlock()
		if w == nil || !w.keep {
			err = c.pass()
		} else {
			var frame bytes.Buffer
			_, err = copyFrame(&frame, c.replies)
			w.frame = frame.Bytes()
		}
		if err != nil {
			return err
		}
		c.mu.Lock()
		if w != nil {
			c.pending = c.pending[1:]
		}
		if len(c.pending) == 0 {
			c.changed.Broadcast()
		}
		c.mu.Unlock()
	}
}

// pass gives the client one answer.
func (c *session) pass() error {
	c.outMu.Lock()
	defer c.outMu.Unlock()
	if _, err := copyFrame(c.out, c.replies); err != nil {
		return err
	}
	if c.replies.Buffered() == 0 {
		return c.out.Flush()
	}
	return nil
}

func (c *session) copyAnswers() error {
	c.outMu.Lock()
	defer c.outMu.Unlock()
	if err := c.out.Flush(); err != nil {
		return err
	}
	_, err := io.Copy(c.client, c.replies)
	return err
}

// forward sends a command whose answer the client gets.
func (c *session) forward(args []string) error { return c.send(&waiting{}, args) }

func (c *session) send(w *waiting, args []string) error {
	c.mu.Lock()
	c.pending = append(c.pending, w)
	c.mu.Unlock()
	_, err := c.requests.Write(appendCommand(nil, args...))
	return err
}

// settle waits until every command sent is answered.
func (c *session) settle() error {
	if err := c.requests.Flush(); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.pending) > 0 && !c.ended {
		c.changed.Wait()
	}
	if len(c.pending) > 0 {
		return errEnded
	}
	return nil
}

// do sends commands of our own, and gives their answers. By then the client has the answers to all of its own.
func (c *session) do(commands ...[]string) ([][]byte, error) {
	sent := make([]*waiting, len(commands))
	for i, args := range commands {
		sent[i] = &waiting{keep: true}
		if err := c.send(sent[i], args); err != nil {
			return nil, err
		}
	}
	if err := c.settle(); err != nil {
		return nil, err
	}
	frames := make([][]byte, len(sent))
	for i, w := range sent {
		frames[i] = w.frame
	}
	return frames, nil
}

// doOne is do of one command, and takes its answer apart.
func (c *session) doOne(args ...string) (frame []byte, v value, err error) {
	frames, err := c.do(args)
	if err != nil {
		return nil, v, err
	}
	v, err = readValue(frames[0])
	return frames[0], v, err
}

// answer answers the client in the place of the server underneath.
func (c *session) answer(write func(*answer)) error {
	if err := c.settle(); err != nil {
		return err
	}
	a := &answer{resp3: c.resp3}
	write(a)
	c.outMu.Lock()
	defer c.outMu.Unlock()
	if _, err := c.out.Write(a.Bytes()); err != nil {
		return err
	}
	return c.out.Flush()
}

// alone forwards a command while no document is written.
func (c *session) alone(args []string) error {
	if err := c.settle(); err != nil { // what blocks is answered before others have to wait for us
		return err
	}
	c.server.writing.Lock()
	defer c.server.writing.Unlock()
	if err := c.forward(args); err != nil {
		return err
	}
	return c.settle()
}
