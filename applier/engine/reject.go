package engine

import (
	"cmp"
	"slices"

	"google.golang.org/protobuf/proto"

	flowv1 "slipstream/proto/slipstream/flow/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// rejects is the frame for the refused records of a batch, oldest first. The transformer adds what only it knows: key,
// record, opcode and the rest of the change.
func (l *lane) rejects(a *attempt) *flowv1.Rejects {
	return &flowv1.Rejects{Sequence: a.batch.Sequence, Rejects: a.refused.list(l.open.Job, a.attempts)}
}

// list are the refused records, oldest first.
func (r refused) list(job *pipelinev1.Job, attempts uint32) []*flowv1.Reject {
	all := make([]*flowv1.Reject, 0, r.count())
	for output, of := range r {
		w := job.Outputs[output]
		table := w.GetRelational().GetTable()
		if schema := w.GetRelational().GetSchema(); schema != "" {
			table = schema + "." + table
		}
		for change, why := range of {
			r := proto.Clone(why).(*flowv1.Reject)
			r.Change, r.Output = change, int32(output)
			r.Writer, r.Connection, r.Table = writer(w), w.Connection, table
			r.Block, r.Attempts = w.Path+" "+writer(w), attempts
			all = append(all, r)
		}
	}
	slices.SortFunc(all, func(a, b *flowv1.Reject) int {
		return cmp.Or(cmp.Compare(a.Change, b.Change), cmp.Compare(a.Output, b.Output))
	})
	return all
}

// writer is the block of an output as the job writes it.
func writer(o *pipelinev1.Output) string {
	switch {
	case o.GetRedis() != nil:
		return "redis.write"
	case o.GetCassandra() != nil:
		return "cassandra.write"
	}
	return "relational.write"
}
