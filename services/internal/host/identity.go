package host

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/pflag"
	"google.golang.org/grpc/credentials"
)

// Identity is what a process shows of itself, and whom it trusts: the files of TLS on every hop. Without any the hops are
// in the clear. They are read again when they change, so that certificates are renewed without a restart.
type Identity struct {
	// Cert and Key are PEM files: the certificate that the process shows to whom it calls and who calls it.
	Cert, Key string
	// CA is a PEM file with the authorities that sign the certificates of the others. Whoever calls must then show one
	// (mutual TLS).
	CA string
	// Peers are the names, of those in a caller's certificate, that may call; empty: any that CA signed.
	Peers []string
	// TLS turns TLS on for a process that only calls, has no files, and trusts the authorities of the system.
	TLS bool
}

// Flags adds the flags of an identity.
func (i *Identity) Flags(f *pflag.FlagSet) {
	f.StringVar(&i.Cert, "tls-cert", "", "file with the certificate to show (PEM); turns TLS on")
	f.StringVar(&i.Key, "tls-key", "", "file with its key (PEM)")
	f.StringVar(&i.CA, "tls-ca", "", "file with the authorities that sign the others' certificates (PEM); who calls must show one")
	f.StringSliceVar(&i.Peers, "tls-peers", nil, "names of certificates that may call, comma separated; any of --tls-ca when empty")
}

// Secure says that hops have TLS.
func (i *Identity) Secure() bool { return i.TLS || i.Cert != "" || i.CA != "" }

// Check says what is wrong with the files, as far as can be seen before they are used. serves is whether the process
// listens, and so needs a certificate.
func (i *Identity) Check(serves bool) error {
	var errs []error
	switch {
	case (i.Cert == "") != (i.Key == ""):
		errs = append(errs, errors.New("--tls-cert and --tls-key belong together: give both"))
	case serves && i.CA != "" && i.Cert == "":
		errs = append(errs, errors.New("--tls-ca needs --tls-cert and --tls-key: the process has to show a certificate too"))
	}
	if len(i.Peers) > 0 && i.CA == "" {
		errs = append(errs, errors.New("--tls-peers needs --tls-ca: names are read from certificates that it signed"))
	}
	if len(errs) == 0 && i.Secure() {
		_, _, err := read(*i)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// read reads the files.
func read(i Identity) (cert *tls.Certificate, authorities *x509.CertPool, err error) {
	if i.Cert != "" {
		pair, err := tls.LoadX509KeyPair(i.Cert, i.Key)
		if err != nil {
			return nil, nil, fmt.Errorf("reading the certificate of --tls-cert and --tls-key: %w", err)
		}
		cert = &pair
	}
	if i.CA != "" {
		text, err := os.ReadFile(i.CA)
		if err != nil {
			return nil, nil, fmt.Errorf("reading the authorities of --tls-ca: %w", err)
		}
		authorities = x509.NewCertPool()
		if !authorities.AppendCertsFromPEM(text) {
			return nil, nil, fmt.Errorf("reading the authorities of --tls-ca: %s holds no certificate (PEM)", i.CA)
		}
	}
	return cert, authorities, nil
}

// papers are an identity as it is in its files now.
type papers struct {
	identity Identity
	log      *slog.Logger

	mu          sync.Mutex
	stamp       string // of the files as last read
	cert        *tls.Certificate
	authorities *x509.CertPool
}

// now reads the files if they have changed. What cannot be read, such as one of two files that are just being written,
// leaves things as they were: they are looked at again at the next handshake.
func (p *papers) now() (*tls.Certificate, *x509.CertPool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	stamp := p.stamps()
	if stamp == p.stamp {
		return p.cert, p.authorities, nil
	}
	cert, authorities, err := read(p.identity)
	switch {
	case err == nil:
		if p.stamp != "" {
			p.log.Info("certificates read anew")
		}
		p.stamp, p.cert, p.authorities = stamp, cert, authorities
	case p.stamp == "":
		return nil, nil, err
	default:
		p.log.Warn("the certificates have changed and cannot be read; the ones read before stay in use", "error", err)
	}
	return p.cert, p.authorities, nil
}

func (p *papers) stamps() string {
	var b strings.Builder
	for _, name := range []string{p.identity.Cert, p.identity.Key, p.identity.CA} {
		info, err := os.Stat(name)
		if name == "" || err != nil {
			b.WriteString("-;")
			continue
		}
		fmt.Fprintf(&b, "%d %s;", info.Size(), info.ModTime().Format(time.RFC3339Nano))
	}
	return b.String()
}

// server is the configuration of a listener. optional tells, at each handshake, whether a caller may do without a
// certificate, since it shows who it is in another way.
func (p *papers) server(optional func() bool) *tls.Config { return p.listening(optional, p.admits) }

// scraped is the configuration of a listener that takes every certificate that the authorities signed, whatever its name.
func (p *papers) scraped() *tls.Config {
	return p.listening(func() bool { return false }, nil)
}

func (p *papers) listening(optional func() bool, admits func(tls.ConnectionState) error) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			cert, authorities, err := p.now()
			if err != nil {
				return nil, err
			}
			c := &tls.Config{
				MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{*cert}, ClientCAs: authorities,
				NextProtos: []string{"h2", "http/1.1"}, VerifyConnection: admits,
			}
			switch {
			case authorities == nil:
			case optional():
				c.ClientAuth = tls.VerifyClientCertIfGiven
			default:
				c.ClientAuth = tls.RequireAndVerifyClientCert
			}
			return c, nil
		},
	}
}

// admits refuses callers whose certificate has none of the names that may call.
func (p *papers) admits(s tls.ConnectionState) error {
	if len(p.identity.Peers) == 0 || len(s.PeerCertificates) == 0 {
		return nil
	}
	names := Names(s.PeerCertificates[0])
	for _, name := range names {
		if slices.Contains(p.identity.Peers, name) {
			return nil
		}
	}
	return fmt.Errorf("the certificate of %s is not one of --tls-peers", strings.Join(names, ", "))
}

// Names are the names in a certificate: those of its hosts, and its common name.
func Names(c *x509.Certificate) []string {
	names := slices.Clone(c.DNSNames)
	if cn := c.Subject.CommonName; cn != "" && !slices.Contains(names, cn) {
		names = append(names, cn)
	}
	return names
}

// client is the configuration of a call, with the files as they are now. Without authorities of our own those of the system
// count.
func (p *papers) client() (*tls.Config, error) {
	cert, authorities, err := p.now()
	if err != nil {
		return nil, err
	}
	if cert == nil {
		cert = &tls.Certificate{} // none is shown
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS12, RootCAs: authorities,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert, nil },
	}, nil
}

// calls are the credentials of a client.
func (p *papers) calls() credentials.TransportCredentials {
	return calling{TransportCredentials: credentials.NewTLS(&tls.Config{MinVersion: tls.VersionTLS12}), papers: p}
}

// calling are credentials whose files may change between two handshakes: each handshake has a configuration of its own.
type calling struct {
	credentials.TransportCredentials
	papers *papers
}

// ClientHandshake implements credentials.TransportCredentials.
func (c calling) ClientHandshake(ctx context.Context, authority string, conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	config, err := c.papers.client()
	if err != nil {
		return nil, nil, err
	}
	return credentials.NewTLS(config).ClientHandshake(ctx, authority, conn)
}

// Clone implements credentials.TransportCredentials.
func (c calling) Clone() credentials.TransportCredentials {
	return calling{TransportCredentials: c.TransportCredentials.Clone(), papers: c.papers}
}
