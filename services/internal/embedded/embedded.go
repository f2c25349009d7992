// Package embedded hosts the whole line in one process (design D12): capture, transformer, the linked appliers and the
// gateway, wired by gRPC in memory. The code of the stages is the same as in separate processes, and so is every promise.
//
// The Redis that keeps the deployed generation is the source of the pipeline itself. Connection types that are not linked
// are reached through appliers elsewhere, by address.
package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/redis/go-redis/v9"
	"google.golang.org/grpc/status"

	"slipstream/capture/source"
	"slipstream/gateway/compile"
	"slipstream/gateway/configfile"
	"slipstream/proto/secret"
	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
	"slipstream/services/internal/host"
	"slipstream/services/internal/redisurl"
	"slipstream/services/internal/stage/gateway"
)

// Options say what to run.
type Options struct {
	// Dir is where relative paths of database files begin.
	Dir string
	// Files are the files of the pipeline.
	Files []*pipelinev1.File
	// Listen is the address of the gateway's gRPC server.
	Listen string
	// Metrics is the address of /metrics; "off" for none.
	Metrics string
	// MetricsTLS serves them over TLS, with the certificate of Identity.
	MetricsTLS bool
	// HTTP is the address of the web page and of the API over HTTP with JSON; empty or "off" for none.
	HTTP string
	// Appliers are further appliers, as --appliers of the transformer; one named there replaces a linked one.
	Appliers string
	// Identity is what the gateway shows to who calls it, and the process to appliers elsewhere. It must have been checked.
	Identity host.Identity
	// Access is the file of those who may call the gateway; empty: everybody may.
	Access string
	// Log is the logger of the process.
	Log *slog.Logger
	// Grace is how long an orderly end may take. Default 20s.
	Grace time.Duration
	// Deployed is told what the deploy at start said, warnings included; with errors among the problems nothing runs.
	Deployed func(*gatewayv1.DeployResponse)
	// Ready is told the gateway's address once the pipeline is deployed; may be nil.
	Ready func(address string)
}

// ErrProblems is what Run ends with when the files have errors; Deployed was told which.
var ErrProblems = errors.New("the pipeline was not started")

// Run runs the pipeline of o.Files until ctx ends. Files that equal the deployed generation do not make a new one.
func Run(ctx context.Context, o Options) (err error) {
	rdb, err := sourceOf(o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rdb.Close()) }()
	return Serve(ctx, o, rdb)
}

// Serve is Run with the source given. Without files it deploys nothing: whoever calls the gateway does.
func Serve(ctx context.Context, o Options, rdb *redis.Client) (err error) {
	p := host.New("slipstream", o.Log, host.WithIdentity(o.Identity), host.WithMaxMessage(gateway.MaxMessage))
	if err := gateway.Guard(p, o.Access); err != nil {
		return err
	}
	redisurl.Quiet(p.Log)
	if o.Grace > 0 {
		p.Grace = o.Grace
	}
	flush, err := host.Tracing(ctx, p.Name, p.Log)
	if err != nil {
		return err
	}
	defer flush()

	lis, err := (&net.ListenConfig{}).Listen(ctx, "tcp", o.Listen)
	if err != nil {
		return fmt.Errorf("listening: %w; choose another address with --listen", err)
	}
	l, err := assemble(ctx, p, o, rdb)
	if err != nil {
		return errors.Join(err, lis.Close())
	}
	defer func() { err = errors.Join(err, l.close()) }()
	metrics, err := host.ServeMetrics(ctx, o.Metrics, o.MetricsTLS, p)
	if err != nil {
		return errors.Join(err, lis.Close())
	}
	defer func() { err = errors.Join(err, metrics.Close()) }()
	door, err := gateway.ServeHTTP(ctx, p, o.HTTP)
	if err != nil {
		return errors.Join(err, lis.Close())
	}
	p.Log.InfoContext(ctx, "serving", "address", lis.Addr().String(), "metrics", metrics.Addr(), "http", door.Addr(), "version", host.Version())
	return p.Serve(ctx, lis, host.ServiceFunc(func(ctx context.Context) error {
		err := l.run(ctx, o, lis.Addr().String(), rdb.Options().Addr)
		return errors.Join(err, door.Close())
	}))
}

// run deploys the files and keeps the line running until ctx ends.
func (l *line) run(ctx context.Context, o Options, address, source string) error {
	if len(o.Files) == 0 {
		if o.Ready != nil {
			o.Ready(address)
		}
		<-ctx.Done()
		return nil
	}
	r, err := l.gateway.Deploy(ctx, &gatewayv1.DeployRequest{Files: o.Files})
	if err != nil {
		return fmt.Errorf("deploying %s to Redis at %s: %s; check connections.source in %s (or --source-host), and that the server runs",
			o.Dir, source, status.Convert(err).Message(), compile.ConfigFile)
	}
	o.Deployed(r)
	if compile.Failed(r.Problems) {
		return ErrProblems
	}
	if o.Ready != nil {
		o.Ready(address)
	}
	<-ctx.Done()
	return nil
}

// sourceOf makes a client of the source connection. When the files do not say enough for that, Deployed is told why.
func sourceOf(o Options) (*redis.Client, error) {
	r := compile.Files("", o.Files, secret.Resolve)
	conn := r.Pipeline.GetConnections()[configfile.Source]
	if conn == nil {
		o.Deployed(&gatewayv1.DeployResponse{Problems: r.Problems})
		return nil, ErrProblems
	}
	resolved, err := secret.Connection(conn)
	if err != nil {
		return nil, err
	}
	c, err := source.Parse(resolved)
	if err != nil {
		return nil, fmt.Errorf("connection %s: %w", conn.Name, err)
	}
	return c.Client(), nil
}
