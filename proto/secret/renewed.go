package secret

import (
	"crypto/tls"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
)

// Renewed makes the GetClientCertificate of a configuration of TLS: it shows what read reads, once more whenever one of the
// files has changed since. What cannot be read, such as one of two files that are just being written, leaves in use what was
// read before, and is tried again by the next connection. The error is that of the first reading.
func Renewed(
	read func() (tls.Certificate, error), files ...string,
) (func(*tls.CertificateRequestInfo) (*tls.Certificate, error), error) {
	stamp := stamps(files)
	first, err := read()
	if err != nil {
		return nil, err
	}
	var mu sync.Mutex
	shown := &first
	return func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		mu.Lock()
		defer mu.Unlock()
		if now := stamps(files); now != stamp {
			if next, err := read(); err == nil {
				stamp, shown = now, &next
			}
		}
		return shown, nil
	}, nil
}

// stamps tell files as they are from files as they were; what is no file is always the same.
func stamps(files []string) string {
	var b strings.Builder
	for _, name := range files {
		info, err := os.Stat(name)
		if err != nil {
			b.WriteString("-;")
			continue
		}
		fmt.Fprintf(&b, "%d %s;", info.Size(), info.ModTime().Format(time.RFC3339Nano))
	}
	return b.String()
}
