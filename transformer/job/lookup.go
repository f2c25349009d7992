package job

import (
	"context"

	changev1 "slipstream/proto/slipstream/change/v1"

	"slipstream/transformer/block"
	"slipstream/transformer/row"
)

// ready is a record that was run through the blocks together with the others of its batch.
type ready struct {
	item   block.Item
	broken *row.Error // there is no record
}

// Looks tells whether a block of the job reads from Redis: every batch needs Look before Run then.
func (p *Program) Looks() bool { return p.chain.Looks() }

// Look runs the records of a batch through the blocks together, so that their lookups share round trips, and keeps them
// for Run, which must come next with the same batch. The error is that of ctx.
func (l *Lane) Look(ctx context.Context, b *changev1.Batch, looker block.Looker) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	names := make(shapeNames, len(b.GetShapes()))
	all := make([]*ready, len(b.GetChanges()))
	items := make([]*block.Item, 0, len(all))
	for i, c := range b.GetChanges() {
		all[i] = &ready{}
		err := check(b, c)
		if err == nil {
			l.hash.Cut = l.program.keys.cut(l.hash.Cut[:0], c.GetKey())
			all[i].item.Record, err = l.program.build(b, c, names, l.hash.Cut)
		}
		if err != nil {
			all[i].broken = &row.Error{Class: row.Validation, Err: err}
			continue
		}
		all[i].item.Watch = l.look(uint32(i), all[i].item.Record)
		items = append(items, &all[i].item)
	}
	if err := l.program.chain.Together(ctx, &l.runner, looker, items); err != nil {
		return err
	}
	l.ready = all
	return nil
}
