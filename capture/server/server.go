// Package server is the gRPC door of capture (slipstream.capture.v1): what the gateway asks, answered by the engine. It
// turns errors into gRPC status and does nothing else.
package server

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"slipstream/capture/engine"
	"slipstream/capture/follow"
	capturev1 "slipstream/proto/slipstream/capture/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// Engine is what the server answers from; *engine.Engine is one.
type Engine interface {
	Check(context.Context, *pipelinev1.Pipeline) *capturev1.CheckResponse
	Status(ctx context.Context, pipeline string) (*capturev1.PipelineStatus, error)
	Rejected(context.Context, *capturev1.ListRejectedRequest) ([]*capturev1.DeadLetterStream, error)
	Replay(context.Context, *capturev1.ReplayRequest) ([]*capturev1.ReplayedStream, error)
	ReadKeys(context.Context, *capturev1.ReadKeysRequest) (*capturev1.ReadKeysResponse, error)
	AcknowledgeFlush(ctx context.Context, pipeline string) (jobs []string, err error)
	DeadLetterStreams(ctx context.Context, pipeline string) ([]*capturev1.DeadLetterStream, error)
	Resync(context.Context, *capturev1.ResyncRequest) ([]*capturev1.RequestedSweep, error)
	Reset(context.Context, *capturev1.ResetRequest) ([]*capturev1.RequestedSweep, error)
	Configure(context.Context, *capturev1.ConfigureRequest) ([]*capturev1.Finding, error)
	Follow(*capturev1.TraceRequest) (*follow.Follower, error)
	Instance() string
}

var _ Engine = (*engine.Engine)(nil)

const (
	defaultInterval  = time.Second
	shortestInterval = 100 * time.Millisecond
)

// Server implements capture.v1.CaptureService.
type Server struct {
	capturev1.UnimplementedCaptureServiceServer
	engine Engine
}

// New returns a server that answers from an engine.
func New(e Engine) *Server { return &Server{engine: e} }

// Register adds the service to a gRPC server.
func (s *Server) Register(r grpc.ServiceRegistrar) { capturev1.RegisterCaptureServiceServer(r, s) }

// Check tries the source of a pipeline.
func (s *Server) Check(ctx context.Context, r *capturev1.CheckRequest) (*capturev1.CheckResponse, error) {
	if r.GetPipeline() == nil {
		return nil, status.Error(codes.InvalidArgument, "pipeline is missing")
	}
	return s.engine.Check(ctx, r.Pipeline), nil
}

// Status tells the state of a pipeline.
func (s *Server) Status(ctx context.Context, r *capturev1.StatusRequest) (*capturev1.StatusResponse, error) {
	st, err := s.engine.Status(ctx, r.GetPipeline())
	if err != nil {
		return nil, statusOf(err)
	}
	return &capturev1.StatusResponse{Status: st}, nil
}

// WatchStatus sends the status at once and then at the interval asked for, until the caller leaves.
func (s *Server) WatchStatus(r *capturev1.WatchStatusRequest, out grpc.ServerStreamingServer[capturev1.WatchStatusResponse]) error {
	interval := defaultInterval
	if ms := r.GetIntervalMs(); ms > 0 {
		interval = max(shortestInterval, time.Duration(ms)*time.Millisecond)
	}
	ctx := out.Context()
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		st, err := s.engine.Status(ctx, r.GetPipeline())
		if err != nil {
			return statusOf(err)
		}
		if err := out.Send(&capturev1.WatchStatusResponse{Status: st}); err != nil {
			return err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return status.FromContextError(ctx.Err()).Err()
		}
	}
}

// ListRejected reads dead letters.
func (s *Server) ListRejected(ctx context.Context, r *capturev1.ListRejectedRequest) (*capturev1.ListRejectedResponse, error) {
	streams, err := s.engine.Rejected(ctx, r)
	if err != nil {
		return nil, statusOf(err)
	}
	return &capturev1.ListRejectedResponse{Streams: streams}, nil
}

// Replay puts dead letters back on the line.
func (s *Server) Replay(ctx context.Context, r *capturev1.ReplayRequest) (*capturev1.ReplayResponse, error) {
	streams, err := s.engine.Replay(ctx, r)
	if err != nil {
		return nil, statusOf(err)
	}
	return &capturev1.ReplayResponse{Streams: streams}, nil
}

// ReadKeys reads live keys.
func (s *Server) ReadKeys(ctx context.Context, r *capturev1.ReadKeysRequest) (*capturev1.ReadKeysResponse, error) {
	if r.GetPipeline() == nil {
		return nil, status.Error(codes.InvalidArgument, "pipeline is missing")
	}
	keys, err := s.engine.ReadKeys(ctx, r)
	if err != nil {
		return nil, statusOf(err)
	}
	return keys, nil
}

// AcknowledgeFlush lets the lanes run again that a flush has stopped.
func (s *Server) AcknowledgeFlush(ctx context.Context, r *capturev1.AcknowledgeFlushRequest) (*capturev1.AcknowledgeFlushResponse, error) {
	jobs, err := s.engine.AcknowledgeFlush(ctx, r.GetPipeline())
	if err != nil {
		return nil, statusOf(err)
	}
	return &capturev1.AcknowledgeFlushResponse{Jobs: jobs}, nil
}

// statusOf gives an error the code that callers act on.
func statusOf(err error) error {
	switch {
	case errors.Is(err, engine.ErrUnknownPipeline), errors.Is(err, engine.ErrUnknownStream), errors.Is(err, engine.ErrUnknownJob):
		return status.Error(codes.NotFound, err.Error())
	case errors.Is(err, engine.ErrRequest):
		return status.Error(codes.InvalidArgument, err.Error())
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return status.FromContextError(err).Err()
	}
	return status.Error(codes.Unavailable, err.Error())
}
