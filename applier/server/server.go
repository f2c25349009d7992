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
	if c := r.GetConnection(); c.GetType() != s.dialect.Name() {
		return nil, status.Errorf(codes.InvalidArgument, "connection %q is of type %q, this applier writes to %s",
			c.GetName(), c.GetType(), s.dialect.Name())
	}
	return s.engine.Check(ctx, r), nil
}

// Close waits for what the streams left behind, after the gRPC server has ended them all.
func (s *Server) Close() { s.engine.Close() }
