package cli

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
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

// Export says what `slipstream monitor` serves, and where.
type Export struct {
	// Address is host:port.
	Address string
	// Metrics are what is served.
	Metrics prometheus.Gatherer
	// Secure holds the files of TLS alone: with a CA, whoever scrapes must show a certificate that it signed. Nil: in the clear.
	Secure *Door
	// Log is told of what goes wrong meanwhile.
	Log *slog.Logger
	// Ready is told where it is served.
	Ready func(address string)
}

// metricsTLSVariable stands for --metrics-tls where that is not given.
const metricsTLSVariable = "SLIPSTREAM_METRICS_TLS"

func (a *app) monitor() *cobra.Command {
	var port, interval int
	var listen string
	var compat, secure bool
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
			scheme, shown, err := a.exporterDoor(cmd, secure)
			if err != nil {
				return err
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
			return finish(gateway, a.deps.Exporter(cmd.Context(), Export{
				Address: net.JoinHostPort(strings.Trim(listen, "[]"), strconv.Itoa(port)), Metrics: registry, Secure: shown, Log: logger(cmd),
				Ready: func(at string) {
					fmt.Fprintf(cmd.ErrOrStderr(), "serving metrics of pipeline %s at %s://%s/metrics\n", a.pipelineName(), scheme, at)
				},
			}))
		},
	}
	a.gatewayFlags(cmd)
	cmd.Flags().IntVar(&port, "exporter-port", exporterPort, "port to serve at")
	cmd.Flags().IntVar(&interval, "collect-interval", collectInterval, "seconds for which one reading serves")
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1", "address to serve at; 0.0.0.0 for all")
	cmd.Flags().BoolVar(&compat, "compat-metrics", false, "also export the names of the RDI quickstart, rdi_metrics_*")
	cmd.Flags().BoolVar(&secure, "metrics-tls", false, "serve them over TLS, with the certificate of --tls-cert; with --tls-ca, "+
		"who scrapes must show one (variable "+metricsTLSVariable+")")
	logFlag(cmd, true)
	return cmd
}

// exporterDoor is how metrics are served: in the clear without files, or with those that are shown to the gateway too.
func (a *app) exporterDoor(cmd *cobra.Command, secure bool) (scheme string, shown *Door, err error) {
	if text := a.deps.Getenv(metricsTLSVariable); text != "" && !cmd.Flags().Changed("metrics-tls") {
		if secure, err = strconv.ParseBool(text); err != nil {
			return "", nil, misused("environment variable %s is %q, not true or false", metricsTLSVariable, text)
		}
	}
	if !secure {
		return "http", nil, nil
	}
	door, err := a.doorTo("")
	switch {
	case err != nil:
		return "", nil, err
	case door.Cert == "":
		return "", nil, misused("--metrics-tls needs --tls-cert and --tls-key: the certificate to show")
	}
	return "https", &Door{CA: door.CA, Cert: door.Cert, Key: door.Key}, nil
}
