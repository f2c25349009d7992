package row

import (
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"

	"slipstream/transformer/block"
	"slipstream/transformer/path"
)

// underivable warns of key columns that nothing gives on a delete (spec 1.6 A4, 3.7): what is neither cut from the Redis
// key nor made by a block is on no record of a deleted key, and the delete will be a dead letter.
func (c *compiler) underivable(job *pipelinev1.Job) {
	if c.strategy == pipelinev1.LoadStrategy_LOAD_STRATEGY_APPEND && !c.history {
		return
	}
	sync := c.foreach != nil && c.foreach.sync
	if c.foreach != nil && !sync {
		c.found.Warning(c.at+".foreach", "take a key column from the parent record and set foreach_sync",
			"rows of deleted keys and of elements that go away stay in %s", c.Table)
		return
	}
	for _, x := range c.columns {
		if !x.key || sync && !x.parent || x.from != fromField || len(x.field) == 0 || c.derivable(job, x.field) {
			continue
		}
		name := x.field[len(x.field)-1]
		c.found.Warning(x.place, "cut it from the key: source.keys with fields: {"+name+": <index>}",
			"key column %s does not come from the Redis key, so a deleted key cannot find its row", x.name)
	}
}

// derivable tells whether a field may be on the record of a delete.
func (c *compiler) derivable(job *pipelinev1.Job, field path.Path) bool {
	if c.full {
		switch {
		case field[0] != block.After:
			return true
		case len(field) == 1:
			return false
		}
		field = field[1:]
	}
	if _, cut := job.GetSource().GetKeys().GetFields()[field[0]]; cut {
		return true
	}
	for _, b := range job.GetTransform() {
		if b.GetMap() != nil {
			return true
		}
		var made []string
		for _, f := range b.GetAddField().GetFields() {
			made = append(made, f.GetField())
		}
		for _, f := range b.GetRenameField().GetFields() {
			made = append(made, f.GetToField())
		}
		for _, text := range made {
			p, err := path.Parse(text)
			if err == nil && len(p) > 1 && p[0] == block.After {
				p = p[1:]
			}
			if err == nil && p[0] == field[0] {
				return true
			}
		}
	}
	return false
}
