package source_test

import (
	"io"
	"net"
	"sync"
)

// forwarder passes connections on to another address.
type forwarder struct {
	listener net.Listener
	group    sync.WaitGroup
	mu       sync.Mutex
	open     []net.Conn
}

func newForwarder(listener net.Listener, to string) *forwarder {
	f := &forwarder{listener: listener}
	f.group.Go(func() {
		for {
			in, err := listener.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to)
			if err != nil {
				_ = in.Close()
				return
			}
			f.mu.Lock()
			f.open = append(f.open, in, out)
			f.mu.Unlock()
			for _, pair := range [][2]net.Conn{{in, out}, {out, in}} {
				f.group.Go(func() {
					_, _ = io.Copy(pair[0], pair[1])
					_ = pair[0].Close()
				})
			}
		}
	})
	return f
}

func (f *forwarder) close() {
	_ = f.listener.Close()
	f.mu.Lock()
	for _, c := range f.open {
		_ = c.Close()
	}
	f.mu.Unlock()
	f.group.Wait()
}
