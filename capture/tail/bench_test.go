package tail

import (
	"fmt"
	"testing"

	"slipstream/capture/stream"
)

// BenchmarkFold: the entries of a full batch, most of them of different keys.
func BenchmarkFold(b *testing.B) {
	var entries []stream.Entry
	for i := range 2000 {
		entries = append(entries, stream.Entry{
			ID: stream.ID{Ms: uint64(i + 1)}, Key: fmt.Appendf(nil, "item:%d", i*7%1800), Op: stream.OpUpdate, Command: "hset", Ms: int64(i),
		})
	}
	var f fold
	p := policy{hash: true, json: true}
	b.ReportAllocs()
	for b.Loop() {
		f.gather(entries, &p)
		f.order()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/2000, "ns/entry")
}
