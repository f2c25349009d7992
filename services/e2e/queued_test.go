package e2e_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"slipstream/deploy/dev/devserver"
	capturev1 "slipstream/proto/slipstream/capture/v1"
	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
)

// resyncs are the sweeps that resyncs asked for, newest first.
func resyncs(t *testing.T, l line) (all []*capturev1.Sweep) {
	t.Helper()
	s, err := l.gateway().Status(t.Context(), &gatewayv1.StatusRequest{})
	must(t, err)
	for _, sw := range s.GetStatus().GetSweeps() {
		if sw.GetCause() == "resync" {
			all = append(all, sw)
		}
	}
	return all
}

// TestResyncsInAnOutage: deploys with a resync, one after the other while no lane can write to the target, queue one sweep, which
// begins after the last of them; who asks by hand while it is down gets the same. When it is back the keys are read once, and no
// job is stale.
func TestResyncsInAnOutage(t *testing.T) {
	pg := devserver.Postgres(t, devserver.PostgresOptions{})
	tg := postgresTarget(t, pg)
	tg.exec(t, "CREATE TABLE emp (id integer PRIMARY KEY, name text)")
	server := devserver.Redis(t, devserver.RedisOptions{})
	l := startEmbedded(t, server.Addr)
	files := func(name string) map[string]string {
		return map[string]string{"config.yaml": config(server.Addr, tg, "applier: {on_failed_retry_interval: 1}\n"), "jobs/emp.yaml": fmt.Sprintf(`source:
  redis: {trigger: write-behind, key_pattern: "emp:*", initial_load: always}
  keys: {fields: {id: 1}}
transform:
  - uses: add_field
    with: {field: name, language: sql, expression: "%s"}
output:
  - uses: relational.write
    with: {connection: hr, table: emp, keys: [id], mapping: [name]}
`, name)}
	}
	c := client(t, server.Addr)
	const keys = 2000
	_, err := c.Pipelined(t.Context(), func(pipe redis.Pipeliner) error {
		for i := range keys {
			pipe.HSet(t.Context(), fmt.Sprintf("emp:%d", i), "first", "f", "last", "l")
		}
		return nil
	})
	must(t, err)
	deploy(t, l, files("first"))
	rowsAre(t, tg, "SELECT count(*), count(*) FILTER (WHERE name = 'f') FROM emp", fmt.Sprintf("%d|%d", keys, keys))
	await(t, time.Minute, "the gaps of the beginning being repaired", func() (bool, string) {
		s, err := l.gateway().Status(t.Context(), &gatewayv1.StatusRequest{})
		must(t, err)
		for _, sw := range s.GetStatus().GetSweeps() {
			if sw.GetSettledMs() == 0 {
				return false, sw.String()
			}
		}
		return true, ""
	})

	// Somebody holds the positions: a deploy can look at the tables, no lane can take up what is deployed.
	holder := tg.open(t)
	defer func() { _ = holder.Close(context.WithoutCancel(t.Context())) }()
	_, err = holder.Exec(t.Context(), "BEGIN; LOCK TABLE slipstream_position IN SHARE ROW EXCLUSIVE MODE")
	must(t, err)
	queued := ""
	for i, name := range []string{"last", "first || last", "last || first"} {
		generation := uint64(i + 2)
		r, err := l.gateway().Deploy(t.Context(), &gatewayv1.DeployRequest{Files: yamlFiles(files(name)), Resync: true})
		must(t, err)
		if r.GetGeneration() != generation || len(r.GetStale()) != 1 {
			t.Fatalf("deploy: %v", r)
		}
		await(t, time.Minute, fmt.Sprintf("a sweep that begins after generation %d", generation), func() (bool, string) {
			all, stale := resyncs(t, l), staleNow(t, l)
			return len(all) > 0 && all[0].GetAfter() == generation && all[0].GetWaits() != "" && stale[0].GetSweep() == all[0].GetId(), fmt.Sprint(all, stale)
		})
		all := resyncs(t, l)
		if len(all) != 1 || queued != "" && all[0].GetId() != queued || all[0].GetStartedMs() != 0 {
			t.Fatalf("of generation %d: %v, and before it %s", generation, all, queued)
		}
		queued = all[0].GetId()
	}
	must(t, pg.Stop()) // and then it is away
	for _, jobs := range [][]string{{"emp"}, nil} {
		out, err := l.gateway().Resync(t.Context(), &gatewayv1.ResyncRequest{Jobs: jobs})
		must(t, err)
		if len(out.GetSweeps()) != 1 || out.GetSweeps()[0].GetId() != queued {
			t.Errorf("a resync by hand is %v, not %s", out, queued)
		}
	}

	must(t, pg.Restart(t.Context()))
	rowsAre(t, tg, "SELECT count(*), count(*) FILTER (WHERE name = 'lf') FROM emp", fmt.Sprintf("%d|%d", keys, keys))
	await(t, time.Minute, "the job being stale no longer", func() (bool, string) {
		all := staleNow(t, l)
		return len(all) == 0, fmt.Sprint(all)
	})
	all := resyncs(t, l)
	if len(all) != 1 || all[0].GetId() != queued || all[0].GetGeneration() != 4 || all[0].GetMatched() != keys || all[0].GetSettledMs() == 0 {
		t.Errorf("the sweeps were %v", all)
	}
	// What is settled serves nobody who asks later.
	out, err := l.gateway().Resync(t.Context(), &gatewayv1.ResyncRequest{Jobs: []string{"emp"}})
	must(t, err)
	if id := out.GetSweeps()[0].GetId(); id == queued || id == "" {
		t.Errorf("a resync afterwards is %v", out)
	}
	noDeadLetters(t, l)
}
