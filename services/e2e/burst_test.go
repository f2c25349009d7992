package e2e_test

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"slipstream/deploy/dev/devserver"
	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
)

// burstJob maps all ten fields. Deletes are left out of the burst: one that falls into a gap of the notification recorder
// is not repaired by an upserting sweep (docs/guarantees.md, G1).
const burstJob = `source:
  redis: {trigger: write-behind, key_pattern: "item:*"}
  keys: {fields: {id: 1}}
output:
  - uses: relational.write
    with:
      connection: hr
      table: item
      keys: [id]
      mapping: [f1, f2, f3, f4, f5, f6, f7, f8, f9, f10]
`

const itemTable = `CREATE TABLE item (id bigint PRIMARY KEY, f1 text, f2 text, f3 integer, f4 bigint, f5 numeric(12,2),
	f6 double precision, f7 boolean, f8 date, f9 text, f10 text)`

// item is what the application writes under item:<i> in its given version.
func item(i, version int) []any {
	return []any{
		"f1", fmt.Sprintf("name of item %d", i), "f2", "version " + strconv.Itoa(version), "f3", i % 1000, "f4", i * 1_000_003,
		"f5", fmt.Sprintf("%d.%02d", i, i%100), "f6", float64(i) / 8, "f7", i % 2, "f8", "2026-01-" + fmt.Sprintf("%02d", 1+i%28),
		"f9", "", "f10", "ünï-" + strconv.Itoa(i),
	}
}

// itemRow is the row that must stand in PostgreSQL for it.
func itemRow(i, version int) string {
	return strings.Join([]string{
		strconv.Itoa(i), fmt.Sprintf("name of item %d", i), "version " + strconv.Itoa(version), strconv.Itoa(i % 1000), strconv.Itoa(i * 1_000_003),
		fmt.Sprintf("%d.%02d", i, i%100), strconv.FormatFloat(float64(i)/8, 'f', -1, 64), map[int]string{0: "f", 1: "t"}[i%2],
		fmt.Sprintf("2026-01-%02d", 1+i%28), "", "ünï-" + strconv.Itoa(i),
	}, "|")
}

// burstKeys is how many hashes the burst writes; SLIPSTREAM_E2E_KEYS overrides it.
func burstKeys(t *testing.T) int {
	if v := os.Getenv("SLIPSTREAM_E2E_KEYS"); v != "" {
		n, err := strconv.Atoi(v)
		must(t, err)
		return n
	}
	return 200_000
}

// write writes items from..to in the given version, as fast as Redis takes them.
func write(ctx context.Context, c *redis.Client, from, to, version int, progress *atomic.Int64) error {
	for i := from; i < to; i += 500 {
		pipe := c.Pipeline()
		for k := i; k < min(i+500, to); k++ {
			pipe.HSet(ctx, "item:"+strconv.Itoa(k), item(k, version)...)
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return err
		}
		progress.Store(int64(min(i+500, to)))
	}
	return nil
}

// equalItems waits until every item stands in the table as written, and then compares row by row.
func equalItems(t *testing.T, tg *target, l line, n, version int, within time.Duration) {
	t.Helper()
	var rows [][]string
	await(t, within, fmt.Sprintf("%d rows of version %d", n, version), func() (bool, string) {
		done := tg.rows(t, "SELECT count(*) FROM item WHERE f2 = 'version "+strconv.Itoa(version)+"'")[0][0]
		if done == strconv.Itoa(n) {
			return true, ""
		}
		time.Sleep(200 * time.Millisecond)
		s, err := l.gateway().Status(t.Context(), &gatewayv1.StatusRequest{})
		return false, fmt.Sprintf("%s rows; status %v %v", done, s, err)
	})
	rows = tg.rows(t, "SELECT * FROM item ORDER BY id")
	if len(rows) != n {
		t.Fatalf("%d rows, want %d", len(rows), n)
	}
	for i, r := range rows {
		if got, want := strings.Join(r, "|"), itemRow(i, version); got != want {
			t.Fatalf("row %d is %s, want %s", i, got, want)
		}
	}
}

// TestBurst: hashes written as fast as Redis takes them arrive complete and equal in PostgreSQL through separate processes,
// while each service in turn, and the database, is killed with SIGKILL (G1, G2, G3, G4). A gap of the recorder
// is recorded, and repaired.
func TestBurst(t *testing.T) {
	n := burstKeys(t)
	pg := devserver.Postgres(t, devserver.PostgresOptions{Settings: []string{"fsync=on"}})
	tg := postgresTarget(t, pg)
	tg.exec(t, itemTable)
	server := devserver.Redis(t, devserver.RedisOptions{})
	c := client(t, server.Addr)
	p := startProcesses(t, server.Addr)
	deploy(t, p, map[string]string{"config.yaml": config(server.Addr, tg, ""), "jobs/item.yaml": burstJob})
	running(t, p)

	var progress atomic.Int64
	wrote := make(chan error, 1)
	began := time.Now()
	go func() {
		err := write(t.Context(), c, 0, n, 1, &progress)
		if err == nil {
			err = write(t.Context(), c, 0, n, 2, &progress) // and every one of them once more
		}
		wrote <- err
	}()
	for i, victim := range []string{"applier-postgres", "transformer", "capture", "gateway", "database", "capture", "applier-postgres"} {
		arrived := strconv.Itoa(len(tg.rows(t, "SELECT 1 FROM item LIMIT 1")))
		if i > 0 && arrived == "0" { // the first kill may come before the first row
			await(t, 60*time.Second, "the first rows", func() (bool, string) {
				return len(tg.rows(t, "SELECT 1 FROM item LIMIT 1")) > 0, "the table is empty"
			})
		}
		t.Logf("%v: kill -9 %s", time.Since(began).Round(time.Millisecond), victim)
		if victim == "database" {
			must(t, pg.Kill(), pg.Restart(t.Context()))
		} else {
			p.kill(victim)
		}
		time.Sleep(300 * time.Millisecond) // under load, between two kills
	}
	must(t, <-wrote)
	t.Logf("%v: all written", time.Since(began).Round(time.Millisecond))
	equalItems(t, tg, p, n, 2, 4*time.Minute)
	took := time.Since(began)
	t.Logf("%d hashes, each written twice, with seven kills: %v, %.0f changes/s", n, took.Round(time.Millisecond), float64(2*n)/took.Seconds())

	p.healthy("gateway")
	await(t, 60*time.Second, "the repair of every gap", func() (bool, string) {
		s, err := p.gateway().Status(t.Context(), &gatewayv1.StatusRequest{})
		if err != nil {
			return false, err.Error()
		}
		if len(s.Status.Gaps) == 0 {
			return false, "capture was killed and no gap is recorded"
		}
		for _, g := range s.Status.Gaps {
			if g.RepairedMs == 0 {
				return false, g.String()
			}
		}
		return true, ""
	})
	r, err := p.gateway().ListRejected(t.Context(), &gatewayv1.ListRejectedRequest{})
	must(t, err)
	for _, s := range r.Streams {
		if s.Length > 0 {
			t.Errorf("dead letters after outages (G6): %v", s)
		}
	}
}
