package job

import (
	changev1 "slipstream/proto/slipstream/change/v1"

	"slipstream/transformer/record"
	"slipstream/transformer/row"
)

// own tells the tables with a row index whose change comes next.
func (r *Result) own(c *changev1.Change) {
	id := c.GetId()
	if c.GetSide() { // IDs of the two streams do not compare; what was read from the side is at least as new as this
		id = r.batch.GetPosition().GetMain()
	}
	o := row.Owner{Key: c.GetKey()}
	if as := c.GetAsOf(); as != nil {
		id, o.Guarded = as, true
	}
	o.Ms, o.Seq = id.GetMs(), id.GetSeq()
	if r.lane.program.images >= 0 {
		o.Image = r.lane.program.image(r.batch, c)
	}
	for _, t := range r.tables {
		if t.Output().Indexed() {
			t.Own(o)
		}
	}
}

// image is the value of a change as its next change has it before: JSON text, nil for a delete or what cannot be read.
func (p *Program) image(b *changev1.Batch, c *changev1.Change) []byte {
	if c.GetOp() == changev1.Op_OP_DELETE {
		return nil
	}
	if c.GetType() == changev1.ValueType_VALUE_TYPE_JSON {
		return c.GetDocument()
	}
	value, _, err := p.value(b, c, nil)
	if err != nil {
		return nil
	}
	return record.Encode(value)
}

// Keys lists the keys of a batch whose changes want a before image, each once, in the order they first come.
func Keys(b *changev1.Batch) [][]byte {
	var keys [][]byte
	seen := make(map[string]bool, len(b.GetChanges()))
	for _, c := range b.GetChanges() {
		if !seen[string(c.GetKey())] {
			seen[string(c.GetKey())] = true
			keys = append(keys, c.GetKey())
		}
	}
	return keys
}

// Fill gives the changes of a batch their before images: those the target had for Keys(b), and for a key that changes
// again within the batch its value at the change before. What the source of an entry said itself stays.
func (p *Program) Fill(b *changev1.Batch, images [][]byte) {
	last := make(map[string][]byte, len(images))
	for i, key := range Keys(b) {
		if i < len(images) {
			last[string(key)] = images[i]
		}
	}
	for _, c := range b.GetChanges() {
		if len(c.GetBefore()) == 0 {
			c.Before = last[string(c.GetKey())]
		}
		if check(b, c) == nil {
			last[string(c.GetKey())] = p.image(b, c)
		}
	}
}
