package embedded

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"
	"google.golang.org/grpc"

	target "slipstream/applier"
	"slipstream/applier/cassandra"
	"slipstream/applier/mysql"
	"slipstream/applier/postgres"
	redisapplier "slipstream/applier/redis"
	"slipstream/applier/sqlite"
	"slipstream/applier/sqlserver"
	"slipstream/gateway/server"
	"slipstream/proto/keyspace"
	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
	"slipstream/services/internal/host"
	"slipstream/services/internal/redisurl"
	"slipstream/services/internal/stage/applier"
	"slipstream/services/internal/stage/capture"
	"slipstream/services/internal/stage/gateway"
	"slipstream/services/internal/stage/transformer"
)

// line is the services of the process, each served in memory.
type line struct {
	gateway *server.Server
	parts   []*part // from tail to head: each is started after what it calls
	peers   *gateway.Peers
}

// part is a service that runs.
type part struct {
	cancel context.CancelFunc
	ended  chan struct{}
	err    error
}

// assemble starts every part from the tail, so that each finds what it calls. Without rdb there is nothing to capture and
// nothing is stored: the line can only validate.
func assemble(ctx context.Context, p *host.Process, o Options, rdb *redis.Client) (l *line, err error) {
	l = &line{peers: &gateway.Peers{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.close())
		}
	}()
	if l.peers.Appliers, err = p.DialAppliers(o.Appliers); err != nil {
		return l, err
	}
	for _, d := range []target.Dialect{sqlite.Dialect{DataDir: o.Dir}, postgres.Dialect{}, mysql.Dialect{}, sqlserver.Dialect{}, cassandra.Dialect{}, redisapplier.Dialect{}} {
		if _, elsewhere := l.peers.Appliers[d.Name()]; elsewhere {
			continue
		}
		conn, err := l.add(ctx, p.Part("applier-"+d.Name()), func(q *host.Process) (host.Service, error) {
			return host.Idle, applier.Register(q, d)
		})
		if err != nil {
			return l, err
		}
		l.peers.Appliers.Add(d.Name(), conn)
	}
	if l.peers.Transformer, err = l.add(ctx, p.Part("transformer"), func(q *host.Process) (host.Service, error) {
		return host.Idle, transformer.Register(q, l.peers.Appliers)
	}); err != nil {
		return l, err
	}
	conn, err := l.add(ctx, p.Part("capture"), func(q *host.Process) (host.Service, error) {
		if rdb == nil {
			_, err := capture.Register(q, &redis.Options{}, nil, l.peers.Transformer, 0)
			return host.Idle, err
		}
		return capture.Register(q, rdb.Options(), []string{keyspace.DefaultPipeline}, l.peers.Transformer, 0)
	})
	if err != nil {
		return l, err
	}
	l.peers.Capture = []*host.Instances{host.One("in this process", conn)}
	var kept redis.UniversalClient
	if rdb != nil {
		kept = rdb
	}
	l.gateway = gateway.Register(p, kept, l.peers)
	return l, nil
}

// add builds a part, serves it in memory and gives a client of it.
func (l *line) add(ctx context.Context, q *host.Process, build func(*host.Process) (host.Service, error)) (*grpc.ClientConn, error) {
	service, err := build(q)
	if err != nil {
		return nil, fmt.Errorf("building %s: %w", q.Name, err)
	}
	m := host.NewMemory()
	conn, err := m.Dial()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx)) // ended by close, in order
	one := &part{cancel: cancel, ended: make(chan struct{})}
	go func() {
		defer close(one.ended)
		one.err = q.Serve(ctx, m.Listener(), service)
		if one.err != nil {
			q.Log.ErrorContext(ctx, "a part of the process failed", "error", one.err)
		}
	}()
	l.parts = append(l.parts, one)
	return conn, nil
}

// close ends the parts from the head, so that each drains into the next, and closes every client.
func (l *line) close() error {
	var errs []error
	for i := len(l.parts) - 1; i >= 0; i-- {
		l.parts[i].cancel()
		<-l.parts[i].ended
		errs = append(errs, l.parts[i].err)
	}
	return errors.Join(append(errs, l.peers.Close())...)
}

// Validator is the gateway of a line that captures and stores nothing: slipstream validate without a gateway. end ends it.
func Validator(ctx context.Context, o Options) (client gatewayv1.GatewayServiceClient, end func() error, err error) {
	p := host.New("slipstream", o.Log)
	redisurl.Quiet(p.Log)
	l, err := assemble(ctx, p, o, nil)
	if err != nil {
		return nil, nil, err
	}
	door := &line{peers: &gateway.Peers{}}
	conn, err := door.add(ctx, p, func(*host.Process) (host.Service, error) { return host.Idle, nil })
	if err != nil {
		return nil, nil, errors.Join(err, l.close())
	}
	return gatewayv1.NewGatewayServiceClient(conn), func() error {
		return errors.Join(conn.Close(), door.close(), l.close())
	}, nil
}
