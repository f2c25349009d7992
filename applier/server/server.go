// Package server is the gRPC face of an applier: ApplierService over the engine of one dialect. The mains of the applier
// services differ by the dialect they pass in, and by nothing else.
package server

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"slipstream/applier"
	"slipstream/applier/engine"
	"slipstream/proto/flow"
	applierv1 "slipstream/proto/slipstream/applier/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// Server implements applierv1.ApplierServiceServer for one dialect.
type Server struct {
	applierv1.UnimplementedApplierServiceServer
	dialect applier.Dialect
	engine  *engine.Engine
}

// New makes a server. It fails when the metrics cannot be registered.
func New(dialect applier.Dialect, o engine.Options) (*Server, error) {
	e, err := engine.New(dialect, o)
	if err != nil {
		return nil, err
	}
	return &Server{dialect: dialect, engine: e}, nil
}

// Apply carries one lane. The status of a stream that ends badly holds the fault.
func (s *Server) Apply(stream grpc.BidiStreamingServer[applierv1.ApplyRequest, applierv1.ApplyResponse]) error {
	return s.engine.Run(flow.ApplyUplink(stream))
}

// Check tries a connection and compares outputs with the catalogue.
func (s *Server) Check(ctx context.Context, r *applierv1.CheckRequest) (*applierv1.CheckResponse, error) {
	if err := s.serves(r.GetConnection()); err != nil {
		return nil, err
	}
	return s.engine.Check(ctx, r), nil
}

// Prepare creates the missing tables of outputs with auto_create.
func (s *Server) Prepare(ctx context.Context, r *applierv1.PrepareRequest) (*applierv1.PrepareResponse, error) {
	if err := s.serves(r.GetConnection()); err != nil {
		return nil, err
	}
	return s.engine.Prepare(ctx, r), nil
}

// Preview shows what rows would do, and does nothing.
func (s *Server) Preview(ctx context.Context, r *applierv1.PreviewRequest) (*applierv1.PreviewResponse, error) {
	if err := s.serves(r.GetConnection()); err != nil {
		return nil, err
	}
	return s.engine.Preview(ctx, r), nil
}

// Images reads before images outside a lane.
func (s *Server) Images(ctx context.Context, r *applierv1.ImagesRequest) (*applierv1.ImagesResponse, error) {
	if err := s.serves(r.GetConnection()); err != nil {
		return nil, err
	}
	return s.engine.Images(ctx, r), nil
}

// serves refuses connections of other types.
func (s *Server) serves(c *pipelinev1.Connection) error {
	if !applier.Serves(s.dialect, c.GetType()) {
		return status.Errorf(codes.InvalidArgument, "connection %q is of type %q, this applier writes to %s",
			c.GetName(), c.GetType(), s.dialect.Name())
	}
	return nil
}

// Close waits for what the streams left behind, after the gRPC server has ended them all.
func (s *Server) Close() { s.engine.Close() }
