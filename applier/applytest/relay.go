package applytest

import (
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
)

// relay is a network between a dialect and its server that a case can spoil. Requests go to the server, answers come
// back; either can be kept or thrown away, and all connections can be cut.
type relay struct {
	listener net.Listener
	backend  string
	running  sync.WaitGroup

	deaf    atomic.Bool  // answers are thrown away
	dumb    atomic.Bool  // requests are thrown away
	away    atomic.Bool  // new connections end at once
	dropped atomic.Int64 // bytes thrown away

	mu    sync.Mutex
	held  bool // requests wait at the gate
	gate  sync.Cond
	conns map[net.Conn]bool
}

// through starts a relay in front of a database's server and leads its connection through it.
func (f *fixture) through(t *testing.T, db Database) (Database, *relay) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listening: %v", err)
	}
	r := &relay{
		listener: l, backend: net.JoinHostPort(db.Connection.GetHost(), db.Connection.GetPort()), conns: map[net.Conn]bool{},
	}
	r.gate.L = &r.mu
	r.running.Go(r.accept)
	t.Cleanup(func() {
		_ = l.Close()
		r.release()
		r.cut()
		r.running.Wait()
	})
	return r.before(t, db), r
}

// before is a database as it is reached through the relay.
func (r *relay) before(t *testing.T, db Database) Database {
	t.Helper()
	led := proto.CloneOf(db.Connection)
	var err error
	if led.Host, led.Port, err = net.SplitHostPort(r.listener.Addr().String()); err != nil {
		t.Fatalf("the relay's address: %v", err)
	}
	db.Connection = led
	return db
}

func (r *relay) accept() {
	for {
		client, err := r.listener.Accept()
		if err != nil {
			return // closed
		}
		if r.away.Load() {
			_ = client.Close()
			continue
		}
		server, err := net.DialTimeout("tcp", r.backend, 5*time.Second)
		if err != nil {
			_ = client.Close()
			continue
		}
		r.mu.Lock()
		r.conns[client], r.conns[server] = true, true
		r.mu.Unlock()
		r.running.Go(func() { r.copy(server, client, &r.dumb, true) })
		r.running.Go(func() { r.copy(client, server, &r.deaf, false) })
	}
}

// copy carries one direction until either end closes.
func (r *relay) copy(to, from net.Conn, lose *atomic.Bool, holds bool) {
	defer r.end(to)
	defer r.end(from)
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 && holds {
			r.wait()
		}
		switch {
		case n > 0 && lose.Load():
			r.dropped.Add(int64(n))
		case n > 0:
			if _, werr := to.Write(buffer[:n]); werr != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func (r *relay) end(c net.Conn) {
	r.mu.Lock()
	delete(r.conns, c)
	r.mu.Unlock()
	_ = c.Close()
}

// wait keeps a request while the relay holds.
func (r *relay) wait() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.held {
		r.gate.Wait()
	}
}

// hold keeps requests until release.
func (r *relay) hold() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.held = true
}

func (r *relay) release() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.held = false
	r.gate.Broadcast()
}

// cut ends every connection, and passes everything from now on.
func (r *relay) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for c := range r.conns {
		_ = c.Close()
	}
	r.deaf.Store(false)
	r.dumb.Store(false)
}
