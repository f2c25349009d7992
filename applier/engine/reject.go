package engine

import (
	"cmp"
	"slices"

	"google.golang.org/protobuf/proto"

	flowv1 "slipstream/proto/slipstream/flow/v1"
)

// rejects is the frame for the refused records of a batch, oldest first. The transformer adds what only it knows: key,
// record, opcode and the rest of the change.
func (l *lane) rejects(a *attempt) *flowv1.Rejects {
	frame := &flowv1.Rejects{Sequence: a.batch.Sequence, Rejects: make([]*flowv1.Reject, 0, a.refused.count())}
	for output, of := range a.refused {
		w := l.open.Job.Outputs[output]
		table := w.GetRelational().GetTable()
		if schema := w.GetRelational().GetSchema(); schema != "" {
			table = schema + "." + table
		}
		for change, why := range of {
			r := proto.Clone(why).(*flowv1.Reject)
			r.Change, r.Output = change, int32(output)
			r.Writer, r.Connection, r.Table = "relational.write", l.connection, table
			r.Block, r.Attempts = w.Path+" relational.write", a.attempts
			frame.Rejects = append(frame.Rejects, r)
		}
	}
	slices.SortFunc(frame.Rejects, func(a, b *flowv1.Reject) int {
		return cmp.Or(cmp.Compare(a.Change, b.Change), cmp.Compare(a.Output, b.Output))
	})
	return frame
}
