package e2e_test

import (
	"testing"
	"time"

	"slipstream/deploy/dev/devserver"
	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
)

// TestFlush: FLUSHALL takes the keys, the change streams and the stored generation; the table keeps its rows (G7), the
// gap is recorded (G1), status still answers, and what is written after arrives. So it is when Redis comes back empty.
func TestFlush(t *testing.T) {
	for harness, start := range harnesses {
		t.Run(harness, func(t *testing.T) {
			tg := sqliteTarget(t)
			tg.exec(t, empTable)
			server := devserver.Redis(t, devserver.RedisOptions{})
			c := client(t, server.Addr)
			l := start(t, server.Addr)
			deploy(t, l, map[string]string{"config.yaml": config(server.Addr, tg, ""), "jobs/emp.yaml": quickstart})
			running(t, l)
			const query = "SELECT first_name FROM emp ORDER BY 1"
			must(t, c.HSet(t.Context(), "emp:A:One", "gender", "F").Err(), c.HSet(t.Context(), "emp:B:Two", "gender", "F").Err())
			rowsAre(t, tg, query, "A", "B")

			must(t, c.FlushAll(t.Context()).Err(), c.HSet(t.Context(), "emp:C:Three", "gender", "F").Err())
			rowsAre(t, tg, query, "A", "B", "C")

			must(t, server.Kill(), server.Restart(t.Context()))
			await(t, 30*time.Second, "the write", func() (bool, string) {
				err := c.HSet(t.Context(), "emp:D:Four", "gender", "F").Err()
				return err == nil, "Redis does not answer"
			})
			rowsAre(t, tg, query, "A", "B", "C", "D")
			s, err := l.gateway().Status(t.Context(), &gatewayv1.StatusRequest{})
			must(t, err)
			if len(s.Status.Gaps) == 0 {
				t.Error("no gap is recorded")
			}
		})
	}
}
