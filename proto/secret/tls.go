package secret

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
)

// TLS builds the TLS part of a connection from what its attributes cacert, cert, key and key_password hold: any of them
// turns TLS on (spec 2.3). key and cert need each other, key_password needs key. A certificate that is renewed in its files is
// shown by the next connection.
func TLS(host, ca, cert, key, keyPassword string) (*tls.Config, error) {
	config := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	if (cert == "") != (key == "") {
		return nil, errors.New("cert and key must be given together")
	}
	if keyPassword != "" && key == "" {
		return nil, errors.New("key_password needs key")
	}
	if ca != "" {
		text, err := pemText(ca)
		if err != nil {
			return nil, fmt.Errorf("cacert: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(text) {
			return nil, errors.New("cacert holds no certificate in PEM form")
		}
	}
	if cert == "" {
		return config, nil
	}
	shown, err := Renewed(func() (tls.Certificate, error) { return pair(cert, key, keyPassword) }, cert, key)
	if err != nil {
		return nil, err
	}
	config.GetClientCertificate = shown
	return config, nil
}

func pair(cert, key, keyPassword string) (tls.Certificate, error) {
	certText, err := pemText(cert)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("cert: %w", err)
	}
	keyText, err := pemText(key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("key: %w", err)
	}
	if keyText, err = UnlockKey(keyText, keyPassword); err != nil {
		return tls.Certificate{}, fmt.Errorf("key: %w", err)
	}
	both, err := tls.X509KeyPair(certText, keyText)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("cert and key: %w", err)
	}
	return both, nil
}

// pemText returns what an attribute holds: a path, or the text itself where it came from a secret reference.
func pemText(value string) ([]byte, error) {
	if strings.Contains(value, "-----BEGIN ") {
		return []byte(value), nil
	}
	text, err := os.ReadFile(value)
	if err != nil {
		return nil, fmt.Errorf("reading the file: %w", err)
	}
	return text, nil
}
