package redisurl_test

import (
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"os"
	"strings"
	"testing"

	"slipstream/services/internal/host/authority"
	"slipstream/services/internal/redisurl"
)

// TestTLS: the files in a URL are what is trusted and shown, the host's name is looked at, and a certificate that is renewed
// in its files is shown by the next connection.
func TestTLS(t *testing.T) {
	ours, others := authority.New(t), authority.New(t)
	shown, shownKey := ours.Issue("capture")
	serve := func(cert, key string) (port string, greeted func() *big.Int) {
		t.Helper()
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
		config := &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool, MinVersion: tls.VersionTLS12}
		lis, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		serials := make(chan *big.Int, 1)
		done := make(chan struct{})
		go func() {
			defer close(done)
			for {
				conn, err := lis.Accept()
				if err != nil {
					return
				}
				secured := tls.Server(conn, config)
				serial := (*big.Int)(nil)
				if secured.Handshake() == nil {
					serial = secured.ConnectionState().PeerCertificates[0].SerialNumber
				}
				_ = secured.Close()
				serials <- serial
			}
		}()
		t.Cleanup(func() {
			_ = lis.Close()
			<-done
		})
		_, port, err = net.SplitHostPort(lis.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		return port, func() *big.Int { return <-serials }
	}
	dial := func(host, port, files string) error {
		t.Helper()
		o, err := redisurl.Parse("rediss://u:p@" + host + ":" + port + "/0" + files)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := (&tls.Dialer{Config: o.TLSConfig}).DialContext(t.Context(), "tcp", "127.0.0.1:"+port)
		if err == nil {
			_ = conn.Close()
		}
		return err
	}
	both := "?cacert=" + ours.File + "&cert=" + shown + "&key=" + shownKey

	port, greeted := serve(ours.Issue("redis"))
	for _, name := range []string{"redis", "localhost", "127.0.0.1"} {
		if err := dial(name, port, both); err != nil || greeted() == nil {
			t.Errorf("a server called %s: %v", name, err)
		}
	}
	o, err := redisurl.Parse("rediss://redis:" + port + both)
	if err != nil {
		t.Fatal(err)
	}
	again := func() *big.Int {
		t.Helper()
		conn, err := (&tls.Dialer{Config: o.TLSConfig}).DialContext(t.Context(), "tcp", "127.0.0.1:"+port)
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.Close()
		return greeted()
	}
	first := again()
	ours.Issue("capture")
	if second := again(); first == nil || second == nil || first.Cmp(second) == 0 {
		t.Errorf("shown are %v, and once renewed %v", first, second)
	}
	for name, files := range map[string]string{
		"the system's authorities": "?cert=" + shown + "&key=" + shownKey, "other authorities": strings.Replace(both, ours.File, others.File, 1),
	} {
		if err := dial("redis", port, files); err == nil || !strings.Contains(err.Error(), "certificate") {
			t.Errorf("%s: %v", name, err)
		}
		greeted()
	}
	if _ = dial("redis", port, "?cacert="+ours.File); greeted() != nil {
		t.Error("a certificate was shown that was not given")
	}

	port, greeted = serve(ours.IssueElsewhere("elsewhere"))
	for _, name := range []string{"redis", "127.0.0.1"} {
		if err := dial(name, port, both); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("a server with the certificate of another is believed to be %s: %v", name, err)
		}
		greeted()
	}
}

// TestTLSRefused: what does not go together is said, and never with the password.
func TestTLSRefused(t *testing.T) {
	ours := authority.New(t)
	cert, key := ours.Issue("capture")
	for written, says := range map[string]string{
		"redis://u:s3cret@redis:6379?cacert=" + ours.File:                   "write rediss://",
		"rediss://u:s3cret@redis:6379?cert=" + cert:                         "cert and key must be given together",
		"rediss://u:s3cret@redis:6379?cacert=/nowhere/ca.pem":               "cacert: reading the file",
		"rediss://u:s3cret@redis:6379?cacert=" + key:                        "cacert holds no certificate",
		"rediss://u:s3cret@redis:6379?cert=" + cert + "&key=" + ours.File:   "cert and key",
		"rediss://u:s3cret@redis:6379?skip_verify=true&cacert=" + ours.File: "contradict",
		"rediss://u:s3cret@redis:6379?cafile=" + ours.File:                  "not a URL",
	} {
		if _, err := redisurl.Parse(written); err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v, want %q", written, err, says)
		}
	}
}
