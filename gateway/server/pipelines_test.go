package server_test

import (
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"

	"slipstream/gateway/server"
)

// TestListPipelines: what the store has, and why there is no list where it cannot be had.
func TestListPipelines(t *testing.T) {
	m := &memory{}
	list := func(c server.Config) (*gatewayv1.ListPipelinesResponse, error) {
		return server.New(c).ListPipelines(t.Context(), &gatewayv1.ListPipelinesRequest{})
	}
	if res, err := list(server.Config{Store: m}); err != nil || len(res.GetPipelines()) != 0 {
		t.Errorf("nothing is deployed: %v, %v", res, err)
	}
	m.state.Pipeline, m.state.Running = &pipelinev1.Pipeline{Name: "shop", Generation: 3}, true
	res, err := list(server.Config{Store: m})
	if err != nil || len(res.GetPipelines()) != 1 {
		t.Fatalf("%v, %v", res, err)
	}
	if p := res.GetPipelines()[0]; p.GetName() != "shop" || p.GetGeneration() != 3 || !p.GetRunning() {
		t.Errorf("%v", p)
	}
	m.err = errDown
	if _, err := list(server.Config{Store: m}); status.Code(err) != codes.Unavailable {
		t.Errorf("the store is away: %v", err)
	}
	if _, err := list(server.Config{}); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("no store: %v", err)
	}
}
