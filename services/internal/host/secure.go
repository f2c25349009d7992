package host

import (
	"context"
	"fmt"
	"log/slog"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

// Admit decides whether a call may be made: an error of gRPC says why not. It is asked before every call and stream, and
// may add to the context. Health is answered to everybody.
type Admit func(ctx context.Context, method string) (context.Context, error)

// Option is a choice about a Process.
type Option func(*Process)

// WithIdentity gives a process the files of TLS. They must have been checked.
func WithIdentity(i Identity) Option {
	return func(p *Process) {
		if i.Secure() {
			p.papers = &papers{identity: i}
		}
	}
}

// WithMaxMessage bounds what a caller may send at once, in bytes; 0 is the bound of a hop, on which a batch with one huge
// document must pass.
func WithMaxMessage(bytes int) Option {
	return func(p *Process) { p.maxMessage = bytes }
}

// maxStreams bounds the calls that are under way on one connection. A lane is one, so it is far above what lanes need.
const maxStreams = 10000

// Dial makes a client of another service, which shows the process's certificate where it has one.
func (p *Process) Dial(address string, extra ...grpc.DialOption) (*grpc.ClientConn, error) {
	if p.papers != nil {
		extra = append([]grpc.DialOption{grpc.WithTransportCredentials(p.papers.calls())}, extra...)
	}
	return Dial(address, extra...)
}

// DialAs makes a client for somebody who is no service, such as the command line: with an identity, and a token unless it
// is empty. A token goes over TLS, or stays on this machine.
func DialAs(i Identity, token, address string) (*grpc.ClientConn, error) {
	var options []grpc.DialOption
	if i.Secure() {
		p := &papers{identity: i, log: slog.New(slog.DiscardHandler)}
		if _, _, err := p.now(); err != nil {
			return nil, err
		}
		options = append(options, grpc.WithTransportCredentials(p.calls()))
	}
	if token != "" {
		if !i.Secure() && !loopback(address) {
			return nil, fmt.Errorf("the token would cross the network to %s in the clear: add --tls or --tls-ca", address)
		}
		options = append(options, grpc.WithPerRPCCredentials(bearer{token: token, secure: i.Secure()}))
	}
	return Dial(address, options...)
}

// loopback says that an address is this machine's own.
func loopback(address string) bool {
	name, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(name)
	return name == "localhost" || ip != nil && ip.IsLoopback()
}

// bearer sends a token with every call (RFC 6750).
type bearer struct {
	token  string
	secure bool
}

// GetRequestMetadata implements credentials.PerRPCCredentials.
func (b bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + b.token}, nil
}

// RequireTransportSecurity implements credentials.PerRPCCredentials.
func (b bearer) RequireTransportSecurity() bool { return b.secure }

// security are the options of a server: TLS where the process has an identity, and who may call.
func (p *Process) security() []grpc.ServerOption {
	options := []grpc.ServerOption{grpc.ChainUnaryInterceptor(p.admitCall), grpc.ChainStreamInterceptor(p.admitStream)}
	if p.papers != nil {
		creds := networkOnly{credentials.NewTLS(p.papers.server(func() bool { return p.Admit != nil }))}
		options = append(options, grpc.Creds(creds))
	}
	return options
}

// open are the methods that everybody may call: probes have no credentials.
var open = map[string]bool{"/grpc.health.v1.Health/Check": true, "/grpc.health.v1.Health/Watch": true}

func (p *Process) admitCall(ctx context.Context, r any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	if p.Admit != nil && !open[info.FullMethod] {
		var err error
		if ctx, err = p.Admit(ctx, info.FullMethod); err != nil {
			return nil, err
		}
	}
	return next(ctx, r)
}

func (p *Process) admitStream(server any, s grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	if p.Admit == nil || open[info.FullMethod] {
		return next(server, s)
	}
	ctx, err := p.Admit(s.Context(), info.FullMethod)
	if err != nil {
		return err
	}
	return next(server, admitted{ServerStream: s, ctx: ctx})
}

// admitted is a stream with what Admit added to its context.
type admitted struct {
	grpc.ServerStream
	ctx context.Context
}

// Context implements grpc.ServerStream.
func (a admitted) Context() context.Context { return a.ctx }

// networkOnly are credentials that connections in memory do without: nobody else is on them.
type networkOnly struct {
	credentials.TransportCredentials
}

// ServerHandshake implements credentials.TransportCredentials.
func (n networkOnly) ServerHandshake(c net.Conn) (net.Conn, credentials.AuthInfo, error) {
	if c.RemoteAddr().Network() == memoryNetwork {
		return insecure.NewCredentials().ServerHandshake(c)
	}
	return n.TransportCredentials.ServerHandshake(c)
}

// Clone implements credentials.TransportCredentials.
func (n networkOnly) Clone() credentials.TransportCredentials {
	return networkOnly{n.TransportCredentials.Clone()}
}
