package sqlite

import (
	"context"
	"database/sql/driver"

	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// Empty says whether the table of an output has no rows.
func (t *target) Empty(ctx context.Context, o *pipelinev1.Output) (bool, error) {
	table, err := t.Table(ctx, o)
	if err != nil {
		return false, err
	}
	if err := t.reader.take(ctx); err != nil {
		return false, err
	}
	defer t.reader.give()
	empty := true
	err = t.reader.query(ctx, func([]driver.Value) error { empty = false; return nil }, "SELECT 1 FROM "+quote(table.Name)+" LIMIT 1")
	return empty, err
}
