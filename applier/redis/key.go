package redis

import (
	"strconv"

	flowv1 "slipstream/proto/slipstream/flow/v1"
)

// Our own keys in a target. They begin like those that Slipstream keeps in a source and are never captured there, should
// both be one database (proto/keyspace). The part in braces is one for all of a job, so that on a cluster the position and
// the row index have one slot.

func tag(l *flowv1.Lane) string {
	return "{" + l.GetPipeline() + ":" + l.GetJob() + ":" + l.GetConnection() + "}"
}

const own = "slipstream:"

// positionKey is the hash with the position of a lane.
func (t *target) positionKey(l *flowv1.Lane) string {
	return own + t.options.positionTable + ":" + tag(l) + ":" + strconv.FormatUint(uint64(l.GetLayout()), 10) + ":" + l.GetShard() + ":" +
		strconv.FormatUint(uint64(l.GetPartition()), 10)
}

// indexKeys are the hashes of the row index of an output: entries by row, and rows by owner.
func (t *target) indexKeys(l *flowv1.Lane, output string) (rows, owners string) {
	base := own + t.options.rowTable + ":" + tag(l) + ":" + output
	return base + ":row", base + ":owner"
}
