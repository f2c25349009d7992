package server

import (
	"context"
	"errors"
	"slices"

	"google.golang.org/protobuf/proto"

	applierv1 "slipstream/proto/slipstream/applier/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	transformerv1 "slipstream/proto/slipstream/transformer/v1"

	"slipstream/proto/fault"
	"slipstream/transformer/block"
	"slipstream/transformer/job"
)

// Preview runs a job on changes and shows what becomes of them, connection by connection, as lanes would.
func (s *Server) Preview(ctx context.Context, request *transformerv1.PreviewRequest) (*transformerv1.PreviewResponse, error) {
	if request.GetJob() == nil || request.GetBatch() == nil {
		return nil, fault.Errorf(flowv1.FaultClass_FAULT_CLASS_DATA, "the request names no job or no changes").WithStage(Stage)
	}
	out := &transformerv1.PreviewResponse{}
	var connections []string
	for _, o := range request.GetJob().GetOutputs() {
		if !slices.Contains(connections, o.GetConnection()) {
			connections = append(connections, o.GetConnection())
		}
	}
	for _, connection := range connections {
		program, problems := job.Compile(request.GetJob(), connection)
		if program == nil {
			return &transformerv1.PreviewResponse{Problems: problems}, nil
		}
		changes, rows, err := s.run(ctx, program, connection, request)
		if err != nil {
			return nil, err
		}
		out.Rows = append(out.Rows, &transformerv1.PreviewedRows{Connection: connection, Batch: rows})
		out.Changes = merged(out.Changes, changes)
	}
	return out, nil
}

func (s *Server) run(
	ctx context.Context, program *job.Program, connection string, request *transformerv1.PreviewRequest,
) (_ []*transformerv1.PreviewedChange, _ *applierv1.RowBatch, err error) {
	reads, err := s.lookups(program, request.GetLookups())
	if err != nil {
		return nil, nil, err
	}
	batch := request.GetBatch()
	for _, held := range request.GetImages() {
		if _, keeps := program.Images(); keeps && held.GetConnection() == connection {
			batch = proto.CloneOf(batch)
			program.Fill(batch, held.GetImages())
		}
	}
	l := job.NewLane(program)
	var looker block.Looker
	if reads != nil { // a server that is away is not waited for here
		looker = reads
		defer func() { err = errors.Join(err, reads.Close()) }()
	}
	result, changes, err := l.Preview(ctx, batch, looker)
	if err != nil {
		return nil, nil, errors.Join(err, l.Close())
	}
	rows := proto.CloneOf(result.Rows) // the lane uses its memory again
	result.Release()
	if err := l.Close(); err != nil {
		return nil, nil, fault.New(flowv1.FaultClass_FAULT_CLASS_UNSPECIFIED, err).WithStage(Stage)
	}
	return changes, rows, nil
}

// merged adds what the outputs to one more connection rejected; the blocks did the same for all of them.
func merged(all, more []*transformerv1.PreviewedChange) []*transformerv1.PreviewedChange {
	if all == nil {
		return more
	}
	for i, x := range more {
		for _, reject := range x.GetRejects() {
			if reject.GetOutput() >= 0 {
				all[i].Rejects = append(all[i].Rejects, reject)
			}
		}
	}
	return all
}
