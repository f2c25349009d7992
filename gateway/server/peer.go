package server

import (
	"context"
	"strings"

	"google.golang.org/grpc"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	processv1 "slipstream/proto/slipstream/process/v1"
)

// Peer is a service the gateway asks.
type Peer[C any] struct {
	// Client calls the service.
	Client C
	// Health asks whether it serves; nil: nobody knows.
	Health healthv1.HealthClient
	// Process asks what runs there; nil: nobody knows.
	Process processv1.ProcessServiceClient
	// Address is where it is, for people.
	Address string
}

// Over makes a Peer of a connection; client is the generated constructor, such as capturev1.NewCaptureServiceClient.
func Over[C any](address string, conn *grpc.ClientConn, client func(grpc.ClientConnInterface) C) Peer[C] {
	return Peer[C]{Client: client(conn), Health: healthv1.NewHealthClient(conn), Process: processv1.NewProcessServiceClient(conn), Address: address}
}

// serving says whether a service serves, or why not.
func serving(ctx context.Context, health healthv1.HealthClient) string {
	if health == nil {
		return "unknown"
	}
	res, err := health.Check(ctx, &healthv1.HealthCheckRequest{})
	if err != nil {
		return reason(err)
	}
	return strings.ReplaceAll(strings.ToLower(res.GetStatus().String()), "_", " ")
}

// version asks for the version of what runs at a peer; empty where it does not tell.
func version(ctx context.Context, process processv1.ProcessServiceClient) string {
	if process == nil {
		return ""
	}
	res, err := process.Describe(ctx, &processv1.DescribeRequest{})
	if err != nil {
		return ""
	}
	return res.GetVersion()
}

// reason is an error of a call in words.
func reason(err error) string {
	s := status.Convert(err)
	if s.Message() != "" {
		return s.Message()
	}
	return s.Code().String()
}
