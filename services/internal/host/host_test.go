package host_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"

	applierv1 "slipstream/proto/slipstream/applier/v1"
	"slipstream/services/internal/host"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// logged is a buffer that a process writes to while a test reads.
type logged struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

var serving = regexp.MustCompile(`msg=serving .*address=(\S+) metrics=(\S+)`)

// started runs a process and waits until it serves.
func started(t *testing.T, build host.Build, args ...string) (address, metrics string, stop func() int, log *logged) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	log = &logged{}
	code := make(chan int, 1)
	go func() {
		code <- host.Run(ctx, host.Spec{Name: "test", Listen: "127.0.0.1:0", MetricsListen: "127.0.0.1:0", Build: build}, args, io.Discard, log)
	}()
	deadline := time.Now().Add(90 * time.Second)
	for {
		if m := serving.FindStringSubmatch(log.String()); m != nil {
			return m[1], m[2], func() int { cancel(); return <-code }, log
		}
		if time.Now().After(deadline) {
			t.Fatalf("does not serve: %s", log.String())
		}
		time.Sleep(time.Millisecond)
	}
}

func client(t *testing.T, address string) *grpc.ClientConn {
	t.Helper()
	conn, err := host.Dial(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// TestProcess: every process has health, reflection and metrics, and ends in order.
func TestProcess(t *testing.T) {
	drained, last := make(chan struct{}), make(chan struct{})
	address, metrics, stop, _ := started(t, func(_ context.Context, p *host.Process) (host.Service, error) {
		p.OnStopped(func() { close(last) })
		return host.ServiceFunc(func(ctx context.Context) error { <-ctx.Done(); close(drained); return nil }), nil
	})
	conn := client(t, address)
	h, err := healthv1.NewHealthClient(conn).Check(t.Context(), &healthv1.HealthCheckRequest{})
	if err != nil || h.Status != healthv1.HealthCheckResponse_SERVING {
		t.Errorf("health: %v, %v", h, err)
	}
	s, err := reflectionv1.NewServerReflectionClient(conn).ServerReflectionInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Send(&reflectionv1.ServerReflectionRequest{MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{}}); err != nil {
		t.Fatal(err)
	}
	r, err := s.Recv()
	if err != nil || !strings.Contains(r.String(), "grpc.health.v1.Health") {
		t.Errorf("reflection: %v, %v", r, err)
	}
	_ = s.CloseSend()
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+metrics+"/metrics", nil)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	if !strings.Contains(string(body), `slipstream_build_info{service="test",`) {
		t.Errorf("metrics lack the version: %.200s", body)
	}
	if code := stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	<-drained
	<-last
}

// hold is a service whose stream never ends by itself.
type hold struct {
	applierv1.UnimplementedApplierServiceServer
	open chan struct{}
}

func (h hold) Apply(s grpc.BidiStreamingServer[applierv1.ApplyRequest, applierv1.ApplyResponse]) error {
	close(h.open)
	<-s.Context().Done()
	return s.Context().Err()
}

// TestIdleStream: a stream that nobody closes does not hold up the end for longer than the grace period.
func TestIdleStream(t *testing.T) {
	h := hold{open: make(chan struct{})}
	address, _, stop, _ := started(t, func(_ context.Context, p *host.Process) (host.Service, error) {
		applierv1.RegisterApplierServiceServer(p.Server, h)
		return host.Idle, nil
	}, "--grace", "50ms")
	stream, err := applierv1.NewApplierServiceClient(client(t, address)).Apply(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	<-h.open
	if code := stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if _, err := stream.Recv(); err == nil {
		t.Error("the stream outlived the process")
	}
}

// TestServiceFails: a service that fails ends the process with its reason and exit code 1.
func TestServiceFails(t *testing.T) {
	var log logged
	code := host.Run(t.Context(), host.Spec{Name: "test", Listen: "127.0.0.1:0", MetricsListen: "off", Build: func(context.Context, *host.Process) (host.Service, error) {
		return host.ServiceFunc(func(context.Context) error { return errors.New("no lease") }), nil
	}}, nil, io.Discard, &log)
	if code != 1 || !strings.Contains(log.String(), "slipstream-test: no lease") {
		t.Errorf("exit code %d, said %s", code, log.String())
	}
}

// TestUsage: wrong usage is exit code 2 and says what to write.
func TestUsage(t *testing.T) {
	build := func(context.Context, *host.Process) (host.Service, error) {
		return nil, errors.New("must not be built")
	}
	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	for name, tc := range map[string]struct {
		args []string
		env  map[string]string
		code int
		says string
	}{
		"unknown flag":     {args: []string{"--nope"}, code: 2, says: "nope"},
		"argument":         {args: []string{"extra"}, code: 2, says: `unexpected argument "extra"`},
		"level":            {args: []string{"--log-level", "loud"}, code: 2, says: "use debug, info, warn or error"},
		"format":           {args: []string{"--log-format", "xml"}, code: 2, says: "use text or json"},
		"grace":            {args: []string{"--grace", "0s"}, code: 2, says: "--grace"},
		"from environment": {env: map[string]string{"SLIPSTREAM_LOG_LEVEL": "loud"}, code: 2, says: "--log-level"},
		"bad environment":  {env: map[string]string{"SLIPSTREAM_GRACE": "soon"}, code: 2, says: "SLIPSTREAM_GRACE"},
		"help":             {args: []string{"--help"}, code: 0, says: "SLIPSTREAM_LOG_LEVEL"},
		"version":          {args: []string{"--version"}, code: 0, says: host.Version()},
		"build fails":      {code: 1, says: "must not be built"},
	} {
		t.Run(name, func(t *testing.T) {
			for k, v := range tc.env {
				t.Setenv(k, v)
			}
			var out, log logged
			code := host.Run(t.Context(), host.Spec{Name: "test", Listen: taken.Addr().String(), MetricsListen: "off", Build: build}, tc.args, &out, &log)
			said, silent := &log, &out
			if tc.code == 0 {
				said, silent = &out, &log
			}
			if code != tc.code || !strings.Contains(said.String(), tc.says) || silent.String() != "" {
				t.Errorf("exit code %d, want %d; stdout %q, stderr %q", code, tc.code, out.String(), log.String())
			}
		})
	}
	t.Run("address in use", func(t *testing.T) {
		var log logged
		ok := func(context.Context, *host.Process) (host.Service, error) { return host.Idle, nil }
		if code := host.Run(t.Context(), host.Spec{Name: "test", Listen: taken.Addr().String(), MetricsListen: "off", Build: ok}, nil, io.Discard, &log); code != 1 || !strings.Contains(log.String(), "--listen") {
			t.Errorf("exit code %d, said %s", code, log.String())
		}
	})
}

func TestFromEnvironment(t *testing.T) {
	t.Setenv("SLIPSTREAM_READ_FROM", "there")
	f := pflag.NewFlagSet("x", pflag.ContinueOnError)
	v := f.String("read-from", "here", "")
	if err := host.FromEnvironment(f); err != nil || *v != "there" {
		t.Errorf("got %q, %v", *v, err)
	}
	if err := f.Set("read-from", "flag"); err != nil {
		t.Fatal(err)
	}
	if err := host.FromEnvironment(f); err != nil || *v != "flag" {
		t.Errorf("a flag that was given lost to the environment: %q, %v", *v, err)
	}
}

// TestMemory: a server in memory answers like one on a network (design D12).
func TestMemory(t *testing.T) {
	p := host.New("test", host.Logger(io.Discard, "info", "json"))
	m := host.NewMemory()
	conn, err := m.Dial()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.Serve(ctx, m.Listener(), host.Idle) }()
	h, err := healthv1.NewHealthClient(conn).Check(t.Context(), &healthv1.HealthCheckRequest{}, grpc.WaitForReady(true))
	if err != nil || h.Status != healthv1.HealthCheckResponse_SERVING {
		t.Errorf("health: %v, %v", h, err)
	}
	_ = conn.Close()
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestLogger(t *testing.T) {
	var b bytes.Buffer
	host.Logger(&b, "warn", "json").InfoContext(t.Context(), "quiet")
	host.Logger(&b, "warn", "json").WarnContext(t.Context(), "heard", slog.Int("n", 1))
	if s := b.String(); strings.Contains(s, "quiet") || !strings.Contains(s, `"msg":"heard","n":1`) {
		t.Errorf("logged %s", s)
	}
}
