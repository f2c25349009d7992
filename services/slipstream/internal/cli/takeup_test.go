package cli_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	capturev1 "slipstream/proto/slipstream/capture/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
	"slipstream/services/slipstream/internal/cli"
)

// states hands out states one after the other, and then waits for the context; left is told when it does.
type states struct {
	grpc.ClientStream
	ctx  context.Context
	all  []*capturev1.PipelineStatus
	left func()
}

func (s *states) Recv() (*gatewayv1.WatchStatusResponse, error) {
	if len(s.all) > 0 {
		next := s.all[0]
		s.all = s.all[1:]
		return &gatewayv1.WatchStatusResponse{Status: &gatewayv1.StatusResponse{Version: "v1.2.3", Status: next}}, nil
	}
	if s.left != nil {
		s.left()
	}
	<-s.ctx.Done()
	return nil, status.FromContextError(s.ctx.Err()).Err()
}

func watching(l *line, left func(), all ...*capturev1.PipelineStatus) {
	l.gateway.watch = func(ctx context.Context) (grpc.ServerStreamingClient[gatewayv1.WatchStatusResponse], error) {
		return &states{ctx: ctx, all: all, left: left}, nil
	}
}

// state is a pipeline of one job with a lane a generation that is given; 0 is a lane that is not open.
func state(generation uint64, running bool, lanes ...uint64) *capturev1.PipelineStatus {
	st := &capturev1.PipelineStatus{Generation: generation, Running: running, Jobs: []*capturev1.JobStatus{{Job: "emp", Enabled: true}, {Job: "off"}}}
	for i, g := range lanes {
		l := &capturev1.LaneStatus{
			Lane: &flowv1.Lane{Job: "emp", Connection: "hr", Partition: uint32(i), Layout: uint32(len(lanes))}, Generation: g, Owner: "a",
			State: capturev1.LaneState_LANE_STATE_RUNNING,
		}
		if g == 0 {
			l.State, l.Fault = capturev1.LaneState_LANE_STATE_WAITING, &flowv1.Fault{Message: "connection refused", Fix: "start it"}
		}
		st.Lanes = append(st.Lanes, l)
	}
	return st
}

func TestDeployAndWait(t *testing.T) {
	dir := folder(t, "config.yaml", "C", "jobs/emp.yaml", "A")
	deployed := func(l *line, generation uint64) {
		l.gateway.deploy = func(*gatewayv1.DeployRequest) (*gatewayv1.DeployResponse, error) {
			return &gatewayv1.DeployResponse{Generation: generation, Changed: generation > 0}, nil
		}
		l.gateway.start = func(*gatewayv1.StartRequest) (*gatewayv1.StartResponse, error) {
			return &gatewayv1.StartResponse{Generation: 7}, nil
		}
	}
	t.Run("until every lane runs it", func(t *testing.T) {
		l := newLine()
		deployed(l, 7)
		nobody := state(7, true, 6, 0)
		nobody.Lanes[1].Owner, nobody.Lanes[1].Fault, nobody.Lanes[1].State = "", nil, capturev1.LaneState_LANE_STATE_IDLE
		alone := state(7, true)
		alone.Recorder = &capturev1.RecorderStatus{Reason: "nobody serves it"}
		watching(l, nil, state(6, true, 6, 6), state(7, false, 6, 6), state(7, true), alone, nobody, state(7, true, 7, 0), state(7, true, 7, 0), state(7, true, 7, 8))
		code, stdout, stderr := l.do(t, "deploy", "--dir", dir, "--wait", "--log-level", "ERROR")
		const want = "capture has generation 6\nthe pipeline is stopped\njob emp: its lanes are not planned yet\n" +
			"job emp: its lanes are not planned yet: nobody serves it\n" +
			"job emp, connection hr: 0 of 2 lanes run it; running\njob emp, connection hr: 1 of 2 lanes run it; waiting: connection refused: start it\n"
		if code != 0 || stdout != "pipeline default: generation 7 is deployed\npipeline default: generation 7 runs on 2 lanes\n" || stderr != want {
			t.Errorf("code %d, stdout %q, stderr %q", code, stdout, stderr)
		}
	})
	t.Run("unchanged, and not taken up yet", func(t *testing.T) {
		l := newLine()
		deployed(l, 0)
		watching(l, nil, state(6, true, 6), state(7, true, 7))
		if code, stdout, stderr := l.do(t, "deploy", "--dir", dir, "--wait"); code != 0 || !strings.Contains(stdout, "generation 7 runs on 1 lane\n") || !strings.Contains(stderr, "capture has generation 6") {
			t.Errorf("code %d, %q, %q", code, stdout, stderr)
		}
	})
	t.Run("interrupted", func(t *testing.T) {
		l := newLine()
		deployed(l, 7)
		ctx, interrupt := context.WithCancel(t.Context())
		watching(l, interrupt, state(7, true, 7, 0))
		var stdout, stderr strings.Builder
		code := cli.Main(ctx, l.deps, []string{"deploy", "--dir", dir, "--wait"}, &stdout, &stderr)
		if code != 1 || !strings.Contains(stderr.String(), "generation 7 is deployed, and stays so; interrupted\njob emp, connection hr: 1 of 2 lanes") {
			t.Errorf("code %d, %q", code, stderr.String())
		}
	})
	t.Run("time is up", func(t *testing.T) {
		l := newLine()
		deployed(l, 7)
		watching(l, nil, state(7, true, 0))
		code, stdout, stderr := l.do(t, "deploy", "--dir", dir, "--wait", "--timeout", "50ms")
		if code != 1 || strings.Contains(stdout, "runs on") || !strings.Contains(stderr, "not every lane runs it after 50ms\njob emp, connection hr: 0 of 1 lane run") {
			t.Errorf("code %d, %q, %q", code, stdout, stderr)
		}
	})
	t.Run("the gateway goes", func(t *testing.T) {
		l := newLine()
		deployed(l, 7)
		l.gateway.watch = func(context.Context) (grpc.ServerStreamingClient[gatewayv1.WatchStatusResponse], error) {
			return nil, status.Error(codes.Unavailable, "gone")
		}
		if code, _, stderr := l.do(t, "deploy", "--dir", dir, "--wait"); code != 1 || !strings.Contains(stderr, "cannot be asked: gone") {
			t.Errorf("code %d, %q", code, stderr)
		}
	})
}

// TestInterrupted: who leaves is told that, and what becomes of what was asked for.
func TestInterrupted(t *testing.T) {
	l, a := administered(t)
	ctx, interrupt := context.WithCancel(t.Context())
	a.watch = func(ctx context.Context) (grpc.ServerStreamingClient[gatewayv1.WatchStatusResponse], error) {
		return &states{ctx: ctx, left: interrupt}, nil
	}
	var stdout, stderr strings.Builder
	if code := cli.Main(ctx, l.deps, []string{"resync", "--all", "--wait"}, &stdout, &stderr); code != 1 || !strings.Contains(stderr.String(), "interrupted; what was asked for goes on") {
		t.Errorf("code %d, %q", code, stderr.String())
	}
	a.err = status.Error(codes.Canceled, "context canceled")
	if code, _, errs := l.do(t, "configure", "--deployed"); code != 1 || errs != "slipstream configure: interrupted\n" {
		t.Errorf("code %d, %q", code, errs)
	}
}

func TestPages(t *testing.T) {
	st := &capturev1.PipelineStatus{Running: true}
	for i := range 45 {
		name := fmt.Sprintf("job%02d", i)
		st.Jobs = append(st.Jobs, &capturev1.JobStatus{Job: name, Enabled: true})
		st.Lanes = append(st.Lanes, &capturev1.LaneStatus{Lane: &flowv1.Lane{Job: name, Connection: "hr", Layout: 1}, Owner: "owner-of-" + name})
	}
	for _, c := range []struct {
		args        []string
		title       string
		from, to    int
		lanes, head bool
	}{
		{nil, "Write-behind Data Streams\n", 0, 44, true, true},
		{[]string{"-p", "1"}, "Data Streams (page 1 of 3, 1 to 20 of 45)\n", 0, 19, true, true},
		{[]string{"-p", "3"}, "Data Streams (page 3 of 3, 41 to 45 of 45)\n", 40, 44, true, true},
		{[]string{"--page-number", "2", "--page-size", "7"}, "(page 2 of 7, 8 to 14 of 45)\n", 7, 13, true, true},
		{[]string{"-s", "50"}, "(page 1 of 1, 1 to 45 of 45)\n", 0, 44, true, true},
		{[]string{"-p", "99", "-s", "10", "-i"}, "(page 5 of 5, 41 to 45 of 45)\n", 40, 44, false, false},
		{[]string{"--ingested-only"}, "Write-behind Data Streams\n", 0, 44, false, false},
	} {
		l := newLine()
		ctx, interrupt := context.WithCancel(t.Context())
		watching(l, interrupt, st)
		var stdout, stderr strings.Builder
		code := cli.Main(ctx, l.deps, append([]string{"status", "--live"}, c.args...), &stdout, &stderr)
		text := stdout.String()
		if code != 0 || stderr.String() != "" || !strings.Contains(text, c.title) || strings.Contains(text, "Engine State") != c.head {
			t.Errorf("%v: code %d, %q, %q", c.args, code, stderr.String(), text)
		}
		for i := range 45 {
			name, shown := fmt.Sprintf("job%02d", i), i >= c.from && i <= c.to
			if strings.Contains(text, "  "+name+" ") != shown || strings.Contains(text, "owner-of-"+name) != (shown && c.lanes) {
				t.Errorf("%v: %s is shown otherwise than %v", c.args, name, shown)
			}
		}
	}
}

func TestInfo(t *testing.T) {
	l := newLine()
	l.gateway.status = func(*gatewayv1.StatusRequest) (*gatewayv1.StatusResponse, error) { return busy(), nil }
	_, stdout, _ := l.do(t, "info")
	golden(t, "info.txt", stdout)
	code, stdout, stderr := l.do(t, "info", "-o", "yaml")
	if code != 0 || stderr != "" {
		t.Errorf("code %d, %q", code, stderr)
	}
	golden(t, "info.yaml", stdout)
}
