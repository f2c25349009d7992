package host

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"runtime/pprof"
	"time"

	"github.com/prometheus/common/expfmt"
	"google.golang.org/grpc"

	processv1 "slipstream/proto/slipstream/process/v1"
)

// started is when this process started.
var started = time.Now()

// describer answers what a process is: slipstream.process.v1.ProcessService.
type describer struct {
	processv1.UnimplementedProcessServiceServer
	p *Process
}

// Describer tells of this process without a call, which needs nobody's leave.
func (p *Process) Describer() processv1.ProcessServiceClient { return direct{describer{p: p}} }

// direct is a client that is its own server.
type direct struct{ d describer }

// Describe implements processv1.ProcessServiceClient.
func (d direct) Describe(ctx context.Context, r *processv1.DescribeRequest, _ ...grpc.CallOption) (*processv1.DescribeResponse, error) {
	return d.d.Describe(ctx, r)
}

// Describe implements processv1.ProcessServiceServer.
func (d describer) Describe(_ context.Context, r *processv1.DescribeRequest) (*processv1.DescribeResponse, error) {
	out := &processv1.DescribeResponse{
		Name: d.p.Name, Instance: d.p.Instance, Version: Version(), GoVersion: runtime.Version(), StartedMs: started.UnixMilli(),
		Log: d.p.remembered.last(int(min(r.GetLogLines(), kept)), time.UnixMilli(r.GetLogSinceMs())),
	}
	if r.GetMetrics() {
		var err error
		if out.Metrics, err = d.p.metricsText(); err != nil {
			return nil, err
		}
	}
	if r.GetGoroutines() {
		var stacks bytes.Buffer
		if err := pprof.Lookup("goroutine").WriteTo(&stacks, 1); err != nil {
			return nil, fmt.Errorf("reading the goroutines: %w", err)
		}
		out.Goroutines = stacks.Bytes()
	}
	return out, nil
}

// metricsText is the metrics of the process as a scrape shows them.
func (p *Process) metricsText() ([]byte, error) {
	families, err := p.registry.Gather()
	if err != nil {
		return nil, fmt.Errorf("gathering metrics: %w", err)
	}
	var text bytes.Buffer
	for _, f := range families {
		if _, err := expfmt.MetricFamilyToText(&text, f); err != nil {
			return nil, fmt.Errorf("writing metrics: %w", err)
		}
	}
	return text.Bytes(), nil
}
