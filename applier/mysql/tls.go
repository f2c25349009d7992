package mysql

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	driver "github.com/go-sql-driver/mysql"

	"slipstream/proto/secret"
)

// tlsOptions are the attributes of spec 2.3, as the Python driver reads them: any file turns TLS on; an authority is also
// used, unless ssl_verify_cert says no; the name of the server is looked at only with ssl_verify_identity. Without any of
// them TLS is used where the server has it, and nothing is verified.
type tlsOptions struct {
	ca, cert, key, keyPassword string
	verify, identity           bool
	disabled                   bool
	wanted                     bool // one of them is written
}

var tlsNames = []string{"ssl_ca", "ssl_cert", "ssl_key", "ssl_key_password", "ssl_verify_cert", "ssl_verify_identity", "ssl_disabled"}

func parseTLS(args map[string]string) (tlsOptions, error) {
	o := tlsOptions{ca: args["ssl_ca"], cert: args["ssl_cert"], key: args["ssl_key"], keyPassword: args["ssl_key_password"]}
	var errs []error
	read := func(name string) bool {
		on, err := boolean(args, name)
		errs = append(errs, err)
		return on
	}
	o.verify, o.identity, o.disabled = read("ssl_verify_cert"), read("ssl_verify_identity"), read("ssl_disabled")
	refusesVerify := args["ssl_verify_cert"] != "" && !o.verify
	o.wanted = o.ca != "" || o.cert != "" || o.verify || o.identity
	if !refusesVerify {
		o.verify = o.verify || o.identity || o.ca != ""
	}
	for name := range args {
		if strings.HasPrefix(name, "ssl_") && !slices.Contains(tlsNames, name) {
			errs = append(errs, fmt.Errorf("%s is not known; the attributes of TLS are %s", name, strings.Join(tlsNames, ", ")))
		}
	}
	switch {
	case o.disabled && (o.wanted || o.key != ""):
		errs = append(errs, errors.New("ssl_disabled contradicts the other attributes of TLS"))
	case (o.cert == "") != (o.key == ""):
		errs = append(errs, errors.New("ssl_cert and ssl_key go together: one of them is missing"))
	case o.keyPassword != "" && o.key == "":
		errs = append(errs, errors.New("ssl_key_password needs ssl_key"))
	case o.identity && refusesVerify:
		errs = append(errs, errors.New("ssl_verify_identity needs ssl_verify_cert: a name in an unverified certificate says nothing"))
	}
	return o, errors.Join(errs...)
}

// apply reads the files and configures the driver.
func (o tlsOptions) apply(config *driver.Config, host string) error {
	if o.disabled {
		return nil
	}
	if !o.wanted {
		config.TLSConfig = "preferred"
		return nil
	}
	t := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	if o.ca != "" {
		text, err := pemOf(o.ca)
		if err != nil {
			return fmt.Errorf("opening ssl_ca: %w", err)
		}
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(text) {
			return errors.New("ssl_ca holds no certificate in PEM form")
		}
	}
	if o.cert != "" {
		shown, err := secret.Renewed(o.pair, o.cert, o.key)
		if err != nil {
			return err
		}
		t.GetClientCertificate = shown
	}
	switch {
	case !o.verify:
		t.InsecureSkipVerify = true
	case !o.identity:
		t.InsecureSkipVerify = true // of the name alone: the chain is verified below
		t.VerifyConnection = func(s tls.ConnectionState) error { return verifyChain(s, t.RootCAs) }
	}
	config.TLS = t
	return nil
}

func (o tlsOptions) pair() (tls.Certificate, error) {
	cert, err := pemOf(o.cert)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("opening ssl_cert: %w", err)
	}
	key, err := pemOf(o.key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("opening ssl_key: %w", err)
	}
	if key, err = secret.UnlockKey(key, o.keyPassword); err != nil {
		return tls.Certificate{}, fmt.Errorf("reading ssl_key with ssl_key_password: %w", err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("reading ssl_cert and ssl_key: %w", err)
	}
	return pair, nil
}

// pemOf returns what an attribute holds: a path, or the text itself where it came from a secret reference.
func pemOf(value string) ([]byte, error) {
	if strings.Contains(value, "-----BEGIN ") {
		return []byte(value), nil
	}
	return os.ReadFile(value)
}

// verifyChain verifies the server's certificate, but not its name.
func verifyChain(s tls.ConnectionState, roots *x509.CertPool) error {
	if len(s.PeerCertificates) == 0 {
		return errors.New("the server showed no certificate")
	}
	between := x509.NewCertPool()
	for _, c := range s.PeerCertificates[1:] {
		between.AddCert(c)
	}
	_, err := s.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between})
	return err
}
