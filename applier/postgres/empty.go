package postgres

import (
	"context"
	"fmt"

	"slipstream/proto/fault"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// Empty says whether the table of an output has no rows.
func (t *target) Empty(ctx context.Context, o *pipelinev1.Output) (empty bool, err error) {
	w := o.GetRelational()
	ctx, cancel := t.limited(ctx)
	defer cancel()
	conn, err := t.pool.Acquire(ctx)
	if err != nil {
		return false, t.unreachable(err)
	}
	defer conn.Release()
	_, relation, findings, err := t.bind(ctx, conn, w)
	if err != nil {
		return false, failed(fmt.Sprintf("reading the catalogue for table %s", written(w)), err)
	}
	if relation == nil {
		return false, fault.Errorf(flowv1.FaultClass_FAULT_CLASS_SCHEMA, "%s", findings[0].message).WithFix(findings[0].fix)
	}
	if err := conn.QueryRow(ctx, "SELECT NOT EXISTS (SELECT 1 FROM "+relation.quoted()+")").Scan(&empty); err != nil {
		return false, failed(fmt.Sprintf("looking for rows in table %s", written(w)), err)
	}
	return empty, nil
}
