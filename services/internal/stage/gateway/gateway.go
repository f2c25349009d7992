// Package gateway is the process of the gateway service.
package gateway

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"
	"github.com/spf13/pflag"
	"google.golang.org/grpc"

	"slipstream/gateway/server"
	"slipstream/gateway/store"
	"slipstream/proto/secret"
	applierv1 "slipstream/proto/slipstream/applier/v1"
	capturev1 "slipstream/proto/slipstream/capture/v1"
	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
	transformerv1 "slipstream/proto/slipstream/transformer/v1"
	"slipstream/services/internal/access"
	"slipstream/services/internal/host"
	"slipstream/services/internal/redisurl"
)

// Peers are the services a gateway asks.
type Peers struct {
	Capture     []*host.Instances
	Transformer *grpc.ClientConn
	Appliers    host.Appliers
}

// Close closes every client.
func (p *Peers) Close() error {
	var errs []error
	for _, c := range p.Capture {
		errs = append(errs, c.Close())
	}
	if p.Transformer != nil {
		errs = append(errs, p.Transformer.Close())
	}
	return errors.Join(append(errs, p.Appliers.Close())...)
}

// MaxMessage is what a caller may send the gateway at once, in bytes: all files of a pipeline, or the records of a test.
const MaxMessage = 64 << 20

// Spec is the process.
func Spec() host.Spec {
	var redisURL, capture, transformer, appliers, who, web string
	return host.Spec{
		Name: "gateway", Summary: "the operator's door: deploy, validate, status, rejects",
		Listen: "127.0.0.1:7400", MetricsListen: "127.0.0.1:9400", MaxMessage: MaxMessage,
		Flags: func(f *pflag.FlagSet) {
			f.StringVar(&redisURL, "redis", "127.0.0.1:6379", "Redis that keeps the deployed pipelines: host:port or a redis:// URL, rediss:// for TLS, with ?cacert=FILE&cert=FILE&key=FILE; may hold references such as ${file:…}")
			f.StringVar(&capture, "capture", "127.0.0.1:7401", "addresses of the capture instances, comma separated; all that a name stands for")
			f.StringVar(&transformer, "transformer", "127.0.0.1:7402", "address of the transformer")
			f.StringVar(&appliers, "appliers", "postgresql=127.0.0.1:7411,sqlite=127.0.0.1:7412,mysql=127.0.0.1:7413,sqlserver=127.0.0.1:7414,redis=127.0.0.1:7416,oracle=127.0.0.1:7417,cassandra=127.0.0.1:7418", "one applier a connection type: type=host:port, comma separated")
			f.StringVar(&who, "access", "", "file of those who may call, with their roles; everybody may when empty")
			f.StringVar(&web, "http", DefaultHTTP, "address of the web page and of the API over HTTP with JSON; \"off\" for none")
		},
		Build: func(ctx context.Context, p *host.Process) (host.Service, error) {
			redisurl.Quiet(p.Log)
			if err := Guard(p, who); err != nil {
				return nil, err
			}
			o, err := redisurl.Parse(redisURL)
			if err != nil {
				return nil, err
			}
			peers, err := dial(p, capture, transformer, appliers)
			if err != nil {
				return nil, err
			}
			rdb := redis.NewClient(o)
			p.OnStopped(func() { _ = errors.Join(peers.Close(), rdb.Close()) }) // nothing is asked of them any more
			Register(p, rdb, peers)
			door, err := ServeHTTP(ctx, p, web)
			if err != nil {
				return nil, err
			}
			p.Log.InfoContext(ctx, "serving JSON", "http", door.Addr())
			return host.ServiceFunc(func(ctx context.Context) error {
				<-ctx.Done()
				return door.Close()
			}), nil
		},
	}
}

// Guard lets only those call the process who are in the file at path; everybody where there is none.
func Guard(p *host.Process, path string) error {
	if path == "" {
		return nil
	}
	g, err := access.Open(path, server.ReadOnly, server.WithReader, p.Log)
	if err != nil {
		return err
	}
	p.Admit = g.Admit
	return nil
}

func dial(p *host.Process, capture, transformer, appliers string) (*Peers, error) {
	peers := &Peers{}
	var err error
	if peers.Appliers, err = p.DialAppliers(appliers); err != nil {
		return nil, err
	}
	for _, address := range host.Addresses(capture) {
		all, err := p.DialEach(address)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("--capture: %w", err), peers.Close())
		}
		peers.Capture = append(peers.Capture, all)
	}
	if peers.Transformer, err = p.Dial(transformer); err != nil {
		return nil, errors.Join(err, peers.Close())
	}
	return peers, nil
}

// New makes the service. Without rdb it can only validate. Client and peers stay the caller's to close.
func New(p *host.Process, rdb redis.UniversalClient, peers *Peers) *server.Server {
	c := server.Config{
		Self:        p.Describer(),
		Transformer: server.Over(address(peers.Transformer), peers.Transformer, transformerv1.NewTransformerServiceClient),
		Appliers:    map[string]server.Peer[applierv1.ApplierServiceClient]{},
		Resolve:     secret.Resolve,
		Version:     host.Version(),
		Log:         p.Log,
	}
	if rdb != nil {
		c.Store = store.New(rdb)
	}
	c.CaptureNow = func() (all []server.Peer[capturev1.CaptureServiceClient]) {
		for _, instances := range peers.Capture {
			for _, i := range instances.Now() {
				all = append(all, server.Over(i.Address, i.Conn, capturev1.NewCaptureServiceClient))
			}
		}
		return all
	}
	for kind, conn := range peers.Appliers {
		c.Appliers[kind] = server.Over(address(conn), conn, applierv1.NewApplierServiceClient)
	}
	return server.New(c)
}

// address is where a client calls, for people.
func address(conn *grpc.ClientConn) string {
	if conn.Target() == host.MemoryTarget {
		return "in this process"
	}
	return conn.Target()
}

// Register puts the gateway on the process's gRPC server.
func Register(p *host.Process, rdb redis.UniversalClient, peers *Peers) *server.Server {
	s := New(p, rdb, peers)
	gatewayv1.RegisterGatewayServiceServer(p.Server, s)
	return s
}
