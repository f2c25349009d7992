// Package jsonserver is a Redis with JSON documents, for tests where no JSON module is at hand: a proxy on the loopback
// interface in front of a private Redis. What it does not know it forwards, pipelined and in both directions; it answers
// the commands of JSON documents itself.
//
// The words:
//
//   - document: a JSON value at a key. In the server underneath it is a stream with one entry of one field, so that the
//     key is real: DEL, UNLINK, RENAME, COPY, EXPIRE, SCAN, WATCH, FLUSHDB, DUMP and eviction work on it, with their own
//     events, and most commands of another type refuse it as they refuse a document.
//   - module: what the double imitates. RedisJSON and valkey-json publish the same events in different classes
//     (spec 1.4), and know different commands.
//   - transaction: how a document is written: WATCH, read, MULTI … EXEC on the connection of the client. Keyspace events
//     are off inside it, so that none of the storage leaks, and the event of the module is published in it, if the
//     setting notify-keyspace-events asks for it.
//
// What a client sees as a module would show it: JSON.SET, GET, DEL, FORGET, NUMINCRBY, NUMMULTBY, STRAPPEND, TOGGLE,
// ARRAPPEND, ARRINSERT, ARRPOP, ARRTRIM, CLEAR, MSET and, with RedisJSON, MERGE, also within MULTI; TYPE, SCAN … TYPE,
// COMMAND, COMMAND INFO, COMMAND COUNT and MODULE LIST; the events, in their order, and event "new". Paths name one place:
// members, indexes, with or without "$"; wildcards, filters and slices are refused.
//
// What differs is refused where it could mislead: a connection that has WATCHed keys writes documents within MULTI alone, and in a
// transaction a document may be deleted but not be replaced by another type. Scripts, and connections that subscribed, see
// the storage; so do commands of streams, OBJECT ENCODING, MEMORY, class m of the events and the replication stream. Class
// n is lost where CONFIG GET hides it, as Redis 7.0 does behind A. Commands on documents need a user that may use CONFIG,
// and are slower than those of a module; the other commands of a module are unknown.
//
// The tests of this package hold the double to the answers and events of a real module, see Real.
package jsonserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"

	"slipstream/deploy/dev/devserver"
)

// Server is a running proxy.
type Server struct {
	Addr string // host:port, for clients

	backend string
	module  *Module
	listen  net.Listener
	running sync.WaitGroup

	// writing serialises what reads and sets notify-keyspace-events, of all connections: the setting that a transaction
	// puts back must still be that of the operator.
	writing sync.Mutex

	mu     sync.Mutex
	closed bool
	open   map[*session]struct{}
}

// Start starts a proxy in front of the Redis at backend. The caller must Close it; the Redis is the caller's.
func Start(backend string, module *Module) (*Server, error) {
	listen, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listening: %w", err)
	}
	s := &Server{
		Addr: listen.Addr().String(), backend: backend, module: module, listen: listen, open: map[*session]struct{}{},
	}
	s.running.Go(s.accept)
	return s, nil
}

// Redis starts a private Redis with a proxy in front of it for one test, and ends both with the test.
func Redis(t devserver.TB, module *Module, options devserver.RedisOptions) *Server {
	t.Helper()
	s, err := Start(devserver.Redis(t, options).Addr, module)
	if err != nil {
		t.Fatalf("starting the JSON server: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("closing the JSON server: %v", err)
		}
	})
	return s
}

// realAddress names the environment variable with the address, host:port, of a server with a real JSON module. Tests empty
// that server.
const realAddress = "SLIPSTREAM_TEST_JSON_REDIS"

// Real returns the address of the server with a real JSON module that tests may empty and use; ok is false where none is
// at hand.
func Real() (addr string, ok bool) {
	addr = strings.TrimSpace(os.Getenv(realAddress))
	return addr, addr != ""
}

// Close ends the proxy and the connections through it, and returns when nothing of it runs. It may be called twice.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closed = true
	for c := range s.open {
		c.close()
	}
	s.mu.Unlock()
	err := s.listen.Close()
	s.running.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func (s *Server) accept() {
	for {
		client, err := s.listen.Accept()
		if err != nil {
			return // closed
		}
		s.running.Go(func() { s.serve(client) })
	}
}

// serve serves one client until either side ends. A server underneath that is away looks to the client as one that
// accepts and hangs up.
func (s *Server) serve(client net.Conn) {
	backend, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", s.backend)
	if err != nil {
		_ = client.Close()
		return
	}
	c := newSession(s, client, backend)
	s.mu.Lock()
	if s.closed {
		c.close()
	}
	s.open[c] = struct{}{}
	s.mu.Unlock()
	c.run()
	s.mu.Lock()
	delete(s.open, c)
	s.mu.Unlock()
}
