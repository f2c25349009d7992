package server

import (
	"context"

	capturev1 "slipstream/proto/slipstream/capture/v1"
	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
)

func (s *Server) readKeys(ctx context.Context, req *capturev1.ReadKeysRequest) (*capturev1.ReadKeysResponse, error) {
	return anyCapture(ctx, s, req.GetPipeline().GetName(), func(c capturev1.CaptureServiceClient) (*capturev1.ReadKeysResponse, error) {
		return c.ReadKeys(ctx, req)
	})
}

// ListRejected implements gatewayv1.GatewayServiceServer.
func (s *Server) ListRejected(ctx context.Context, req *gatewayv1.ListRejectedRequest) (*gatewayv1.ListRejectedResponse, error) {
	name, err := pipelineName(req.GetPipeline())
	if err != nil {
		return nil, err
	}
	res, err := anyCapture(ctx, s, name, func(c capturev1.CaptureServiceClient) (*capturev1.ListRejectedResponse, error) {
		return c.ListRejected(ctx, &capturev1.ListRejectedRequest{
			Pipeline: name, Job: req.GetJob(), MaxRecords: req.GetMaxRecords(), Oldest: req.GetOldest(), DlqName: req.GetDlqName(),
			Offset: req.GetOffset(), Open: !reads(ctx),
		})
	})
	if err != nil {
		return nil, err
	}
	return &gatewayv1.ListRejectedResponse{Streams: res.GetStreams()}, nil
}

// Replay implements gatewayv1.GatewayServiceServer.
func (s *Server) Replay(ctx context.Context, req *gatewayv1.ReplayRequest) (*gatewayv1.ReplayResponse, error) {
	name, err := pipelineName(req.GetPipeline())
	if err != nil {
		return nil, err
	}
	res, err := anyCapture(ctx, s, name, func(c capturev1.CaptureServiceClient) (*capturev1.ReplayResponse, error) {
		return c.Replay(ctx, &capturev1.ReplayRequest{
			Pipeline: name, Job: req.GetJob(), DlqName: req.GetDlqName(), Ids: req.GetIds(), MaxRecords: req.GetMaxRecords(),
			AsRecorded: req.GetAsRecorded(),
		})
	})
	if err != nil {
		return nil, err
	}
	for _, stream := range res.GetStreams() {
		s.config.Log.InfoContext(ctx, "dead letters replayed", "pipeline", name, "stream", stream.GetName(),
			"replayed", stream.GetReplayed(), "kept", len(stream.GetKept()), "as_recorded", req.GetAsRecorded())
	}
	return &gatewayv1.ReplayResponse{Streams: res.GetStreams()}, nil
}
