package redis_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"slipstream/applier"
	"slipstream/applier/redis"
	"slipstream/deploy/dev/devserver"
	"slipstream/proto/fault"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// authority signs certificates.
type authority struct {
	dir  string
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{dir: t.TempDir()}
	a.key, a.cert = a.issue(t, "ca", &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	return a
}

// issue writes name.crt and name.key, signed by the authority or, while it has no key, by itself.
func (a *authority) issue(t *testing.T, name string, c *x509.Certificate) (*ecdsa.PrivateKey, *x509.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c.Subject, c.SerialNumber = pkix.Name{CommonName: name}, big.NewInt(time.Now().UnixNano())
	c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := c, key
	if a.cert != nil {
		parent, signer = a.cert, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{".crt": {Type: "CERTIFICATE", Bytes: der}, ".key": {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(filepath.Join(a.dir, name+file), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return key, cert
}

func (a *authority) file(name string) string { return filepath.Join(a.dir, name) }

// tlsArgs are those of a server with a certificate for this machine.
func (a *authority) tlsArgs(t *testing.T, port, clients string) []string {
	t.Helper()
	a.issue(t, "server", &x509.Certificate{DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}})
	return []string{
		"--tls-port", port, "--tls-cert-file", a.file("server.crt"), "--tls-key-file", a.file("server.key"),
		"--tls-ca-cert-file", a.file("ca.crt"), "--tls-auth-clients", clients,
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	address, err := devserver.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// TestTLS: cacert turns TLS on, cert and key are shown to a server that asks for them (spec 2.3), and what does not fit is
// waited for with a fix.
func TestTLS(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	port := freePort(t)
	s := newServer(t, ca.tlsArgs(t, port, "yes")...)
	ca.issue(t, "client", &x509.Certificate{})
	_, plain, _ := net.SplitHostPort(s.addr)
	full := map[string]string{"cacert": ca.file("ca.crt"), "cert": ca.file("client.crt"), "key": ca.file("client.key")}
	for name, c := range map[string]struct {
		host, port string
		options    map[string]string
		fix        string // of the fault; empty: it works
	}{
		"both ends show who they are": {"localhost", port, full, ""},
		"no certificate of ours":      {"localhost", port, map[string]string{"cacert": full["cacert"]}, "write cert: and key:"},
		"another authority":           {"localhost", port, map[string]string{"cacert": other.file("ca.crt"), "cert": full["cert"], "key": full["key"]}, "set cacert"},
		"another name":                {"127.0.0.2", port, full, "name that the server's certificate has"},
		"a port without TLS":          {"localhost", plain, full, "speaks no TLS"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.host == "127.0.0.2" {
				s.do(t, "CONFIG", "SET", "bind", "127.0.0.1 127.0.0.2")
			}
			target := connect(t, &pipelinev1.Connection{Name: "cache", Host: c.host, Port: c.port, Options: c.options}, settings())
			session, _, err := target.OpenLane(t.Context(), lane(0), "me")
			if c.fix != "" {
				if f := fault.Of(err); f == nil || f.Class != flowv1.FaultClass_FAULT_CLASS_CONNECTION || !strings.Contains(f.Fix, c.fix) {
					t.Errorf("%v, fix %q", err, fault.Of(err).Fix)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := commit(t, session, 0, 1, rows(t, target, output(set, "*key *member"), applier.Upsert, []any{"secured", "m"})); err != nil {
				t.Error(err)
			}
			if s.SCard(t.Context(), "secured").Val() != 1 {
				t.Error("nothing was written")
			}
		})
	}
}

// TestBadConnections: what is wrong with a connection before it is used, all at once.
func TestBadConnections(t *testing.T) {
	_, err := redis.Dialect{}.Connect(t.Context(), &pipelinev1.Connection{
		Name: "cache", Database: "2", Options: map[string]string{"cluster": "true", "sentinel_master": "main", "cert": "x", "socket_timeout": "soon", "ssl": "on"},
	}, settings())
	for _, part := range []string{"exclude each other", "cert and key", "socket_timeout must be", "ssl is not an attribute"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%v says nothing of %q", err, part)
		}
	}
	if f := fault.Of(err); f.Class != flowv1.FaultClass_FAULT_CLASS_SCHEMA || f.Fix == "" {
		t.Errorf("%v", f)
	}
}

// checked are the problems that validate shows for a set, with their fixes.
func checked(t *testing.T, c *pipelinev1.Connection, set *pipelinev1.Settings, outputs ...*pipelinev1.Output) string {
	t.Helper()
	if len(outputs) == 0 {
		outputs = []*pipelinev1.Output{output(pipelinev1.RedisType_REDIS_TYPE_SET, "*key *member")}
	}
	r := connect(t, c, set).Check(t.Context(), []*pipelinev1.Job{{Name: "j", Outputs: outputs}})
	var lines []string
	for _, p := range r.GetProblems() {
		lines = append(lines, p.GetSeverity().String()+": "+p.GetMessage()+" => "+p.GetFix())
	}
	return strings.Join(lines, "\n")
}

// TestCheck: what validate says before anything is written: rights, replicas, eviction, passwords (G6, G9).
func TestCheck(t *testing.T) {
	s := newServer(t)
	c := connection(t, s.addr)
	wants := func(what, got string, parts ...string) {
		t.Helper()
		for _, part := range parts {
			if !strings.Contains(got, part) {
				t.Errorf("%s: %q says nothing of %q", what, got, part)
			}
		}
		if len(parts) == 0 && got != "" {
			t.Errorf("%s: %q", what, got)
		}
	}
	wants("all is well", checked(t, c, settings()))

	s.do(t, "ACL", "SETUSER", "few", "on", ">right", "~*", "+@all", "-sadd", "-exec")
	c.User, c.Password = "few", "right"
	wants("rights", checked(t, c, settings()), "user few may not run exec, sadd", "ACL SETUSER few ~slipstream:* +exec +sadd")
	s.do(t, "ACL", "SETUSER", "few", "+exec", "+sadd")
	wants("rights, once they are there", checked(t, c, settings()))
	s.do(t, "ACL", "SETUSER", "few", "resetkeys", "~copy:*")
	wants("keys", checked(t, c, settings()), "or not on keys slipstream:*", "ACL SETUSER few ~slipstream:* ")
	c.Password = "wrong"
	wants("password", checked(t, c, settings()), "WRONGPASS", "correct user: and password:")
	c.User, c.Password = "", ""

	s.do(t, "CONFIG", "SET", "maxmemory", "1gb", "maxmemory-policy", "allkeys-lru")
	wants("eviction", checked(t, c, settings()), "SEVERITY_WARNING", "may evict any key", "noeviction")
	s.do(t, "CONFIG", "SET", "maxmemory", "0")
	waits := settings()
	waits.WaitEnabled = true
	wants("WAIT without a replica", checked(t, c, waits), "wait_enabled", "no replica")
	s.do(t, "REPLICAOF", "127.0.0.1", "1")
	wants("a replica", checked(t, c, settings()), "SEVERITY_ERROR", "is a replica", "name its primary, which is 127.0.0.1:1")
}
