package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	gatewayv1 "slipstream/proto/slipstream/gateway/v1"

	"slipstream/gateway/rdimetrics"
)

// The defaults and bounds of spec 7.
const (
	exporterPort    = 9121
	leastPort       = 1000
	mostPort        = 65535
	collectInterval = 5
	mostInterval    = 60
)

func (a *app) monitor() *cobra.Command {
	var port, interval int
	var listen string
	var compat bool
	cmd := &cobra.Command{
		Use: "monitor", Short: "Serve the state of the pipeline as metrics for Prometheus, until interrupted", Args: noArgs,
		Long: "The metrics have the names and labels of RDI's exporter, so that its dashboard works. They are served at / and /metrics.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case port < leastPort || port > mostPort:
				return misused("--exporter-port is %d, not from %d to %d", port, leastPort, mostPort)
			case interval < 1 || interval > mostInterval:
				return misused("--collect-interval is %d, not from 1 to %d seconds", interval, mostInterval)
			}
			gateway, _, err := a.enter()
			if err != nil {
				return err
			}
			registry := prometheus.NewRegistry()
			if err := registry.Register(rdimetrics.New(rdimetrics.Config{
				Interval: time.Duration(interval) * time.Second, Compat: compat,
				Read: func(ctx context.Context) (*gatewayv1.StatusResponse, error) {
					return gateway.Client.Status(ctx, &gatewayv1.StatusRequest{Pipeline: a.pipeline})
				},
			})); err != nil {
				return finish(gateway, err)
			}
			return finish(gateway, a.deps.Exporter(cmd.Context(), fmt.Sprintf("%s:%d", listen, port), registry, func(at string) {
				fmt.Fprintf(cmd.ErrOrStderr(), "serving metrics of pipeline %s at http://%s/metrics\n", a.pipelineName(), at)
			}))
		},
	}
	a.gatewayFlags(cmd)
	cmd.Flags().IntVar(&port, "exporter-port", exporterPort, "port to serve at")
	cmd.Flags().IntVar(&interval, "collect-interval", collectInterval, "seconds for which one reading serves")
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1", "address to serve at; 0.0.0.0 for all")
	cmd.Flags().BoolVar(&compat, "compat-metrics", false, "also export the names of the RDI quickstart, rdi_metrics_*")
	logFlag(cmd, true)
	return cmd
}
