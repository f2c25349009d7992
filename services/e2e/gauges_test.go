package e2e_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// gaugeJobs are two jobs that a redeploy changes: the last value of each gauge, from hashes, and every value ever, from a
// stream of the application. rev is written into the rows, so that each redeploy means something.
func gaugeJobs(rev int) map[string]string {
	return map[string]string{
		"jobs/state.yaml": fmt.Sprintf(`source:
  redis: {trigger: write-behind, key_pattern: "gauge:*"}
  keys: {fields: {gauge: 1}}
transform:
  - uses: add_field
    with: {field: rev, language: jmespath, expression: "`+"`%d`"+`"}
output:
  - uses: relational.write
    with: {connection: hr, table: state, keys: [gauge], mapping: [n, rev]}
`, rev),
		"jobs/log.yaml": fmt.Sprintf(`source:
  redis: {trigger: write-behind, stream: "app:gauges"}
  keys: {fields: {gauge: 1}}
transform:
  - uses: add_field
    with: {field: rev, language: jmespath, expression: "`+"`%d`"+`"}
output:
  - uses: relational.write
    with: {connection: hr, table: log, keys: [gauge], mapping: [n, rev], load_strategy: APPEND}
`, rev),
	}
}

// changeRate is the load of the tests that change a line while it works: writes a second, and for how long. With
// SLIPSTREAM_E2E_RATE=full it is 5,000 a second for a minute, and pauses are bounded, which a machine that does other
// things cannot promise.
func changeRate() (rate int, lasts time.Duration, bounded bool) {
	if os.Getenv("SLIPSTREAM_E2E_RATE") == "full" {
		return 5000, time.Minute, true
	}
	return 500, 12 * time.Second, false
}

// gauges is a load on the jobs of gaugeJobs, and a watch on what becomes of it in the tables state and log.
type gauges struct {
	tg      *target
	stop    context.CancelFunc
	written chan error
	longest chan time.Duration
	last    []int // value written last, by gauge
	wrote   int
	began   time.Time
}

// gaugeTables makes the tables.
func gaugeTables(t *testing.T, tg *target) {
	t.Helper()
	tg.exec(t, "CREATE TABLE state (gauge integer PRIMARY KEY, n bigint, rev integer)")
	tg.exec(t, "CREATE TABLE log (seq bigserial PRIMARY KEY, gauge integer, n bigint, rev integer)")
}

// writeGauges begins to write: rate changes a second, half of them hashes, half of them entries.
func writeGauges(t *testing.T, c *redis.Client, tg *target, rate int) *gauges {
	t.Helper()
	const count, beat = 200, 20 * time.Millisecond
	each := rate / 2 * int(beat/time.Millisecond) / 1000
	ctx, stop := context.WithCancel(t.Context())
	t.Cleanup(stop)
	g := &gauges{tg: tg, stop: stop, written: make(chan error, 1), longest: make(chan time.Duration, 1), last: make([]int, count), began: time.Now()}
	go func() {
		clock := time.NewTicker(beat)
		defer clock.Stop()
		for {
			select {
			case <-ctx.Done():
				g.written <- nil
				return
			case <-clock.C:
			}
			_, err := c.Pipelined(t.Context(), func(pipe redis.Pipeliner) error {
				for range each {
					g.wrote++
					at := g.wrote % count
					g.last[at] = g.wrote
					pipe.HSet(t.Context(), fmt.Sprintf("gauge:%d", at), "n", g.wrote)
					pipe.XAdd(t.Context(), &redis.XAddArgs{Stream: "app:gauges", Values: []any{"key", fmt.Sprintf("gauge:%d", at), "after", fmt.Sprintf(`{"n":%d}`, g.wrote)}})
				}
				return nil
			})
			if err != nil {
				g.written <- err
				return
			}
		}
	}()
	go func() { // the longest time without a new row, once there was one
		longest, seen, since := time.Duration(0), "", time.Now()
		for ctx.Err() == nil {
			if now := tg.rows(t, "SELECT last_value FROM log_seq_seq")[0][0]; now != seen {
				if seen != "" {
					longest = max(longest, time.Since(since))
				}
				seen, since = now, time.Now()
			}
			time.Sleep(20 * time.Millisecond)
		}
		g.longest <- longest
	}()
	return g
}

// generation waits until rows of a revision come.
func (g *gauges) generation(t *testing.T, rev int) {
	t.Helper()
	await(t, 60*time.Second, fmt.Sprintf("rows of revision %d", rev), func() (bool, string) {
		return g.tg.rows(t, fmt.Sprintf("SELECT count(*) FROM log WHERE rev = %d", rev))[0][0] != "0", ""
	})
}

// end stops writing and compares: nothing is lost, written twice or out of order. It returns the longest time in which no
// row came.
func (g *gauges) end(t *testing.T) time.Duration {
	t.Helper()
	g.stop()
	must(t, <-g.written)
	longest := <-g.longest
	t.Logf("%d hashes and %d entries written in %v; the longest time without a row was %v", g.wrote, g.wrote,
		time.Since(g.began).Round(time.Second), longest.Round(10*time.Millisecond))
	rowsAre(t, g.tg, "SELECT count(*), count(DISTINCT n), max(n) FROM log", fmt.Sprintf("%d|%d|%d", g.wrote, g.wrote, g.wrote))
	rowsAre(t, g.tg, `SELECT count(*) FROM (SELECT n - lag(n) OVER (PARTITION BY gauge ORDER BY seq) AS ahead FROM log) AS steps WHERE ahead <= 0`, "0")
	var want []string
	for at, n := range g.last {
		if n > 0 {
			want = append(want, fmt.Sprintf("%d|%d", at, n))
		}
	}
	rowsAre(t, g.tg, "SELECT gauge, n FROM state ORDER BY gauge", want...)
	return longest
}
