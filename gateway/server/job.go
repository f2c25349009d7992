package server

import (
	"context"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"

	"slipstream/gateway/jobfile"
	"slipstream/gateway/store"
)

// ListJobs implements gatewayv1.GatewayServiceServer.
func (s *Server) ListJobs(ctx context.Context, req *gatewayv1.ListJobsRequest) (*gatewayv1.ListJobsResponse, error) {
	now, err := s.current(ctx, req.GetPipeline())
	if err != nil {
		return nil, err
	}
	return &gatewayv1.ListJobsResponse{Jobs: now.Pipeline.GetJobs(), Stale: now.Stale}, nil
}

// DescribeJob implements gatewayv1.GatewayServiceServer.
func (s *Server) DescribeJob(ctx context.Context, req *gatewayv1.DescribeJobRequest) (*gatewayv1.DescribeJobResponse, error) {
	now, err := s.current(ctx, req.GetPipeline())
	if err != nil {
		return nil, err
	}
	p := now.Pipeline
	known := make([]string, 0, len(p.GetJobs()))
	for _, job := range p.GetJobs() {
		if job.GetName() == req.GetJob() {
			return &gatewayv1.DescribeJobResponse{Yaml: describe(p, job), Job: job, Stale: staleJob(now.Stale, job.GetName())}, nil
		}
		known = append(known, job.GetName())
	}
	return nil, status.Errorf(codes.NotFound, "there is no job %q; the jobs are: %s", req.GetJob(), strings.Join(known, ", "))
}

// describe is the file of a job, beginning with its name (spec 7).
func describe(p *pipelinev1.Pipeline, job *pipelinev1.Job) string {
	for _, f := range p.GetFiles() {
		if f.GetPath() != job.GetFile() {
			continue
		}
		if jobfile.Read(f.GetPath(), f.GetText()).Named {
			return string(f.GetText())
		}
		text := strings.TrimPrefix(string(f.GetText()), "---\n")
		named := "name: " + job.GetName() + "\n" + text
		if !jobfile.Read(f.GetPath(), []byte(named)).Named {
			return "# name: " + job.GetName() + "\n" + text // a file that is one map in braces
		}
		return named
	}
	return "name: " + job.GetName() + "\n"
}

func (s *Server) deployed(ctx context.Context, pipeline string) (*pipelinev1.Pipeline, error) {
	now, err := s.current(ctx, pipeline)
	return now.Pipeline, err
}

// current is the generation deployed last and what goes with it.
func (s *Server) current(ctx context.Context, pipeline string) (store.State, error) {
	name, err := s.named(pipeline)
	if err != nil {
		return store.State{}, err
	}
	now, err := s.config.Store.Current(ctx, name)
	if err != nil {
		return store.State{}, failure(err)
	}
	return now, nil
}
