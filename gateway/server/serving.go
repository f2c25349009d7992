package server

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	capturev1 "slipstream/proto/slipstream/capture/v1"
)

// anyCapture asks one capture instance after the other until one answers: each can read what is in Redis. Instances may have
// pipelines of their own (--pipelines): what one does not find that serves others, the next may have.
func anyCapture[R any](
	ctx context.Context, s *Server, pipeline string, ask func(capturev1.CaptureServiceClient) (R, error),
) (res R, err error) {
	err = status.Error(codes.FailedPrecondition, "the gateway knows no capture service; give it one with --capture")
	instances := s.config.CaptureNow()
	var trouble error // of an instance that may be one of those that are meant
	for _, peer := range instances {
		switch res, err = ask(peer.Client); status.Code(err) {
		case codes.Unavailable:
			trouble = status.Errorf(codes.Unavailable, "capture (%s): %s", peer.Address, reason(err))
		case codes.Unimplemented: // in a rolling upgrade another instance may know it
			trouble = status.Errorf(codes.FailedPrecondition, "capture at %s is of an older version, which does not know this (%s): upgrade it",
				peer.Address, reason(err))
		case codes.NotFound:
			if len(instances) == 1 || serves(ctx, peer.Client, pipeline) {
				return res, err
			}
		default:
			return res, err
		}
	}
	if trouble != nil {
		err = trouble
	}
	return res, err
}

// serves says whether a capture instance serves a pipeline, or cannot be asked.
func serves(ctx context.Context, instance capturev1.CaptureServiceClient, pipeline string) bool {
	_, err := instance.Status(ctx, &capturev1.StatusRequest{Pipeline: pipeline})
	return status.Code(err) != codes.NotFound
}
