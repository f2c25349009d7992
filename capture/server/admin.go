package server

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	capturev1 "slipstream/proto/slipstream/capture/v1"
)

// ListDeadLetterStreams lists dead-letter streams.
func (s *Server) ListDeadLetterStreams(
	ctx context.Context, r *capturev1.ListDeadLetterStreamsRequest,
) (*capturev1.ListDeadLetterStreamsResponse, error) {
	streams, err := s.engine.DeadLetterStreams(ctx, r.GetPipeline())
	if err != nil {
		return nil, statusOf(err)
	}
	return &capturev1.ListDeadLetterStreamsResponse{Streams: streams}, nil
}

// Resync asks for sweeps.
func (s *Server) Resync(ctx context.Context, r *capturev1.ResyncRequest) (*capturev1.ResyncResponse, error) {
	sweeps, err := s.engine.Resync(ctx, r)
	if err != nil {
		return nil, statusOf(err)
	}
	return &capturev1.ResyncResponse{Sweeps: sweeps}, nil
}

// Reset starts jobs over.
func (s *Server) Reset(ctx context.Context, r *capturev1.ResetRequest) (*capturev1.ResetResponse, error) {
	sweeps, err := s.engine.Reset(ctx, r)
	if err != nil {
		return nil, statusOf(err)
	}
	return &capturev1.ResetResponse{Sweeps: sweeps}, nil
}

// Configure looks at the servers of a pipeline.
func (s *Server) Configure(ctx context.Context, r *capturev1.ConfigureRequest) (*capturev1.ConfigureResponse, error) {
	if r.GetPipeline() == nil {
		return nil, status.Error(codes.InvalidArgument, "pipeline is missing")
	}
	findings, err := s.engine.Configure(ctx, r)
	if err != nil {
		return nil, statusOf(err)
	}
	return &capturev1.ConfigureResponse{Findings: findings}, nil
}

// Trace follows changes until as many were followed as asked for, or the caller leaves.
func (s *Server) Trace(r *capturev1.TraceRequest, out grpc.ServerStreamingServer[capturev1.TraceResponse]) error {
	f, err := s.engine.Follow(r)
	if err != nil {
		return statusOf(err)
	}
	defer f.Close()
	next := &capturev1.TraceResponse{Event: &capturev1.TraceResponse_Ready{Ready: &capturev1.TraceReady{Instance: s.engine.Instance()}}}
	for {
		if err := out.Send(next); err != nil {
			return err
		}
		next, err = f.Next(out.Context())
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return statusOf(err)
		}
	}
}
