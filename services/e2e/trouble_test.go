package e2e_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"slipstream/deploy/dev/devserver"
	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
)

// TestDeployInTrouble: deploys that meet what can go wrong around them, under load: capture is killed while it takes up a
// generation, two clients deploy at once, the pipeline is stopped, the number of partitions changes while a service below
// is killed. Nothing is lost, written twice or out of order.
func TestDeployInTrouble(t *testing.T) {
	rate, _, _ := changeRate()
	tg := postgresTarget(t, devserver.SharedPostgres(t))
	gaugeTables(t, tg)
	server := devserver.Redis(t, devserver.RedisOptions{})
	p := prepareProcesses(t, server.Addr)
	p.run("gateway", "capture", "transformer", "applier-postgres")
	files := func(rev, partitions int) map[string]string {
		all := gaugeJobs(rev)
		all["config.yaml"] = config(server.Addr, tg, fmt.Sprintf("applier:\n  partitions: %d\n", partitions))
		return all
	}
	deploy(t, p, files(0, 4))
	running(t, p)
	load := writeGauges(t, client(t, server.Addr), tg, rate)

	// Killed before, while and after the lanes of the generation open: a look at the store is half a second away.
	for rev, after := range []time.Duration{100 * time.Millisecond, 600 * time.Millisecond} {
		deploy(t, p, files(rev+1, 4))
		time.Sleep(after)
		p.kill("capture")
		p.healthy("capture")
		load.generation(t, rev+1)
	}

	// Two at once: whoever is second was told that another generation came in between, or came after it.
	var both sync.WaitGroup
	won := make(chan uint64, 2)
	for rev := 3; rev <= 4; rev++ {
		both.Go(func() {
			r, err := p.gateway().Deploy(t.Context(), &gatewayv1.DeployRequest{Files: yamlFiles(files(rev, 4))})
			switch {
			case status.Code(err) == codes.Aborted:
			case err != nil || len(r.GetProblems()) > 0:
				t.Errorf("deploying at once: %v, %v", r, err)
			default:
				won <- r.GetGeneration()
			}
		})
	}
	both.Wait()
	close(won)
	seen := map[uint64]bool{}
	for generation := range won {
		if seen[generation] {
			t.Errorf("two deploys made generation %d", generation)
		}
		seen[generation] = true
	}
	if len(seen) == 0 {
		t.Error("of two deploys none came through")
	}

	// Stopped, and a deploy starts it.
	_, err := p.gateway().Stop(t.Context(), &gatewayv1.StopRequest{})
	must(t, err)
	deploy(t, p, files(5, 4))
	load.generation(t, 5)

	// Another layout, while the applier is killed.
	deploy(t, p, files(6, 3))
	p.kill("applier-postgres")
	p.healthy("applier-postgres")
	load.generation(t, 6)
	deploy(t, p, files(7, 2))
	p.kill("transformer")
	p.healthy("transformer")
	load.generation(t, 7)

	load.end(t)
	noDeadLetters(t, p)
}
