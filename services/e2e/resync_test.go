package e2e_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"slipstream/deploy/dev/devserver"
	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// staleNow are the jobs that need a resync, as status tells.
func staleNow(t *testing.T, l line) []*pipelinev1.StaleJob {
	t.Helper()
	s, err := l.gateway().Status(t.Context(), &gatewayv1.StatusRequest{})
	must(t, err)
	return s.GetStale()
}

// TestDeployResync: a job that means something else is brought in line in the background while the application writes: rows
// of keys that nobody touches get the new meaning, the line does not pause for it, and the job is stale until it is done,
// whoever asked for that.
func TestDeployResync(t *testing.T) {
	tg := postgresTarget(t, devserver.SharedPostgres(t))
	tg.exec(t, "CREATE TABLE emp (id integer PRIMARY KEY, name text, n bigint)")
	server := devserver.Redis(t, devserver.RedisOptions{})
	l := startEmbedded(t, server.Addr)
	files := func(name string) map[string]string {
		return map[string]string{"config.yaml": config(server.Addr, tg, ""), "jobs/emp.yaml": fmt.Sprintf(`source:
  redis: {trigger: write-behind, key_pattern: "emp:*", initial_load: always}
  keys: {fields: {id: 1}}
transform:
  - uses: add_field
    with: {field: name, language: sql, expression: "%s"}
output:
  - uses: relational.write
    with: {connection: hr, table: emp, keys: [id], mapping: [name, n]}
`, name)}
	}
	c := client(t, server.Addr)
	const keys, busy = 5000, 50
	_, err := c.Pipelined(t.Context(), func(pipe redis.Pipeliner) error {
		for i := range keys {
			pipe.HSet(t.Context(), fmt.Sprintf("emp:%d", i), "first", fmt.Sprintf("f%d", i), "last", fmt.Sprintf("l%d", i), "n", 0)
		}
		return nil
	})
	must(t, err)
	if r := deploy(t, l, files("first")); len(r.GetStale())+len(r.GetChangedJobs()) > 0 || !r.GetCompared() {
		t.Errorf("a new job: %v", r)
	}
	rowsAre(t, tg, "SELECT count(*), count(*) FILTER (WHERE name = 'f' || id) FROM emp", fmt.Sprintf("%d|%d", keys, keys))

	// The application writes some of the keys all the time, and how late the target is, is watched.
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	wrote := make(chan int, 1)
	go func() {
		n := 0
		for ctx.Err() == nil {
			n++
			c.HSet(t.Context(), fmt.Sprintf("emp:%d", n%busy), "n", n)
			time.Sleep(2 * time.Millisecond)
		}
		wrote <- n
	}()
	longest := make(chan time.Duration, 1)
	go func() {
		most, seen, since := time.Duration(0), "", time.Now()
		for ctx.Err() == nil {
			if now := tg.rows(t, "SELECT max(n) FROM emp")[0][0]; now != seen {
				if seen != "" {
					most = max(most, time.Since(since))
				}
				seen, since = now, time.Now()
			}
			time.Sleep(20 * time.Millisecond)
		}
		longest <- most
	}()

	r, err := l.gateway().Deploy(t.Context(), &gatewayv1.DeployRequest{Files: yamlFiles(files("last")), Resync: true})
	must(t, err)
	if len(r.GetChangedJobs()) != 1 || len(r.GetStale()) != 1 || !r.GetStale()[0].GetResync() {
		t.Fatalf("deploy: %v", r)
	}
	if m := r.GetChangedJobs()[0].GetChanges()[0].GetMessage(); !strings.Contains(m, "name = `first` (sql) → name = `last` (sql)") {
		t.Errorf("what changed is told as %q", m)
	}
	rowsAre(t, tg, "SELECT count(*), count(*) FILTER (WHERE name = 'l' || id) FROM emp", fmt.Sprintf("%d|%d", keys, keys))
	await(t, 60*time.Second, "the job being stale no longer", func() (bool, string) {
		all := staleNow(t, l)
		return len(all) == 0, fmt.Sprint(all)
	})
	s, err := l.gateway().Status(t.Context(), &gatewayv1.StatusRequest{})
	must(t, err)
	if sw := s.GetStatus().GetSweeps()[0]; sw.GetCause() != "resync" || sw.GetSettledMs() == 0 || sw.GetGeneration() != 2 || sw.GetMatched() < keys {
		t.Errorf("the sweep was %v", sw)
	}

	// Without being asked nothing is read again: only the keys that are written get the new meaning.
	r = deploy(t, l, files("first || last"))
	if len(r.GetStale()) != 1 || r.GetStale()[0].GetResync() || r.GetStale()[0].GetGeneration() != 3 {
		t.Errorf("deploy: %v", r)
	}
	rowsAre(t, tg, "SELECT count(*) FILTER (WHERE name = 'f' || id || 'l' || id), count(*) FILTER (WHERE name = 'l' || id) FROM emp",
		fmt.Sprintf("%d|%d", busy, keys-busy))
	if all := staleNow(t, l); len(all) != 1 || all[0].GetJob() != "emp" {
		t.Errorf("stale: %v", all)
	}
	_, err = l.gateway().Resync(t.Context(), &gatewayv1.ResyncRequest{Jobs: []string{"emp"}})
	must(t, err)
	rowsAre(t, tg, "SELECT count(*), count(*) FILTER (WHERE name = 'f' || id || 'l' || id) FROM emp", fmt.Sprintf("%d|%d", keys, keys))
	await(t, 60*time.Second, "the job being stale no longer", func() (bool, string) {
		all := staleNow(t, l)
		return len(all) == 0, fmt.Sprint(all)
	})

	stop()
	n := <-wrote
	rowsAre(t, tg, "SELECT max(n) FROM emp", fmt.Sprint(n))
	most := <-longest
	t.Logf("%d writes during two deploys and two resyncs of %d keys; the longest time without a row was %v", n, keys, most.Round(10*time.Millisecond))
	if most > 10*time.Second {
		t.Errorf("no row came for %v", most)
	}
	noDeadLetters(t, l)
}
