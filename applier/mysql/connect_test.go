package mysql_test

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

	"slipstream/applier/mysql"
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
	}, a.file, filepath.Join(dir, "ca.key"), "")
	return a
}

// issue makes a key and a certificate, signed by the authority or, while it has none, by itself, and writes both: the key
// under a password, if one is given.
func (a *authority) issue(t *testing.T, c *x509.Certificate, certFile, keyFile, password string) (*ecdsa.PrivateKey, *x509.Certificate) {
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
	raw, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	block := &pem.Block{Type: "EC PRIVATE KEY", Bytes: raw}
	if password != "" {
		//lint:ignore SA1019 the form is old, and in use
		if block, err = x509.EncryptPEMBlock(rand.Reader, block.Type, raw, []byte(password), x509.PEMCipherAES256); err != nil { //nolint:staticcheck // as above
			t.Fatal(err)
		}
	}
	writeFile(t, certFile, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	writeFile(t, keyFile, string(pem.EncodeToMemory(block)))
	return key, signed
}

// writeFile writes a file that the server's account can read too.
func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil { //nolint:gosec // keys of a test
		t.Fatal(err)
	}
}

// folder is a folder for files that the server reads: those of t.TempDir are for its owner alone.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "slipstream-mysql-tls-") //nolint:usetesting // the parents of t.TempDir are closed to the server
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // as above
		t.Fatal(err)
	}
	return dir
}

// The attributes of spec 2.3: TLS, certificates, passwords.
func TestSecuredServer(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	ca := newAuthority(t, dir)
	cert, key := filepath.Join(dir, "server.crt"), filepath.Join(dir, "server.key")
	ca.issue(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "server"}, DNSNames: []string{"localhost"},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, cert, key, "")
	server := devserver.MariaDB(t, devserver.MariaDBOptions{Args: []string{"--ssl-ca=" + ca.file, "--ssl-cert=" + cert, "--ssl-key=" + key}})
	card, cardKey, locked := filepath.Join(dir, "carded.crt"), filepath.Join(dir, "carded.key"), filepath.Join(dir, "locked.key")
	ca.issue(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "carded"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, card, cardKey, "")
	lockedCard := filepath.Join(dir, "locked.crt")
	ca.issue(t, &x509.Certificate{Subject: pkix.Name{CommonName: "locked"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}},
		lockedCard, locked, secretPassword)
	caText, err := os.ReadFile(ca.file)
	if err != nil {
		t.Fatal(err)
	}
	stranger := newAuthority(t, folder(t))
	db := connectTo(t, server.Addr, "mysql")
	db.exec(t, "CREATE DATABASE app; SET sql_mode = CONCAT(@@sql_mode, ',NO_BACKSLASH_ESCAPES')")
	password := "'" + strings.ReplaceAll(secretPassword, "'", "''") + "'"
	for user, require := range map[string]string{"loose": "NONE", "strict": "SSL", "carded": "X509"} {
		db.exec(t, "CREATE USER '"+user+"'@'%' IDENTIFIED BY "+password+" REQUIRE "+require+"; GRANT ALL ON app.* TO '"+user+"'@'%'")
	}
	db.exec(t, "CREATE USER 'outsider'@'%' IDENTIFIED BY "+password+"; INSTALL SONAME 'auth_ed25519'; "+
		"CREATE USER 'modern'@'%' IDENTIFIED VIA ed25519 USING PASSWORD("+password+"); GRANT ALL ON app.* TO 'modern'@'%'")
	_, port, err := net.SplitHostPort(db.addr)
	if err != nil {
		t.Fatal(err)
	}
	const (
		fits       = flowv1.FaultClass_FAULT_CLASS_UNSPECIFIED
		connection = flowv1.FaultClass_FAULT_CLASS_CONNECTION
		permission = flowv1.FaultClass_FAULT_CLASS_PERMISSION
	)
	type args = map[string]string
	for _, c := range []struct {
		name, host, user, password string
		args                       args
		class                      flowv1.FaultClass
		text, fix                  string
		plain                      bool
	}{
		{name: "no TLS", user: "loose", args: args{"ssl_disabled": "true"}, plain: true},
		{name: "default", user: "strict"},
		{name: "authority", user: "strict", args: args{"ssl_ca": ca.file}},
		{name: "authority as a text", user: "strict", args: args{"ssl_ca": string(caText)}},
		{name: "authority that is not asked", user: "strict", args: args{"ssl_ca": stranger.file, "ssl_verify_cert": "false"}},
		{name: "authority and name", host: "localhost", user: "strict", args: args{"ssl_ca": ca.file, "ssl_verify_identity": "true"}},
		{name: "certificate", user: "carded", args: args{"ssl_ca": ca.file, "ssl_cert": card, "ssl_key": cardKey}},
		{name: "key under a password", user: "carded", args: args{"ssl_cert": lockedCard, "ssl_key": locked, "ssl_key_password": secretPassword}},
		{name: "another plugin", user: "modern", args: args{"ssl_ca": ca.file}},
		{name: "compressed", user: "loose", args: args{"compress": "true"}},
		{name: "no TLS where it is demanded", user: "strict", args: args{"ssl_disabled": "true"}, class: permission, text: "Access denied", fix: "REQUIRE SSL"},
		{name: "another name", user: "strict", args: args{"ssl_ca": ca.file, "ssl_verify_identity": "true"}, class: connection, text: "certificate", fix: "ssl_verify_identity"},
		{name: "another authority", user: "strict", args: args{"ssl_ca": stranger.file}, class: connection, text: "certificate", fix: "ssl_ca"},
		{name: "an authority that nobody knows", user: "strict", args: args{"ssl_verify_cert": "true"}, class: connection, text: "certificate", fix: "ssl_ca"},
		{name: "no certificate", user: "carded", class: permission, text: "Access denied", fix: "X509"},
		{name: "wrong password", user: "strict", password: "wrong one", class: permission, text: "Access denied", fix: "ALTER USER 'strict'@'%' IDENTIFIED BY"},
		{name: "not let in", user: "outsider", class: permission, text: "database 'app'", fix: "GRANT SELECT, INSERT, UPDATE, DELETE, CREATE ON `app`.* TO 'outsider'@'%';"},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn := &pipelinev1.Connection{
				Name: "db", Type: mysql.Name, Host: "127.0.0.1", Port: port, Database: "app", User: c.user, Password: secretPassword, Args: c.args,
			}
			if c.host != "" {
				conn.Host = c.host
			}
			if c.password != "" {
				conn.Password = c.password
			}
			to := target(t, conn, &pipelinev1.Settings{PositionTable: "positions_of_" + c.user})
			s, _, err := to.OpenLane(t.Context(), lane(0), "x")
			if err != nil && (strings.Contains(err.Error(), "wrong one") || strings.Contains(err.Error(), secretPassword)) {
				t.Fatalf("the error holds the password: %v", err)
			}
			if c.class != fits {
				wantFault(t, err, c.class, c.text, c.fix)
				problems := to.Check(t.Context(), nil).Problems
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
			cipher := db.rows(t, "SELECT COUNT(*) FROM information_schema.processlist WHERE user = '"+c.user+"' AND db = 'app'")
			if len(cipher) != 1 || cipher[0] == "0" {
				t.Errorf("no session of %s: %v", c.user, cipher)
			}
			before := db.rows(t, "SHOW GLOBAL STATUS LIKE 'Ssl_finished_accepts'")[0]
			other := target(t, conn, nil)
			if p := other.Check(t.Context(), nil).Problems; len(p) != 0 {
				t.Errorf("problems: %v", p)
			}
			if same := db.rows(t, "SHOW GLOBAL STATUS LIKE 'Ssl_finished_accepts'")[0] == before; same != c.plain {
				t.Errorf("a connection without TLS: %v", same)
			}
		})
	}
}

// A certificate that is renewed in its files is shown by the next connection, without a restart.
func TestRenewedCertificate(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	ca := newAuthority(t, dir)
	cert, key := filepath.Join(dir, "server.crt"), filepath.Join(dir, "server.key")
	ca.issue(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "server"}, DNSNames: []string{"localhost"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, cert, key, "")
	server := devserver.MariaDB(t, devserver.MariaDBOptions{Args: []string{"--ssl-ca=" + ca.file, "--ssl-cert=" + cert, "--ssl-key=" + key}})
	db := connectTo(t, server.Addr, "mysql")
	db.exec(t, "CREATE DATABASE app; CREATE USER 'carded'@'%' IDENTIFIED BY 'x'; GRANT ALL ON app.* TO 'carded'@'%'")
	card, cardKey := filepath.Join(dir, "carded.crt"), filepath.Join(dir, "carded.key")
	issue := func(name string) {
		t.Helper()
		ca.issue(t, &x509.Certificate{
			Subject: pkix.Name{CommonName: name}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		}, card, cardKey, "")
	}
	issue("first")
	_, port, err := net.SplitHostPort(db.addr)
	if err != nil {
		t.Fatal(err)
	}
	to := target(t, &pipelinev1.Connection{
		Name: "db", Type: mysql.Name, Host: "127.0.0.1", Port: port, Database: "app", User: "carded", Password: "x",
		Args: map[string]string{"ssl_ca": ca.file, "ssl_cert": card, "ssl_key": cardKey},
	}, nil)
	shown := func(name string) {
		t.Helper()
		db.exec(t, "ALTER USER 'carded'@'%' REQUIRE SUBJECT '/CN="+name+"'; KILL USER 'carded'")
		if problems := to.Check(t.Context(), nil).Problems; len(problems) > 0 {
			t.Errorf("problems with the certificate of %s: %v", name, problems)
		}
	}
	shown("first")
	issue("second")
	shown("second")
}

// Attributes that cannot be right are refused before anything is tried, and no message holds a secret.
func TestWrongAttributes(t *testing.T) {
	t.Parallel()
	type connection = pipelinev1.Connection
	for _, c := range []struct {
		name string
		edit func(*connection)
		want string
	}{
		{"ssl_ca", func(c *connection) { c.Args["ssl_ca"] = "/no/such/file" }, "opening ssl_ca"},
		{"ssl_ca that is none", func(c *connection) { c.Args["ssl_ca"] = "connect_test.go" }, "ssl_ca holds no certificate"},
		{"certificate without key", func(c *connection) { c.Args["ssl_cert"] = "x" }, "ssl_cert and ssl_key go together"},
		{"key without certificate", func(c *connection) { c.Args["ssl_key"] = "x" }, "ssl_cert and ssl_key go together"},
		{"password of no key", func(c *connection) { c.Args["ssl_key_password"] = secretPassword }, "ssl_key_password needs ssl_key"},
		{"disabled and wanted", func(c *connection) { c.Args["ssl_disabled"], c.Args["ssl_ca"] = "1", "x" }, "ssl_disabled contradicts"},
		{"identity unverified", func(c *connection) { c.Args["ssl_verify_identity"], c.Args["ssl_verify_cert"] = "yes", "no" }, "needs ssl_verify_cert"},
		{"neither true nor false", func(c *connection) { c.Args["ssl_verify_cert"] = "perhaps" }, `ssl_verify_cert is "perhaps"`},
		{"unknown of TLS", func(c *connection) { c.Args["ssl_cipher"] = "x" }, "ssl_cipher is not known"},
		{"ours", func(c *connection) { c.Args["sql_mode"] = "ANSI" }, "sql_mode cannot be set"},
		{"no variable", func(c *connection) { c.Args["a b"] = "x" }, "neither an argument nor the name of a session variable"},
		{"charset", func(c *connection) { c.Args["charset"] = "latin1" }, `charset is "latin1"`},
		{"pool", func(c *connection) { c.Options["db_connection_pool_size"] = "0" }, `db_connection_pool_size is "0"`},
		{"timeout", func(c *connection) { c.Options["statement_timeout"] = "1m" }, `statement_timeout is "1m"`},
		{"connect timeout", func(c *connection) { c.Args["connect_timeout"] = "-1" }, `connect_timeout is "-1"`},
		{"no host", func(c *connection) { c.Host = "" }, "host is missing"},
		{"no database", func(c *connection) { c.Database = "" }, "database is missing"},
		{"no user", func(c *connection) { c.User = "" }, "user is missing"},
		{"password as argument", func(c *connection) { c.Args["password"] = secretPassword }, "password cannot be set"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			conn := &connection{
				Name: "db", Host: "h", Port: "3306", Database: "d", User: "u", Password: secretPassword,
				Options: map[string]string{}, Args: map[string]string{},
			}
			c.edit(conn)
			to, err := mysql.New().Connect(t.Context(), conn, nil)
			if err == nil {
				_ = to.Close()
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
	to := db.connectWith(t, func(c *pipelinev1.Connection) { c.Args["ssl_verify_cert"] = "true" })
	_, _, err := to.OpenLane(t.Context(), lane(0), "x")
	wantFault(t, err, flowv1.FaultClass_FAULT_CLASS_CONNECTION, "does not support TLS", "remove the attributes ssl_… of connections.db")
	if p := to.Check(t.Context(), nil).Problems; len(p) != 1 || p[0].Fix != fault.Of(err).Fix {
		t.Fatalf("check says %v", p)
	}
}

// A name that is no argument is set as a variable of the session, and the server says so where it has none of that name.
func TestUnknownVariable(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	to := db.connectWith(t, func(c *pipelinev1.Connection) { c.Args["use_pure"] = "true" })
	_, _, err := to.OpenLane(t.Context(), lane(0), "x")
	wantFault(t, err, flowv1.FaultClass_FAULT_CLASS_SCHEMA, "Unknown system variable 'use_pure'", "remove it from connect_args")
}

func TestServerThatIsAway(t *testing.T) {
	t.Parallel()
	to := target(t, connection(t, "127.0.0.1:1", "x"), nil)
	_, _, err := to.OpenLane(t.Context(), lane(0), "x")
	wantFault(t, err, flowv1.FaultClass_FAULT_CLASS_CONNECTION, "connecting to \"db\"", "")
	if p := to.Check(t.Context(), nil).Problems; len(p) != 1 || !strings.Contains(p[0].Message, "refused") {
		t.Fatalf("problems: %v", p)
	}
}
