package e2e_test

import (
	"fmt"
	"testing"
	"time"

	"slipstream/deploy/dev/devserver"
	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
)

// historyJob keeps every value of a gauge as a row of its own (spec 5.2, design D1).
const historyJob = `source:
  redis: {trigger: write-behind, key_pattern: "gauge:*", values: each}
  keys: {fields: {gauge: 1}}
output:
  - uses: relational.write
    with: {connection: hr, table: history, keys: [gauge], mapping: [psi], load_strategy: APPEND}
`

// TestHistory: with values: each and APPEND every value becomes a row, in order, also those written while nobody read, and
// none twice when the services are killed and started again.
func TestHistory(t *testing.T) {
	for harness, start := range harnesses {
		t.Run(harness, func(t *testing.T) {
			tg := sqliteTarget(t)
			tg.exec(t, "CREATE TABLE history (n integer PRIMARY KEY AUTOINCREMENT, gauge varchar(10), psi integer)")
			server := devserver.Redis(t, devserver.RedisOptions{Persist: true})
			c := client(t, server.Addr)
			l := start(t, server.Addr)
			deploy(t, l, map[string]string{"config.yaml": config(server.Addr, tg, ""), "jobs/history.yaml": historyJob})
			running(t, l)
			var want []string
			set := func(n int) {
				t.Helper()
				recorded := func() uint64 {
					s, err := l.gateway().Status(t.Context(), &gatewayv1.StatusRequest{})
					if err != nil {
						return 0
					}
					return s.Status.Recorder.GetRecorded()
				}
				for range n {
					before := recorded()
					value := len(want)
					must(t, c.HSet(t.Context(), "gauge:7", "psi", value).Err())
					want = append(want, fmt.Sprintf("7|%d", value))
					await(t, 10*time.Second, "the change is recorded", func() (bool, string) { return recorded() > before, "" })
				}
			}
			const query = "SELECT gauge, psi FROM history ORDER BY n"
			set(10)
			rowsAre(t, tg, query, want...)
			_, err := l.gateway().Stop(t.Context(), &gatewayv1.StopRequest{})
			must(t, err)
			set(20)
			_, err = l.gateway().Start(t.Context(), &gatewayv1.StartRequest{})
			must(t, err)
			rowsAre(t, tg, query, want...)
			if p, ok := l.(*processes); ok { // no crash leaves a value out or writes one twice (G3)
				for _, name := range []string{"applier-sqlite", "transformer", "applier-sqlite"} {
					set(5)
					p.kill(name)
				}
				rowsAre(t, tg, query, want...)
			}
		})
	}
}
