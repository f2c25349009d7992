// Package authority makes authorities and certificates for tests of TLS, as files.
package authority

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
	"testing"
	"time"
)

// Authority signs certificates.
type Authority struct {
	// File holds its certificate (PEM).
	File string

	t    testing.TB
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// New makes an authority whose files go with the test.
func New(t testing.TB) *Authority {
	t.Helper()
	a := &Authority{t: t, dir: t.TempDir()}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign,
	}
	a.key = key(t)
	a.cert = a.sign(template, template, a.key, a.key)
	a.File = filepath.Join(a.dir, "ca.pem")
	write(t, a.File, "CERTIFICATE", a.cert.Raw)
	return a
}

// Issue writes a certificate for a name, and for this machine's loopback, with its key; files of the same name are
// written over.
func (a *Authority) Issue(name string) (cert, keyFile string) {
	a.t.Helper()
	return a.issue(name, []string{name, "localhost"}, []net.IP{net.IPv4(127, 0, 0, 1)})
}

// IssueElsewhere is Issue without this machine's loopback.
func (a *Authority) IssueElsewhere(name string) (cert, keyFile string) {
	a.t.Helper()
	return a.issue(name, []string{name}, nil)
}

func (a *Authority) issue(name string, hosts []string, addresses []net.IP) (cert, keyFile string) {
	a.t.Helper()
	k := key(a.t)
	c := a.sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: name}, DNSNames: hosts, IPAddresses: addresses,
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, a.cert, k, a.key)
	cert, keyFile = filepath.Join(a.dir, name+".pem"), filepath.Join(a.dir, name+"-key.pem")
	der, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		a.t.Fatal(err)
	}
	write(a.t, keyFile, "PRIVATE KEY", der)
	write(a.t, cert, "CERTIFICATE", c.Raw)
	return cert, keyFile
}

func (a *Authority) sign(template, parent *x509.Certificate, of, by *ecdsa.PrivateKey) *x509.Certificate {
	a.t.Helper()
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		a.t.Fatal(err)
	}
	template.SerialNumber, template.NotBefore, template.NotAfter = serial, time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &of.PublicKey, by)
	if err != nil {
		a.t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return c
}

func key(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// write puts the file there at once, as whoever renews certificates should.
func write(t testing.TB, name, kind string, der []byte) {
	t.Helper()
	whole := name + ".new"
	if err := os.WriteFile(whole, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(whole, name); err != nil {
		t.Fatal(err)
	}
}
