// Package transformer is the process of the transformer service.
package transformer

import (
	"context"
	"time"

	"github.com/spf13/pflag"
	"go.opentelemetry.io/otel"
	"google.golang.org/grpc"

	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
	transformerv1 "slipstream/proto/slipstream/transformer/v1"
	"slipstream/services/internal/host"
	"slipstream/services/internal/lookup"
	"slipstream/transformer/server"
)

// Spec is the process.
func Spec() host.Spec {
	var list string
	return host.Spec{
		Name: "transformer", Summary: "filters and transforms changes and hands rows to appliers",
		Listen: "127.0.0.1:7402", MetricsListen: "127.0.0.1:9402", Grace: 3 * time.Second,
		Flags: func(f *pflag.FlagSet) {
			f.StringVar(&list, "appliers", "postgresql=127.0.0.1:7411,sqlite=127.0.0.1:7412,mysql=127.0.0.1:7413,sqlserver=127.0.0.1:7414,redis=127.0.0.1:7416,oracle=127.0.0.1:7417,cassandra=127.0.0.1:7418", "one applier a connection type: type=host:port, comma separated")
		},
		Build: func(_ context.Context, p *host.Process) (host.Service, error) {
			appliers, err := p.DialAppliers(list)
			if err != nil {
				return nil, err
			}
			appliers.Connect()                           // before the first lanes open, so that they find every instance
			p.OnStopped(func() { _ = appliers.Close() }) // nothing is asked of them any more
			return host.Idle, Register(p, appliers)
		},
	}
}

// Register puts the transformer on the process's gRPC server. The appliers stay the caller's to close.
func Register(p *host.Process, appliers host.Appliers) error {
	s, err := server.New(server.Options{
		Appliers: func(kind string) (grpc.ClientConnInterface, error) {
			conn, err := appliers.For(kind)
			if err != nil {
				return nil, err
			}
			return conn, nil
		},
		Lookups: func(connections []*pipelinev1.Connection) (server.Lookups, error) {
			return lookup.Open(connections), nil
		},
		Tracer:     otel.Tracer("slipstream/transformer"),
		Registerer: p.Metrics,
		Logger:     p.Log,
	})
	if err != nil {
		return err
	}
	transformerv1.RegisterTransformerServiceServer(p.Server, s)
	p.OnStopped(s.Close)
	return nil
}
