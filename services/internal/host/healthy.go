package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
)

// healthWait bounds a question for health; the process asked is on the same machine.
const healthWait = 3 * time.Second

// healthy asks the process of these options, which runs elsewhere on this machine, whether it serves. Images have no shell
// and no other program: this is how a container engine finds out.
func healthy(ctx context.Context, o *options) error {
	address, err := own(o.listen)
	if err != nil {
		return err
	}
	conn, err := dialSelf(o.identity, address)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, healthWait)
	defer cancel()
	answer, err := healthv1.NewHealthClient(conn).Check(ctx, &healthv1.HealthCheckRequest{})
	switch {
	case err != nil:
		err = fmt.Errorf("asking %s for health: %w; with --tls-peers, the process's own name must be one of them", address, err)
	case answer.GetStatus() != healthv1.HealthCheckResponse_SERVING:
		err = fmt.Errorf("%s answers %s", address, answer.GetStatus())
	}
	return errors.Join(err, conn.Close())
}

// own is the address at which this machine reaches what listens at an address.
func own(listen string) (string, error) {
	name, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "", fmt.Errorf("--listen %q: %w", listen, err)
	}
	if name == "" {
		return net.JoinHostPort("127.0.0.1", port), nil
	}
	if ip, err := netip.ParseAddr(name); err == nil && ip.IsUnspecified() {
		name = "127.0.0.1"
		if ip.Is6() {
			name = "::1"
		}
	}
	return net.JoinHostPort(name, port), nil
}

// dialSelf makes a client of a process that has the same identity. Its certificate names the host by which others call it,
// not the loopback address, and nothing is told to it that it does not know: what it shows is not checked.
func dialSelf(i Identity, address string) (*grpc.ClientConn, error) {
	if !i.Secure() {
		return Dial(address)
	}
	p := &papers{identity: i, log: slog.New(slog.DiscardHandler)}
	c, err := p.client()
	if err != nil {
		return nil, err
	}
	c.InsecureSkipVerify = true
	return Dial(address, grpc.WithTransportCredentials(credentials.NewTLS(c)))
}
