// Package capture is the process of the capture service.
package capture

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/spf13/pflag"
	"go.opentelemetry.io/otel"
	"google.golang.org/grpc"

	"slipstream/capture/engine"
	"slipstream/capture/server"
	"slipstream/proto/flow"
	changev1 "slipstream/proto/slipstream/change/v1"
	transformerv1 "slipstream/proto/slipstream/transformer/v1"
	"slipstream/services/internal/host"
	"slipstream/services/internal/redisurl"
)

// Spec is the process.
func Spec() host.Spec {
	var redisURL, transformer, pipelines string
	var age time.Duration
	return host.Spec{
		Name: "capture", Summary: "records changes in Redis and drives the lanes of every job",
		Listen: "127.0.0.1:7401", MetricsListen: "127.0.0.1:9401",
		Flags: func(f *pflag.FlagSet) {
			f.StringVar(&redisURL, "redis", "127.0.0.1:6379", "Redis that keeps the deployed pipelines: host:port or a redis:// URL, rediss:// for TLS, with ?cacert=FILE&cert=FILE&key=FILE; may hold references such as ${file:…}")
			f.StringVar(&transformer, "transformer", "127.0.0.1:7402", "address of the transformer")
			f.StringVar(&pipelines, "pipelines", "", "pipelines to serve, comma separated; all when empty")
			f.DurationVar(&age, "lane-age", 0, "after how long a lane opens anew at a batch border, to find transformers and appliers that came since; 0 for never")
		},
		Build: func(_ context.Context, p *host.Process) (host.Service, error) {
			redisurl.Quiet(p.Log)
			o, err := redisurl.Parse(redisURL)
			if err != nil {
				return nil, err
			}
			conn, err := p.Dial(transformer)
			if err != nil {
				return nil, err
			}
			conn.Connect() // before the first lanes open, so that they find every instance
			e, err := Register(p, o, host.Addresses(pipelines), conn, age)
			if err != nil {
				return nil, errors.Join(err, conn.Close())
			}
			p.OnStopped(func() { _ = conn.Close() }) // nothing is sent any more
			return e, nil
		},
	}
}

// Register puts capture on the process's gRPC server and returns its engine, which is to be run. The transformer's client
// stays the caller's to close. age is the engine's LaneAge.
func Register(
	p *host.Process, store *redis.Options, pipelines []string, transformer *grpc.ClientConn, age time.Duration,
) (*engine.Engine, error) {
	client := transformerv1.NewTransformerServiceClient(transformer)
	e, err := engine.New(engine.Options{
		Redis: store, Instance: p.Instance, Pipelines: pipelines,
		Transformer: func(ctx context.Context) (flow.Downlink[*changev1.Batch], error) {
			stream, err := client.Transform(ctx)
			if err != nil {
				return nil, err
			}
			return flow.TransformDownlink(stream), nil
		},
		Registerer: p.Metrics, Tracer: otel.GetTracerProvider(), Logger: p.Log, Grace: p.Grace * 3 / 4, LaneAge: age,
	})
	if err != nil {
		return nil, err
	}
	server.New(e).Register(p.Server)
	return e, nil
}
