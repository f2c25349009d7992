package host_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"slipstream/services/internal/host"
	"slipstream/services/internal/host/authority"
)

// secured serves a process with an identity and returns its address.
func secured(t *testing.T, i host.Identity) string {
	t.Helper()
	if err := i.Check(true); err != nil {
		t.Fatal(err)
	}
	p := host.New("test", slog.New(slog.DiscardHandler), host.WithIdentity(i))
	lis, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- p.Serve(ctx, lis, host.Idle) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return lis.Addr().String()
}

// healthy asks for health once.
func healthy(t *testing.T, dial func() (*grpc.ClientConn, error)) error {
	t.Helper()
	conn, err := dial()
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, err = healthv1.NewHealthClient(conn).Check(ctx, &healthv1.HealthCheckRequest{})
	return err
}

func as(i host.Identity, address string) func() (*grpc.ClientConn, error) {
	return func() (*grpc.ClientConn, error) { return host.DialAs(i, "", address) }
}

// TestMutualTLS: a hop is open to those whose certificate the authority signed, and whose name may call, and to no others;
// and a caller does not talk to a server that another authority signed.
func TestMutualTLS(t *testing.T) {
	ours, others := authority.New(t), authority.New(t)
	identity := func(a *authority.Authority, name string, trusts *authority.Authority) host.Identity {
		cert, key := a.Issue(name)
		return host.Identity{Cert: cert, Key: key, CA: trusts.File}
	}
	server := identity(ours, "transformer", ours)
	any, named := secured(t, server), ""
	server.Peers = []string{"capture", "gateway"}
	named = secured(t, server)
	for _, c := range []struct {
		name    string
		who     host.Identity
		address string
		refused string // "" where it is let in
	}{
		{"a peer", identity(ours, "capture", ours), any, ""},
		{"a peer by name", identity(ours, "capture", ours), named, ""},
		{"another name", identity(ours, "curious", ours), named, "certificate"},
		{"in the clear", host.Identity{}, any, "reading server preface"},
		{"without a certificate", host.Identity{CA: ours.File}, any, "certificate required"},
		{"of another authority", identity(others, "capture", ours), any, "unknown certificate authority"},
		{"to a server of another authority", identity(ours, "capture", others), any, "signed by unknown authority"},
		{"with the system's authorities alone", host.Identity{TLS: true}, any, "unknown authority"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := healthy(t, as(c.who, c.address))
			if c.refused == "" && err != nil || c.refused != "" && err == nil {
				t.Fatalf("%v", err)
			}
			if c.refused != "" && !strings.Contains(err.Error(), c.refused) && !strings.Contains(err.Error(), "broken pipe") && !strings.Contains(err.Error(), "reset") {
				t.Errorf("%v, want %q", err, c.refused)
			}
		})
	}
	// The name is checked, not the authority alone; so is an address.
	cert, key := ours.IssueElsewhere("elsewhere.example.org")
	elsewhere := secured(t, host.Identity{Cert: cert, Key: key, CA: ours.File})
	_, port, err := net.SplitHostPort(elsewhere)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"localhost", "127.0.0.1"} {
		err := healthy(t, as(identity(ours, "capture", ours), net.JoinHostPort(name, port)))
		if err == nil || !strings.Contains(err.Error(), "certificate") || !strings.Contains(err.Error(), name) {
			t.Errorf("a server called %s, whose certificate has another name: %v", name, err)
		}
	}
}

// TestRenewal: a certificate that is renewed in its file is shown to the next caller; nothing restarts. Files that are half
// written do no harm.
func TestRenewal(t *testing.T) {
	a := authority.New(t)
	cert, key := a.Issue("transformer")
	i := host.Identity{Cert: cert, Key: key, CA: a.File}
	address := secured(t, i)
	serial := func() *big.Int {
		t.Helper()
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(a.File)
		if err != nil {
			t.Fatal(err)
		}
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(text)
		d := tls.Dialer{Config: &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}}
		conn, err := d.DialContext(t.Context(), "tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		c, ok := conn.(*tls.Conn)
		if !ok {
			t.Fatalf("%T", conn)
		}
		return c.ConnectionState().PeerCertificates[0].SerialNumber
	}
	first := serial()
	if again := serial(); again.Cmp(first) != 0 {
		t.Errorf("the certificate changed by itself: %v, %v", first, again)
	}
	a.Issue("transformer")
	second := serial()
	if second.Cmp(first) == 0 {
		t.Error("the old certificate is shown")
	}
	text, err := os.ReadFile(cert)
	if err != nil {
		t.Fatal(err)
	}
	i2 := host.Identity{CA: a.File}
	i2.Cert, i2.Key = a.Issue("capture")
	if err := os.WriteFile(cert, text[:len(text)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	if err := healthy(t, as(i2, address)); err != nil {
		t.Errorf("with a certificate half written: %v", err)
	}
}

// TestAuthorityTakenAway: who was let in before is not let in again by a session of TLS that began while its authority counted.
func TestAuthorityTakenAway(t *testing.T) {
	ours, others := authority.New(t), authority.New(t)
	i := host.Identity{CA: filepath.Join(t.TempDir(), "ca.pem")}
	i.Cert, i.Key = ours.Issue("gateway")
	trust := func(a *authority.Authority) {
		t.Helper()
		text, err := os.ReadFile(a.File)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(i.CA, append(text, '\n'), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	trust(others)
	address := secured(t, i)
	cert, key := others.Issue("capture")
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(ours.File)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	d := tls.Dialer{Config: &tls.Config{
		RootCAs: pool, Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2"},
		ClientSessionCache: tls.NewLRUClientSessionCache(4),
	}}
	greeted := func() error { // the server says something, after which it has sent its tickets and judged the certificate
		conn, err := d.DialContext(t.Context(), "tcp", address)
		if err != nil {
			return err
		}
		_, err = conn.Read(make([]byte, 9))
		return errors.Join(err, conn.Close())
	}
	if err := greeted(); err != nil {
		t.Fatal(err)
	}
	trust(ours)
	if err := greeted(); err == nil {
		t.Error("a session was taken up whose authority was taken away")
	}
}

// TestIdentityFlags: what does not go together is said before anything is served.
func TestIdentityFlags(t *testing.T) {
	a := authority.New(t)
	cert, key := a.Issue("x")
	nothing := filepath.Join(t.TempDir(), "nothing.pem")
	if err := os.WriteFile(nothing, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		identity host.Identity
		says     string
	}{
		{host.Identity{}, ""},
		{host.Identity{Cert: cert, Key: key}, ""},
		{host.Identity{Cert: cert, Key: key, CA: a.File, Peers: []string{"x"}}, ""},
		{host.Identity{Cert: cert}, "belong together"},
		{host.Identity{CA: a.File}, "--tls-ca needs --tls-cert"},
		{host.Identity{Cert: cert, Key: key, Peers: []string{"x"}}, "--tls-peers needs --tls-ca"},
		{host.Identity{Cert: cert, Key: cert}, "reading the certificate"},
		{host.Identity{Cert: cert, Key: key, CA: nothing}, "holds no certificate"},
		{host.Identity{Cert: cert, Key: key, CA: nothing + "x"}, "no such file"},
	} {
		err := c.identity.Check(true)
		if (c.says == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%+v: %v, want %q", c.identity, err, c.says)
		}
	}
}

// TestTokenStaysHome: a token does not cross a network in the clear.
func TestTokenStaysHome(t *testing.T) {
	conn, err := host.DialAs(host.Identity{}, "secret-token", "192.0.2.1:7400")
	if err == nil {
		err = errors.Join(errors.New("a token would be sent in the clear"), conn.Close())
		t.Fatal(err)
	}
	if strings.Contains(err.Error(), "secret-token") || !strings.Contains(err.Error(), "--tls") {
		t.Error(err)
	}
	for _, address := range []string{"127.0.0.1:1", "localhost:1", "[::1]:1"} {
		conn, err := host.DialAs(host.Identity{}, "secret-token", address)
		if err != nil {
			t.Errorf("%s: %v", address, err)
			continue
		}
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestMaxMessage: a caller cannot fill the memory of a process that bounds what it takes.
func TestMaxMessage(t *testing.T) {
	p := host.New("test", slog.New(slog.DiscardHandler), host.WithMaxMessage(1<<20))
	m := host.NewMemory()
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- p.Serve(ctx, m.Listener(), host.Idle) }()
	defer func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	}()
	conn, err := m.Dial()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	for size, want := range map[int]codes.Code{1 << 10: codes.NotFound, 2 << 20: codes.ResourceExhausted} {
		_, err := healthv1.NewHealthClient(conn).Check(t.Context(), &healthv1.HealthCheckRequest{Service: strings.Repeat("x", size)})
		if status.Code(err) != want {
			t.Errorf("%d bytes: %v, want %v", size, err, want)
		}
	}
}
