package server

import (
	"context"
	"strings"
	"sync"

	"google.golang.org/grpc"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	processv1 "slipstream/proto/slipstream/process/v1"

	"slipstream/gateway/compile"
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

// comeBack gives every service that is to be asked a moment: one that has just been started anew is found again by its
// clients within a second or so, and every call fails until then. One that stays away is told of by who asks it.
func (s *Server) comeBack(ctx context.Context, r *compile.Result, ask stages) {
	ctx, cancel := context.WithTimeout(ctx, s.config.Patience)
	defer cancel()
	var all sync.WaitGroup
	wait := func(health healthv1.HealthClient) {
		if health != nil {
			all.Go(func() { _, _ = health.Check(ctx, &healthv1.HealthCheckRequest{}, grpc.WaitForReady(true)) })
		}
	}
	if s.config.Transformer.Client != nil {
		wait(s.config.Transformer.Health)
	}
	if ask.capture {
		for _, peer := range s.config.CaptureNow() {
			wait(peer.Health)
		}
	}
	if ask.appliers {
		for _, connection := range targets(r.Pipeline) {
			wait(s.config.Appliers[connection.GetType()].Health)
		}
	}
	all.Wait()
}
