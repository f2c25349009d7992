package e2e_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"slipstream/deploy/dev/devserver"
	capturev1 "slipstream/proto/slipstream/capture/v1"
	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
)

const twoTargetsJob = `source:
  redis: {trigger: write-behind, key_pattern: "tank:*"}
  keys: {fields: {id: 1}}
output:
  - uses: relational.write
    with: {connection: hr, table: tank, keys: [id], mapping: [level]}
  - uses: relational.write
    with: {connection: far, table: tank, keys: [id], mapping: [level]}
`

const valveJob = `source:
  redis: {trigger: write-behind, key_pattern: "valve:*"}
  keys: {fields: {id: 1}}
output:
  - uses: relational.write
    with: {connection: hr, table: valve, keys: [id], mapping: [open]}
`

// TestOneOfTwoTargets: a job with outputs to two connections keeps the healthy one flowing while the other is down, and
// the other catches up after (design D5): a lane belongs to one connection. A deploy meanwhile takes what does not concern
// the target that is away.
func TestOneOfTwoTargets(t *testing.T) {
	pg := devserver.Postgres(t, devserver.PostgresOptions{})
	for harness, start := range harnesses {
		t.Run(harness, func(t *testing.T) {
			near, far := sqliteTarget(t), postgresTarget(t, pg)
			far.connection = strings.Replace(far.connection, "  hr:", "  far:", 1)
			for _, tg := range []*target{near, far} {
				tg.exec(t, "CREATE TABLE tank (id bigint PRIMARY KEY, level integer)")
			}
			server := devserver.Redis(t, devserver.RedisOptions{})
			c := client(t, server.Addr)
			l := start(t, server.Addr)
			near.exec(t, "CREATE TABLE valve (id bigint PRIMARY KEY, open integer)")
			files := map[string]string{
				"config.yaml":    config(server.Addr, near, far.connection+"applier: {on_failed_retry_interval: 1}\n"),
				"jobs/tank.yaml": twoTargetsJob,
			}
			deploy(t, l, files)
			running(t, l)
			written := 0
			write := func(n int) (want []string) {
				t.Helper()
				pipe := c.Pipeline()
				for range n {
					pipe.HSet(t.Context(), fmt.Sprintf("tank:%d", written), "level", written*3)
					written++
				}
				_, err := pipe.Exec(t.Context())
				must(t, err)
				for i := range written {
					want = append(want, fmt.Sprintf("%d|%d", i, i*3))
				}
				return want
			}
			const query = "SELECT id, level FROM tank ORDER BY id"
			want := write(20)
			rowsAre(t, near, query, want...)
			rowsAre(t, far, query, want...)

			must(t, pg.Kill())
			for range 3 { // it keeps flowing, batch after batch
				rowsAre(t, near, query, write(100)...)
			}
			waits(t, l, "connection")
			s, err := l.gateway().Status(t.Context(), &gatewayv1.StatusRequest{})
			must(t, err)
			for _, lane := range s.Status.GetLanes() {
				state, healthy := lane.State, lane.Lane.GetConnection() == "hr"
				if healthy && state != capturev1.LaneState_LANE_STATE_RUNNING || healthy && lane.Fault != nil {
					t.Errorf("a lane of the healthy target: %v", lane)
				}
			}
			// What does not concern it can be changed while it is away, and what does cannot.
			files["jobs/valve.yaml"] = valveJob
			told := deploy(t, l, files)
			if told.GetGeneration() != 2 || len(told.GetProblems()) == 0 || !strings.Contains(told.GetProblems()[0].GetMessage(), "stands") {
				t.Errorf("deployed while a target is away: %v", told)
			}
			await(t, 60*time.Second, "the lanes of the new job", func() (bool, string) {
				s, err := l.gateway().Status(t.Context(), &gatewayv1.StatusRequest{})
				must(t, err)
				n := 0
				for _, lane := range s.GetStatus().GetLanes() {
					if lane.GetLane().GetJob() == "valve" && lane.GetState() == capturev1.LaneState_LANE_STATE_RUNNING {
						n++
					}
				}
				return n == 4, fmt.Sprint(s)
			})
			must(t, c.HSet(t.Context(), "valve:7", "open", 1).Err())
			rowsAre(t, near, "SELECT id, open FROM valve", "7|1")
			files["jobs/tank.yaml"] = strings.Replace(twoTargetsJob, "connection: far, table: tank", "connection: far, table: other", 1)
			refused, err := l.gateway().Deploy(t.Context(), &gatewayv1.DeployRequest{Files: yamlFiles(files)})
			must(t, err)
			if refused.GetGeneration() != 0 {
				t.Error("an output was changed to a target that nobody can ask")
			}

			must(t, pg.Restart(t.Context()))
			want = write(5)
			rowsAre(t, near, query, want...)
			await(t, 60*time.Second, "the other target catching up", func() (bool, string) {
				why := differ(far.rows(t, query), want)
				return why == "", why
			})
			noDeadLetters(t, l)
		})
	}
}
