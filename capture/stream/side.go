package stream

import (
	"slipstream/capture/resp"
	"slipstream/proto/keyspace"
)

// PartitionOf is the partition of a key; a stream with one partition takes every key.
func PartitionOf(key []byte, count int) int { return keyspace.Partition(key, max(count, 1)) }

// AppendSide gathers the command that appends an entry to the side stream. Its answer is the ID, or null when the stream
// has vanished: it is not to come back unnoticed.
func AppendSide(out *resp.Writer, s Stream, op Op, command string, key []byte) {
	letter := [1]byte{byte(op)}
	out.Begin(10)
	out.String("XADD")
	out.String(s.Side)
	out.String("NOMKSTREAM")
	out.String("*")
	out.String(FieldOp)
	out.Bytes(letter[:])
	out.String(FieldCommand)
	out.String(command)
	out.String(FieldKey)
	out.Bytes(key)
}

// MarkSide gathers the command that notes in the header the last ID appended.
func MarkSide(out *resp.Writer, s Stream, id string) {
	out.Command("HSET", s.Header, fieldSideLast, id)
}

// SideBacklog is how many entries of the side stream the slowest of the connections has not settled; for a connection
// that has published nothing that is all of them.
func (h Header) SideBacklog(connections []string) int64 {
	var most int64
	for _, c := range connections {
		_, n := h.Backlog(c)
		if n < 0 {
			n = h.sideLength
		}
		most = max(most, n)
	}
	return most
}
