package server

import (
	"context"

	capturev1 "slipstream/proto/slipstream/capture/v1"
	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"

	"slipstream/gateway/compile"
)

// ListDeadLetterStreams implements gatewayv1.GatewayServiceServer.
func (s *Server) ListDeadLetterStreams(
	ctx context.Context, req *gatewayv1.ListDeadLetterStreamsRequest,
) (*gatewayv1.ListDeadLetterStreamsResponse, error) {
	name, err := pipelineName(req.GetPipeline())
	if err != nil {
		return nil, err
	}
	res, err := anyCapture(ctx, s, name, func(c capturev1.CaptureServiceClient) (*capturev1.ListDeadLetterStreamsResponse, error) {
		return c.ListDeadLetterStreams(ctx, &capturev1.ListDeadLetterStreamsRequest{Pipeline: name})
	})
	if err != nil {
		return nil, err
	}
	return &gatewayv1.ListDeadLetterStreamsResponse{Streams: res.GetStreams()}, nil
}

// Resync implements gatewayv1.GatewayServiceServer.
func (s *Server) Resync(ctx context.Context, req *gatewayv1.ResyncRequest) (*gatewayv1.ResyncResponse, error) {
	name, err := pipelineName(req.GetPipeline())
	if err != nil {
		return nil, err
	}
	res, err := anyCapture(ctx, s, name, func(c capturev1.CaptureServiceClient) (*capturev1.ResyncResponse, error) {
		return c.Resync(ctx, &capturev1.ResyncRequest{Pipeline: name, Jobs: req.GetJobs()})
	})
	if err != nil {
		return nil, err
	}
	s.config.Log.InfoContext(ctx, "resync requested", "pipeline", name, "sweeps", requested(res.GetSweeps()))
	return &gatewayv1.ResyncResponse{Sweeps: res.GetSweeps()}, nil
}

// Reset implements gatewayv1.GatewayServiceServer.
func (s *Server) Reset(ctx context.Context, req *gatewayv1.ResetRequest) (*gatewayv1.ResetResponse, error) {
	name, err := pipelineName(req.GetPipeline())
	if err != nil {
		return nil, err
	}
	res, err := anyCapture(ctx, s, name, func(c capturev1.CaptureServiceClient) (*capturev1.ResetResponse, error) {
		return c.Reset(ctx, &capturev1.ResetRequest{Pipeline: name, Jobs: req.GetJobs()})
	})
	if err != nil {
		return nil, err
	}
	s.config.Log.InfoContext(ctx, "jobs reset", "pipeline", name, "jobs", len(res.GetSweeps()), "sweeps", requested(res.GetSweeps()))
	return &gatewayv1.ResetResponse{Sweeps: res.GetSweeps()}, nil
}

func requested(sweeps []*capturev1.RequestedSweep) (n int) {
	for _, s := range sweeps {
		if s.GetId() != "" {
			n++
		}
	}
	return n
}

// Configure implements gatewayv1.GatewayServiceServer.
func (s *Server) Configure(ctx context.Context, req *gatewayv1.ConfigureRequest) (*gatewayv1.ConfigureResponse, error) {
	p, problems, err := s.configured(ctx, req)
	if err != nil {
		return nil, err
	}
	if compile.Failed(problems) {
		return &gatewayv1.ConfigureResponse{Problems: problems}, nil
	}
	res, err := anyCapture(ctx, s, p.GetName(), func(c capturev1.CaptureServiceClient) (*capturev1.ConfigureResponse, error) {
		return c.Configure(ctx, &capturev1.ConfigureRequest{Pipeline: p, DryRun: req.GetDryRun()})
	})
	if err != nil {
		return nil, err
	}
	for _, f := range res.GetFindings() {
		if f.GetState() == capturev1.FindingState_FINDING_STATE_CHANGED {
			s.config.Log.InfoContext(ctx, "parameter of a server changed", "connection", f.GetConnection(),
				"parameter", f.GetSubject(), "before", f.GetFound(), "now", f.GetWanted())
		}
	}
	return &gatewayv1.ConfigureResponse{Problems: problems, Findings: res.GetFindings()}, nil
}

// configured is the pipeline of the request's files, which need be no more than well-formed, or the one deployed.
func (s *Server) configured(ctx context.Context, req *gatewayv1.ConfigureRequest) (*pipelinev1.Pipeline, []*pipelinev1.Problem, error) {
	if len(req.GetFiles()) == 0 {
		p, err := s.deployed(ctx, req.GetPipeline())
		return p, nil, err
	}
	name, err := pipelineName(req.GetPipeline())
	if err != nil {
		return nil, nil, err
	}
	r := compile.Files(name, req.GetFiles(), s.config.Resolve)
	return r.Pipeline, r.Problems, nil
}
