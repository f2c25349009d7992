package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	capturev1 "slipstream/proto/slipstream/capture/v1"
	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
)

// takeUp waits until every lane of the pipeline runs a generation, and tells on stderr what is still missing whenever that
// changes. What hinders is told once more where time is up or the operator leaves.
func (a *app) takeUp(ctx context.Context, stdout, stderr io.Writer, generation uint64, limit time.Duration) error {
	gateway, address, err := a.enter()
	if err != nil {
		return err
	}
	within, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var missing []string
	lanes := 0
	stream, err := gateway.Client.WatchStatus(within, &gatewayv1.WatchStatusRequest{Pipeline: a.pipeline})
	for said := ""; err == nil; {
		var res *gatewayv1.WatchStatusResponse
		if res, err = stream.Recv(); err != nil {
			break
		}
		st := res.GetStatus().GetStatus()
		if lanes, missing = len(st.GetLanes()), lacking(st, generation); len(missing) == 0 {
			cancel()
			_, err = fmt.Fprintf(stdout, "pipeline %s: generation %d runs on %s\n", a.pipelineName(), generation, count(lanes, "lane"))
			return finish(gateway, err)
		}
		if now := strings.Join(missing, "\n"); now != said {
			said = now
			for _, line := range missing {
				fmt.Fprintln(stderr, oneLine(line))
			}
		}
	}
	switch {
	case ctx.Err() != nil:
		err = errInterrupted
	case within.Err() != nil || status.Code(err) == codes.DeadlineExceeded:
		err = fmt.Errorf("not every lane runs it after %s", limit)
	case errors.Is(err, io.EOF):
		err = fmt.Errorf("the gateway at %s ended the watch", address)
	default:
		return finish(gateway, a.explain(address, err))
	}
	for _, line := range missing {
		err = fmt.Errorf("%w\n%s", err, oneLine(line))
	}
	return finish(gateway, fmt.Errorf("generation %d is deployed, and stays so; %w", generation, err))
}

// lacking is what is missing until every lane runs a generation, or a later one: a line a job and connection.
func lacking(st *capturev1.PipelineStatus, generation uint64) (out []string) {
	if st.GetGeneration() < generation {
		return []string{fmt.Sprintf("capture has generation %d", st.GetGeneration())}
	}
	if !st.GetRunning() {
		return []string{"the pipeline is stopped"}
	}
	type group struct {
		all, run int
		reason   string
	}
	groups, names, planned := map[string]*group{}, []string{}, map[string]bool{}
	for _, l := range st.GetLanes() {
		planned[l.GetLane().GetJob()] = true
		name := fmt.Sprintf("job %s, connection %s", l.GetLane().GetJob(), l.GetLane().GetConnection())
		g := groups[name]
		if g == nil {
			g = &group{}
			groups[name], names = g, append(names, name)
		}
		g.all++
		if l.GetGeneration() >= generation {
			g.run++
		} else if g.reason == "" {
			g.reason = hindrance(l)
		}
	}
	for _, j := range st.GetJobs() {
		if j.GetEnabled() && !planned[j.GetJob()] {
			text := fmt.Sprintf("job %s: its lanes are not planned yet", j.GetJob())
			if r := st.GetRecorder(); r.GetOwner() == "" && r.GetReason() != "" {
				text += ": " + r.GetReason()
			}
			out = append(out, text)
		}
	}
	for _, name := range names {
		if g := groups[name]; g.run < g.all {
			out = append(out, fmt.Sprintf("%s: %d of %s run it; %s", name, g.run, count(g.all, "lane"), g.reason))
		}
	}
	return out
}

// hindrance is why a lane does not run a generation yet.
func hindrance(l *capturev1.LaneStatus) string {
	state := word(l.GetState().String(), "LANE_STATE_")
	if l.GetOwner() == "" {
		state = "no instance has it yet"
	}
	for _, text := range []string{l.GetFault().GetMessage(), l.GetFault().GetFix()} {
		if text != "" {
			state += ": " + text
		}
	}
	return state
}
