package sqlite

import (
	"context"

	"slipstream/applier"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// target is one database file.
type target struct {
	name    string // of the connection
	path    string
	options options
	writer  *handle
	reader  *handle
}

// Table binds an output to the table as it is now.
func (t *target) Table(ctx context.Context, o *pipelinev1.Output) (*applier.Table, error) {
	w := o.GetRelational()
	if err := t.reader.take(ctx); err != nil {
		return nil, err
	}
	defer t.reader.give()
	d, err := t.reader.describe(ctx, w.GetTable())
	if err != nil {
		return nil, err
	}
	findings := d.compare(w)
	for _, f := range findings {
		if f.severity == pipelinev1.Severity_SEVERITY_ERROR {
			return nil, schemaFault("%s", f.message).WithFix(f.fix)
		}
	}
	return d.bind(w), nil
}

// Close closes the file.
func (t *target) Close() error {
	for _, h := range []*handle{t.writer, t.reader} {
		h.turn <- struct{}{}
		h.shut()
		h.give()
	}
	return nil
}
