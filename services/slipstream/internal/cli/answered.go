package cli

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// Answered is a connection on which it can be told who says that something is unavailable: a gateway that answers so, because
// capture or its Redis is away, or the connection itself, because no gateway answers. gRPC has one code for both (its
// statuscodes.md); only who answers sends metadata.
func Answered(conn grpc.ClientConnInterface) grpc.ClientConnInterface { return answered{conn} }

type answered struct{ grpc.ClientConnInterface }

// Invoke implements grpc.ClientConnInterface.
func (a answered) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	var trailer metadata.MD
	err := a.ClientConnInterface.Invoke(ctx, method, args, reply, append(opts, grpc.Trailer(&trailer))...)
	return mark(err, trailer)
}

// NewStream implements grpc.ClientConnInterface.
func (a answered) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	s, err := a.ClientConnInterface.NewStream(ctx, desc, method, opts...)
	if err != nil {
		return nil, err
	}
	return answeredStream{s}, nil
}

type answeredStream struct{ grpc.ClientStream }

// RecvMsg implements grpc.ClientStream.
func (s answeredStream) RecvMsg(m any) error {
	err := s.ClientStream.RecvMsg(m)
	if status.Code(err) != codes.Unavailable {
		return err
	}
	return mark(err, s.Trailer())
}

// unavailable is what a gateway answers that can be asked, but cannot do what it is asked for.
type unavailable struct{ error }

// GRPCStatus is that of the answer; package status looks for it.
func (u unavailable) GRPCStatus() *status.Status { return status.Convert(u.error) }

func mark(err error, trailer metadata.MD) error {
	if status.Code(err) != codes.Unavailable || len(trailer) == 0 {
		return err
	}
	return unavailable{err}
}
