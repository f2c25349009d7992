package host_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"strings"
	"testing"

	"slipstream/services/internal/host"
	"slipstream/services/internal/host/authority"
)

// asked runs a process with --healthy and returns its exit code and what it says.
func asked(t *testing.T, args ...string) (int, string) {
	t.Helper()
	var told bytes.Buffer
	code := host.Run(t.Context(), host.Spec{
		Name: "test", Listen: "127.0.0.1:1",
		Build: func(context.Context, *host.Process) (host.Service, error) {
			t.Error("--healthy builds a service")
			return host.Idle, nil
		},
	}, append([]string{"--healthy"}, args...), io.Discard, &told)
	return code, told.String()
}

// TestHealthy: --healthy answers for the process that runs with the same flags, in the clear and with mutual TLS, also
// where it listens on every address, and says what is wrong where none answers.
func TestHealthy(t *testing.T) {
	build := func(context.Context, *host.Process) (host.Service, error) { return host.Idle, nil }
	address, _, stop, _ := started(t, build, "--listen", "0.0.0.0:0")
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	for _, listen := range []string{"0.0.0.0:" + port, ":" + port, "127.0.0.1:" + port} {
		if code, told := asked(t, "--listen", listen); code != 0 || told != "" {
			t.Errorf("%s: %d, %s", listen, code, told)
		}
	}
	stop()
	if code, told := asked(t, "--listen", "0.0.0.0:"+port); code != 1 || !strings.Contains(told, "asking 127.0.0.1:"+port) {
		t.Errorf("after its end: %d, %s", code, told)
	}

	ours, others := authority.New(t), authority.New(t)
	cert, key := ours.Issue("transformer")
	papers := []string{"--tls-cert", cert, "--tls-key", key, "--tls-ca", ours.File}
	address, _, stop, _ = started(t, build, append(papers, "--tls-peers", "capture,transformer")...)
	defer stop()
	if code, told := asked(t, append(papers, "--listen", address)...); code != 0 {
		t.Errorf("mutual TLS: %d, %s", code, told)
	}
	cert, key = others.Issue("transformer")
	if code, _ := asked(t, "--listen", address, "--tls-cert", cert, "--tls-key", key, "--tls-ca", ours.File); code != 1 {
		t.Errorf("with a certificate of another authority: %d", code)
	}
	if code, _ := asked(t, "--listen", address); code != 1 {
		t.Errorf("in the clear at a secured process: %d", code)
	}
}
