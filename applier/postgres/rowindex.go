package postgres

import (
	"context"

	"slipstream/applier"
	"slipstream/proto/fault"
	applierv1 "slipstream/proto/slipstream/applier/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

var errIndex = fault.Errorf(flowv1.FaultClass_FAULT_CLASS_SCHEMA, "PostgreSQL targets keep no row index")

func (s *session) OpenIndex(context.Context) error { return errIndex }

func (s *session) Images(context.Context, string, [][]byte) ([][]byte, error) { return nil, errIndex }

func (x *txn) Owned(context.Context, string, [][]byte, [][]byte) ([]applier.Entry, error) {
	return nil, errIndex
}

func (x *txn) Own(context.Context, string, []applier.Entry, [][]byte) error { return errIndex }

func (t *target) Prepare(context.Context, []*pipelinev1.Job) *applierv1.PrepareResponse {
	return &applierv1.PrepareResponse{}
}

func (t *target) Rehearse(context.Context, *flowv1.Lane) (applier.Rehearsal, error) {
	return nil, errIndex
}
