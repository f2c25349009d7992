package job

import (
	changev1 "slipstream/proto/slipstream/change/v1"
	transformerv1 "slipstream/proto/slipstream/transformer/v1"

	"slipstream/transformer/block"
	"slipstream/transformer/record"
)

// watcher looks on while a record goes through the blocks.
type watcher interface {
	begin(rec *block.Record)
	block(rec *block.Record, name string, kept bool)
}

// preview writes down what a lane does with a batch.
type preview struct {
	current *transformerv1.PreviewedChange
}

func (p *preview) begin(rec *block.Record) { p.current.Record = record.Encode(rec.Root) }

func (p *preview) block(rec *block.Record, name string, kept bool) {
	if !kept {
		p.current.FilteredBy = name
		return
	}
	p.current.Blocks = append(p.current.Blocks, &transformerv1.PreviewedBlock{Block: name, Record: record.Encode(rec.Root)})
}

// Preview runs a batch as Run does and tells of each change what the blocks made of it. The result must be released.
func (l *Lane) Preview(b *changev1.Batch) (*Result, []*transformerv1.PreviewedChange) {
	slow := *l.program // hashes that go straight into columns have no record to show
	slow.planned = false
	l.program = &slow
	look := &preview{}
	l.watch = look
	var all []*transformerv1.PreviewedChange
	l.each = func(i uint32) {
		look.current = &transformerv1.PreviewedChange{Change: i}
		all = append(all, look.current)
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
	return r, all
}
