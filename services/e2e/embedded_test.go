package e2e_test

import (
	"context"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"google.golang.org/grpc"

	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
	"slipstream/services/internal/embedded"
	"slipstream/services/internal/host"
)

// inProcess is the line in this process, race detector included.
type inProcess struct{ conn *grpc.ClientConn }

func (l *inProcess) gateway() gatewayv1.GatewayServiceClient {
	return gatewayv1.NewGatewayServiceClient(l.conn)
}

// startEmbedded starts the line of `slipstream run` without deploying anything.
func startEmbedded(t *testing.T, redisAddr string) *inProcess {
	t.Helper()
	rdb := redis.NewClient(&redis.Options{Addr: redisAddr, Protocol: 2})
	ctx, cancel := context.WithCancel(t.Context())
	ready, ended := make(chan string, 1), make(chan error, 1)
	log := &buffer{}
	go func() {
		ended <- embedded.Serve(ctx, embedded.Options{
			Listen: "127.0.0.1:0", Metrics: "off", Log: host.Logger(log, "info", "text"), Grace: 10 * time.Second,
			Ready: func(address string) { ready <- address },
		}, rdb)
	}()
	var l inProcess
	t.Cleanup(func() {
		if l.conn != nil {
			_ = l.conn.Close()
		}
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the line ended with %v", err)
		}
		_ = rdb.Close()
		if t.Failed() {
			t.Log(log.tail())
		}
	})
	select {
	case address := <-ready:
		var err error
		l.conn, err = host.Dial(address)
		must(t, err)
	case err := <-ended:
		ended <- err
		t.Fatalf("the line did not start: %v\n%s", err, log.tail())
	}
	return &l
}
