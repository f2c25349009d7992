// Package server answers the operator: slipstream.gateway.v1.GatewayService (design D10).
//
// It reads job files with the package compile, asks capture, transformer and appliers to check their own parts, stores
// generations with the package store, and gathers status. It holds no state of its own: any number of gateways may serve
// one pipeline, and services keep working while none is there.
//
// Promises: a deploy with errors changes nothing; every problem of every stage is reported at once; no answer holds a
// secret (G10).
package server

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"regexp"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"slipstream/proto/keyspace"
	applierv1 "slipstream/proto/slipstream/applier/v1"
	capturev1 "slipstream/proto/slipstream/capture/v1"
	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
	processv1 "slipstream/proto/slipstream/process/v1"
	transformerv1 "slipstream/proto/slipstream/transformer/v1"

	"slipstream/gateway/compile"
	"slipstream/gateway/configfile"
	"slipstream/gateway/store"
)

// Generations is where generations are kept; *store.Store is one.
type Generations interface {
	// Current returns the current generation, or store.ErrNotDeployed.
	Current(ctx context.Context, pipeline string) (store.State, error)
	// Deployed lists the pipelines that are deployed, by name.
	Deployed(ctx context.Context) ([]store.Deployed, error)
	// Save stores the generation after base and the jobs that it makes stale, or fails with store.ErrConflict.
	Save(ctx context.Context, p *pipelinev1.Pipeline, base uint64, stale ...*pipelinev1.StaleJob) (uint64, error)
	// RequestResync notes that stale jobs are to be resynced.
	RequestResync(ctx context.Context, pipeline string, jobs []string) error
	// SetRunning switches the lanes, or fails with store.ErrNotDeployed.
	SetRunning(ctx context.Context, pipeline string, running bool) (uint64, error)
}

// Config is what a gateway works with.
type Config struct {
	// Store keeps the generations. A gateway without one only validates.
	Store Generations
	// Capture are the capture instances.
	Capture []Peer[capturev1.CaptureServiceClient]
	// CaptureNow are the capture instances as they are now, where they come and go. Default: those of Capture.
	CaptureNow func() []Peer[capturev1.CaptureServiceClient]
	// Transformer is the transformer; its Client is nil where there is none.
	Transformer Peer[transformerv1.TransformerServiceClient]
	// Appliers are the appliers by the connection type they write to.
	Appliers map[string]Peer[applierv1.ApplierServiceClient]
	// Self tells of the gateway's own process, for support; nil: nobody knows.
	Self processv1.ProcessServiceClient
	// Resolve resolves references in the applier section; secret.Resolve is one.
	Resolve configfile.Resolve
	// Version of Slipstream, for status.
	Version string
	// Now is the clock. Default time.Now.
	Now func() time.Time
	// CheckTimeout bounds what one stage may take to check a pipeline. Default 30s.
	CheckTimeout time.Duration
	// Patience is how long a check waits for a service that is just starting anew. Default 2s.
	Patience time.Duration
	// StatusTimeout bounds what one service may take to tell its status. Default 2s.
	StatusTimeout time.Duration
	// StartTimeout bounds how long a start waits for a capture that knows the pipeline. Default 10s.
	StartTimeout time.Duration
	// Log is where deploys, starts and stops are logged. Default slog.Default().
	Log *slog.Logger
}

// Server implements gatewayv1.GatewayServiceServer.
type Server struct {
	gatewayv1.UnimplementedGatewayServiceServer
	config Config
}

// New makes a Server.
func New(config Config) *Server {
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.CaptureNow == nil {
		config.CaptureNow = func() []Peer[capturev1.CaptureServiceClient] { return config.Capture }
	}
	if config.CheckTimeout == 0 {
		config.CheckTimeout = 30 * time.Second
	}
	if config.Patience == 0 {
		config.Patience = 2 * time.Second
	}
	if config.StatusTimeout == 0 {
		config.StatusTimeout = 2 * time.Second
	}
	if config.StartTimeout == 0 {
		config.StartTimeout = 10 * time.Second
	}
	if config.Log == nil {
		config.Log = slog.Default()
	}
	return &Server{config: config}
}

// Validate implements gatewayv1.GatewayServiceServer.
func (s *Server) Validate(ctx context.Context, req *gatewayv1.ValidateRequest) (*gatewayv1.ValidateResponse, error) {
	name, err := pipelineName(req.GetPipeline())
	if err != nil {
		return nil, err
	}
	if req.GetPlan() && req.GetOffline() {
		return nil, status.Error(codes.InvalidArgument, "a plan is made by the targets: ask for it without offline")
	}
	ask := everyStage
	if req.GetOffline() {
		ask = nothingElse
	}
	r, create := s.check(ctx, name, req.GetFiles(), ask)
	if err := ctx.Err(); err != nil {
		return nil, status.FromContextError(err).Err()
	}
	res := &gatewayv1.ValidateResponse{Problems: r.Problems}
	if !compile.Failed(r.Problems) {
		res.Pipeline = r.Pipeline
	}
	if req.GetPlan() {
		res.Plan = create.message()
	}
	return res, nil
}

// Start implements gatewayv1.GatewayServiceServer.
func (s *Server) Start(ctx context.Context, req *gatewayv1.StartRequest) (*gatewayv1.StartResponse, error) {
	n, err := s.run(ctx, req.GetPipeline(), true)
	if err != nil {
		return nil, err
	}
	if err := s.acknowledge(ctx, cmp.Or(req.GetPipeline(), keyspace.DefaultPipeline)); err != nil {
		return nil, status.Errorf(status.Code(err), "the pipeline is started, but capture could not be told, which matters "+
			"where a flush of the source has stopped jobs: %s", reason(err))
	}
	return &gatewayv1.StartResponse{Generation: n}, nil
}

// acknowledge tells capture that the jobs which a flush of the source has stopped may go on: who starts what runs already
// means those (spec 1.5). A capture that has just begun may not know the pipeline yet.
func (s *Server) acknowledge(ctx context.Context, pipeline string) error {
	ctx, cancel := context.WithTimeout(ctx, s.config.StartTimeout)
	defer cancel()
	for {
		_, err := anyCapture(ctx, s, pipeline, func(c capturev1.CaptureServiceClient) (*capturev1.AcknowledgeFlushResponse, error) {
			return c.AcknowledgeFlush(ctx, &capturev1.AcknowledgeFlushRequest{Pipeline: pipeline})
		})
		switch status.Code(err) {
		case codes.Unavailable, codes.NotFound:
		default:
			return err
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return err
		}
	}
}

// Stop implements gatewayv1.GatewayServiceServer.
func (s *Server) Stop(ctx context.Context, req *gatewayv1.StopRequest) (*gatewayv1.StopResponse, error) {
	n, err := s.run(ctx, req.GetPipeline(), false)
	return &gatewayv1.StopResponse{Generation: n}, err
}

func (s *Server) run(ctx context.Context, pipeline string, running bool) (uint64, error) {
	name, err := s.named(pipeline)
	if err != nil {
		return 0, err
	}
	n, err := s.config.Store.SetRunning(ctx, name, running)
	if err != nil {
		return 0, failure(err)
	}
	s.config.Log.InfoContext(ctx, "pipeline switched", "pipeline", name, "generation", n, "running", running)
	return n, nil
}

var names = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// pipelineName is the name asked for. It becomes part of keys, so its characters are bounded.
func pipelineName(name string) (string, error) {
	if name == "" {
		return keyspace.DefaultPipeline, nil
	}
	if !names.MatchString(name) {
		return "", status.Errorf(codes.InvalidArgument,
			"the pipeline's name %q is not made of at most 64 letters, digits, - and _", name)
	}
	return name, nil
}

const onlyValidates = "this gateway only validates: it keeps no pipelines"

// named is pipelineName for calls that need the store.
func (s *Server) named(pipeline string) (string, error) {
	if s.config.Store == nil {
		return "", status.Error(codes.FailedPrecondition, onlyValidates)
	}
	return pipelineName(pipeline)
}

// failure gives an error of the store its gRPC code.
func failure(err error) error {
	code := codes.Unavailable
	switch {
	case errors.Is(err, store.ErrNotDeployed):
		code = codes.NotFound
	case errors.Is(err, store.ErrConflict):
		code = codes.Aborted
	case errors.Is(err, context.Canceled):
		code = codes.Canceled
	case errors.Is(err, context.DeadlineExceeded):
		code = codes.DeadlineExceeded
	}
	return status.Error(code, err.Error())
}
