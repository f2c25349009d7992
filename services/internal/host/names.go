package host

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc/resolver"
)

// lookup finds the addresses of a name; net.DefaultResolver.LookupHost is one.
type lookup func(ctx context.Context, name string) ([]string, error)

// names resolves the addresses that services call each other by. A name may stand for several instances of a service, and for
// others a minute later, without any connection having broken: a headless service of Kubernetes, a scaled service of compose.
// So it is looked up again and again, as gRPC's own resolver does not, and calls go to each instance in turn (spread).
type names struct {
	lookup lookup
	every  time.Duration // between two lookups
	least  time.Duration // between two lookups when a connection has broken
}

// spread is the configuration of clients: calls, and so lanes, go to each address of a name in turn.
const spread = `{"loadBalancingConfig": [{"round_robin": {}}]}`

// ofNetwork looks names up as the system does.
var ofNetwork = names{lookup: net.DefaultResolver.LookupHost, every: 5 * time.Second, least: 500 * time.Millisecond}

// Scheme implements resolver.Builder: that of addresses without a scheme.
func (names) Scheme() string { return "dns" }

// Build implements resolver.Builder.
func (n names) Build(target resolver.Target, client resolver.ClientConn, _ resolver.BuildOptions) (resolver.Resolver, error) {
	name, port, err := net.SplitHostPort(target.Endpoint())
	if err != nil {
		return nil, fmt.Errorf("address %q: %w; write host:port", target.Endpoint(), err)
	}
	if name == "" { // :7400 is this machine, as it is to the system's resolver
		name = "localhost"
	}
	ctx, end := context.WithCancel(context.Background())
	w := &watched{names: n, name: name, port: port, client: client, end: end, again: make(chan struct{}, 1)}
	if _, err := netip.ParseAddr(name); err == nil {
		w.tell([]string{name})
		return w, nil
	}
	w.looking.Go(func() { w.look(ctx) })
	return w, nil
}

// watched is a name that a client follows.
type watched struct {
	names
	name, port string
	client     resolver.ClientConn
	end        context.CancelFunc
	again      chan struct{} // something has broken: look now
	looking    sync.WaitGroup
	known      []string // addresses that the client has; of the goroutine that looks
}

// look looks the name up until ctx ends. An address that was found stays in use while the name cannot be looked up.
func (w *watched) look(ctx context.Context) {
	for {
		found, err := w.lookup(ctx, w.name)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil && len(found) == 0:
			err = errors.New("the name has no address")
			fallthrough
		case err != nil:
			w.client.ReportError(fmt.Errorf("looking up %s: %w", w.name, err))
		default:
			slices.Sort(found)
			if found = slices.Compact(found); !slices.Equal(found, w.known) {
				w.known = found
				w.tell(found)
			}
		}
		if !wait(ctx, w.least, nil) || !wait(ctx, w.every-w.least, w.again) {
			return
		}
	}
}

// wait waits for a time, or for a word, and says whether ctx still goes on.
func wait(ctx context.Context, d time.Duration, word <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-word:
	case <-ctx.Done():
	}
	return ctx.Err() == nil
}

// tell gives the client its addresses. What it answers is of no use here: it has told what is wrong with them by failing calls.
func (w *watched) tell(addresses []string) {
	var s resolver.State
	for _, a := range addresses {
		s.Addresses = append(s.Addresses, resolver.Address{Addr: net.JoinHostPort(a, w.port)})
	}
	_ = w.client.UpdateState(s)
}

// ResolveNow implements resolver.Resolver.
func (w *watched) ResolveNow(resolver.ResolveNowOptions) {
	select {
	case w.again <- struct{}{}:
	default:
	}
}

// Close implements resolver.Resolver.
func (w *watched) Close() {
	w.end()
	w.looking.Wait()
}
