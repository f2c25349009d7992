package host

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
)

// HTTPServer serves HTTP beside the gRPC server of a process.
type HTTPServer struct {
	lis    net.Listener
	server *http.Server
	done   chan struct{}
}

// ServeHTTPS is ServeHTTP over TLS where the process has an identity, as its gRPC server has it: who calls must show a
// certificate under the same conditions.
func (p *Process) ServeHTTPS(ctx context.Context, what, address string, server *http.Server) (*HTTPServer, error) {
	if p.papers == nil {
		return p.ServeHTTP(ctx, what, address, server)
	}
	return p.serveHTTP(ctx, what, address, server, func(lis net.Listener) net.Listener {
		return tls.NewListener(lis, p.papers.server(func() bool { return p.Admit != nil }))
	})
}

// ServeHTTP serves on an address until Close; "off" or an empty address serves nothing. what is served has the name of its flag.
func (p *Process) ServeHTTP(ctx context.Context, what, address string, server *http.Server) (*HTTPServer, error) {
	return p.serveHTTP(ctx, what, address, server, func(lis net.Listener) net.Listener { return lis })
}

func (p *Process) serveHTTP(
	ctx context.Context, what, address string, server *http.Server, wrap func(net.Listener) net.Listener,
) (*HTTPServer, error) {
	if address == "" || address == "off" {
		return &HTTPServer{}, nil
	}
	lis, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listening for %s: %w; choose another address with --%s", what, err, what)
	}
	if server.ErrorLog == nil { // handshakes that fail, and calls that panic: its own log would go to stderr in another form
		server.ErrorLog = slog.NewLogLogger(p.Log.Handler(), slog.LevelWarn)
	}
	h := &HTTPServer{lis: lis, done: make(chan struct{}), server: server}
	go func() {
		defer close(h.done)
		if err := h.server.Serve(wrap(lis)); !errors.Is(err, http.ErrServerClosed) {
			p.Log.ErrorContext(ctx, "serving HTTP", "what", what, "error", err)
		}
	}()
	return h, nil
}

// Addr is where it listens; "off" where it does not.
func (h *HTTPServer) Addr() string {
	if h.lis == nil {
		return "off"
	}
	return h.lis.Addr().String()
}

// Close ends it, and what it serves at once.
func (h *HTTPServer) Close() error {
	if h.server == nil {
		return nil
	}
	err := h.server.Close()
	<-h.done
	return err
}
