package host

import (
	"cmp"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/stats"

	"slipstream/proto/flow"
	processv1 "slipstream/proto/slipstream/process/v1"
)

// maxMessage bounds a gRPC message: a batch is at most the window (a few MiB), but one huge document must still pass.
const maxMessage = 512 << 20

// streamWindow is the flow control window of a stream and a connection: room for a batch or two, so that the next
// batch is on its way while one commits (design D6).
const streamWindow = 8 << 20

// New makes a Process with an empty gRPC server that has health and reflection, so that grpcurl works on each.
func New(name string, log *slog.Logger, options ...Option) *Process {
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	last := &ring{}
	log = slog.New(tee{log.Handler(), slog.NewTextHandler(last, nil)})
	p := &Process{
		Instance: fmt.Sprintf("%s-%d", host, os.Getpid()), base: log, Grace: 20 * time.Second,
		registry: prometheus.NewRegistry(), remembered: last,
	}
	for _, o := range options {
		o(p)
	}
	p.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return p.part(name, p.papers, p.maxMessage)
}

// Part makes another service of the same process: a gRPC server and health of its own, the same log and the same metrics
// behind /metrics, told apart by the attribute and label service (design D12).
func (p *Process) Part(name string) *Process { return p.part(name, nil, 0) }

func (p *Process) part(name string, shown *papers, maxMessage int) *Process {
	q := &Process{
		Name: name, Instance: p.Instance, Log: p.base.With("service", name), base: p.base, Grace: p.Grace, registry: p.registry,
		remembered: p.remembered,
		Metrics:    prometheus.WrapRegistererWith(prometheus.Labels{"service": name}, p.registry), Health: health.NewServer(),
	}
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "slipstream_build_info", Help: "Version of the process; the value is always 1.",
		ConstLabels: prometheus.Labels{"version": Version()},
	})
	info.Set(1)
	q.Metrics.MustRegister(info)
	q.maxMessage = maxMessage
	if q.papers = shown; shown != nil {
		shown.log = q.Log
	}
	q.Server = q.NewServer(q.Health)
	return q
}

// NewServer makes a gRPC server as every service here has one: health, reflection, tracing of calls, sizes, keepalive.
func (p *Process) NewServer(h healthv1.HealthServer) *grpc.Server {
	s := grpc.NewServer(append(p.security(),
		grpc.ForceServerCodecV2(flow.Codec{}),
		grpc.StatsHandler(otelgrpc.NewServerHandler(otelgrpc.WithFilter(traced))),
		grpc.MaxRecvMsgSize(cmp.Or(p.maxMessage, maxMessage)), grpc.MaxConcurrentStreams(maxStreams), grpc.MaxSendMsgSize(maxMessage),
		grpc.InitialWindowSize(streamWindow), grpc.InitialConnWindowSize(streamWindow),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 10 * time.Second, Timeout: 10 * time.Second}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
	)...)
	healthv1.RegisterHealthServer(s, h)
	reflection.Register(s)
	processv1.RegisterProcessServiceServer(s, describer{p: p})
	return s
}

// untraced are the methods whose calls make no spans: lanes, since a stream is one span that ends when the lane does
// (batches have their own, design D11), and the questions of probes and tools.
var untraced = map[string]bool{
	"/slipstream.transformer.v1.TransformerService/Transform":        true,
	"/slipstream.applier.v1.ApplierService/Apply":                    true,
	"/slipstream.capture.v1.CaptureService/WatchStatus":              true,
	"/slipstream.gateway.v1.GatewayService/WatchStatus":              true,
	"/slipstream.capture.v1.CaptureService/Trace":                    true,
	"/slipstream.gateway.v1.GatewayService/Trace":                    true,
	"/slipstream.process.v1.ProcessService/Describe":                 true,
	"/grpc.health.v1.Health/Check":                                   true,
	"/grpc.health.v1.Health/Watch":                                   true,
	"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo":      true,
	"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": true,
}

func traced(info *stats.RPCTagInfo) bool { return !untraced[info.FullMethodName] }

// Dial makes a client connection as every service here has one. It connects lazily and reconnects by itself; what is
// asked while the peer is away fails with Unavailable. Where a name stands for several instances, calls go to each in turn.
func Dial(address string, extra ...grpc.DialOption) (*grpc.ClientConn, error) {
	conn, err := grpc.NewClient(address, append([]grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithStatsHandler(otelgrpc.NewClientHandler(otelgrpc.WithFilter(traced))),
		grpc.WithResolvers(ofNetwork), grpc.WithDefaultServiceConfig(spread),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(flow.Codec{}), grpc.MaxCallRecvMsgSize(maxMessage), grpc.MaxCallSendMsgSize(maxMessage)),
		grpc.WithInitialWindowSize(streamWindow), grpc.WithInitialConnWindowSize(streamWindow),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 10 * time.Second, PermitWithoutStream: true}),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: redial, MinConnectTimeout: 5 * time.Second}),
	}, extra...)...)
	if err != nil {
		return nil, fmt.Errorf("address %q: %w", address, err)
	}
	return conn, nil
}

// version is set by the linker: -X slipstream/services/internal/host.version=….
var version string

// Version is the version of this build: what the linker was given, else the commit, else "devel".
func Version() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" && len(s.Value) >= 12 {
				return s.Value[:12]
			}
		}
	}
	return "devel"
}
