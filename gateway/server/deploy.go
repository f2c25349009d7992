package server

import (
	"context"
	"errors"
	"maps"
	"slices"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	applierv1 "slipstream/proto/slipstream/applier/v1"
	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"

	"slipstream/gateway/compile"
	"slipstream/gateway/store"
)

// Deploy implements gatewayv1.GatewayServiceServer.
func (s *Server) Deploy(ctx context.Context, req *gatewayv1.DeployRequest) (*gatewayv1.DeployResponse, error) {
	name, err := s.named(req.GetPipeline())
	if err != nil {
		return nil, err
	}
	// Read before the checks: what is deployed meanwhile must not be overwritten unseen.
	now, err := s.config.Store.Current(ctx, name)
	if err != nil && !errors.Is(err, store.ErrNotDeployed) {
		return nil, failure(err)
	}
	ask := everyStage
	ask.deployed = now.Pipeline
	r, create := s.check(ctx, name, req.GetFiles(), ask)
	res := &gatewayv1.DeployResponse{}
	if !req.GetDryRun() && !compile.Failed(r.Problems) && create.hasTables() && ctx.Err() == nil {
		if res.Created, err = s.prepare(ctx, r, create); err != nil {
			return nil, err
		}
		// Everything is looked at once more, so that what runs fits the tables as they are now.
		if !compile.Failed(r.Problems) {
			r, create = s.check(ctx, name, req.GetFiles(), ask)
		}
		if !compile.Failed(r.Problems) && create.hasTables() {
			return nil, status.Error(codes.Unavailable, "tables were created, but are not seen by the next connection: deploy again")
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, status.FromContextError(err).Err()
	}
	res.Problems = r.Problems
	if compile.Failed(r.Problems) {
		return res, nil
	}
	res.Changed = !same(now.Pipeline, r.Pipeline)
	stale := s.staleAfter(now, r.Pipeline, req.GetResync())
	res.ChangedJobs, res.Stale, res.Compared = stale.changed, stale.all, true
	if req.GetDryRun() {
		res.Created = create.message()
		return res, nil
	}
	if !res.GetChanged() {
		if _, err := s.config.Store.SetRunning(ctx, name, true); err != nil {
			return nil, failure(err)
		}
		if req.GetResync() {
			if err := s.requestResync(ctx, name, stale.all); err != nil {
				return nil, failure(err)
			}
		}
		return res, nil
	}
	r.Pipeline.DeployedMs = s.config.Now().UnixMilli()
	res.Generation, err = s.config.Store.Save(ctx, r.Pipeline, now.Pipeline.GetGeneration(), stale.made...)
	if err != nil {
		return nil, failure(err)
	}
	s.config.Log.InfoContext(ctx, "pipeline deployed", "pipeline", name, "generation", res.GetGeneration(),
		"jobs", len(r.Pipeline.GetJobs()), "made_stale", len(stale.made))
	if req.GetResync() {
		if err := s.requestResync(ctx, name, stale.all); err != nil {
			return nil, status.Errorf(status.Code(failure(err)), "generation %d is deployed, but its resync could not be requested: %v",
				res.GetGeneration(), err)
		}
	}
	return res, nil
}

// prepare lets the appliers create the tables that outputs with auto_create miss, and tells what was created. What could
// not be created is among the problems of r then.
func (s *Server) prepare(ctx context.Context, r *compile.Result, create plan) ([]*gatewayv1.ConnectionPlan, error) {
	created := plan{}
	for _, c := range targets(r.Pipeline) {
		if !create.creates(c.GetName()) {
			continue
		}
		peer := s.config.Appliers[c.GetType()]
		res, err := peer.Client.Prepare(ctx, &applierv1.PrepareRequest{
			Connection: c, Jobs: r.Pipeline.GetJobs(), Settings: r.Pipeline.GetSettings(),
		})
		if err != nil {
			return nil, err
		}
		for _, p := range res.GetProblems() {
			if p.GetJob() == "" && p.GetConnection() == "" {
				p.Connection = c.GetName()
			}
		}
		r.Merge(res.GetProblems())
		created[c.GetName()] = res.GetCreated()
		for _, statement := range res.GetCreated() {
			s.config.Log.InfoContext(ctx, "table created", "connection", c.GetName(), "statement", statement.GetText())
		}
	}
	return created.message(), nil
}

// creates says whether something of a job is to be created on a connection; the position table and the row index are
// created by the first lane.
func (p plan) creates(connection string) bool {
	return slices.ContainsFunc(p[connection], func(s *applierv1.Statement) bool { return s.GetJob() != "" })
}

func (p plan) hasTables() bool {
	for connection := range p {
		if p.creates(connection) {
			return true
		}
	}
	return false
}

// message is the plan in the order of the connections' names.
func (p plan) message() []*gatewayv1.ConnectionPlan {
	var out []*gatewayv1.ConnectionPlan
	for _, connection := range slices.Sorted(maps.Keys(p)) {
		if len(p[connection]) > 0 {
			out = append(out, &gatewayv1.ConnectionPlan{Connection: connection, Statements: p[connection]})
		}
	}
	return out
}

// same compares two generations but for what every deploy changes.
func same(a, b *pipelinev1.Pipeline) bool {
	if a == nil || b == nil {
		return a == b
	}
	a, b = proto.CloneOf(a), proto.CloneOf(b)
	for _, p := range []*pipelinev1.Pipeline{a, b} {
		p.Generation, p.DeployedMs = 0, 0
	}
	return proto.Equal(a, b)
}
