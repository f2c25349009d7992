package sqlserver

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
	conn, err := t.take(ctx)
	if err != nil {
		return false, err
	}
	defer t.give(conn)
	_, relation, findings, err := t.bind(ctx, conn, w)
	if err != nil {
		return false, failed(fmt.Sprintf("reading the catalogue for table %s", written(w)), err)
	}
	if relation == nil {
		return false, fault.Errorf(flowv1.FaultClass_FAULT_CLASS_SCHEMA, "%s", findings[0].message).WithFix(findings[0].fix)
	}
	query := "SELECT CASE WHEN EXISTS (SELECT 1 FROM " + relation.quoted() + ") THEN 0 ELSE 1 END"
	if err := each(ctx, conn, func(scan func(...any) error) error { return scan(&empty) }, query); err != nil {
		return false, failed(fmt.Sprintf("looking for rows in table %s", written(w)), err)
	}
	return empty, nil
}
