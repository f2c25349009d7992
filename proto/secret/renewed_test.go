package secret_test

import (
	"crypto/tls"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"slipstream/proto/secret"
)

// TestRenewed: what is shown follows its files; half of a renewal changes nothing, and the whole of it is taken up.
func TestRenewed(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert"), filepath.Join(dir, "key")
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	reads := 0
	read := func() (tls.Certificate, error) {
		reads++
		c, err := os.ReadFile(cert)
		k, kerr := os.ReadFile(key)
		if err = errors.Join(err, kerr); err == nil && string(c) != string(k) {
			err = errors.New("they do not belong together")
		}
		return tls.Certificate{Certificate: [][]byte{c}}, err
	}
	if _, err := secret.Renewed(read, cert, key); err == nil {
		t.Error("files that are not there are shown")
	}
	write(cert, "first")
	write(key, "first")
	shown, err := secret.Renewed(read, cert, key)
	if err != nil {
		t.Fatal(err)
	}
	shows := func(want string) {
		t.Helper()
		c, err := shown(nil)
		if err != nil || string(c.Certificate[0]) != want {
			t.Errorf("shows %s (%v), want %s", c.Certificate, err, want)
		}
	}
	reads = 0
	shows("first")
	shows("first")
	if reads != 0 {
		t.Errorf("files that have not changed were read %d times", reads)
	}
	write(cert, "the second")
	shows("first")
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	shows("first")
	write(key, "the second")
	shows("the second")
}
