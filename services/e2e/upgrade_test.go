package e2e_test

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"

	"slipstream/deploy/dev/devserver"
	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
)

// TestRollingUpgrade: the services of a line are replaced one at a time while it works, from the version before this one
// and back, in several orders, with a deploy between any two: whatever the mixture, nothing is lost, written twice or out
// of order, and the operator is answered (docs/operating.md, Upgrading).
func TestRollingUpgrade(t *testing.T) {
	earlier := earlierBinaries(t, "gateway", "capture", "transformer", "applier-postgres")
	rate, _, bounded := changeRate()
	tg := postgresTarget(t, devserver.SharedPostgres(t))
	gaugeTables(t, tg)
	server := devserver.Redis(t, devserver.RedisOptions{})
	p := prepareProcesses(t, server.Addr)
	today := p.bin
	p.bin = earlier
	p.run("gateway", "capture", "transformer", "applier-postgres")
	rev := 0
	files := func() map[string]string {
		all := gaugeJobs(rev)
		all["config.yaml"] = config(server.Addr, tg, "")
		return all
	}
	deploy(t, p, files())
	running(t, p)
	load := writeGauges(t, client(t, server.Addr), tg, rate)
	for _, roll := range []struct {
		to    string
		order []string
	}{
		{today, []string{"gateway", "capture", "transformer", "applier-postgres"}},   // with the stream
		{earlier, []string{"applier-postgres", "transformer", "capture", "gateway"}}, // against it
		{today, []string{"capture", "applier-postgres", "gateway", "transformer"}},
	} {
		p.bin = roll.to
		for _, name := range roll.order {
			p.end(name)
			p.start(name)
			p.healthy(name)
			reached(t, p)
			rev++
			deploy(t, p, files())
			load.generation(t, rev)
			asked(t, p)
		}
	}
	if longest := load.end(t); bounded && longest > 5*time.Second {
		t.Errorf("no row came for %v", longest)
	}
	noDeadLetters(t, p)
}

// reached waits until the gateway reaches the service that was replaced: clients of an earlier version look for it again
// within a second or so, and a deploy is refused until then.
func reached(t *testing.T, p *processes) {
	t.Helper()
	await(t, 30*time.Second, "the gateway reaching every service", func() (bool, string) {
		res, err := p.gateway().Status(t.Context(), &gatewayv1.StatusRequest{}, grpc.WaitForReady(true))
		if err != nil {
			return false, err.Error()
		}
		for _, s := range res.GetServices() {
			if s.GetStatus() != "serving" && s.GetName() != "applier-postgresql" && strings.HasPrefix(s.GetName(), "applier-") {
				continue // not started
			}
			if s.GetStatus() != "serving" {
				return false, s.GetName() + " is " + s.GetStatus()
			}
		}
		return true, ""
	})
}

// asked asks what an operator asks in the middle of an upgrade.
func asked(t *testing.T, p *processes) {
	t.Helper()
	status, err := p.gateway().Status(t.Context(), &gatewayv1.StatusRequest{})
	must(t, err)
	if len(status.GetStatus().GetJobs()) != 2 || len(status.GetStatus().GetLanes()) == 0 {
		t.Errorf("status tells of %d jobs and %d lanes", len(status.GetStatus().GetJobs()), len(status.GetStatus().GetLanes()))
	}
	for _, s := range status.GetServices() {
		idle := strings.HasPrefix(s.GetName(), "applier-") && s.GetName() != "applier-postgresql" // not started
		if s.GetStatus() != "serving" && !idle {
			t.Errorf("%s is %s", s.GetName(), s.GetStatus())
		}
	}
	jobs, err := p.gateway().ListJobs(t.Context(), &gatewayv1.ListJobsRequest{})
	must(t, err)
	if len(jobs.GetJobs()) != 2 {
		t.Errorf("%d jobs are listed", len(jobs.GetJobs()))
	}
	sweeps, err := p.gateway().Resync(t.Context(), &gatewayv1.ResyncRequest{Jobs: []string{"state"}})
	must(t, err)
	if len(sweeps.GetSweeps()) != 1 || sweeps.GetSweeps()[0].GetId() == "" {
		t.Errorf("a resync comes to %v", sweeps)
	}
}
