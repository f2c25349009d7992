package e2e_test

import (
	"testing"
	"time"

	"slipstream/deploy/dev/devserver"
	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
)

// crewJob has its key in a field, so the target keeps a row index; what HINCRBY does is not recorded.
const crewJob = `source:
  redis: {trigger: write-behind, key_pattern: "crew:*", exclude_commands: [hincrby]}
output:
  - uses: relational.write
    with: {connection: hr, table: crew, keys: [id], mapping: [age]}
`

// letters waits for so many dead letters.
func letters(t *testing.T, l line, want int) {
	t.Helper()
	await(t, 30*time.Second, "dead letters", func() (bool, string) {
		r, err := l.gateway().ListRejected(t.Context(), &gatewayv1.ListRejectedRequest{})
		if err != nil {
			return false, err.Error()
		}
		n := 0
		for _, s := range r.Streams {
			n += int(s.Length)
		}
		return n == want, r.String()
	})
}

// TestReplay: records that the database refused are replayed once it takes them: as they were recorded, where the target has
// nothing newer and the key is still there, or with the current value (spec 9.4, G4).
func TestReplay(t *testing.T) {
	for harness, start := range harnesses {
		t.Run(harness, func(t *testing.T) {
			tg := postgresTarget(t, devserver.SharedPostgres(t))
			tg.exec(t, "CREATE TABLE crew (id varchar(10) PRIMARY KEY, age integer, CONSTRAINT young CHECK (age < 100))")
			server := devserver.Redis(t, devserver.RedisOptions{})
			c := client(t, server.Addr)
			l := start(t, server.Addr)
			deploy(t, l, map[string]string{"config.yaml": config(server.Addr, tg, ""), "jobs/crew.yaml": crewJob})
			running(t, l)
			for key, id := range map[string]string{"crew:1": "A", "crew:2": "B", "crew:3": "C", "crew:4": "D"} {
				must(t, c.HSet(t.Context(), key, "id", id, "age", 500).Err())
			}
			letters(t, l, 4)
			const query = "SELECT id, age FROM crew ORDER BY 1"
			rowsAre(t, tg, query)

			tg.exec(t, "ALTER TABLE crew DROP CONSTRAINT young")
			must(t, c.HSet(t.Context(), "crew:1", "age", 20).Err()) // newer than what was refused
			must(t, c.HIncrBy(t.Context(), "crew:2", "age", 1).Err(), c.HIncrBy(t.Context(), "crew:3", "age", 1).Err())
			must(t, c.Del(t.Context(), "crew:4").Err())
			rowsAre(t, tg, query, "A|20")
			replay := func(r *gatewayv1.ReplayRequest, replayed, kept int) {
				t.Helper()
				out, err := l.gateway().Replay(t.Context(), r)
				must(t, err)
				if len(out.Streams) != 1 || int(out.Streams[0].Replayed) != replayed || len(out.Streams[0].Kept) != kept {
					t.Fatalf("replayed %v, want %d, and %d kept", out.Streams, replayed, kept)
				}
			}
			r, err := l.gateway().ListRejected(t.Context(), &gatewayv1.ListRejectedRequest{})
			must(t, err)
			var three string
			for _, d := range r.Streams[0].Entries {
				if string(d.Reject.Key) == "crew:3" {
					three = d.Id
				}
			}
			replay(&gatewayv1.ReplayRequest{Job: "crew", Ids: []string{three}}, 1, 0)
			rowsAre(t, tg, query, "A|20", "C|501")
			replay(&gatewayv1.ReplayRequest{AsRecorded: true}, 2, 1)
			rowsAre(t, tg, query, "A|20", "B|500", "C|501")
			letters(t, l, 1) // of the key that is gone
			await(t, 30*time.Second, "the value that is outdated is counted", func() (bool, string) {
				s, err := l.gateway().Status(t.Context(), &gatewayv1.StatusRequest{})
				if err != nil {
					return false, err.Error()
				}
				return s.Status.Jobs[0].Counts.GetOutdated() == 1, s.Status.Jobs[0].String()
			})
		})
	}
}
