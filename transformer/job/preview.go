package job

import (
	"context"

	changev1 "slipstream/proto/slipstream/change/v1"
	transformerv1 "slipstream/proto/slipstream/transformer/v1"

	"slipstream/transformer/block"
	"slipstream/transformer/record"
)

// watcher looks on while the record of a change goes through the blocks.
type watcher interface {
	begin(change uint32, rec *block.Record)
	block(change uint32, rec *block.Record, name string, kept bool)
}

// preview writes down what a lane does with a batch.
type preview []*transformerv1.PreviewedChange

func (p preview) begin(i uint32, rec *block.Record) { p[i].Record = record.Encode(rec.Root) }

func (p preview) block(i uint32, rec *block.Record, name string, kept bool) {
	if !kept {
		p[i].FilteredBy = name
		return
	}
	p[i].Blocks = append(p[i].Blocks, &transformerv1.PreviewedBlock{Block: name, Record: record.Encode(rec.Root)})
}

// Preview runs a batch as Look and Run do and tells of each change what the blocks made of it. The result must be
// released. The error is that of ctx.
func (l *Lane) Preview(ctx context.Context, b *changev1.Batch, looker block.Looker) (*Result, []*transformerv1.PreviewedChange, error) {
	slow := *l.program // hashes that go straight into columns have no record to show
	slow.planned = false
	l.program = &slow
	all := make(preview, len(b.GetChanges()))
	for i := range all {
		all[i] = &transformerv1.PreviewedChange{Change: uint32(i)}
	}
	l.watch = all
	if l.program.Looks() {
		if err := l.Look(ctx, b, looker); err != nil {
			return nil, nil, err
		}
	}
	r := l.Run(b)
	for i, x := range all {
		if op := r.opcodes[i]; op != filtered && op != rejected {
			x.Opcode = string(op)
		}
	}
	for _, x := range r.Rejects {
		all[x.GetChange()].Rejects = append(all[x.GetChange()].Rejects, x)
	}
	return r, all, nil
}
