package e2e_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"slipstream/deploy/dev/devserver"
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

// changeRate is the load of TestChangeWithoutPause: writes a second, and for how long. With SLIPSTREAM_E2E_RATE=full it is
// 5,000 a second for a minute, and pauses are bounded, which a machine that does other things cannot promise.
func changeRate() (rate int, lasts time.Duration, bounded bool) {
	if os.Getenv("SLIPSTREAM_E2E_RATE") == "full" {
		return 5000, time.Minute, true
	}
	return 500, 12 * time.Second, false
}

// TestChangeWithoutPause: ten redeploys and a restart of every service, one after the other, under load: nothing is lost,
// written twice or out of order, and the rows keep coming.
func TestChangeWithoutPause(t *testing.T) {
	rate, lasts, bounded := changeRate()
	tg := postgresTarget(t, devserver.SharedPostgres(t))
	tg.exec(t, "CREATE TABLE state (gauge integer PRIMARY KEY, n bigint, rev integer)")
	tg.exec(t, "CREATE TABLE log (seq bigserial PRIMARY KEY, gauge integer, n bigint, rev integer)")
	server := devserver.Redis(t, devserver.RedisOptions{})
	p := startProcesses(t, server.Addr)
	files := func(rev int) map[string]string {
		all := gaugeJobs(rev)
		all["config.yaml"] = config(server.Addr, tg, "")
		return all
	}
	deploy(t, p, files(0))
	running(t, p)
	c := client(t, server.Addr)

	const gauges, beat = 200, 20 * time.Millisecond
	each := rate / 2 * int(beat/time.Millisecond) / 1000
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	last, wrote := make([]int, gauges), 0
	written := make(chan error, 1)
	go func() {
		clock := time.NewTicker(beat)
		defer clock.Stop()
		for {
			select {
			case <-ctx.Done():
				written <- nil
				return
			case <-clock.C:
			}
			_, err := c.Pipelined(t.Context(), func(pipe redis.Pipeliner) error {
				for range each {
					wrote++
					g := wrote % gauges
					last[g] = wrote
					pipe.HSet(t.Context(), fmt.Sprintf("gauge:%d", g), "n", wrote)
					pipe.XAdd(t.Context(), &redis.XAddArgs{Stream: "app:gauges", Values: []any{"key", fmt.Sprintf("gauge:%d", g), "after", fmt.Sprintf(`{"n":%d}`, wrote)}})
				}
				return nil
			})
			if err != nil {
				written <- err
				return
			}
		}
	}()
	pauses := make(chan time.Duration, 1)
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
		pauses <- longest
	}()

	began := time.Now()
	step := lasts / 20
	for rev := 1; rev <= 10; rev++ {
		deploy(t, p, files(rev))
		await(t, 30*time.Second, fmt.Sprintf("rows of generation %d", rev+1), func() (bool, string) {
			return tg.rows(t, fmt.Sprintf("SELECT count(*) FROM log WHERE rev = %d", rev))[0][0] != "0", ""
		})
		time.Sleep(time.Until(began.Add(time.Duration(rev) * step)))
	}
	for i, name := range processNames() {
		if strings.HasPrefix(name, "applier-") && name != "applier-postgres" {
			continue // nothing runs through them
		}
		p.end(name)
		p.start(name)
		p.healthy(name)
		time.Sleep(time.Until(began.Add(lasts/2 + time.Duration(i+1)*2*step)))
	}
	stop()
	must(t, <-written)
	longest := <-pauses
	t.Logf("%d hashes and %d entries written in %v; the longest time without a row was %v", wrote, wrote, time.Since(began).Round(time.Second), longest.Round(10*time.Millisecond))
	if bounded && longest > 5*time.Second {
		t.Errorf("no row came for %v", longest)
	}

	rowsAre(t, tg, "SELECT count(*), count(DISTINCT n), max(n) FROM log", fmt.Sprintf("%d|%d|%d", wrote, wrote, wrote))
	rowsAre(t, tg, `SELECT count(*) FROM (SELECT n - lag(n) OVER (PARTITION BY gauge ORDER BY seq) AS ahead FROM log) AS steps WHERE ahead <= 0`, "0")
	var want []string
	for g, n := range last {
		if n > 0 {
			want = append(want, fmt.Sprintf("%d|%d", g, n))
		}
	}
	rowsAre(t, tg, "SELECT gauge, n FROM state ORDER BY gauge", want...)
	noDeadLetters(t, p)
}
