package server

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
)

// ListPipelines implements gatewayv1.GatewayServiceServer.
func (s *Server) ListPipelines(ctx context.Context, _ *gatewayv1.ListPipelinesRequest) (*gatewayv1.ListPipelinesResponse, error) {
	if s.config.Store == nil {
		return nil, status.Error(codes.FailedPrecondition, onlyValidates)
	}
	all, err := s.config.Store.Deployed(ctx)
	if err != nil {
		return nil, failure(err)
	}
	res := &gatewayv1.ListPipelinesResponse{}
	for _, p := range all {
		res.Pipelines = append(res.Pipelines, &gatewayv1.DeployedPipeline{Name: p.Name, Generation: p.Generation, Running: p.Running})
	}
	return res, nil
}
