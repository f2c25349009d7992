package host

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/grpc"

	"slipstream/proto/fault"
	flowv1 "slipstream/proto/slipstream/flow/v1"
)

// Appliers maps connection types to the clients of their appliers.
type Appliers map[string]*grpc.ClientConn

// served says which types one applier serves beside its own: MariaDB speaks MySQL's protocol.
var served = map[string][]string{"mysql": {"mariadb"}}

// DialAppliers reads "postgresql=host:port,sqlite=host:port" and makes the clients.
func (p *Process) DialAppliers(list string) (Appliers, error) {
	all := Appliers{}
	for part := range strings.SplitSeq(list, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		kind, address, ok := strings.Cut(part, "=")
		if !ok || kind == "" || address == "" {
			return nil, errors.Join(fmt.Errorf("--appliers %q: write type=host:port, for example postgresql=127.0.0.1:7411", part), all.Close())
		}
		if _, twice := all[kind]; twice {
			return nil, errors.Join(fmt.Errorf("--appliers names %s twice", kind), all.Close())
		}
		conn, err := p.Dial(address)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("--appliers: %w", err), all.Close())
		}
		all.Add(kind, conn)
	}
	return all, nil
}

// Add makes a client the one for a connection type, and for those that its applier serves beside.
func (a Appliers) Add(kind string, conn *grpc.ClientConn) {
	for _, k := range append([]string{kind}, served[kind]...) {
		a[k] = conn
	}
}

// Types are the connection types that have an applier, sorted.
func (a Appliers) Types() []string {
	var types []string
	for kind := range a {
		types = append(types, kind)
	}
	slices.Sort(types)
	return types
}

// For is the client of the applier for a connection type.
func (a Appliers) For(kind string) (*grpc.ClientConn, error) {
	conn, ok := a[kind]
	if !ok {
		return nil, fault.Errorf(flowv1.FaultClass_FAULT_CLASS_SCHEMA, "no applier for connections of type %s", kind).
			WithFix(fmt.Sprintf("start one and name it: --appliers %s=host:port (now: %s)", kind, strings.Join(a.Types(), ", ")))
	}
	return conn, nil
}

// Connect has every client look for its instances now, not when it is first used.
func (a Appliers) Connect() {
	for _, conn := range a {
		conn.Connect()
	}
}

// Close closes every client once.
func (a Appliers) Close() error {
	var errs []error
	closed := map[*grpc.ClientConn]bool{}
	for _, conn := range a {
		if !closed[conn] {
			closed[conn] = true
			errs = append(errs, conn.Close())
		}
	}
	return errors.Join(errs...)
}

// Addresses splits a comma separated list of addresses.
func Addresses(list string) (out []string) {
	for part := range strings.SplitSeq(list, ",") {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, part)
		}
	}
	return out
}
