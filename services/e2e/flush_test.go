package e2e_test

import (
	"strings"
	"testing"
	"time"

	"slipstream/deploy/dev/devserver"
	capturev1 "slipstream/proto/slipstream/capture/v1"
	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
)

// TestFlushStops: FLUSHALL takes the keys, the change streams and the stored generation; the table keeps its rows (G7), the
// gap is recorded (G1), and the lanes stop and say so until the pipeline is started again (spec 1.5). Then what was written
// meanwhile arrives.
func TestFlushStops(t *testing.T) {
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

			must(t, c.FlushAll(t.Context()).Err())
			await(t, 30*time.Second, "every lane stops", func() (bool, string) {
				s, err := l.gateway().Status(t.Context(), &gatewayv1.StatusRequest{})
				if err != nil {
					return false, err.Error()
				}
				for _, lane := range s.Status.Lanes {
					if lane.State != capturev1.LaneState_LANE_STATE_STOPPED || !strings.Contains(lane.Fault.GetMessage(), "FLUSHALL") {
						return false, lane.String()
					}
				}
				return len(s.Status.Lanes) > 0, "no lanes"
			})
			must(t, c.HSet(t.Context(), "emp:C:Three", "gender", "F").Err())
			rowsAre(t, tg, query, "A", "B")
			_, err := l.gateway().Start(t.Context(), &gatewayv1.StartRequest{})
			must(t, err)
			rowsAre(t, tg, query, "A", "B", "C")
		})
	}
}

// TestFlushIgnored: with on_flush: ignore the rows stay and the line goes on. So it does when Redis comes back empty, which
// is no flush.
func TestFlushIgnored(t *testing.T) {
	ignoring := strings.Replace(quickstart, "trigger: write-behind\n", "trigger: write-behind\n    on_flush: ignore\n", 1)
	for harness, start := range harnesses {
		t.Run(harness, func(t *testing.T) {
			tg := sqliteTarget(t)
			tg.exec(t, empTable)
			server := devserver.Redis(t, devserver.RedisOptions{})
			c := client(t, server.Addr)
			l := start(t, server.Addr)
			deploy(t, l, map[string]string{"config.yaml": config(server.Addr, tg, ""), "jobs/emp.yaml": ignoring})
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
