package e2e_test

import (
	"testing"
	"time"

	"slipstream/deploy/dev/devserver"
	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
)

// quickstart is the job of the spec's source: hash keys, rename_field on after. without row_format: full (A3), two key
// columns, mapping. source.keys is what makes deletes reach their row (spec 1.6 A4, 3.4).
const quickstart = `source:
  redis:
    trigger: write-behind
    key_pattern: emp:*
  keys:
    delimiter: ":"
    fields: {first_name: 1, last_name: 2}
transform:
  - uses: rename_field
    with:
      from_field: after.country
      to_field: after.my_country
output:
  - uses: relational.write
    with:
      connection: hr
      schema: public
      table: emp
      keys:
        - first_name
        - last_name
      mapping:
        - first_name
        - last_name
        - address
        - country: my_country
        - gender
`

const empTable = `CREATE TABLE emp (first_name varchar(50) NOT NULL, last_name varchar(50) NOT NULL, address varchar(50),
	country varchar(20), gender varchar(1), PRIMARY KEY (first_name, last_name))`

// TestQuickstart: the job works unchanged against each target in each harness: insert, update, HDEL, delete (spec 1.5), and
// a value that does not fit costs one record (G5).
func TestQuickstart(t *testing.T) {
	for harness, start := range harnesses {
		for name, open := range map[string]func(*testing.T) *target{
			"sqlite":     sqliteTarget,
			"postgresql": func(t *testing.T) *target { return postgresTarget(t, devserver.SharedPostgres(t)) },
		} {
			t.Run(harness+"/"+name, func(t *testing.T) {
				tg := open(t)
				tg.exec(t, empTable)
				server := devserver.Redis(t, devserver.RedisOptions{})
				c := client(t, server.Addr)
				l := start(t, server.Addr)
				deploy(t, l, map[string]string{"config.yaml": config(server.Addr, tg, ""), "jobs/emp.yaml": quickstart})
				running(t, l)

				const query = "SELECT first_name, last_name, address, country, gender FROM emp ORDER BY 1, 2"
				must(t,
					c.HSet(t.Context(), "emp:Ada:Lovelace", "address", "12 St James's Square", "country", "UK", "gender", "F").Err(),
					c.HSet(t.Context(), "emp:Grace:Hopper", "address", "1 Arlington Way", "country", "USA", "gender", "F").Err(),
					c.HSet(t.Context(), "dept:1", "name", "not ours").Err())
				rowsAre(t, tg, query, "Ada|Lovelace|12 St James's Square|UK|F", "Grace|Hopper|1 Arlington Way|USA|F")

				must(t, c.HSet(t.Context(), "emp:Ada:Lovelace", "country", "GB").Err())
				rowsAre(t, tg, query, "Ada|Lovelace|12 St James's Square|GB|F", "Grace|Hopper|1 Arlington Way|USA|F")

				must(t, c.HDel(t.Context(), "emp:Ada:Lovelace", "address").Err())
				rowsAre(t, tg, query, "Ada|Lovelace|"+null+"|GB|F", "Grace|Hopper|1 Arlington Way|USA|F")

				must(t, c.Del(t.Context(), "emp:Grace:Hopper").Err())
				rowsAre(t, tg, query, "Ada|Lovelace|"+null+"|GB|F")

				must(t, c.Rename(t.Context(), "emp:Ada:Lovelace", "emp:Augusta:King").Err())
				rowsAre(t, tg, query, "Augusta|King|"+null+"|GB|F")

				if tg.name == "postgresql" { // SQLite does not limit lengths
					must(t,
						c.HSet(t.Context(), "emp:Too:Long", "gender", "unknown").Err(),
						c.HSet(t.Context(), "emp:Just:Right", "gender", "M").Err())
					rowsAre(t, tg, query, "Augusta|King|"+null+"|GB|F", "Just|Right|"+null+"|"+null+"|M")
					var r *gatewayv1.ListRejectedResponse
					await(t, 20*time.Second, "a dead letter, which another lane than that of the row brings", func() (bool, string) {
						var err error
						r, err = l.gateway().ListRejected(t.Context(), &gatewayv1.ListRejectedRequest{})
						must(t, err)
						return len(r.Streams) == 1 && len(r.Streams[0].Entries) == 1, r.String()
					})
					x := r.Streams[0].Entries[0].Reject
					if string(x.Key) != "emp:Too:Long" || x.Column != "gender" || x.Reason == "" {
						t.Errorf("dead letter: %v", x)
					}
				}
			})
		}
	}
}
