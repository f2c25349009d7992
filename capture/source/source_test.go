package source_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"slipstream/capture/source"
	"slipstream/deploy/dev/devserver"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestParse(t *testing.T) {
	c, err := source.Parse(&pipelinev1.Connection{Name: "source", Type: "redis", Host: "h"})
	if err != nil || c.Addr() != "h:6379" || c.Database != 0 || c.Timeout != 10*time.Second || c.ConnectTimeout != 2*time.Second || !c.KeepAlive || c.HealthCheck != time.Minute || c.TLS != nil {
		t.Errorf("defaults: %+v, %v", c, err)
	}
	c, err = source.Parse(&pipelinev1.Connection{
		Name: "source", Type: "redis", Host: "::1", Port: "7000", Database: "2", User: "u", Password: "p",
		Options: map[string]string{"socket_timeout": "1.5", "socket_connect_timeout": "1", "socket_keepalive": "false", "health_check_interval": "5"},
	})
	if err != nil || c.Addr() != "[::1]:7000" || c.Database != 2 || c.Timeout != 1500*time.Millisecond || c.KeepAlive || c.HealthCheck != 5*time.Second {
		t.Errorf("%+v, %v", c, err)
	}
	if db := c.Logical(&pipelinev1.Job{}); db != 2 {
		t.Errorf("a job without a database reads %d", db)
	}
	if db := c.Logical(&pipelinev1.Job{Source: &pipelinev1.Source{Database: 5}}); db != 5 {
		t.Errorf("a job with database 5 reads %d", db)
	}
}

// TestParseProblems: everything wrong is named at once, and no value is shown (G10).
func TestParseProblems(t *testing.T) {
	_, err := source.Parse(&pipelinev1.Connection{
		Name: "source", Type: "mysql", Port: "hunter2", Database: "hunter2",
		Args: map[string]string{"sslmode": "hunter2"},
		Options: map[string]string{
			"socket_timeout": "hunter2", "socket_keepalive": "hunter2", "cert": "hunter2", "sokcet_timeout": "hunter2",
		},
	})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{"source", "type", "host is missing", "port", "database", "sslmode", "socket_timeout", "socket_keepalive", "cert and key", "sokcet_timeout is not an attribute"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in %q", want, err)
		}
	}
	if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a value is shown: %v", err)
	}
	for name, options := range map[string]map[string]string{
		"key_password without key": {"key_password": "x"},
		"no such file":             {"cacert": "/nonexistent"},
		"no certificate":           {"cacert": "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----"},
		"key is no key":            {"cert": "-----BEGIN X-----", "key": "-----BEGIN X-----"},
	} {
		if _, err := source.Parse(&pipelinev1.Connection{Name: "s", Type: "redis", Host: "h", Options: options}); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// certificate makes a self-signed certificate for loopback, and returns certificate and key in PEM form.
func certificate(t *testing.T) (cert, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	text, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: text})
}

// TestTLS: mutual TLS with a server, by client and by plain connection; the attributes are paths or the text itself.
func TestTLS(t *testing.T) {
	cert, key := certificate(t)
	dir := t.TempDir()
	certPath, keyPath := filepath.Join(dir, "cert"), filepath.Join(dir, "key")
	for path, text := range map[string][]byte{certPath: cert, keyPath: key} {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// A TLS listener in front of a plain server: the distribution's may be built without TLS.
	server := devserver.Redis(t, devserver.RedisOptions{})
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(cert)
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool,
	})
	if err != nil {
		t.Fatal(err)
	}
	forwarder := newForwarder(listener, server.Addr)
	defer forwarder.close()
	host, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for name, options := range map[string]map[string]string{
		"paths": {"cacert": certPath, "cert": certPath, "key": keyPath},
		"text":  {"cacert": string(cert), "cert": string(cert), "key": string(key)},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := source.Parse(&pipelinev1.Connection{Name: "s", Type: "redis", Host: host, Port: port, Options: options})
			if err != nil {
				t.Fatal(err)
			}
			rdb := c.Client()
			defer func() { _ = rdb.Close() }()
			if err := rdb.Ping(t.Context()).Err(); err != nil {
				t.Error(err)
			}
			conn, err := c.Dial(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			if _, err := conn.Do(t.Context(), "PING"); err != nil {
				t.Error(err)
			}
		})
	}
	plain, err := source.Parse(&pipelinev1.Connection{Name: "s", Type: "redis", Host: host, Port: port})
	if err != nil {
		t.Fatal(err)
	}
	if conn, err := plain.Dial(t.Context()); err == nil {
		_ = conn.Close()
		t.Error("connected without TLS")
	}
}

// TestEncryptedKey: keys as OpenSSL encrypts them.
func TestEncryptedKey(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Fatalf("openssl is needed to make the keys: %v", err)
	}
	cert, key := certificate(t)
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain")
	if err := os.WriteFile(plain, key, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string][]string{
		"pkcs8 aes-256": {"pkcs8", "-topk8", "-v2", "aes-256-cbc", "-in", plain, "-passout", "pass:opensesame"},
		"pkcs8 aes-128": {"pkcs8", "-topk8", "-v2", "aes-128-cbc", "-v2prf", "hmacWithSHA512", "-in", plain, "-passout", "pass:opensesame"},
		"pkcs8 3des":    {"pkcs8", "-topk8", "-v2", "des3", "-v2prf", "hmacWithSHA1", "-in", plain, "-passout", "pass:opensesame"},
		"traditional":   {"ec", "-aes256", "-in", plain, "-passout", "pass:opensesame"},
	} {
		t.Run(name, func(t *testing.T) {
			text, err := exec.CommandContext(t.Context(), openssl, args...).Output()
			if err != nil {
				t.Fatal(err)
			}
			for password, ok := range map[string]bool{"opensesame": true, "wrong": false, "": false} {
				options := map[string]string{"cert": string(cert), "key": string(text), "key_password": password}
				_, err := source.Parse(&pipelinev1.Connection{Name: "s", Type: "redis", Host: "h", Options: options})
				if (err == nil) != ok {
					t.Errorf("password %q: %v", password, err)
				}
			}
		})
	}
}

func TestProbe(t *testing.T) {
	server := devserver.Redis(t, devserver.RedisOptions{Args: []string{"--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"}})
	host, port, err := net.SplitHostPort(server.Addr)
	if err != nil {
		t.Fatal(err)
	}
	c, err := source.Parse(&pipelinev1.Connection{Name: "s", Type: "redis", Host: host, Port: port})
	if err != nil {
		t.Fatal(err)
	}
	rdb := c.Client()
	defer func() { _ = rdb.Close() }()
	f, err := source.Probe(t.Context(), rdb)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(f.Server, ".") || len(f.RunID) != 40 || f.Role != "master" || f.Cluster || f.JSON || f.MaxMemory != 100<<20 || !f.Evicts() || f.Flushes != 0 {
		t.Errorf("%+v", f)
	}
	for i, command := range []string{"FLUSHDB", "FLUSHALL"} {
		if err := rdb.Do(t.Context(), command).Err(); err != nil {
			t.Fatal(err)
		}
		if n, err := source.Flushes(t.Context(), rdb); n != int64(i+1) || err != nil {
			t.Errorf("%d flushes, %v", n, err)
		}
	}
}
