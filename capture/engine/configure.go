package engine

import (
	"context"
	"fmt"

	"slipstream/capture/configure"
	capturev1 "slipstream/proto/slipstream/capture/v1"
)

// Configure looks at the servers of a pipeline, which need not be deployed, and changes what it may (spec 7).
func (e *Engine) Configure(ctx context.Context, r *capturev1.ConfigureRequest) ([]*capturev1.Finding, error) {
	ctx, cancel := context.WithTimeout(ctx, checkPatience)
	defer cancel()
	src, streams, err := configs(r.GetPipeline())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRequest, err)
	}
	return configure.Run(ctx, configure.Request{
		Pipeline: r.GetPipeline(), Source: src, Streams: streams, DryRun: r.GetDryRun(),
	}), nil
}
