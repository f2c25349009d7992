package applytest

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	applierv1 "slipstream/proto/slipstream/applier/v1"
)

// Bench measures the write path, from the batch as it comes off the hop to the commit: rows of ten columns of mixed
// types with a text key, about 200 bytes each, batches of 2,000. Each b.N is a batch. Besides the time it reports rows
// per second.
func Bench(b *testing.B, h Harness) {
	if h.Quote == nil {
		h.Quote = func(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
	}
	f := &fixture{h}
	for _, size := range []int{100, 2000, 5000} {
		b.Run(fmt.Sprintf("insert/%d", size), func(b *testing.B) { f.bench(b, size, false) })
		b.Run(fmt.Sprintf("update/%d", size), func(b *testing.B) { f.bench(b, size, true) })
	}
}

func (f *fixture) bench(b *testing.B, size int, update bool) {
	db := f.database(b)
	columns := [][2]string{
		{"id", f.Types.Key},
		{"name", f.Types.Text},
		{"mail", f.Types.Text},
		{"city", f.Types.Text},
		{"age", f.Types.Integer},
		{"score", f.Types.Integer},
		{"balance", f.Types.Decimal},
		{"ratio", f.Types.Float},
		{"born", f.Types.Date},
		{"seen", f.Types.Timestamp},
	}
	f.create(b, db, "bench", columns, "id")
	mapped := []string{"*id"}
	for _, c := range columns[1:] {
		mapped = append(mapped, c[0])
	}
	c := f.openWith(b, db, f.Dialect, job(out("bench", mapped...)), 0)
	made := func(n, from int) *applierv1.RowBatch {
		r := table(0)
		for i := range size {
			k := from + (i*7919)%size
			s := strconv.Itoa(k)
			r.upsert(uint32(i), "user:"+s, "A name of some length "+s, "someone"+s+"@example.org", "Saint-Germain-en-Laye",
				strconv.Itoa(k%90), s, strconv.Itoa(k%1000)+".25", "0."+s, "1990-02-01", "2030-02-01 10:30:45.123")
		}
		return batch(uint64(n), r)
	}
	n := 0
	if update {
		n = 1
		c.apply(made(1, 0))
	}
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		from := 0
		if !update {
			from = i * size
		}
		n++
		b.StopTimer()
		next := made(n, from)
		b.StartTimer()
		c.apply(next)
	}
	b.ReportMetric(float64(b.N*size)/b.Elapsed().Seconds(), "rows/s")
}
