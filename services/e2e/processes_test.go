package e2e_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	"slipstream/deploy/dev/devserver"
	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
	"slipstream/services/internal/host"
)

// appliers are the processes that write, with the type of connection each serves.
var appliers = []struct{ name, serves string }{
	{"applier-postgres", "postgresql"},
	{"applier-sqlite", "sqlite"},
	{"applier-mysql", "mysql"},
	{"applier-redis", "redis"},
}

// processNames are the services of a line, from its head to its tail.
func processNames() []string {
	names := []string{"gateway", "capture", "transformer"}
	for _, a := range appliers {
		names = append(names, a.name)
	}
	return names
}

// built is the folder that binaries made; empty while no test asked for them.
var built string

// binaries builds every service once a test run and gives the folder they are in. They are built as those of the earlier
// version are, so that what both are made of is compiled once.
var binaries = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "slipstream-e2e-bin-")
	if err != nil {
		return "", err
	}
	built = dir
	args := []string{"build", "-trimpath", "-o", dir + string(filepath.Separator)}
	for _, name := range processNames() {
		args = append(args, "slipstream/services/"+name)
	}
	if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
		return dir, fmt.Errorf("building the services: %w\n%s", err, out)
	}
	return dir, nil
})

// service is one process of the line.
type service struct {
	name    string // of its binary
	address string
	metrics string // where it serves /metrics
	args    []string
	env     []string
	log     *os.File
	cmd     *exec.Cmd
}

// processes is the line as separate processes, wired by addresses on loopback.
type processes struct {
	t        *testing.T
	bin      string
	services map[string]*service
	conns    map[string]*grpc.ClientConn
	dial     func(address string) (*grpc.ClientConn, error)
	http     string // where the gateway serves HTTP
}

// startProcesses starts every service, with further environment.
func startProcesses(t *testing.T, redisAddr string, env ...string) *processes {
	t.Helper()
	p := prepareProcesses(t, redisAddr, env...)
	p.run(processNames()...)
	return p
}

// startProcessesFor starts every service; dial is how they are called.
func startProcessesFor(t *testing.T, redisAddr string, dial func(string) (*grpc.ClientConn, error), env ...string) *processes {
	t.Helper()
	p := prepareProcesses(t, redisAddr, env...)
	p.dial = dial
	p.run(processNames()...)
	return p
}

// run starts services and waits until they serve.
func (p *processes) run(names ...string) {
	p.t.Helper()
	for _, name := range names {
		p.start(name)
	}
	for _, name := range names {
		p.healthy(name)
	}
}

// prepareProcesses wires every service and starts none.
func prepareProcesses(t *testing.T, redisAddr string, env ...string) *processes {
	t.Helper()
	bin, err := binaries()
	if err != nil {
		t.Fatal(err)
	}
	p := &processes{t: t, bin: bin, services: map[string]*service{}, conns: map[string]*grpc.ClientConn{}}
	p.dial = func(address string) (*grpc.ClientConn, error) { return host.Dial(address) }
	address := map[string]string{}
	for _, name := range processNames() {
		address[name] = freeAddress(t)
	}
	var served []string
	for _, a := range appliers {
		served = append(served, a.serves+"="+address[a.name])
	}
	route := strings.Join(served, ",")
	add := func(name string, args ...string) {
		log, err := os.Create(filepath.Join(t.TempDir(), name+".log"))
		if err != nil {
			t.Fatal(err)
		}
		s := &service{name: name, address: address[name], metrics: freeAddress(t), log: log, env: env}
		s.args = append([]string{"--listen", s.address, "--metrics", s.metrics, "--grace", "10s"}, args...)
		p.services[name] = s
	}
	for _, a := range appliers {
		add(a.name)
	}
	add("transformer", "--appliers", route)
	add("capture", "--redis", redisAddr, "--transformer", address["transformer"])
	p.http = freeAddress(t)
	add("gateway", "--http", p.http, "--redis", redisAddr, "--capture", address["capture"], "--transformer", address["transformer"], "--appliers", route)
	t.Cleanup(p.stop)
	return p
}

// freeAddress is one that no other service of this run has had.
func freeAddress(t *testing.T) string {
	t.Helper()
	address, err := devserver.FreeAddress()
	must(t, err)
	return address
}

func (p *processes) start(name string) {
	p.t.Helper()
	s := p.services[name]
	s.cmd = exec.Command(filepath.Join(p.bin, s.name), s.args...)
	s.cmd.Env = append(os.Environ(), s.env...)
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	if err := s.cmd.Start(); err != nil {
		p.t.Fatalf("starting %s: %v", name, err)
	}
}

// kill is kill -9, then a restart.
func (p *processes) kill(name string) {
	p.t.Helper()
	s := p.services[name]
	if err := s.cmd.Process.Kill(); err != nil {
		p.t.Fatalf("killing %s: %v", name, err)
	}
	_ = s.cmd.Wait() // it was killed
	p.start(name)
}

// end is SIGTERM; the service must end by itself, with code 0.
func (p *processes) end(name string) {
	p.t.Helper()
	s := p.services[name]
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	done := make(chan error, 1)
	go func() { done <- s.cmd.Wait() }()
	select {
	case err := <-done:
		if err != nil {
			p.t.Errorf("%s ended with %v\n%s", name, err, p.tail(name))
		}
	case <-time.After(2 * time.Minute):
		p.t.Errorf("%s did not end on SIGTERM\n%s", name, p.tail(name))
		_ = s.cmd.Process.Kill()
		<-done
	}
	s.cmd = nil
}

// stop ends the line from head to tail, so that each part drains into the next.
func (p *processes) stop() {
	for _, name := range processNames() {
		p.end(name)
	}
	for _, c := range p.conns {
		_ = c.Close()
	}
	if p.t.Failed() {
		for name := range p.services {
			p.t.Logf("--- %s\n%s", name, p.tail(name))
		}
	}
	for _, s := range p.services {
		_ = s.log.Close()
	}
}

func (p *processes) tail(name string) string {
	text, err := os.ReadFile(p.services[name].log.Name())
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(text[max(0, len(text)-3000):]))
}

func (p *processes) conn(name string) *grpc.ClientConn {
	p.t.Helper()
	if c, ok := p.conns[name]; ok {
		return c
	}
	c, err := p.dial(p.services[name].address)
	if err != nil {
		p.t.Fatal(err)
	}
	p.conns[name] = c
	return c
}

// healthy waits until a service serves.
func (p *processes) healthy(name string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), 2*time.Minute)
	defer cancel()
	for {
		h, err := healthv1.NewHealthClient(p.conn(name)).Check(ctx, &healthv1.HealthCheckRequest{}, grpc.WaitForReady(true))
		if err == nil && h.Status == healthv1.HealthCheckResponse_SERVING {
			return
		}
		if ctx.Err() != nil {
			p.t.Fatalf("%s does not serve: %v\n%s", name, err, p.tail(name))
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (p *processes) gateway() gatewayv1.GatewayServiceClient {
	return gatewayv1.NewGatewayServiceClient(p.conn("gateway"))
}
