package postgres_test

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
	"syscall"
	"testing"
	"time"

	"slipstream/applier/postgres"
	"slipstream/deploy/dev/devserver"
	"slipstream/proto/fault"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

const secretPassword = `p@ss'w\ord "x" éà`

// authority signs certificates of tests.
type authority struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	file string
}

func newAuthority(t *testing.T, dir string) *authority {
	t.Helper()
	a := &authority{file: filepath.Join(dir, "ca.crt")}
	a.key, a.cert = a.issue(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "test CA"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, a.file, filepath.Join(dir, "ca.key"))
	return a
}

// issue makes a key and a certificate, signed by the authority or, while it has none, by itself, and writes both.
func (a *authority) issue(t *testing.T, c *x509.Certificate, certFile, keyFile string) (*ecdsa.PrivateKey, *x509.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c.SerialNumber = big.NewInt(time.Now().UnixNano())
	c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := c, key
	if a.cert != nil {
		parent, signer = a.cert, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, certFile, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	writeFile(t, keyFile, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw})))
	return key, signed
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// secured is a server with TLS and passwords.
func secured(t *testing.T) (*database, *authority) {
	t.Helper()
	server := devserver.Postgres(t, devserver.PostgresOptions{})
	db := connectTo(t, server, server.DSN("postgres"))
	ca := newAuthority(t, t.TempDir())
	cert, key := filepath.Join(server.Dir, "data", "server.crt"), filepath.Join(server.Dir, "data", "server.key")
	ca.issue(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "server"}, DNSNames: []string{"localhost"},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, cert, key)
	own(t, server.Dir, cert, key)
	caText, err := os.ReadFile(ca.file)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(server.Dir, "data", "ca.crt"), string(caText))
	own(t, server.Dir, filepath.Join(server.Dir, "data", "ca.crt"))
	hba := filepath.Join(server.Dir, "data", "pg_hba.conf")
	writeFile(t, hba, "host all postgres 127.0.0.1/32 trust\nhostssl all carded 127.0.0.1/32 cert\nhostssl all strict 127.0.0.1/32 scram-sha-256\n"+
		"host all loose 127.0.0.1/32 scram-sha-256\n")
	own(t, server.Dir, hba)
	db.exec(t, `CREATE ROLE carded LOGIN; CREATE ROLE strict LOGIN PASSWORD '`+strings.ReplaceAll(secretPassword, `'`, `''`)+`';
		CREATE ROLE loose LOGIN PASSWORD '`+strings.ReplaceAll(secretPassword, `'`, `''`)+`'; CREATE ROLE outsider LOGIN;
		GRANT CREATE ON SCHEMA public TO PUBLIC`)
	for _, setting := range []string{"ssl = on", "ssl_ca_file = 'ca.crt'"} {
		db.exec(t, `ALTER SYSTEM SET `+setting)
	}
	db.exec(t, `SELECT pg_reload_conf()`)
	db.waitFor(t, `SELECT count(*) FROM pg_settings WHERE name = 'ssl' AND setting = 'on'`, "1")
	return db, ca
}

// own gives files to the owner of a folder, as the server demands.
func own(t *testing.T, dir string, files ...string) {
	t.Helper()
	info, err := os.Stat(filepath.Join(dir, "data"))
	if err != nil {
		t.Fatal(err)
	}
	of := info.Sys().(*syscall.Stat_t)
	for _, f := range files {
		if err := os.Chown(f, int(of.Uid), int(of.Gid)); err != nil {
			t.Fatal(err)
		}
	}
}

// The attributes of spec 2.3: TLS modes, certificates, passwords.
func TestSecuredServer(t *testing.T) {
	t.Parallel()
	db, ca := secured(t)
	dir := t.TempDir()
	card, cardKey := filepath.Join(dir, "carded.crt"), filepath.Join(dir, "carded.key")
	ca.issue(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "carded"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, card, cardKey)
	stranger := newAuthority(t, t.TempDir())
	_, port, err := net.SplitHostPort(db.addr)
	if err != nil {
		t.Fatal(err)
	}
	const (
		fits       = flowv1.FaultClass_FAULT_CLASS_UNSPECIFIED
		connection = flowv1.FaultClass_FAULT_CLASS_CONNECTION
		permission = flowv1.FaultClass_FAULT_CLASS_PERMISSION
	)
	for _, c := range []struct {
		name, host, user, password string
		args                       map[string]string
		class                      flowv1.FaultClass
		text, fix                  string
		plain                      bool
	}{
		{"no TLS", "127.0.0.1", "loose", secretPassword, map[string]string{"sslmode": "disable"}, fits, "", "", true},
		{"default", "127.0.0.1", "strict", secretPassword, nil, fits, "", "", false},
		{"require", "127.0.0.1", "strict", secretPassword, map[string]string{"sslmode": "require"}, fits, "", "", false},
		{"verify-ca", "127.0.0.1", "strict", secretPassword, map[string]string{"sslmode": "verify-ca", "sslrootcert": ca.file}, fits, "", "", false},
		{"verify-full", "localhost", "strict", secretPassword, map[string]string{"sslmode": "verify-full", "sslrootcert": ca.file}, fits, "", "", false},
		{"certificate", "127.0.0.1", "carded", "", map[string]string{"sslmode": "require", "sslcert": card, "sslkey": cardKey}, fits, "", "", false},
		{"no TLS where it is demanded", "127.0.0.1", "strict", secretPassword, map[string]string{"sslmode": "disable"}, permission, "pg_hba.conf", "pg_hba.conf for user strict", false},
		{"verify-full, another name", "127.0.0.1", "strict", secretPassword, map[string]string{"sslmode": "verify-full", "sslrootcert": ca.file}, connection, "certificate", "verify-ca", false},
		{"verify-ca, another authority", "127.0.0.1", "strict", secretPassword, map[string]string{"sslmode": "verify-ca", "sslrootcert": stranger.file}, connection, "certificate", "sslrootcert", false},
		{"no certificate", "127.0.0.1", "carded", "", map[string]string{"sslmode": "require"}, permission, "certificate", "", false},
		{"wrong password", "127.0.0.1", "strict", "wrong one", nil, permission, "password authentication failed", `ALTER ROLE "strict" PASSWORD`, false},
		{"no password", "127.0.0.1", "loose", "", nil, permission, "password", "", false},
		{"not let in", "127.0.0.1", "outsider", "", nil, permission, "no pg_hba.conf entry", "pg_hba.conf", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			target, err := newTarget(t, &pipelinev1.Connection{
				Name: "db", Type: postgres.Name, Host: c.host, Port: port, Database: "postgres", User: c.user, Password: c.password, Args: c.args,
			}, "positions_of_"+c.user)
			if err != nil {
				t.Fatal(err)
			}
			s, _, err := target.OpenLane(t.Context(), lane(0), "x")
			if err != nil && strings.Contains(err.Error(), "wrong one") || err != nil && strings.Contains(err.Error(), secretPassword) {
				t.Fatalf("the error holds the password: %v", err)
			}
			if c.class != fits {
				wantFault(t, err, c.class, c.text, c.fix)
				problems := target.Check(t.Context(), nil).Problems
				if len(problems) != 1 || problems[0].Fix != fault.Of(err).Fix {
					t.Fatalf("check says %v", problems)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			want := "t"
			if c.plain {
				want = "f"
			}
			db.want(t, `SELECT DISTINCT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = '`+c.user+`' AND state = 'idle'
				AND backend_start = (SELECT max(backend_start) FROM pg_stat_activity WHERE usename = '`+c.user+`')`, want)
		})
	}
}

// A certificate that is renewed in its files is shown by the next connection, without a restart.
func TestRenewedCertificate(t *testing.T) {
	t.Parallel()
	db, ca := secured(t)
	dir := t.TempDir()
	card, cardKey := filepath.Join(dir, "carded.crt"), filepath.Join(dir, "carded.key")
	renew := func() string {
		t.Helper()
		_, c := ca.issue(t, &x509.Certificate{
			Subject: pkix.Name{CommonName: "carded"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		}, card, cardKey)
		return c.SerialNumber.String()
	}
	first := renew()
	host, port, err := net.SplitHostPort(db.addr)
	if err != nil {
		t.Fatal(err)
	}
	target, err := newTarget(t, &pipelinev1.Connection{
		Name: "db", Type: postgres.Name, Host: host, Port: port, Database: "postgres", User: "carded",
		Args: map[string]string{"sslmode": "verify-ca", "sslrootcert": ca.file, "sslcert": card, "sslkey": cardKey},
	}, "positions_of_carded")
	if err != nil {
		t.Fatal(err)
	}
	shown := func(want string) {
		t.Helper()
		db.exec(t, `SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE usename = 'carded'`)
		problems := target.Check(t.Context(), nil).Problems
		if len(problems) > 0 { // it met a connection that was just ended
			problems = target.Check(t.Context(), nil).Problems
		}
		if len(problems) > 0 {
			t.Fatalf("problems: %v", problems)
		}
		db.want(t, `SELECT DISTINCT client_serial FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = 'carded'`, want)
	}
	shown(first)
	shown(renew())
}

// Attributes that cannot be right are refused before anything is tried, and no message holds a secret.
func TestWrongAttributes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		edit func(*pipelinev1.Connection)
		want string
	}{
		{"sslmode", func(c *pipelinev1.Connection) { c.Args["sslmode"] = "on" }, `sslmode is "on", not one of disable`},
		{"sslrootcert", func(c *pipelinev1.Connection) { c.Args["sslrootcert"] = "/no/such/file" }, "opening sslrootcert"},
		{"certificate without key", func(c *pipelinev1.Connection) { c.Args["sslcert"] = "x" }, "sslcert and sslkey go together"},
		{"pool", func(c *pipelinev1.Connection) { c.Options["db_connection_pool_size"] = "0" }, "db_connection_pool_size is \"0\""},
		{"timeout", func(c *pipelinev1.Connection) { c.Options["statement_timeout"] = "1m" }, "statement_timeout is \"1m\""},
		{"connect timeout", func(c *pipelinev1.Connection) { c.Args["connect_timeout"] = "-1" }, "connect_timeout is \"-1\""},
		{"port", func(c *pipelinev1.Connection) { c.Port = "many" }, "port"},
		{"no host", func(c *pipelinev1.Connection) { c.Host = "" }, "host is missing"},
		{"no database", func(c *pipelinev1.Connection) { c.Database = "" }, "database is missing"},
		{"no user", func(c *pipelinev1.Connection) { c.User = "" }, "user is missing"},
		{"password as argument", func(c *pipelinev1.Connection) { c.Args["password"] = secretPassword }, "password is not an argument"},
		{"NUL", func(c *pipelinev1.Connection) { c.Database = "a\x00b" }, "reading the connection's arguments"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			conn := connection(t, "127.0.0.1:5432", "d")
			conn.Password, conn.Options = secretPassword, map[string]string{}
			conn.Args["sslpassword"] = secretPassword
			c.edit(conn)
			target, err := postgres.New().Connect(t.Context(), conn, nil)
			if err == nil {
				_ = target.Close()
			}
			wantFault(t, err, flowv1.FaultClass_FAULT_CLASS_SCHEMA, c.want, "connections.db")
			if strings.Contains(err.Error(), secretPassword) || strings.Contains(err.Error(), "ord \"x\"") {
				t.Fatalf("the error holds a secret: %v", err)
			}
		})
	}
}

// TLS demanded of a server that has none: the same fix from validate and from a lane.
func TestServerWithoutTLS(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	for mode, fix := range map[string]string{"require": "ssl = on", "prefer": ""} {
		target := db.connectWith(t, func(c *pipelinev1.Connection) { c.Args["sslmode"] = mode })
		problems := target.Check(t.Context(), nil).Problems
		s, _, err := target.OpenLane(t.Context(), lane(0), "x")
		if fix == "" {
			if err != nil || len(problems) != 0 {
				t.Fatalf("%s: %v, %v", mode, err, problems)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			continue
		}
		wantFault(t, err, flowv1.FaultClass_FAULT_CLASS_CONNECTION, "refused TLS", fix)
		if len(problems) != 1 || problems[0].Fix != fault.Of(err).Fix || !strings.Contains(problems[0].Fix, "sslmode of connections.db") {
			t.Errorf("%s: check says %v", mode, problems)
		}
	}
}
