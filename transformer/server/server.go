// Package server is the transformer as a gRPC service: lanes of changes in from capture, lanes of rows out to appliers
// (design D5).
//
// Words: a lane is one call of Transform and the call of Apply it opens; upstream is capture, downstream the applier.
//
// What holds:
//
//   - A lane is Opened when the applier opened it; what the applier says of waiting, settling and rejects goes up in the
//     order it came, settlements with the counts of this stage, rejects with its own and with all a dead letter shows.
//   - A batch with rejects of our own is sent with hold: the applier answers with Rejects and commits only after Stored,
//     so no reject is lost to a crash (G2, design D9).
//   - Batches are kept until they are settled; the window of the lane bounds them.
//   - When either stream breaks, both end. Capture reads the class of the fault and opens the lane anew.
//   - A lane has three goroutines: the handler, which transforms and sends rows; one that reads from capture, so that
//     Stored gets through while the window is full; and the receiving one of the downstream (package flow). The handler
//     waits for the last; the reader ends with the stream, and Close waits for it.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"

	applierv1 "slipstream/proto/slipstream/applier/v1"
	changev1 "slipstream/proto/slipstream/change/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
	transformerv1 "slipstream/proto/slipstream/transformer/v1"

	"slipstream/proto/fault"
	"slipstream/proto/flow"
	"slipstream/transformer/block"
	"slipstream/transformer/job"
)

// Stage is the name of this service in faults.
const Stage = "transformer"

// Options are what a server works with; all are required.
type Options struct {
	// Appliers gives the connection to the applier for a type of connection, such as "postgresql". It is asked for each
	// lane and must be safe for concurrent use; the connections stay the caller's.
	Appliers func(connectionType string) (grpc.ClientConnInterface, error)
	// Lookups opens the connections that lookup blocks read, for a lane or a preview. Nil: no job may have any.
	Lookups func([]*pipelinev1.Connection) (Lookups, error)
	// Tracer starts the span of each batch (design D11).
	Tracer trace.Tracer
	// Registerer takes the metrics.
	Registerer prometheus.Registerer
	// Logger is told of lanes that open and end.
	Logger *slog.Logger
}

// Lookups reads from some connections until it is closed.
type Lookups interface {
	// Look runs commands on a connection, at most size in one round trip. An error is a fault of class CONNECTION or
	// PERMISSION, which is waited for; what Redis has against a single command is in its reply.
	Look(ctx context.Context, connection string, commands [][]string, size int) ([]block.Reply, error)
	Close() error
}

// Server implements TransformerService.
type Server struct {
	transformerv1.UnimplementedTransformerServiceServer

	options Options
	metrics *metrics
	readers sync.WaitGroup
}

// lookups opens what the lookup blocks of a program read; nil where there are none.
func (s *Server) lookups(program *job.Program, connections []*pipelinev1.Connection) (Lookups, error) {
	if !program.Looks() {
		return nil, nil
	}
	if s.options.Lookups == nil {
		return nil, fault.Errorf(flowv1.FaultClass_FAULT_CLASS_SCHEMA, "the job has redis.lookup, and this transformer reads from no Redis").WithStage(Stage)
	}
	opened, err := s.options.Lookups(connections)
	if err != nil {
		return nil, fault.New(flowv1.FaultClass_FAULT_CLASS_PERMISSION, fmt.Errorf("opening the connections of redis.lookup: %w", err)).WithStage(Stage)
	}
	return opened, nil
}

// New makes a server and registers its metrics.
func New(o Options) (*Server, error) {
	if o.Appliers == nil || o.Tracer == nil || o.Registerer == nil || o.Logger == nil {
		return nil, errors.New("making the transformer: appliers, tracer, registerer and logger are required")
	}
	m, err := newMetrics(o.Registerer)
	if err != nil {
		return nil, fmt.Errorf("registering the transformer's metrics: %w", err)
	}
	return &Server{options: o, metrics: m}, nil
}

// Close waits for what still reads from streams that have ended. Call it after the gRPC server has stopped.
func (s *Server) Close() { s.readers.Wait() }

// Check compiles a job and reports every problem at once (spec 3.7).
func (s *Server) Check(_ context.Context, request *transformerv1.CheckRequest) (*transformerv1.CheckResponse, error) {
	if request.GetJob() == nil {
		return nil, fault.Errorf(flowv1.FaultClass_FAULT_CLASS_DATA, "the request names no job").WithStage(Stage)
	}
	problems, outputs := job.Check(request.GetJob())
	return &transformerv1.CheckResponse{Problems: problems, Outputs: outputs}, nil
}

// Transform carries one lane.
func (s *Server) Transform(stream grpc.BidiStreamingServer[transformerv1.TransformRequest, transformerv1.TransformResponse]) error {
	return s.lane(flow.TransformUplink(stream), s.apply)
}

// dial opens the downstream of a lane.
type dial func(ctx context.Context, open *flowv1.Open) (flow.Downlink[*applierv1.RowBatch], error)

// apply dials the applier of the lane's connection.
func (s *Server) apply(ctx context.Context, open *flowv1.Open) (flow.Downlink[*applierv1.RowBatch], error) {
	conn, err := s.options.Appliers(open.GetConnection().GetType())
	if err != nil {
		return nil, fmt.Errorf("finding the applier for %q: %w", open.GetConnection().GetType(), err)
	}
	stream, err := applierv1.NewApplierServiceClient(conn).Apply(ctx)
	if err != nil {
		return nil, err
	}
	return flow.ApplyDownlink(stream), nil
}

// lane serves one lane from Open to the end of its streams.
func (s *Server) lane(link flow.Uplink[*changev1.Batch], dial dial) error {
	up, open, err := flow.Accept(link)
	if err != nil {
		return fault.New(flowv1.FaultClass_FAULT_CLASS_CONNECTION, err).WithStage(Stage)
	}
	program, err := compile(open)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(link.Context())
	defer cancel()
	reads, err := s.lookups(program, open.GetLookups())
	if err != nil {
		return err
	}
	l := s.newLane(up, open, program)
	l.lookups = reads
	defer l.close()
	s.options.Logger.InfoContext(ctx, "lane opening", "lane", l.name, "generation", open.GetGeneration())
	err = l.run(ctx, cancel, open, dial)
	if err != nil {
		s.options.Logger.InfoContext(ctx, "lane broken", "lane", l.name, "error", err)
		return err
	}
	s.options.Logger.InfoContext(ctx, "lane ended", "lane", l.name)
	return nil
}

// compile compiles the job of a lane. A job that does not compile waits for a deploy that mends it.
func compile(open *flowv1.Open) (*job.Program, error) {
	program, problems := job.Compile(open.GetJob(), open.GetConnection().GetName())
	if program != nil {
		return program, nil
	}
	var first *pipelinev1.Problem
	more := -1
	for _, p := range problems {
		if p.GetSeverity() != pipelinev1.Severity_SEVERITY_ERROR {
			continue
		}
		if more++; first == nil {
			first = p
		}
	}
	text := fmt.Sprintf("job %s does not compile: %s: %s", open.GetJob().GetName(), first.GetPath(), first.GetMessage())
	if more > 0 {
		text += fmt.Sprintf(" (and %d more)", more)
	}
	return nil, fault.New(flowv1.FaultClass_FAULT_CLASS_SCHEMA, errors.New(text)).WithStage(Stage).WithFix(first.GetFix())
}

// broken is what ends a lane whose downstream failed: the applier's own fault where it told one, else that the
// connection broke; either way capture opens the lane anew.
func broken(err error) error {
	f := *fault.Of(err)
	if f.Class == flowv1.FaultClass_FAULT_CLASS_UNSPECIFIED {
		f.Class = flowv1.FaultClass_FAULT_CLASS_CONNECTION
	}
	if f.Stage == "" {
		f.Stage = Stage
	}
	f.Err = fmt.Errorf("the applier ended the lane: %w", f.Err)
	return &f
}
