package oracle

import (
	"context"
	"database/sql"
	"fmt"

	"slipstream/proto/fault"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// isEmpty says whether the table of an output has no rows.
func (t *target) isEmpty(ctx context.Context, w *pipelinev1.RelationalWrite) (bool, error) {
	ctx, cancel := t.limited(ctx)
	defer cancel()
	_, relation, findings, err := t.bind(ctx, t.db, w)
	if err != nil {
		return false, t.failed(fmt.Sprintf("reading the catalogue for table %s", written(w)), err)
	}
	if relation == nil {
		return false, fault.Errorf(flowv1.FaultClass_FAULT_CLASS_SCHEMA, "%s", findings[0].message).WithFix(findings[0].fix)
	}
	none := true
	err = each(ctx, t.db, func(*sql.Rows) error {
		none = false
		return nil
	}, "SELECT 1 FROM "+relation.quoted()+" FETCH FIRST 1 ROW ONLY")
	if err != nil {
		return false, t.failed(fmt.Sprintf("looking for rows in table %s", written(w)), err)
	}
	return none, nil
}

// Empty implements applier.Target.
func (t *target) Empty(ctx context.Context, o *pipelinev1.Output) (bool, error) {
	return t.isEmpty(ctx, o.GetRelational())
}
