package e2e_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"slipstream/deploy/dev/devserver"
	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
)

// TestFullSource: the target is away until the source is out of memory, and its streams are what fills it. Capture is killed
// then, and what the application still may change is changed. When the target is back, lanes are shared out and drain the
// streams although Redis takes no write that needs memory, the gap is recorded and repaired, and the table is equal (G1, G5).
func TestFullSource(t *testing.T) {
	pg := devserver.Postgres(t, devserver.PostgresOptions{})
	tg := postgresTarget(t, pg)
	tg.exec(t, "CREATE TABLE emp (id bigint PRIMARY KEY, name text, note text)")
	server := devserver.Redis(t, devserver.RedisOptions{Args: []string{"--maxmemory", "12mb"}})
	c := client(t, server.Addr)
	p := startProcesses(t, server.Addr)
	deploy(t, p, map[string]string{
		"config.yaml": config(server.Addr, tg, ""),
		"jobs/emp.yaml": `source:
  redis: {trigger: write-behind, key_pattern: "emp:*"}
  keys: {fields: {id: 1}}
output:
  - uses: relational.write
    with: {connection: hr, table: emp, keys: [id], mapping: [name, note]}
`,
	})
	running(t, p)
	must(t, pg.Stop())

	ctx := t.Context()
	written := map[string]string{} // name by id
	for full, next := false, 0; !full; next += 500 {
		if next > 1_000_000 {
			t.Fatal("a million hashes did not fill the source")
		}
		pipe := c.Pipeline()
		for id := next; id < next+500; id++ {
			pipe.HSet(ctx, "emp:"+strconv.Itoa(id), "name", strings.Repeat("name ", 50)+strconv.Itoa(id), "note", "to go")
		}
		answers, _ := pipe.Exec(ctx) // each answer is looked at
		for _, a := range answers {
			switch err := a.Err(); {
			case err == nil:
				written[strings.TrimPrefix(fmt.Sprint(a.Args()[1]), "emp:")] = fmt.Sprint(a.Args()[3])
			case strings.HasPrefix(err.Error(), "OOM"):
				full = true
			default:
				t.Fatal(err)
			}
		}
	}
	if _, err := p.gateway().Status(ctx, &gatewayv1.StatusRequest{}); err != nil {
		t.Errorf("the operator sees nothing: %v", err)
	}
	p.kill("capture")
	pipe := c.Pipeline()
	for id := range written {
		pipe.HDel(ctx, "emp:"+id, "note") // needs no memory
	}
	_, err := pipe.Exec(ctx)
	must(t, err)
	p.healthy("capture")
	must(t, pg.Restart(ctx))

	await(t, 2*time.Minute, "rows equal to the hashes", func() (bool, string) {
		rows := tg.rows(t, "SELECT id, name FROM emp WHERE note IS NULL")
		equal := 0
		for _, row := range rows {
			if row[1] == written[row[0]] {
				equal++
			}
		}
		if equal == len(written) && len(rows) == equal {
			return true, ""
		}
		s, err := p.gateway().Status(ctx, &gatewayv1.StatusRequest{})
		return false, fmt.Sprintf("%d rows, %d of %d equal; status %v %v", len(rows), equal, len(written), s, err)
	})
	must(t, c.HSet(ctx, "emp:0", "name", "there is room again").Err())
	await(t, time.Minute, "the next change", func() (bool, string) {
		row := tg.rows(t, "SELECT name FROM emp WHERE id = 0")
		return row[0][0] == "there is room again", fmt.Sprint(row)
	})
}
