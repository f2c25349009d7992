// Package applier is the process of an applier service: the mains of the dialects differ by the dialect they pass in, and
// link only their own driver.
package applier

import (
	"context"
	"time"

	"github.com/spf13/pflag"

	target "slipstream/applier"
	"slipstream/applier/engine"
	"slipstream/applier/server"
	applierv1 "slipstream/proto/slipstream/applier/v1"
	"slipstream/services/internal/host"
)

// Spec is the process of an applier. dialect is called once flags are read.
func Spec(name, summary, listen, metrics string, flags func(*pflag.FlagSet), dialect func() target.Dialect) host.Spec {
	return host.Spec{
		Name: name, Summary: summary, Listen: listen, MetricsListen: metrics, Flags: flags, Grace: 3 * time.Second,
		Build: func(_ context.Context, p *host.Process) (host.Service, error) {
			return host.Idle, Register(p, dialect())
		},
	}
}

// Register puts the applier of a dialect on the process's gRPC server.
func Register(p *host.Process, dialect target.Dialect) error {
	s, err := server.New(dialect, engine.Options{Log: p.Log, Metrics: p.Metrics})
	if err != nil {
		return err
	}
	applierv1.RegisterApplierServiceServer(p.Server, s)
	p.OnStopped(s.Close)
	return nil
}
