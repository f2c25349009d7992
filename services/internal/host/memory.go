package host

import (
	"context"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/test/bufconn"
)

// redial is how soon a client tries again: a service that was restarted is found within a second.
var redial = backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second}

// memoryBuffer is how many bytes a connection in memory holds in each direction.
const memoryBuffer = 4 << 20

// memoryNetwork is the network that a Memory's addresses name.
const memoryNetwork = "bufconn"

// MemoryTarget is the target of clients of a Memory.
const MemoryTarget = "passthrough:///memory"

// Memory is a gRPC server that is reached without a network, for services that share a process (design D12).
type Memory struct{ lis *bufconn.Listener }

// NewMemory makes one.
func NewMemory() *Memory { return &Memory{lis: bufconn.Listen(memoryBuffer)} }

// Listener is what the server serves on.
func (m *Memory) Listener() net.Listener { return m.lis }

// Self makes a client of the process's own gRPC server, without a network: what a page asks passes the same checks as any
// call. It must be called before Serve, and is closed when the process has stopped.
func (p *Process) Self() (*grpc.ClientConn, error) {
	if p.self == nil {
		p.self = NewMemory()
	}
	conn, err := p.self.Dial()
	if err != nil {
		return nil, err
	}
	p.OnStopped(func() { _ = conn.Close() }) // nothing is asked any more
	return conn, nil
}

// Dial makes a client of it.
func (m *Memory) Dial() (*grpc.ClientConn, error) {
	return Dial(MemoryTarget, grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
		return m.lis.DialContext(ctx)
	}))
}
