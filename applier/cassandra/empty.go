package cassandra

import (
	"context"
	"fmt"

	"slipstream/proto/fault"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// isEmpty says whether a table has no rows.
func (t *target) isEmpty(ctx context.Context, w *pipelinev1.RelationalWrite) (bool, error) {
	_, r, findings, err := t.bind(ctx, w)
	if err != nil {
		return false, t.failed("reading the catalogue for table "+written(w), err)
	}
	if r == nil {
		return false, fault.Errorf(flowv1.FaultClass_FAULT_CLASS_SCHEMA, "%s", findings[0].message).WithFix(findings[0].fix)
	}
	text := fmt.Sprintf("SELECT %s FROM %s LIMIT 1", quote(r.columns[r.partition[0]].name), r.quoted())
	rows, err := t.cluster.rows(ctx, own, cql{text: text})
	if err != nil {
		return false, t.failed("looking for rows in table "+written(w), err)
	}
	return len(rows) == 0, nil
}

// Empty implements applier.Target.
func (t *target) Empty(ctx context.Context, o *pipelinev1.Output) (bool, error) {
	ctx, cancel := limited(ctx)
	defer cancel()
	return t.isEmpty(ctx, o.GetRelational())
}
