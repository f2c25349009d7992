package server_test

import (
	"context"
	"net"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/test/bufconn"

	capturev1 "slipstream/proto/slipstream/capture/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	gatewayv1 "slipstream/proto/slipstream/gateway/v1"

	"slipstream/gateway/server"
)

func deployed(t *testing.T) *line {
	t.Helper()
	l := newLine()
	if _, err := l.server().Deploy(t.Context(), &gatewayv1.DeployRequest{Files: files()}); err != nil {
		t.Fatal(err)
	}
	return l
}

// view makes a capture instance that answers with a status.
func view(st *capturev1.PipelineStatus) server.Peer[capturev1.CaptureServiceClient] {
	return server.Peer[capturev1.CaptureServiceClient]{Client: &capture{
		status: func(*capturev1.StatusRequest) (*capturev1.StatusResponse, error) {
			if st == nil {
				return nil, errDown
			}
			return &capturev1.StatusResponse{Status: st}, nil
		},
	}}
}

func lane(partition uint32, owner string, state capturev1.LaneState, epoch uint64, fault string) *capturev1.LaneStatus {
	l := &capturev1.LaneStatus{
		Lane:  &flowv1.Lane{Job: "emp", Connection: "hr", Layout: 16, Partition: partition},
		Owner: owner, State: state, Epoch: epoch,
	}
	if fault != "" {
		l.Fault = &flowv1.Fault{Message: fault}
	}
	return l
}

const (
	idle    = capturev1.LaneState_LANE_STATE_IDLE
	running = capturev1.LaneState_LANE_STATE_RUNNING
	waiting = capturev1.LaneState_LANE_STATE_WAITING
)

func TestStatusOfTwoInstances(t *testing.T) {
	l := deployed(t)
	a := &capturev1.PipelineStatus{
		Pipeline: "default", Generation: 1, Running: true, Instance: "a", ReadMs: 2000, SourceServer: "Redis 7",
		Recorder: &capturev1.RecorderStatus{Owner: "b", Reason: "another instance records"},
		Lanes: []*capturev1.LaneStatus{
			lane(0, "a", running, 5, ""), lane(10, "b", idle, 2, ""), lane(2, "", idle, 0, ""), lane(3, "a", running, 3, ""),
		},
		Jobs: []*capturev1.JobStatus{{
			Job: "emp", Enabled: true, Backlog: 3, NotLoaded: -1, Counts: &flowv1.Counts{Changes: 10, Updated: 9},
		}},
		Gaps:   []*capturev1.Gap{{Id: "g1", BeganMs: 1}, {Id: "g2", BeganMs: 5, RepairedMs: 9}},
		Sweeps: []*capturev1.Sweep{{Id: "s", Scanned: 10, StartedMs: 1}},
	}
	b := &capturev1.PipelineStatus{
		Pipeline: "default", Generation: 1, Running: true, Instance: "b", ReadMs: 1000,
		Recorder: &capturev1.RecorderStatus{Owner: "b", Connected: true, Recorded: 77},
		Lanes: []*capturev1.LaneStatus{
			lane(0, "", idle, 4, ""), lane(10, "b", running, 2, ""), lane(2, "", idle, 0, ""), lane(3, "b", running, 4, ""),
		},
		Jobs: []*capturev1.JobStatus{{
			Job: "emp", Enabled: true, Backlog: 30, NotLoaded: 4, Counts: &flowv1.Counts{Changes: 11, Updated: 8}, Stream: "s",
		}},
		Gaps:   []*capturev1.Gap{{Id: "g1", BeganMs: 1, RepairedMs: 3}, {Id: "g2", BeganMs: 5}},
		Sweeps: []*capturev1.Sweep{{Id: "s", Scanned: 12, StartedMs: 1}, {Id: "queued"}},
	}
	l.config.Capture = []server.Peer[capturev1.CaptureServiceClient]{view(a), view(b), view(nil)}
	res, err := l.server().Status(t.Context(), &gatewayv1.StatusRequest{})
	if err != nil {
		t.Fatal(err)
	}
	st := res.GetStatus()
	if !st.GetRecorder().GetConnected() || st.GetRecorder().GetRecorded() != 77 {
		t.Errorf("recorder %v, want the owner's view", st.GetRecorder())
	}
	var lanes []string
	for _, l := range st.GetLanes() {
		lanes = append(lanes, l.GetOwner()+"/"+l.GetState().String()[len("LANE_STATE_"):])
	}
	// Partitions 0, 2, 3 and 10: owned by a, by nobody, by b whose epoch is higher, by b.
	if got, want := strings.Join(lanes, " "), "a/RUNNING /IDLE b/RUNNING b/RUNNING"; got != want {
		t.Errorf("lanes %s, want %s", got, want)
	}
	job := st.GetJobs()[0]
	if job.GetBacklog() != 3 || job.GetNotLoaded() != 4 || job.GetCounts().GetChanges() != 11 ||
		job.GetCounts().GetUpdated() != 9 || job.GetStream() != "s" {
		t.Errorf("job %v", job)
	}
	if len(st.GetGaps()) != 2 || st.GetGaps()[0].GetId() != "g2" || st.GetGaps()[0].GetRepairedMs() != 9 || st.GetGaps()[1].GetRepairedMs() != 3 {
		t.Errorf("gaps %v", st.GetGaps())
	}
	if len(st.GetSweeps()) != 2 || st.GetSweeps()[0].GetId() != "queued" || st.GetSweeps()[1].GetScanned() != 12 {
		t.Errorf("sweeps %v", st.GetSweeps())
	}
	if got := strings.Join(st.GetInstances(), " "); got != "a b" || st.GetSourceServer() != "Redis 7" || !st.GetRunning() {
		t.Errorf("instances %s, server %s, running %v", got, st.GetSourceServer(), st.GetRunning())
	}
	if res.GetVersion() != "v1.2.3" {
		t.Errorf("version %s", res.GetVersion())
	}
}

// TestInstancesComeAndGo: the instances are those that there are when somebody asks.
func TestInstancesComeAndGo(t *testing.T) {
	l := deployed(t)
	one := func(name string) server.Peer[capturev1.CaptureServiceClient] {
		return view(&capturev1.PipelineStatus{Pipeline: "default", Generation: 1, Instance: name})
	}
	now := []server.Peer[capturev1.CaptureServiceClient]{one("a")}
	l.config.Capture, l.config.CaptureNow = nil, func() []server.Peer[capturev1.CaptureServiceClient] { return now }
	s := l.server()
	check := func(want string, services int) {
		t.Helper()
		res, err := s.Status(t.Context(), &gatewayv1.StatusRequest{})
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, s := range res.GetServices() {
			if s.GetName() == "capture" {
				n++
			}
		}
		if got := strings.Join(res.GetStatus().GetInstances(), " "); got != want || n != services {
			t.Errorf("instances %q, %d services; want %q", got, n, want)
		}
	}
	check("a", 1)
	now = append(now, one("b"))
	check("a b", 2)
	now = now[1:]
	check("b", 1)
}

// TestNobodyServes: a pipeline that no capture instance serves is not taken for one whose capture is away.
func TestNobodyServes(t *testing.T) {
	l := deployed(t)
	l.config.Capture = []server.Peer[capturev1.CaptureServiceClient]{stranger(), view(nil)}
	res, err := l.server().Status(t.Context(), &gatewayv1.StatusRequest{})
	if err != nil || res.GetConnections()[0].GetStatus() != "unknown: capture does not answer" {
		t.Errorf("one is away: %v, %v", res.GetConnections(), err)
	}
	l.config.Capture = []server.Peer[capturev1.CaptureServiceClient]{stranger(), stranger()}
	res, err = l.server().Status(t.Context(), &gatewayv1.StatusRequest{})
	if err != nil {
		t.Fatal(err)
	}
	told := []string{res.GetStatus().GetRecorder().GetReason()}
	for _, c := range res.GetConnections() {
		told = append(told, c.GetStatus())
	}
	for _, text := range told {
		if !strings.Contains(text, "no capture instance serves this pipeline") {
			t.Errorf("%q of %q", text, told)
		}
	}
}

func TestConnectionStatus(t *testing.T) {
	cases := map[string]struct {
		status       *capturev1.PipelineStatus
		source, sink string
	}{
		"capture away": {nil, "unknown: capture does not answer", "unknown: capture does not answer"},
		"nothing runs": {&capturev1.PipelineStatus{}, "not connected", "unused: no lane writes to it"},
		"running": {&capturev1.PipelineStatus{
			Recorder: &capturev1.RecorderStatus{Connected: true},
			Lanes:    []*capturev1.LaneStatus{lane(0, "a", running, 1, ""), lane(1, "", idle, 0, "")},
		}, "connected", "connected"},
		"target down": {&capturev1.PipelineStatus{
			Recorder: &capturev1.RecorderStatus{Reason: "no permission for CONFIG"},
			Lanes:    []*capturev1.LaneStatus{lane(0, "a", running, 1, ""), lane(1, "a", waiting, 1, "connection refused")},
		}, "no permission for CONFIG", "connection refused"},
		"opening": {&capturev1.PipelineStatus{
			Lanes: []*capturev1.LaneStatus{lane(0, "a", capturev1.LaneState_LANE_STATE_OPENING, 1, "")},
		}, "not connected", "not connected: its lanes are opening"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			l := deployed(t)
			l.config.Capture = []server.Peer[capturev1.CaptureServiceClient]{view(tc.status)}
			res, err := l.server().Status(t.Context(), &gatewayv1.StatusRequest{})
			if err != nil {
				t.Fatal(err)
			}
			hr, source := res.GetConnections()[0], res.GetConnections()[1]
			if hr.GetName() != "hr" || hr.GetDatabase() != "hr.db" || hr.GetStatus() != tc.sink {
				t.Errorf("hr: %v, want status %q", hr, tc.sink)
			}
			if source.GetName() != "source" || source.GetHost() != "r" || source.GetStatus() != tc.source {
				t.Errorf("source: %v, want status %q", source, tc.source)
			}
			if strings.Contains(res.String(), "env:PW") {
				t.Error("the password reference is shown")
			}
			// The deployed job is listed whoever answers.
			if jobs := res.GetStatus().GetJobs(); len(jobs) != 1 || jobs[0].GetJob() != "emp" || !res.GetStatus().GetRunning() {
				t.Errorf("jobs %v, running %v", jobs, res.GetStatus().GetRunning())
			}
			if tc.status == nil && res.GetStatus().GetGeneration() != 1 {
				t.Errorf("generation %d", res.GetStatus().GetGeneration())
			}
		})
	}
}

// serve runs a gRPC server in memory until the test ends.
func serve(t *testing.T, register func(*grpc.Server)) *grpc.ClientConn {
	t.Helper()
	lis := bufconn.Listen(1 << 16)
	srv := grpc.NewServer()
	register(srv)
	done := make(chan error, 1)
	go func() { done <- srv.Serve(lis) }()
	conn, err := grpc.NewClient("passthrough:///memory", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return lis.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		srv.Stop()
		if err := <-done; err != nil {
			t.Errorf("serving: %v", err)
		}
	})
	return conn
}

// TestWatchStatus goes over gRPC: services are found by their health, and the stream ends when the caller leaves.
func TestWatchStatus(t *testing.T) {
	l := deployed(t)
	healthy := health.NewServer()
	healthy.SetServingStatus("", healthv1.HealthCheckResponse_NOT_SERVING)
	captureConn := serve(t, func(s *grpc.Server) {
		healthv1.RegisterHealthServer(s, healthy)
		capturev1.RegisterCaptureServiceServer(s, capturev1.UnimplementedCaptureServiceServer{})
	})
	l.config.Capture = []server.Peer[capturev1.CaptureServiceClient]{
		server.Over("capture:9", captureConn, capturev1.NewCaptureServiceClient),
	}
	conn := serve(t, func(s *grpc.Server) { gatewayv1.RegisterGatewayServiceServer(s, l.server()) })
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stream, err := gatewayv1.NewGatewayServiceClient(conn).WatchStatus(ctx, &gatewayv1.WatchStatusRequest{IntervalMs: 1})
	if err != nil {
		t.Fatal(err)
	}
	var seen []string
	for len(seen) == 0 || seen[len(seen)-1] != "serving" {
		res, err := stream.Recv()
		if err != nil {
			t.Fatalf("after %q: %v", seen, err)
		}
		services := res.GetStatus().GetServices()
		if len(services) != 3 || services[0].GetName() != "capture" || services[0].GetAddress() != "capture:9" ||
			services[1].GetName() != "transformer" || services[2].GetName() != "applier-sqlite" {
			t.Fatalf("services %v", services)
		}
		if services[1].GetStatus() != "unknown" {
			t.Errorf("the transformer has no health client, yet is %q", services[1].GetStatus())
		}
		seen = append(seen, services[0].GetStatus())
		healthy.SetServingStatus("", healthv1.HealthCheckResponse_SERVING)
	}
	if seen[0] != "not serving" {
		t.Errorf("capture was %q at first", seen[0])
	}
	cancel()
	if _, err := stream.Recv(); err == nil {
		t.Error("the stream goes on after the caller left")
	}
}

func TestJobs(t *testing.T) {
	l := newLine()
	s := l.server()
	named := "name: other\n" + jobText
	if _, err := s.Deploy(t.Context(), &gatewayv1.DeployRequest{Files: files("jobs/x.yaml", named)}); err != nil {
		t.Fatal(err)
	}
	list, err := s.ListJobs(t.Context(), &gatewayv1.ListJobsRequest{})
	if err != nil || len(list.GetJobs()) != 2 || list.GetJobs()[0].GetName() != "emp" || list.GetJobs()[1].GetName() != "other" {
		t.Fatalf("jobs: %v, %v", list, err)
	}
	for job, want := range map[string]string{"emp": "name: emp\n" + jobText, "other": named} {
		res, err := s.DescribeJob(t.Context(), &gatewayv1.DescribeJobRequest{Job: job})
		if err != nil || res.GetYaml() != want || res.GetJob().GetName() != job {
			t.Errorf("%s: %v, %v", job, res, err)
		}
	}
	_, err = s.DescribeJob(t.Context(), &gatewayv1.DescribeJobRequest{Job: "gone"})
	wantCode(t, err, codes.NotFound)
	if !strings.Contains(err.Error(), "emp, other") {
		t.Errorf("the error does not name the jobs: %v", err)
	}
}

func TestListRejected(t *testing.T) {
	l := newLine()
	asked := &capturev1.ListRejectedRequest{}
	l.capture.rejected = func(r *capturev1.ListRejectedRequest) (*capturev1.ListRejectedResponse, error) {
		asked = r
		return &capturev1.ListRejectedResponse{Streams: []*capturev1.DeadLetterStream{{Name: "dlq", Length: 3}}}, nil
	}
	broken := &capture{rejected: func(*capturev1.ListRejectedRequest) (*capturev1.ListRejectedResponse, error) { return nil, errDown }}
	l.config.Capture = append([]server.Peer[capturev1.CaptureServiceClient]{{Client: broken}}, l.config.Capture...)
	res, err := l.server().ListRejected(t.Context(), &gatewayv1.ListRejectedRequest{
		Job: "emp", MaxRecords: 5, Oldest: true, DlqName: "dlq",
	})
	if err != nil || len(res.GetStreams()) != 1 || res.GetStreams()[0].GetLength() != 3 {
		t.Fatalf("%v, %v", res, err)
	}
	if asked.GetPipeline() != "default" || asked.GetJob() != "emp" || asked.GetMaxRecords() != 5 || !asked.GetOldest() || asked.GetDlqName() != "dlq" {
		t.Errorf("asked %v", asked)
	}
	l.config.Capture = l.config.Capture[:1]
	_, err = l.server().ListRejected(t.Context(), &gatewayv1.ListRejectedRequest{})
	wantCode(t, err, codes.Unavailable)
	l.config.Capture = nil
	_, err = l.server().ListRejected(t.Context(), &gatewayv1.ListRejectedRequest{})
	wantCode(t, err, codes.FailedPrecondition)
}
