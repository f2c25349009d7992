// Command slipstream is the command line, and with `slipstream run` the whole line in one process (design D12). This main
// is a list of choices and must stay one.
package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/pflag"

	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
	"slipstream/services/internal/embedded"
	"slipstream/services/internal/host"
	"slipstream/services/internal/stage/gateway"
	"slipstream/services/slipstream/internal/cli"
)

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	var o embedded.Options
	var level, format string
	var flags *pflag.FlagSet
	return cli.Main(ctx, cli.Deps{
		Version: host.Version(),
		Dial: func(d cli.Door) (cli.Gateway, error) {
			conn, err := host.DialAs(identity(d), d.Token, d.Address)
			if err != nil {
				return cli.Gateway{}, err
			}
			return cli.Gateway{Client: gatewayv1.NewGatewayServiceClient(cli.Answered(conn)), Close: conn.Close}, nil
		},
		Here: func(ctx context.Context, dir string) (cli.Gateway, error) {
			client, end, err := embedded.Validator(ctx, embedded.Options{Dir: dir, Log: host.Logger(io.Discard, "error", "text")})
			return cli.Gateway{Client: client, Close: end}, err
		},
		Exporter: func(ctx context.Context, e cli.Export) error {
			x := host.Exporter{Address: e.Address, Metrics: e.Metrics, Log: e.Log, Ready: e.Ready}
			if x.Secure = e.Secure != nil; x.Secure {
				x.Identity = identity(*e.Secure)
			}
			return x.Serve(ctx)
		},
		RunFlags: func(f *pflag.FlagSet) {
			flags = f
			f.StringVar(&o.Listen, "listen", cli.DefaultGateway, "address of the gateway")
			f.StringVar(&o.Metrics, "metrics", "127.0.0.1:9400", "address of /metrics; \"off\" for none")
			f.StringVar(&o.HTTP, "http", gateway.DefaultHTTP, "address of the web page and of the API over HTTP with JSON; \"off\" for none")
			f.StringVar(&o.Appliers, "appliers", "", "appliers elsewhere: type=host:port, comma separated")
			o.Identity.Flags(f)
			host.MetricsTLS(f, &o.MetricsTLS)
			f.StringVar(&o.Access, "access", "", "file of those who may call the gateway, with their roles; everybody may when empty")
			f.DurationVar(&o.Grace, "grace", 0, "how long an orderly end may take (default 20s)")
			f.StringVar(&level, "log-level", "info", "debug, info, warn or error")
			f.StringVar(&format, "log-format", "text", "text or json")
		},
		Run: func(ctx context.Context, r cli.Run) error {
			if err := host.FromEnvironment(flags); err != nil {
				return err
			}
			if err := errors.Join(o.Identity.Check(true), o.Identity.CheckMetricsTLS(o.MetricsTLS)); err != nil {
				return err
			}
			o.Dir, o.Files, o.Log = r.Dir, r.Files, host.Logger(r.Stderr, level, format)
			o.Deployed = func(d *gatewayv1.DeployResponse) { cli.PrintProblems(r.Stderr, r.Dir, d.Problems) }
			return embedded.Run(ctx, o)
		},
	}, os.Args[1:], os.Stdout, os.Stderr)
}

// identity is what the command line shows, and whom it trusts.
func identity(d cli.Door) host.Identity {
	return host.Identity{TLS: d.TLS, CA: d.CA, Cert: d.Cert, Key: d.Key}
}
