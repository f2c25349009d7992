package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// callTimeout bounds one call: a deploy asks every stage, each within 30 s.
const callTimeout = 2 * time.Minute

// gatewayFlags adds the flags of every command that calls a gateway.
func (a *app) gatewayFlags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&a.gateway, "gateway", "", "address of the gateway (variable "+GatewayVariable+"; default "+DefaultGateway+")")
	a.doorFlags(cmd.Flags())
	cmd.Flags().StringVar(&a.context, "context", "", "saved context to use instead of the active one (variable "+ContextVariable+")")
	cmd.Flags().StringVar(&a.pipeline, "pipeline", "", "name of the pipeline (default \"default\")")
}

func dirFlag(cmd *cobra.Command, dir *string) {
	cmd.Flags().StringVar(dir, "dir", ".", "folder with config.yaml and jobs/")
}

// address is where the gateway is; named says that somebody said so.
func (a *app) address() (address string, named bool) {
	if a.gateway != "" {
		return a.gateway, true
	}
	if address := a.deps.Getenv(GatewayVariable); address != "" {
		return address, true
	}
	return DefaultGateway, false
}

// enter makes a client of the gateway, and tells its address.
func (a *app) enter() (Gateway, string, error) {
	address, _ := a.address()
	door, err := a.doorTo(address)
	if err != nil {
		return Gateway{}, address, err
	}
	gateway, err := a.deps.Dial(door)
	if err != nil {
		return Gateway{}, address, fmt.Errorf("reaching the gateway at %s: %w", address, err)
	}
	return gateway, address, nil
}

// call calls the gateway at its address.
func (a *app) call(ctx context.Context, f func(context.Context, Gateway) error) error {
	gateway, address, err := a.enter()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return finish(gateway, a.explain(address, f(ctx, gateway)))
}

func finish(gateway Gateway, err error) error {
	if gateway.Close == nil {
		return err
	}
	return errors.Join(err, gateway.Close())
}

// errInterrupted is what a command ends with that the operator has left.
var errInterrupted = errors.New("interrupted")

// explain makes a gRPC error one that an operator can act on.
func (a *app) explain(address string, err error) error {
	s, is := status.FromError(err)
	if err == nil || !is {
		return err
	}
	switch s.Code() {
	case codes.Unavailable:
		var answered unavailable
		if errors.As(err, &answered) {
			return fmt.Errorf("the gateway at %s cannot do it now: %s", address, s.Message())
		}
		return fmt.Errorf("the gateway at %s cannot be asked: %s\nstart one with `slipstream run`, name another with --gateway or %s, or give --tls or --tls-ca where it wants TLS",
			address, s.Message(), GatewayVariable)
	case codes.Unauthenticated:
		return fmt.Errorf("the gateway at %s does not let you in: %s", address, s.Message())
	case codes.PermissionDenied:
		return fmt.Errorf("the gateway at %s does not allow it: %s", address, s.Message())
	case codes.Unimplemented:
		return fmt.Errorf("the gateway at %s is of another version, which does not know this: %s\n"+
			"upgrade it, or use the slipstream of its version (`slipstream status` tells it)", address, s.Message())
	case codes.NotFound:
		return fmt.Errorf("%s", s.Message())
	case codes.Canceled:
		return errInterrupted
	case codes.Aborted:
		return fmt.Errorf("%s; try again", s.Message())
	default:
		return fmt.Errorf("%s (%s)", s.Message(), strings.ToLower(s.Code().String()))
	}
}

func (a *app) pipelineName() string {
	if a.pipeline == "" {
		return "default"
	}
	return a.pipeline
}
