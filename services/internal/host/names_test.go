package host

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"slipstream/deploy/dev/devserver"
)

// book is what names stand for in a test.
type book struct {
	mu    sync.Mutex
	names map[string][]string
	asked chan struct{} // takes a word a lookup, where somebody waits for it
}

func (b *book) set(name string, addresses ...string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.names[name] = addresses
}

func (b *book) lookup(_ context.Context, name string) ([]string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case b.asked <- struct{}{}:
	default:
	}
	found, ok := b.names[name]
	if !ok {
		return nil, errors.New("no such host")
	}
	return slices.Clone(found), nil
}

// instance is a server that knows where it was called.
type instance struct {
	healthv1.UnimplementedHealthServer
	at    string
	calls chan<- string
}

// Check implements healthv1.HealthServer.
func (i instance) Check(context.Context, *healthv1.HealthCheckRequest) (*healthv1.HealthCheckResponse, error) {
	i.calls <- i.at
	return &healthv1.HealthCheckResponse{Status: healthv1.HealthCheckResponse_SERVING}, nil
}

// instances serve at one port of several addresses of this machine.
func instances(t *testing.T, calls chan string, addresses ...string) (port string) {
	t.Helper()
	free, err := devserver.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	_, port, err = net.SplitHostPort(free)
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range addresses {
		lis, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", net.JoinHostPort(address, port))
		if err != nil {
			t.Fatal(err)
		}
		s := grpc.NewServer()
		healthv1.RegisterHealthServer(s, instance{at: address, calls: calls})
		served := make(chan error, 1)
		go func() { served <- s.Serve(lis) }()
		t.Cleanup(func() { s.Stop(); <-served })
	}
	return port
}

// called calls until it was answered at each of these addresses and at no other, ten times in a row.
func called(t *testing.T, conn *grpc.ClientConn, calls <-chan string, want ...string) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		seen := map[string]bool{}
		var err error
		for range 10 {
			if _, err = healthv1.NewHealthClient(conn).Check(t.Context(), &healthv1.HealthCheckRequest{}); err == nil {
				seen[<-calls] = true
			}
		}
		all := len(seen) == len(want)
		for _, a := range want {
			all = all && seen[a]
		}
		if all {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("calls are answered at %v, want %v; %v", seen, want, err)
		}
	}
}

// TestNames: calls go to every instance behind a name in turn, to one that comes later too although nothing broke, and to
// none that left; a name that cannot be looked up says so, and keeps the instances that it had.
func TestNames(t *testing.T) {
	calls := make(chan string, 1)
	port := instances(t, calls, "127.0.0.1", "127.0.0.2", "127.0.0.3")
	b := &book{names: map[string][]string{}, asked: make(chan struct{})}
	n := names{lookup: b.lookup, every: 3 * time.Millisecond, least: time.Millisecond}
	conn, err := grpc.NewClient("transformer:"+port, grpc.WithResolvers(n), grpc.WithDefaultServiceConfig(spread),
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithConnectParams(grpc.ConnectParams{Backoff: redial}))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_, err = healthv1.NewHealthClient(conn).Check(t.Context(), &healthv1.HealthCheckRequest{})
	if status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "looking up transformer: no such host") {
		t.Errorf("a name that nobody knows: %v", err)
	}
	b.set("transformer", "127.0.0.1")
	called(t, conn, calls, "127.0.0.1")
	b.set("transformer", "127.0.0.2", "127.0.0.1", "127.0.0.2")
	called(t, conn, calls, "127.0.0.1", "127.0.0.2")
	b.set("transformer", "127.0.0.3", "127.0.0.2")
	called(t, conn, calls, "127.0.0.2", "127.0.0.3")
	b.set("transformer")
	for range 2 { // the second begins after the answer to the first was used
		<-b.asked
	}
	called(t, conn, calls, "127.0.0.2", "127.0.0.3")
}

// TestAddressWithoutAName: a port alone is one of this machine.
func TestAddressWithoutAName(t *testing.T) {
	calls := make(chan string, 1)
	conn, err := Dial(":" + instances(t, calls, "127.0.0.1"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	called(t, conn, calls, "127.0.0.1")
}

// TestInstances: who must ask every instance behind a name has a client of each, under the name of its certificate, and
// follows those that come and go.
func TestInstances(t *testing.T) {
	calls := make(chan string, 1)
	port := instances(t, calls, "127.0.0.1", "127.0.0.2", "127.0.0.3")
	b := &book{names: map[string][]string{}, asked: make(chan struct{})}
	p := New("gateway", slog.New(slog.DiscardHandler))
	all, err := p.DialEach("capture:" + port)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := all.Close(); err != nil {
			t.Error(err)
		}
	}()
	all.lookup = b.lookup
	now := func(want ...string) {
		t.Helper()
		var got []string
		for _, i := range all.Now() {
			got = append(got, i.Address)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("instances %q, want %q", got, want)
		}
	}
	name, one, two, three := "capture:"+port, "127.0.0.1:"+port, "127.0.0.2:"+port, "127.0.0.3:"+port
	now(name) // it says itself that nobody knows it
	b.set("capture", "::1", "127.0.0.1")
	now(name) // one instance, with an address of each family
	b.set("capture", "fd00::2", "127.0.0.2", "fd00::1", "127.0.0.1")
	now(one, two)
	b.set("capture", "127.0.0.2", "127.0.0.1")
	now(one, two)
	for _, i := range all.Now() {
		if _, err := healthv1.NewHealthClient(i.Conn).Check(t.Context(), &healthv1.HealthCheckRequest{}); err != nil {
			t.Errorf("%s: %v", i.Address, err)
		} else if at := <-calls; at+":"+port != i.Address {
			t.Errorf("the client of %s calls %s", i.Address, at)
		}
	}
	b.set("capture", "127.0.0.2", "127.0.0.3")
	now(two, three)
	left := all.gone[0]
	if _, err := healthv1.NewHealthClient(left).Check(t.Context(), &healthv1.HealthCheckRequest{}); err != nil {
		t.Errorf("a call that was about to be made: %v", err)
	} else {
		<-calls
	}
	b.set("capture", "127.0.0.3")
	now(name)
	if left.GetState() != connectivity.Shutdown {
		t.Errorf("the client of an instance that left stays %v", left.GetState())
	}
	for address, says := range map[string]string{"capture": "write host:port", "127.0.0.1:1": ""} {
		all, err := p.DialEach(address)
		if says != "" {
			if err == nil || !strings.Contains(err.Error(), says) {
				t.Errorf("%q: %v", address, err)
			}
			continue
		}
		if got := all.Now(); err != nil || len(got) != 1 || got[0].Address != address || all.Close() != nil {
			t.Errorf("%q: %v, %v", address, got, err)
		}
	}
}
