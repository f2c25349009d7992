package server

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	applierv1 "slipstream/proto/slipstream/applier/v1"
	capturev1 "slipstream/proto/slipstream/capture/v1"
	changev1 "slipstream/proto/slipstream/change/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
	transformerv1 "slipstream/proto/slipstream/transformer/v1"

	"slipstream/gateway/compile"
)

// mostTested bounds what one test runs on: its answer is read by a person.
const mostTested = 1000

// TestJob implements gatewayv1.GatewayServiceServer.
func (s *Server) TestJob(ctx context.Context, req *gatewayv1.TestJobRequest) (*gatewayv1.TestJobResponse, error) {
	p, problems, err := s.tested(ctx, req)
	if err != nil {
		return nil, err
	}
	res := &gatewayv1.TestJobResponse{Problems: problems}
	if compile.Failed(problems) {
		return res, nil
	}
	job, err := choose(p, req.GetJob())
	if err != nil {
		return nil, err
	}
	res.Job = job.GetName()
	batch, err := s.testedChanges(ctx, p, job, req)
	if err != nil {
		return nil, err
	}
	for _, c := range batch.GetChanges() {
		res.Keys = append(res.Keys, c.GetKey())
	}
	if s.config.Transformer.Client == nil {
		return nil, status.Error(codes.FailedPrecondition, "the gateway knows no transformer; give it one with --transformer")
	}
	images, problems := s.images(ctx, p, job, batch, req.GetOffline())
	res.Problems = append(res.Problems, problems...)
	shown, err := s.config.Transformer.Client.Preview(ctx, &transformerv1.PreviewRequest{
		Job: job, Batch: batch, Lookups: lookups(p, job), Images: images,
	})
	if err != nil {
		return nil, status.Errorf(status.Code(err), "the transformer: %s", reason(err))
	}
	if len(shown.GetProblems()) > 0 {
		res.Problems = append(res.Problems, shown.GetProblems()...)
		return res, nil
	}
	res.Changes = shown.GetChanges()
	if req.GetOffline() {
		return res, nil
	}
	for _, rows := range shown.GetRows() {
		res.Connections = append(res.Connections, &gatewayv1.TestedConnection{
			Connection: rows.GetConnection(), Preview: s.tryRows(ctx, p, job, rows, &flowv1.Lane{
				Pipeline: p.GetName(), Job: job.GetName(), Connection: rows.GetConnection(), Layout: 1,
			}, req.GetDiff()),
		})
	}
	return res, nil
}

// tested is the pipeline of the request's files, checked as far as its test goes, or the one deployed.
func (s *Server) tested(ctx context.Context, req *gatewayv1.TestJobRequest) (*pipelinev1.Pipeline, []*pipelinev1.Problem, error) {
	if len(req.GetFiles()) == 0 {
		p, err := s.deployed(ctx, req.GetPipeline())
		return p, nil, err
	}
	name, err := pipelineName(req.GetPipeline())
	if err != nil {
		return nil, nil, err
	}
	r, _ := s.check(ctx, name, req.GetFiles(), stages{appliers: !req.GetOffline()})
	if err := ctx.Err(); err != nil {
		return nil, nil, status.FromContextError(err).Err()
	}
	return r.Pipeline, r.Problems, nil
}

// choose finds the job to test, which need not be named where it is the only one.
func choose(p *pipelinev1.Pipeline, name string) (*pipelinev1.Job, error) {
	var known []string
	for _, job := range p.GetJobs() {
		if job.GetName() == name || name == "" && len(p.GetJobs()) == 1 {
			return job, nil
		}
		known = append(known, job.GetName())
	}
	if name == "" {
		return nil, status.Errorf(codes.InvalidArgument, "there are %d jobs, name one: %s", len(known), strings.Join(known, ", "))
	}
	return nil, status.Errorf(codes.NotFound, "there is no job %q; the jobs are: %s", name, strings.Join(known, ", "))
}

// testedChanges are the records of the request, or live keys.
func (s *Server) testedChanges(
	ctx context.Context, p *pipelinev1.Pipeline, job *pipelinev1.Job, req *gatewayv1.TestJobRequest,
) (*changev1.Batch, error) {
	if len(req.GetRecords()) > mostTested || req.GetMaxKeys() > mostTested {
		return nil, status.Errorf(codes.InvalidArgument, "a test runs on %d records at most", mostTested)
	}
	if len(req.GetRecords()) == 0 {
		res, err := s.readKeys(ctx, &capturev1.ReadKeysRequest{
			Pipeline: p, Job: job.GetName(), Pattern: req.GetKeys(), MaxKeys: cmp.Or(req.GetMaxKeys(), 20),
		})
		if err != nil {
			return nil, status.Errorf(status.Code(err), "reading keys: %s", reason(err))
		}
		return res.GetBatch(), nil
	}
	now := s.config.Now().UnixMilli()
	batch := &changev1.Batch{
		Sequence: 1, Position: &changev1.Position{Main: &changev1.StreamId{Ms: uint64(now), Seq: uint64(len(req.GetRecords()))}},
	}
	for i, r := range req.GetRecords() {
		c := &changev1.Change{
			Id: &changev1.StreamId{Ms: uint64(now), Seq: uint64(i)}, Key: []byte(r.GetKey()), TsMs: now, FirstTsMs: now, Folded: 1,
			Before: r.GetBefore(),
		}
		if err := carry(batch, c, r); err != nil {
			return nil, status.Errorf(codes.InvalidArgument, "record %d, key %q: %v", i+1, r.GetKey(), err)
		}
		batch.Changes = append(batch.Changes, c)
	}
	return batch, nil
}

// images are what the job's targets hold of the values before (before_image: full). What cannot be read is told as a
// warning: the records are shown all the same, without before.
func (s *Server) images(
	ctx context.Context, p *pipelinev1.Pipeline, job *pipelinev1.Job, batch *changev1.Batch, offline bool,
) (images []*transformerv1.PreviewImages, problems []*pipelinev1.Problem) {
	if offline || job.GetBeforeImage() != pipelinev1.BeforeImage_BEFORE_IMAGE_FULL {
		return nil, nil
	}
	var keys [][]byte
	asked := make(map[string]bool)
	for _, c := range batch.GetChanges() {
		if key := string(c.GetKey()); !asked["\x00"+key] {
			asked["\x00"+key] = true
			keys = append(keys, c.GetKey())
		}
	}
	for i, out := range job.GetOutputs() {
		name := out.GetConnection()
		c := p.GetConnections()[name]
		peer, known := s.config.Appliers[c.GetType()]
		if !known || asked[name] || !out.GetRelational().GetRowIndex() {
			continue
		}
		asked[name] = true
		res, err := peer.Client.Images(ctx, &applierv1.ImagesRequest{
			Connection: c, Job: job, Settings: p.GetSettings(), Output: uint32(i), Keys: keys,
			Lane: &flowv1.Lane{Pipeline: p.GetName(), Job: job.GetName(), Connection: name, Layout: 1},
		})
		why := res.GetFault().GetMessage()
		if err != nil {
			why = reason(err)
		}
		if why != "" {
			problems = append(problems, &pipelinev1.Problem{
				Severity: pipelinev1.Severity_SEVERITY_WARNING, File: job.GetFile(), Job: job.GetName(), Connection: name, Path: "source.redis.before_image",
				Message: fmt.Sprintf("records are shown without before: the row index on connection %s could not be read: %s", name, why),
			})
			continue
		}
		images = append(images, &transformerv1.PreviewImages{Connection: name, Images: res.GetImages()})
	}
	return images, problems
}

// tryRows shows what rows would do on a connection. What cannot be tried is told in the answer, so that the other
// connections and the blocks are shown all the same.
func (s *Server) tryRows(
	ctx context.Context, p *pipelinev1.Pipeline, job *pipelinev1.Job, rows *transformerv1.PreviewedRows, lane *flowv1.Lane, diff bool,
) *applierv1.PreviewResponse {
	untried := func(format string, args ...any) *applierv1.PreviewResponse {
		return &applierv1.PreviewResponse{Fault: &flowv1.Fault{Message: fmt.Sprintf(format, args...)}}
	}
	c := p.GetConnections()[rows.GetConnection()]
	if c == nil {
		return untried("connection %s is not in config.yaml", rows.GetConnection())
	}
	peer, known := s.config.Appliers[c.GetType()]
	if !known {
		return untried("the gateway knows no applier for connections of type %s", c.GetType())
	}
	res, err := peer.Client.Preview(ctx, &applierv1.PreviewRequest{
		Connection: c, Job: job, Settings: p.GetSettings(), Batch: rows.GetBatch(), Diff: diff, Lane: lane,
	})
	if err != nil {
		return untried("the applier for %s: %s", c.GetType(), reason(err))
	}
	return res
}
