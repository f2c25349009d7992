package cli_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"os"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	capturev1 "slipstream/proto/slipstream/capture/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
	"slipstream/services/slipstream/internal/cli"
)

const encrypt = pipelinev1.DeadLetterPayload_DEAD_LETTER_PAYLOAD_ENCRYPT

var update = flag.Bool("update", false, "write the golden files")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := "testdata/" + name
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; got:\n%s\nwant:\n%s", path, got, want)
	}
}

func busy() *gatewayv1.StatusResponse {
	return &gatewayv1.StatusResponse{
		Version: "v1.2.3",
		Status: &capturev1.PipelineStatus{
			Pipeline: "default", Generation: 4, Running: true, ReadMs: 1767225600000, Instances: []string{"a", "b"},
			SourceServer: "Redis 7.0.15", SourceAddress: "r:6379",
			Recorder: &capturev1.RecorderStatus{
				Method: capturev1.CaptureMethod_CAPTURE_METHOD_NOTIFICATIONS, Guarantee: capturev1.Guarantee_GUARANTEE_REPAIRED,
				Owner: "a", Connected: true, Recorded: 1200, Gaps: 2,
			},
			Jobs: []*capturev1.JobStatus{
				{
					Job: "emp", Enabled: true, Backlog: 12, LagMs: 1500, Skipped: 3, ExpiredUnread: 1, DeadLetters: 2, NotLoaded: 40,
					LastArrivalMs: 1767225599000,
					Counts:        &flowv1.Counts{Changes: 1188, Inserted: 100, Updated: 1000, Deleted: 50, Filtered: 36, Rejected: 2},
					Work:          &capturev1.Work{Batches: 4, Changes: 1188, ReadNs: 4e6, TransformNs: 2e6, WriteNs: 20e6, AcknowledgeNs: 1e6},
				},
				{Job: "old", NotLoaded: -1},
			},
			Lanes: []*capturev1.LaneStatus{
				{
					Lane: &flowv1.Lane{Job: "emp", Connection: "hr", Layout: 4, Partition: 0}, State: capturev1.LaneState_LANE_STATE_RUNNING,
					Owner: "a", Epoch: 3, Rate: 2500.4, LatencyP50Ms: 3.2, LatencyP99Ms: 45, CommitMs: 2.5, Dialect: "sqlite",
					Delivery: flowv1.Delivery_DELIVERY_EXACTLY_ONCE, InFlightBytes: 99,
				},
				{
					Lane: &flowv1.Lane{Job: "emp", Connection: "hr", Layout: 4, Partition: 1}, State: capturev1.LaneState_LANE_STATE_WAITING,
					Owner: "b", Backlog: 12, CommitMs: 7.5,
					Fault: &flowv1.Fault{Class: flowv1.FaultClass_FAULT_CLASS_CONNECTION, Message: "connection\nrefused", Fix: "start it"},
				},
			},
			Gaps: []*capturev1.Gap{
				{Id: "g2", Cause: "reconnect", BeganMs: 1767225500000, EndedMs: 1767225501000, Detail: "subscriber was cut off"},
				{Id: "g1", Cause: "connect", BeganMs: 1767225400000, EndedMs: 1767225401000, RepairedMs: 1767225402000},
			},
			Sweeps: []*capturev1.Sweep{
				{Id: "s3", Job: "emp", Cause: "resync", After: 4, Waits: "the lane to hr has not taken up generation 4 yet"},
				{Id: "s2", Job: "emp", Cause: "initial_load", Scanned: 250, Matched: 200, Total: 1000, StartedMs: 1767225500000},
				{Id: "s1", Job: "emp", Cause: "repair", Scanned: 9, StartedMs: 1767225400000, EndedMs: 1, SettledMs: 1767225402000},
			},
		},
		Connections: []*gatewayv1.ConnectionStatus{
			{Name: "hr", Type: "sqlite", Database: "hr.db", Status: "connected"},
			{Name: "source", Type: "redis", Host: "r", Port: "6379", User: "u", Status: "connected"},
		},
		Services: []*gatewayv1.ServiceStatus{
			{Name: "capture", Address: "c:1", Status: "serving"}, {Name: "transformer", Address: "t:2", Status: "connection refused"},
		},
		Stale: []*pipelinev1.StaleJob{
			{
				Job: "emp", Generation: 4, SinceMs: 1767225500000, Resync: true, Sweep: "s3",
				Changes: []*pipelinev1.MeaningChange{{Path: "transform[0]", Message: "filter: `a` → `b`", NeedsResync: true, Stays: "some rows"}},
			},
			{Job: "old", Generation: 3, SinceMs: 1767225400000},
		},
	}
}

func TestStatus(t *testing.T) {
	l := newLine()
	answer := busy()
	l.gateway.status = func(*gatewayv1.StatusRequest) (*gatewayv1.StatusResponse, error) { return answer, nil }
	code, stdout, stderr := l.do(t, "status")
	if code != 0 || stderr != "" {
		t.Errorf("code %d, %q", code, stderr)
	}
	golden(t, "status.txt", stdout)

	code, stdout, _ = l.do(t, "status", "-o", "json")
	if code != 0 || !json.Valid([]byte(stdout)) {
		t.Errorf("code %d, %s", code, stdout)
	}
	golden(t, "status.json", stdout)

	answer = &gatewayv1.StatusResponse{Status: &capturev1.PipelineStatus{Pipeline: "default"}}
	if code, stdout, _ = l.do(t, "status"); code != 0 {
		t.Errorf("code %d", code)
	}
	golden(t, "status_empty.txt", stdout)
}

// watched hands out statuses, then an error; without one it waits for the context.
type watched struct {
	grpc.ClientStream
	ctx   context.Context
	left  int
	end   error
	onEnd func()
}

func (w *watched) Recv() (*gatewayv1.WatchStatusResponse, error) {
	if w.left > 0 {
		w.left--
		return &gatewayv1.WatchStatusResponse{Status: busy()}, nil
	}
	if w.end != nil {
		return nil, w.end
	}
	w.onEnd()
	<-w.ctx.Done()
	return nil, status.FromContextError(w.ctx.Err()).Err()
}

func TestLiveStatus(t *testing.T) {
	t.Run("until interrupted", func(t *testing.T) {
		l := newLine()
		ctx, interrupt := context.WithCancel(t.Context())
		l.gateway.watch = func(ctx context.Context) (grpc.ServerStreamingClient[gatewayv1.WatchStatusResponse], error) {
			return &watched{ctx: ctx, left: 3, onEnd: interrupt}, nil
		}
		var stdout, stderr strings.Builder
		code := cli.Main(ctx, l.deps, []string{"status", "-l"}, &stdout, &stderr)
		if code != 0 || stderr.String() != "" || strings.Count(stdout.String(), "Slipstream v1.2.3 on") != 3 || l.closed != 1 {
			t.Errorf("code %d, stderr %q, closed %d, stdout %q", code, stderr.String(), l.closed, stdout.String())
		}
		if strings.Contains(stdout.String(), "\x1b") {
			t.Error("escapes were written to something that is no terminal")
		}
	})
	for name, tc := range map[string]struct {
		end  error
		want string
	}{
		"gateway gone":  {status.Error(codes.Unavailable, "gone"), "cannot be asked: gone"},
		"gateway ended": {io.EOF, "the gateway at 127.0.0.1:7400 ended the watch"},
		"other error":   {errors.New("odd"), "odd"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLine()
			l.gateway.watch = func(ctx context.Context) (grpc.ServerStreamingClient[gatewayv1.WatchStatusResponse], error) {
				return &watched{ctx: ctx, end: tc.end}, nil
			}
			if code, _, stderr := l.do(t, "status", "--live"); code != 1 || !strings.Contains(stderr, tc.want) {
				t.Errorf("code %d, %q", code, stderr)
			}
		})
	}
}

func TestJobs(t *testing.T) {
	l := newLine()
	jobs := []*pipelinev1.Job{
		{
			Name: "emp", Enabled: true, RowFormat: pipelinev1.RowFormat_ROW_FORMAT_FULL,
			Source: &pipelinev1.Source{KeyPattern: "emp:*", ExcludeCommands: []string{"hdel", "unlink"}},
			Transform: []*pipelinev1.Block{
				{Block: &pipelinev1.Block_RemoveField{}}, {Block: &pipelinev1.Block_Filter{Filter: &pipelinev1.Filter{}}},
			},
			Outputs: []*pipelinev1.Output{
				{Connection: "hr", Writer: &pipelinev1.Output_Relational{Relational: &pipelinev1.RelationalWrite{Schema: "s", Table: "emp"}}},
				{Connection: "hr", Writer: &pipelinev1.Output_Relational{Relational: &pipelinev1.RelationalWrite{Table: "log"}}},
			},
		},
		{Name: "orders", RowFormat: pipelinev1.RowFormat_ROW_FORMAT_PARTIAL, Source: &pipelinev1.Source{KeyPattern: "*", Stream: "out"}},
	}
	l.gateway.list = func(*gatewayv1.ListJobsRequest) (*gatewayv1.ListJobsResponse, error) {
		return &gatewayv1.ListJobsResponse{Jobs: jobs}, nil
	}
	code, stdout, _ := l.do(t, "list-jobs")
	if code != 0 {
		t.Errorf("code %d", code)
	}
	golden(t, "jobs.txt", stdout)
	_, stdout, _ = l.do(t, "list-jobs", "-o", "json")
	golden(t, "jobs.json", stdout)

	l.gateway.describe = func(r *gatewayv1.DescribeJobRequest) (*gatewayv1.DescribeJobResponse, error) {
		if r.GetJob() != "emp" {
			t.Errorf("asked for %q", r.GetJob())
		}
		return &gatewayv1.DescribeJobResponse{Yaml: "name: emp\nsource: {}\n", Job: jobs[0]}, nil
	}
	if code, stdout, _ := l.do(t, "describe-job", "emp"); code != 0 || stdout != "name: emp\nsource: {}\n" {
		t.Errorf("code %d, %q", code, stdout)
	}
	_, stdout, _ = l.do(t, "describe-job", "emp", "-o", "json")
	var parsed struct {
		Name   string
		Source struct {
			Pattern string `json:"key_pattern"`
		}
	}
	if err := json.Unmarshal([]byte(stdout), &parsed); err != nil || parsed.Name != "emp" || parsed.Source.Pattern != "emp:*" {
		t.Errorf("%v: %s", err, stdout)
	}
}

func TestGetRejected(t *testing.T) {
	l := newLine()
	var asked *gatewayv1.ListRejectedRequest
	streams := []*capturev1.DeadLetterStream{{
		Name: "dlq:slipstream:{default}:emp", Length: 2, Entries: []*capturev1.DeadLetter{
			{Id: "5-0", TimestampMs: 1767225600000, Job: "emp", Reject: &flowv1.Reject{
				Output: 0, Writer: "relational.write", Connection: "hr", Table: "emp", Opcode: "u", Command: "hset", Key: []byte("emp:7"),
				Record: []byte(`{"a":"<1>"}`), Transformed: []byte(`{"a":1}`), Reason: "cannot convert 'x'\nto integer",
				ErrorClass: "target", Code: "22P02", Attempts: 1, SourceId: "9-1", Column: "a",
			}},
			{Id: "4-0", Job: "emp", Reject: &flowv1.Reject{
				Output: -1, Key: []byte("emp:\xff\x1b"), Reason: "no", ErrorClass: "transform", Block: "transform[2] add_field",
				Record: []byte("not JSON\x00"),
			}},
		},
	}}
	l.gateway.rejected = func(r *gatewayv1.ListRejectedRequest) (*gatewayv1.ListRejectedResponse, error) {
		asked = r
		return &gatewayv1.ListRejectedResponse{Streams: streams}, nil
	}
	code, stdout, _ := l.do(t, "get-rejected", "-o", "--max-records", "5", "--dlq-name", "d", "--job", "emp")
	if code != 0 || !asked.GetOldest() || asked.GetMaxRecords() != 5 || asked.GetDlqName() != "d" || asked.GetJob() != "emp" {
		t.Errorf("code %d, asked %v", code, asked)
	}
	golden(t, "rejected.txt", stdout)
	_, stdout, _ = l.do(t, "get-rejected", "--output", "json")
	if asked.GetOldest() || asked.GetMaxRecords() != 0 {
		t.Errorf("asked %v", asked)
	}
	golden(t, "rejected.json", stdout)
	streams[0].Entries = []*capturev1.DeadLetter{
		{Id: "7-0", Job: "emp", Reject: &flowv1.Reject{Key: []byte("emp:7"), Code: "22P02"}, Payload: encrypt, PayloadKey: "ab12", Withheld: []string{"record", "reason_rejected"}},
		{Id: "6-0", Job: "emp", Reject: &flowv1.Reject{Key: []byte("emp:6"), Reason: "opened"}, Payload: encrypt, PayloadKey: "ab12"},
		{Id: "5-0", Job: "emp", Reject: &flowv1.Reject{Key: []byte("emp:5")}, Payload: encrypt, PayloadKey: "cd34", Withheld: []string{"record"}, PayloadTrouble: "it is sealed with key cd34, which is not at hand"},
		{Id: "4-0", Job: "emp", Reject: &flowv1.Reject{Key: []byte("emp:4")}, Payload: pipelinev1.DeadLetterPayload_DEAD_LETTER_PAYLOAD_OMIT, Withheld: []string{"record"}},
	}
	_, stdout, _ = l.do(t, "get-rejected")
	golden(t, "rejected_sealed.txt", stdout)
	streams = nil
	if code, stdout, _ := l.do(t, "get-rejected"); code != 0 || stdout != "no record was rejected\n" {
		t.Errorf("code %d, %q", code, stdout)
	}
}
