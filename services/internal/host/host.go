// Package host is how to be a process here: flags and environment, logs, traces, metrics, one gRPC server with health
// and reflection, and an orderly end. Every service's main is a list of choices over this package; nothing about Redis,
// records or databases belongs here.
//
// A process has a Process: what its parts share. Main builds it, hands it to the service's own build function, serves
// until SIGINT or SIGTERM, and ends in this order: health says NOT_SERVING, the service drains (lanes finish what is
// under way), the gRPC server stops gracefully and after the grace period at once (an idle open stream would hold it for
// ever), and the last traces go out, within a second. A second signal ends the process at once.
package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/pflag"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
)

// Process is what the parts of one process share.
type Process struct {
	// Name of the service, for example "transformer".
	Name string
	// Instance tells processes of one service apart: host name and process id.
	Instance string
	// Log is the process's logger.
	Log *slog.Logger
	// Metrics takes collectors; each of their metrics gets the label service.
	Metrics prometheus.Registerer
	// Server is the gRPC server; services register on it before build returns.
	Server *grpc.Server
	// Health is served on Server; Main keeps the overall state.
	Health *health.Server
	// Grace is how long an orderly end may take.
	Grace time.Duration
	// Admit decides who may call; nil: whoever TLS lets through. It is set before Serve.
	Admit Admit

	papers     *papers      // nil: no TLS
	maxMessage int          // bytes that the server takes at once; 0: maxMessage
	base       *slog.Logger // without the attribute service
	registry   *prometheus.Registry
	self       *Memory // where the process calls itself; nil: it does not
	// remembered is the last lines of the log of all parts.
	remembered *ring
	stopped    []func()
}

// OnStopped adds what is to be called after the gRPC server has ended the last stream, in reverse order.
func (p *Process) OnStopped(f func()) { p.stopped = append(p.stopped, f) }

// Service is what a build function returns: the part of a process that lives beside the gRPC server.
type Service interface {
	// Run works until ctx ends, then finishes what is under way and returns. An error ends the process.
	Run(ctx context.Context) error
}

// ServiceFunc makes a Service of a function.
type ServiceFunc func(ctx context.Context) error

// Run implements Service.
func (f ServiceFunc) Run(ctx context.Context) error { return f(ctx) }

// Idle is the Service of a process that only answers calls.
var Idle = ServiceFunc(func(ctx context.Context) error { <-ctx.Done(); return nil })

// Build registers a service on p.Server and returns what runs beside it.
type Build func(ctx context.Context, p *Process) (Service, error)

// Spec describes a process to Main.
type Spec struct {
	// Name of the service; the binary is slipstream-<name>.
	Name string
	// Summary is one sentence for --help.
	Summary string
	// Listen is the default address of the gRPC server.
	Listen string
	// MetricsListen is the default address of /metrics.
	MetricsListen string
	// Grace is the default of --grace: how long an orderly end may take. Streams that are still open are cut then, which
	// loses nothing (G3): it is long where a service drains what it drives, short where it only serves others.
	Grace time.Duration
	// MaxMessage bounds what a caller may send at once, in bytes; 0 is the bound of a hop.
	MaxMessage int
	// Flags adds the service's own flags; may be nil. Each flag --some-name is also the variable SLIPSTREAM_SOME_NAME.
	Flags func(*pflag.FlagSet)
	// Build makes the service.
	Build Build
}

// Main runs a process and returns its exit code: 0 after an orderly end, 1 after a failure, 2 for wrong usage.
func Main(spec Spec) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	return Run(ctx, spec, os.Args[1:], os.Stdout, os.Stderr)
}

// Run is Main with its surroundings given; it ends when ctx does. What was asked for, help or the version, goes to stdout, all else
// to stderr.
func Run(ctx context.Context, spec Spec, args []string, stdout, stderr io.Writer) int {
	o, err := parse(spec, args, stdout)
	switch {
	case errors.Is(err, pflag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintf(stderr, "%s: %v\n", binary(spec.Name), err)
		return 2
	}
	work := func() error { return serve(ctx, spec, o, stderr) }
	if o.healthy {
		work = func() error { return healthy(ctx, o) }
	}
	if err := work(); err != nil {
		fmt.Fprintf(stderr, "%s: %v\n", binary(spec.Name), err)
		return 1
	}
	return 0
}

func binary(name string) string { return "slipstream-" + name }

// serve is the life of a process.
func serve(ctx context.Context, spec Spec, o *options, stderr io.Writer) (err error) {
	p := New(spec.Name, Logger(stderr, o.logLevel, o.logFormat), WithIdentity(o.identity), WithMaxMessage(spec.MaxMessage))
	p.Grace = o.grace
	flush, err := Tracing(ctx, spec.Name, p.Log)
	if err != nil {
		return err
	}
	defer flush()

	service, err := spec.Build(ctx, p)
	if err != nil {
		return err
	}
	lis, err := (&net.ListenConfig{}).Listen(ctx, "tcp", o.listen)
	if err != nil {
		return fmt.Errorf("listening: %w; choose another address with --listen", err)
	}
	metrics, err := ServeMetrics(ctx, o.metrics, o.metricsTLS, p)
	if err != nil {
		return errors.Join(err, lis.Close())
	}
	defer func() { err = errors.Join(err, metrics.Close()) }()
	p.Log.InfoContext(ctx, "serving", "address", lis.Addr().String(), "metrics", metrics.Addr(), "version", Version())
	err = p.Serve(ctx, lis, service)
	p.Log.InfoContext(context.WithoutCancel(ctx), "stopped")
	return err
}

// Serve serves p.Server on lis and runs service until ctx ends or one of them fails, then ends both in order.
func (p *Process) Serve(ctx context.Context, lis net.Listener, service Service) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	served := make(chan error, 1)
	go func() { served <- p.Server.Serve(lis) }()
	looped := make(chan struct{})
	go func() {
		defer close(looped)
		if p.self != nil {
			_ = p.Server.Serve(p.self.Listener()) // it ends with the server
		}
	}()
	p.Health.SetServingStatus("", healthv1.HealthCheckResponse_SERVING)

	ran := make(chan error, 1)
	go func() { ran <- service.Run(ctx) }()
	var serr, rerr error
	select {
	case <-ctx.Done():
	case serr = <-served:
		served <- nil
		if serr != nil {
			serr = fmt.Errorf("serving: %w", serr)
		}
	case rerr = <-ran:
		ran <- nil
	}
	p.Health.Shutdown()
	cancel()
	hard := time.AfterFunc(p.Grace, p.Server.Stop)
	defer hard.Stop()
	if err := <-ran; rerr == nil { // lanes finish while peers are still served
		rerr = err
	}
	p.Server.GracefulStop()
	<-served
	<-looped
	for i := len(p.stopped) - 1; i >= 0; i-- {
		p.stopped[i]()
	}
	if errors.Is(rerr, context.Canceled) {
		rerr = nil
	}
	return errors.Join(serr, rerr)
}
