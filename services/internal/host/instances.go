package host

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
)

// lookupWait bounds a lookup that somebody waits for; the instances known before count when it takes longer.
const lookupWait = time.Second

// Instance is a client of one instance of a service.
type Instance struct {
	Address string // for people
	Conn    *grpc.ClientConn
}

// Instances are clients of every instance behind an address, for who must ask each of them and not any. It is safe for
// concurrent use.
type Instances struct {
	named      Instance // whoever answers at the address
	name, port string   // empty name: the address stands for one instance
	lookup     lookup
	dial       func(address string) (*grpc.ClientConn, error)

	mu    sync.Mutex
	known []string                    // addresses of the name when it was looked up last
	conns map[string]*grpc.ClientConn // by address
	gone  []*grpc.ClientConn          // of instances that left: a call may still be on its way
}

// DialEach makes the clients of an address.
func (p *Process) DialEach(address string) (*Instances, error) {
	conn, err := p.Dial(address)
	if err != nil {
		return nil, err
	}
	all := One(address, conn)
	name, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("address %q: %w; write host:port", address, err), conn.Close())
	}
	if _, err := netip.ParseAddr(name); err != nil {
		all.name, all.port, all.lookup = name, port, net.DefaultResolver.LookupHost
		all.dial = func(one string) (*grpc.ClientConn, error) {
			return p.Dial(one, grpc.WithAuthority(address)) // its certificate has the name
		}
	}
	return all, nil
}

// One are the instances of a service that has one.
func One(address string, conn *grpc.ClientConn) *Instances {
	return &Instances{named: Instance{Address: address, Conn: conn}, conns: map[string]*grpc.ClientConn{}}
}

// Now are the instances as they are now. A name that has one address, or cannot be looked up, is one instance, which says
// itself why it cannot be reached.
func (i *Instances) Now() []Instance {
	if i.name == "" {
		return []Instance{i.named}
	}
	ctx, cancel := context.WithTimeout(context.Background(), lookupWait)
	defer cancel()
	found, err := i.lookup(ctx, i.name)
	i.mu.Lock()
	defer i.mu.Unlock()
	if err == nil {
		i.follow(distinct(found))
	}
	if len(i.known) < 2 {
		return []Instance{i.named}
	}
	var all []Instance
	for _, a := range i.known {
		at := net.JoinHostPort(a, i.port)
		conn := i.conns[a]
		if conn == nil {
			if conn, err = i.dial(at); err != nil {
				continue // an address that was looked up is well-formed
			}
			i.conns[a] = conn
		}
		all = append(all, Instance{Address: at, Conn: conn})
	}
	return all
}

// distinct are the addresses that may stand for an instance each, sorted. Where a name has addresses of both families an
// instance has one of each, as localhost does: those of IPv4 count.
func distinct(found []string) []string {
	six := func(a string) bool { return strings.Contains(a, ":") }
	if slices.ContainsFunc(found, func(a string) bool { return !six(a) }) {
		found = slices.DeleteFunc(slices.Clone(found), six)
	}
	return slices.Compact(slices.Sorted(slices.Values(found)))
}

// follow takes what the name stands for now. Clients of those that left are closed when it changes once more.
func (i *Instances) follow(found []string) {
	if slices.Equal(found, i.known) {
		return
	}
	i.known = found
	for _, conn := range i.gone {
		_ = conn.Close() // nothing is asked of it any more
	}
	i.gone = nil
	for a, conn := range i.conns {
		if !slices.Contains(found, a) {
			i.gone = append(i.gone, conn)
			delete(i.conns, a)
		}
	}
}

// Close closes every client.
func (i *Instances) Close() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	errs := []error{i.named.Conn.Close()}
	for _, conn := range i.gone {
		errs = append(errs, conn.Close())
	}
	for _, conn := range i.conns {
		errs = append(errs, conn.Close())
	}
	return errors.Join(errs...)
}
