package e2e_test

import (
	"strings"
	"testing"
	"time"

	"slipstream/deploy/dev/devserver"
)

// TestChangeWithoutPause: ten redeploys and a restart of every service, one after the other, under load: nothing is lost,
// written twice or out of order, and the rows keep coming.
func TestChangeWithoutPause(t *testing.T) {
	rate, lasts, bounded := changeRate()
	tg := postgresTarget(t, devserver.SharedPostgres(t))
	gaugeTables(t, tg)
	server := devserver.Redis(t, devserver.RedisOptions{})
	p := startProcesses(t, server.Addr)
	files := func(rev int) map[string]string {
		all := gaugeJobs(rev)
		all["config.yaml"] = config(server.Addr, tg, "")
		return all
	}
	deploy(t, p, files(0))
	running(t, p)
	load := writeGauges(t, client(t, server.Addr), tg, rate)

	began := time.Now()
	step := lasts / 20
	for rev := 1; rev <= 10; rev++ {
		deploy(t, p, files(rev))
		load.generation(t, rev)
		time.Sleep(time.Until(began.Add(time.Duration(rev) * step)))
	}
	for i, name := range processNames() {
		if strings.HasPrefix(name, "applier-") && name != "applier-postgres" {
			continue // nothing runs through them
		}
		p.end(name)
		p.start(name)
		p.healthy(name)
		time.Sleep(time.Until(began.Add(lasts/2 + time.Duration(i+1)*2*step)))
	}
	if longest := load.end(t); bounded && longest > 5*time.Second {
		t.Errorf("no row came for %v", longest)
	}
	noDeadLetters(t, p)
}
