package mysql

import (
	"context"
	"fmt"

	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// Empty says whether the table of an output has no rows.
func (t *target) Empty(ctx context.Context, o *pipelinev1.Output) (empty bool, err error) {
	w := o.GetRelational()
	ctx, cancel := t.limited(ctx)
	defer cancel()
	l, err := t.link(ctx)
	if err != nil {
		return false, err
	}
	defer l.release()
	_, r, findings, err := t.bind(ctx, l, w)
	if err != nil {
		return false, failed(fmt.Sprintf("reading the catalogue for table %s", written(w)), err)
	}
	if r == nil {
		return false, findings[0].fault()
	}
	rows, err := l.texts(ctx, "SELECT 1 FROM "+r.quoted()+" LIMIT 1")
	if err != nil {
		f := failed(fmt.Sprintf("looking for rows in table %s", written(w)), err)
		if missesGrant(f.Code) {
			f = f.WithFix(grant([]string{"SELECT"}, r.quoted(), l.server.account))
		}
		return false, f
	}
	return len(rows) == 0, nil
}
