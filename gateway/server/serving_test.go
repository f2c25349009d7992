package server_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	capturev1 "slipstream/proto/slipstream/capture/v1"
	gatewayv1 "slipstream/proto/slipstream/gateway/v1"

	"slipstream/gateway/server"
)

// followed is a capture instance whose traces are those of a tracer; without one it finds nothing to follow.
type followed struct {
	capture
	tracer *tracer
}

func (f *followed) Trace(
	ctx context.Context, r *capturev1.TraceRequest, _ ...grpc.CallOption,
) (grpc.ServerStreamingClient[capturev1.TraceResponse], error) {
	if f.tracer == nil {
		return nil, status.Error(codes.NotFound, "no such job")
	}
	return f.tracer.Trace(ctx, r)
}

// instance finds nothing: strange, because it serves other pipelines.
func instance(strange bool) server.Peer[capturev1.CaptureServiceClient] {
	o := &followed{}
	o.status = func(*capturev1.StatusRequest) (*capturev1.StatusResponse, error) {
		if strange {
			return nil, status.Error(codes.NotFound, "no such pipeline")
		}
		return &capturev1.StatusResponse{Status: &capturev1.PipelineStatus{}}, nil
	}
	o.rejected = func(*capturev1.ListRejectedRequest) (*capturev1.ListRejectedResponse, error) {
		return nil, status.Error(codes.NotFound, "no such stream")
	}
	return server.Peer[capturev1.CaptureServiceClient]{Client: o, Address: "other:1"}
}

func stranger() server.Peer[capturev1.CaptureServiceClient] { return instance(true) }

// TestInstancesOfOtherPipelines: instances may serve pipelines of their own; an operator's call finds the one that is meant, in
// any order of them, and what that one does not find is not there.
func TestInstancesOfOtherPipelines(t *testing.T) {
	type peer = server.Peer[capturev1.CaptureServiceClient]
	found := &followed{tracer: &tracer{}}
	found.status = func(*capturev1.StatusRequest) (*capturev1.StatusResponse, error) {
		return &capturev1.StatusResponse{Status: &capturev1.PipelineStatus{}}, nil
	}
	found.rejected = func(*capturev1.ListRejectedRequest) (*capturev1.ListRejectedResponse, error) {
		return &capturev1.ListRejectedResponse{}, nil
	}
	serving := peer{Client: found, Address: "serving:1"}
	away := view(nil)
	away.Address = "away:1"
	away.Client.(*capture).rejected = func(*capturev1.ListRejectedRequest) (*capturev1.ListRejectedResponse, error) { return nil, errDown }
	for name, tt := range map[string]struct {
		peers []peer
		code  codes.Code
		says  string
	}{
		"the last serves":      {[]peer{stranger(), stranger(), serving}, codes.OK, ""},
		"the first serves":     {[]peer{serving, stranger()}, codes.OK, ""},
		"none serves":          {[]peer{stranger(), stranger()}, codes.NotFound, "no such"},
		"it is not there":      {[]peer{stranger(), instance(false), serving}, codes.NotFound, "no such"},
		"the one may be away":  {[]peer{away, stranger()}, codes.Unavailable, "away:1"},
		"one, which does not":  {[]peer{stranger()}, codes.NotFound, "no such"},
		"another instance too": {[]peer{away, stranger(), serving}, codes.OK, ""},
	} {
		t.Run(name, func(t *testing.T) {
			l := deployed(t)
			l.config.Capture = tt.peers
			_, err := l.server().ListRejected(t.Context(), &gatewayv1.ListRejectedRequest{Job: "emp"})
			if status.Code(err) != tt.code || err != nil && !strings.Contains(err.Error(), tt.says) {
				t.Errorf("rejected records: %v", err)
			}
			if slices.ContainsFunc(tt.peers, func(p peer) bool { return p.Address == "away:1" }) {
				return // its fake follows nothing
			}
			err = l.server().Trace(&gatewayv1.TraceRequest{Job: "emp", TimeoutMs: 1}, &heard{ctx: t.Context()})
			if status.Code(err) != tt.code || err != nil && !strings.Contains(err.Error(), tt.says) {
				t.Errorf("a trace: %v", err)
			}
		})
	}
}
