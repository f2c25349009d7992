package server_test

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	applierv1 "slipstream/proto/slipstream/applier/v1"
	capturev1 "slipstream/proto/slipstream/capture/v1"
	changev1 "slipstream/proto/slipstream/change/v1"
	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
	transformerv1 "slipstream/proto/slipstream/transformer/v1"
)

// answering gives a line that answers previews, and remembers what it was asked.
func answering(l *line) (transform **transformerv1.PreviewRequest, apply **applierv1.PreviewRequest) {
	transform, apply = new(*transformerv1.PreviewRequest), new(*applierv1.PreviewRequest)
	l.transformer.preview = func(r *transformerv1.PreviewRequest) (*transformerv1.PreviewResponse, error) {
		*transform = r
		return &transformerv1.PreviewResponse{
			Changes: []*transformerv1.PreviewedChange{{Record: []byte(`{}`)}},
			Rows:    []*transformerv1.PreviewedRows{{Connection: "hr", Batch: &applierv1.RowBatch{Sequence: 7}}},
		}, nil
	}
	l.applier.preview = func(r *applierv1.PreviewRequest) (*applierv1.PreviewResponse, error) {
		*apply = r
		return &applierv1.PreviewResponse{Statements: []*applierv1.Statement{{Text: "INSERT"}}}, nil
	}
	return transform, apply
}

func TestRecords(t *testing.T) {
	l := newLine()
	transform, apply := answering(l)
	l.capture.check = func(*capturev1.CheckRequest) (*capturev1.CheckResponse, error) {
		t.Error("records need no source")
		return nil, errDown
	}
	res, err := l.server().TestJob(t.Context(), &gatewayv1.TestJobRequest{Files: files(), Diff: true, Records: []*gatewayv1.TestRecord{
		{Key: "emp:1", Value: []byte(`{"b": "2", "a":"ä"}`)},
		{Key: "emp:2", Opcode: "c", Value: []byte(` {"b":2}`), Before: []byte(`{"b":1}`)},
		{Key: "emp:3", Opcode: "d"},
		{Key: "emp:4", Opcode: "r", Type: "hash", Value: []byte(`{"n":1,"o":{"p":true}}`)},
		{Key: "emp:5", Type: "json", Value: []byte(`{"a":"x"}`)},
		{Key: "emp:6", Value: []byte(`[1]`)},
	}})
	if err != nil || res.GetJob() != "emp" || len(res.GetKeys()) != 6 || len(res.GetChanges()) != 1 {
		t.Fatalf("%v, %v", res, err)
	}
	b := (*transform).GetBatch()
	var got []string
	for _, c := range b.GetChanges() {
		text := string(c.GetKey()) + " " + c.GetOp().String() + " " + c.GetType().String() + " " + string(c.GetDocument())
		if c.GetType() == changev1.ValueType_VALUE_TYPE_HASH {
			begin := uint32(0)
			for i, end := range c.GetEnds() {
				text += string(b.GetShapes()[c.GetShape()].GetFields()[i]) + "=" + string(c.GetValues()[begin:end]) + ","
				begin = end
			}
		}
		got = append(got, strings.NewReplacer("OP_", "", "VALUE_TYPE_", "").Replace(text+" "+string(c.GetBefore())))
	}
	want := []string{
		"emp:1 UPDATE HASH b=2,a=ä, ", `emp:2 CREATE JSON {"b":2} {"b":1}`, "emp:3 DELETE UNSPECIFIED  ",
		`emp:4 READ HASH n=1,o={"p":true}, `, `emp:5 UPDATE JSON {"a":"x"} `, "emp:6 UPDATE JSON [1] ",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("changes:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if r := *apply; !r.GetDiff() || r.GetBatch().GetSequence() != 7 || r.GetLane().GetConnection() != "hr" || r.GetConnection().GetName() != "hr" {
		t.Errorf("the applier was asked %v", r)
	}
	if got := res.GetConnections(); len(got) != 1 || got[0].GetPreview().GetStatements()[0].GetText() != "INSERT" {
		t.Errorf("connections: %v", got)
	}
}

func TestLiveKeys(t *testing.T) {
	l := newLine()
	transform, apply := answering(l)
	var read *capturev1.ReadKeysRequest
	l.capture.keys = func(r *capturev1.ReadKeysRequest) (*capturev1.ReadKeysResponse, error) {
		read = r
		return &capturev1.ReadKeysResponse{Batch: &changev1.Batch{Changes: []*changev1.Change{{Key: []byte("emp:9")}}}}, nil
	}
	if _, err := l.server().Deploy(t.Context(), &gatewayv1.DeployRequest{Files: files()}); err != nil {
		t.Fatal(err)
	}
	// Without files it is the deployed job.
	res, err := l.server().TestJob(t.Context(), &gatewayv1.TestJobRequest{Keys: "emp:9*", Offline: true})
	if err != nil || string(res.GetKeys()[0]) != "emp:9" || *apply != nil || len(res.GetConnections()) > 0 {
		t.Fatalf("%v, %v", res, err)
	}
	if read.GetPattern() != "emp:9*" || read.GetMaxKeys() != 20 || read.GetJob() != "emp" || !proto.Equal((*transform).GetJob(), l.store.state.Pipeline.GetJobs()[0]) {
		t.Errorf("keys read: %v", read)
	}
	l.applier.preview = func(*applierv1.PreviewRequest) (*applierv1.PreviewResponse, error) { return nil, errDown }
	res, err = l.server().TestJob(t.Context(), &gatewayv1.TestJobRequest{})
	if err != nil || !strings.Contains(res.GetConnections()[0].GetPreview().GetFault().GetMessage(), "connection refused") {
		t.Errorf("applier down: %v, %v", res, err)
	}
}

func TestWhatCannotBeTested(t *testing.T) {
	record := func(r *gatewayv1.TestRecord) *gatewayv1.TestJobRequest {
		return &gatewayv1.TestJobRequest{Files: files(), Records: []*gatewayv1.TestRecord{r}}
	}
	for _, c := range []struct {
		name    string
		request *gatewayv1.TestJobRequest
		code    codes.Code
		message string
	}{
		{"nothing deployed", &gatewayv1.TestJobRequest{}, codes.NotFound, ""},
		{"no such job", &gatewayv1.TestJobRequest{Files: files(), Job: "x"}, codes.NotFound, "the jobs are: emp"},
		{
			"two jobs", &gatewayv1.TestJobRequest{Files: files("jobs/two.yaml", strings.Replace(jobText, "emp:*", "two:*", 1))},
			codes.InvalidArgument, "name one: emp, two",
		},
		{"no key", record(&gatewayv1.TestRecord{Value: []byte(`{}`)}), codes.InvalidArgument, "record 1"},
		{"no JSON", record(&gatewayv1.TestRecord{Key: "emp:1", Value: []byte(`{`)}), codes.InvalidArgument, "no JSON text"},
		{"opcode", record(&gatewayv1.TestRecord{Key: "emp:1", Opcode: "x"}), codes.InvalidArgument, "none of c, u, d, r"},
		{"type", record(&gatewayv1.TestRecord{Key: "emp:1", Type: "set", Value: []byte(`1`)}), codes.InvalidArgument, "neither hash nor json"},
		{"no hash", record(&gatewayv1.TestRecord{Key: "emp:1", Type: "hash", Value: []byte(`1`)}), codes.InvalidArgument, "a hash is a JSON object"},
		{"twice", record(&gatewayv1.TestRecord{Key: "emp:1", Value: []byte(`{"a":"1","a":"2"}`)}), codes.InvalidArgument, "there twice"},
		{"too many", &gatewayv1.TestJobRequest{Files: files(), MaxKeys: 5000}, codes.InvalidArgument, "at most"},
	} {
		l := newLine()
		answering(l)
		_, err := l.server().TestJob(t.Context(), c.request)
		wantCode(t, err, c.code)
		if err == nil || !strings.Contains(err.Error(), c.message) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	l := newLine()
	res, err := l.server().TestJob(t.Context(), &gatewayv1.TestJobRequest{Files: files("jobs/emp.yaml", "source: 1\n")})
	if err != nil || len(res.GetProblems()) == 0 || res.GetJob() != "" {
		t.Errorf("malformed: %v, %v", res, err)
	}
}

func TestReplay(t *testing.T) {
	l := newLine()
	l.config.Capture = append(l.config.Capture, l.config.Capture[0])
	calls := 0
	l.capture.replay = func(r *capturev1.ReplayRequest) (*capturev1.ReplayResponse, error) {
		if calls++; calls == 1 {
			return nil, errDown
		}
		if r.GetPipeline() != "default" || r.GetJob() != "emp" || r.GetIds()[0] != "1-1" || !r.GetAsRecorded() || r.GetMaxRecords() != 3 {
			t.Errorf("asked: %v", r)
		}
		return &capturev1.ReplayResponse{Streams: []*capturev1.ReplayedStream{{Job: "emp", Replayed: 1}}}, nil
	}
	req := &gatewayv1.ReplayRequest{Job: "emp", Ids: []string{"1-1"}, AsRecorded: true, MaxRecords: 3}
	res, err := l.server().Replay(t.Context(), req)
	if err != nil || res.GetStreams()[0].GetReplayed() != 1 || calls != 2 {
		t.Errorf("%v, %v after %d calls", res, err, calls)
	}
}

func TestStartAcknowledgesFlush(t *testing.T) {
	l := newLine()
	if _, err := l.server().Deploy(t.Context(), &gatewayv1.DeployRequest{Files: files()}); err != nil || len(l.capture.acknowledged) > 0 {
		t.Fatalf("%v, acknowledged %v", err, l.capture.acknowledged)
	}
	if _, err := l.server().Start(t.Context(), &gatewayv1.StartRequest{}); err != nil || strings.Join(l.capture.acknowledged, " ") != "default" {
		t.Errorf("%v, acknowledged %v", err, l.capture.acknowledged)
	}
	l.capture.unready = 3
	if _, err := l.server().Start(t.Context(), &gatewayv1.StartRequest{}); err != nil || len(l.capture.acknowledged) != 4 {
		t.Errorf("a capture that has just begun: %v, asked %d times", err, len(l.capture.acknowledged))
	}
	l.capture.unready, l.config.StartTimeout = 1000, time.Millisecond
	_, err := l.server().Start(t.Context(), &gatewayv1.StartRequest{})
	wantCode(t, err, codes.Unavailable)
}
