package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
)

func (a *app) start() *cobra.Command {
	return a.control("start", "Start processing", "started", func(ctx context.Context, gateway Gateway) (uint64, error) {
		res, err := gateway.Client.Start(ctx, &gatewayv1.StartRequest{Pipeline: a.pipeline})
		return res.GetGeneration(), err
	})
}

func (a *app) stop() *cobra.Command {
	return a.control("stop", "Finish what is under way and stop processing; changes are still recorded", "stopped",
		func(ctx context.Context, gateway Gateway) (uint64, error) {
			res, err := gateway.Client.Stop(ctx, &gatewayv1.StopRequest{Pipeline: a.pipeline})
			return res.GetGeneration(), err
		})
}

func (a *app) control(use, short, done string, f func(context.Context, Gateway) (uint64, error)) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var generation uint64
			err := a.call(cmd.Context(), func(ctx context.Context, gateway Gateway) (err error) {
				generation, err = f(ctx, gateway)
				return err
			})
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "pipeline %s: generation %d is %s\n", a.pipelineName(), generation, done)
			return err
		},
	}
	a.gatewayFlags(cmd)
	logFlag(cmd, true)
	return cmd
}
