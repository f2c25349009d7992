package server_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	applierv1 "slipstream/proto/slipstream/applier/v1"
	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
)

// returning is the health of a service that starts anew and is found again after a time, as a client that waits sees it.
type returning struct {
	healthv1.HealthClient
	after time.Duration
	there *atomic.Bool
}

// Check implements healthv1.HealthClient.
func (r returning) Check(ctx context.Context, _ *healthv1.HealthCheckRequest, options ...grpc.CallOption) (*healthv1.HealthCheckResponse, error) {
	waits := false
	for _, o := range options {
		fast, is := o.(grpc.FailFastCallOption)
		waits = waits || is && !fast.FailFast
	}
	if !waits {
		return nil, errDown
	}
	select {
	case <-time.After(r.after):
		r.there.Store(true)
		return &healthv1.HealthCheckResponse{Status: healthv1.HealthCheckResponse_SERVING}, nil
	case <-ctx.Done():
		return nil, errDown
	}
}

// TestAServiceThatStartsAnew: a deploy while a service is just starting waits a moment for it; one that stays away is told of
// after that.
func TestAServiceThatStartsAnew(t *testing.T) {
	for name, c := range map[string]struct {
		after, took time.Duration
		says        string
	}{
		"is back within a second": {after: time.Second, took: time.Second},
		"stays away":              {after: time.Minute, took: 2 * time.Second, says: "the applier for sqlite at applier:3 cannot be asked"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLine()
				there := new(atomic.Bool)
				l.applier.check = func(*applierv1.CheckRequest) (*applierv1.CheckResponse, error) {
					if !there.Load() {
						return nil, errDown
					}
					return &applierv1.CheckResponse{}, nil
				}
				peer := l.config.Appliers["sqlite"]
				peer.Health = returning{after: c.after, there: there}
				l.config.Appliers["sqlite"] = peer
				began := time.Now()
				res, err := l.server().Validate(t.Context(), &gatewayv1.ValidateRequest{Files: files()})
				if err != nil {
					t.Fatal(err)
				}
				if got := lines(res.GetProblems()); c.says == "" && got != "" || !strings.Contains(got, c.says) {
					t.Errorf("problems:\n%s", got)
				}
				if took := time.Since(began); took != c.took {
					t.Errorf("took %v, want %v", took, c.took)
				}
			})
		})
	}
}
