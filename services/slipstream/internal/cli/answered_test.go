package cli_test

import (
	"context"
	"net"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
	"slipstream/services/slipstream/internal/cli"
)

// refusing is a gateway whose capture is away.
type refusing struct {
	gatewayv1.UnimplementedGatewayServiceServer
}

var away = status.Error(codes.Unavailable, "capture (10.0.0.1:7401): connection refused")

// Start implements gatewayv1.GatewayServiceServer.
func (refusing) Start(context.Context, *gatewayv1.StartRequest) (*gatewayv1.StartResponse, error) {
	return nil, away
}

// WatchStatus implements gatewayv1.GatewayServiceServer.
func (refusing) WatchStatus(*gatewayv1.WatchStatusRequest, grpc.ServerStreamingServer[gatewayv1.WatchStatusResponse]) error {
	return away
}

// TestWhoIsUnavailable: a gateway that answers is not said to be away, and one that is away is, in calls and in streams.
func TestWhoIsUnavailable(t *testing.T) {
	lis := bufconn.Listen(1 << 16)
	server := grpc.NewServer()
	gatewayv1.RegisterGatewayServiceServer(server, refusing{})
	served := make(chan error, 1)
	go func() { served <- server.Serve(lis) }()
	t.Cleanup(func() { server.Stop(); <-served })

	for name, tc := range map[string]struct {
		address string
		want    string
		not     string
	}{
		"it answers": {"passthrough:///here", "cannot do it now: capture (10.0.0.1:7401): connection refused", "start one"},
		"it is away": {"127.0.0.1:1", "start one with `slipstream run`", "cannot do it now"},
	} {
		for _, args := range [][]string{{"start"}, {"status", "--live"}} {
			t.Run(name+": "+args[0], func(t *testing.T) {
				l := newLine()
				l.deps.Dial = func(cli.Door) (cli.Gateway, error) {
					options := []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}
					if strings.HasPrefix(tc.address, "passthrough") {
						options = append(options, grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return lis.DialContext(ctx) }))
					}
					conn, err := grpc.NewClient(tc.address, options...)
					if err != nil {
						return cli.Gateway{}, err
					}
					return cli.Gateway{Client: gatewayv1.NewGatewayServiceClient(cli.Answered(conn)), Close: conn.Close}, nil
				}
				code, _, stderr := l.do(t, args...)
				if code != 1 || !strings.Contains(stderr, tc.want) || strings.Contains(stderr, tc.not) {
					t.Errorf("code %d, %q; want %q, and not %q", code, stderr, tc.want, tc.not)
				}
			})
		}
	}
}
