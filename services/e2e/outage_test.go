package e2e_test

import (
	"strings"
	"testing"
	"time"

	"slipstream/deploy/dev/devserver"
	capturev1 "slipstream/proto/slipstream/capture/v1"
	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
)

// TestOutage: while the database is away, and while the table is missing, lanes wait and say why, nothing is rejected, and
// everything arrives after (G6).
func TestOutage(t *testing.T) {
	pg := devserver.Postgres(t, devserver.PostgresOptions{})
	for harness, start := range harnesses {
		t.Run(harness, func(t *testing.T) {
			tg := postgresTarget(t, pg)
			tg.exec(t, empTable)
			server := devserver.Redis(t, devserver.RedisOptions{})
			c := client(t, server.Addr)
			l := start(t, server.Addr)
			deploy(t, l, map[string]string{
				"config.yaml":   config(server.Addr, tg, "applier: {on_failed_retry_interval: 1}\n"),
				"jobs/emp.yaml": quickstart,
			})
			running(t, l)
			const query = "SELECT first_name, last_name, address, country, gender FROM emp ORDER BY 1, 2"
			must(t, c.HSet(t.Context(), "emp:A:One", "gender", "F").Err())
			rowsAre(t, tg, query, "A|One|"+null+"|"+null+"|F")

			must(t, pg.Stop())
			must(t, c.HSet(t.Context(), "emp:B:Two", "gender", "M").Err())
			waits(t, l, "connection")
			must(t, pg.Restart(t.Context()))
			rowsAre(t, tg, query, "A|One|"+null+"|"+null+"|F", "B|Two|"+null+"|"+null+"|M")

			tg.exec(t, "ALTER TABLE emp RENAME TO emp_away")
			must(t, c.HSet(t.Context(), "emp:C:Three", "gender", "F").Err())
			waits(t, l, "schema")
			tg.exec(t, "ALTER TABLE emp_away RENAME TO emp")
			rowsAre(t, tg, query, "A|One|"+null+"|"+null+"|F", "B|Two|"+null+"|"+null+"|M", "C|Three|"+null+"|"+null+"|F")

			r, err := l.gateway().ListRejected(t.Context(), &gatewayv1.ListRejectedRequest{})
			must(t, err)
			for _, s := range r.Streams {
				if s.Length > 0 {
					t.Errorf("an outage made dead letters: %v", s)
				}
			}
		})
	}
}

// waits waits until a lane says that it waits for a fault of this class.
func waits(t *testing.T, l line, class string) {
	t.Helper()
	await(t, 30*time.Second, "a lane that waits: "+class, func() (bool, string) {
		s, err := l.gateway().Status(t.Context(), &gatewayv1.StatusRequest{})
		if err != nil {
			return false, err.Error()
		}
		for _, lane := range s.Status.GetLanes() {
			if lane.State == capturev1.LaneState_LANE_STATE_WAITING && lane.Fault.GetMessage() != "" &&
				strings.HasSuffix(strings.ToLower(lane.Fault.Class.String()), class) {
				return true, ""
			}
		}
		return false, s.Status.String()
	})
}

// TestStopStart: a stopped pipeline records and does not write; started again it catches up.
func TestStopStart(t *testing.T) {
	for harness, start := range harnesses {
		t.Run(harness, func(t *testing.T) {
			tg := sqliteTarget(t)
			tg.exec(t, empTable)
			server := devserver.Redis(t, devserver.RedisOptions{})
			c := client(t, server.Addr)
			l := start(t, server.Addr)
			deploy(t, l, map[string]string{"config.yaml": config(server.Addr, tg, ""), "jobs/emp.yaml": quickstart})
			running(t, l)
			_, err := l.gateway().Stop(t.Context(), &gatewayv1.StopRequest{})
			must(t, err)
			await(t, 30*time.Second, "the stop", func() (bool, string) {
				s, err := l.gateway().Status(t.Context(), &gatewayv1.StatusRequest{})
				if err != nil {
					return false, err.Error()
				}
				for _, lane := range s.Status.GetLanes() {
					if lane.State == capturev1.LaneState_LANE_STATE_RUNNING || lane.State == capturev1.LaneState_LANE_STATE_DRAINING {
						return false, lane.String()
					}
				}
				return !s.Status.GetRunning(), s.Status.String()
			})
			must(t, c.HSet(t.Context(), "emp:A:One", "gender", "F").Err())
			await(t, 30*time.Second, "the backlog", func() (bool, string) {
				s, err := l.gateway().Status(t.Context(), &gatewayv1.StatusRequest{})
				if err != nil {
					return false, err.Error()
				}
				return len(s.Status.GetJobs()) == 1 && s.Status.Jobs[0].Backlog == 1, s.Status.String()
			})
			if rows := tg.rows(t, "SELECT * FROM emp"); len(rows) != 0 {
				t.Errorf("a stopped pipeline wrote %v", rows)
			}
			_, err = l.gateway().Start(t.Context(), &gatewayv1.StartRequest{})
			must(t, err)
			rowsAre(t, tg, "SELECT first_name FROM emp", "A")
		})
	}
}
