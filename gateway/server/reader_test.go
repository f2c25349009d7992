package server_test

import (
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	capturev1 "slipstream/proto/slipstream/capture/v1"
	changev1 "slipstream/proto/slipstream/change/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
	transformerv1 "slipstream/proto/slipstream/transformer/v1"

	"slipstream/gateway/server"
)

const encrypted = configText + "applier:\n  dlq_payload: encrypt\n  dlq_payload_key: ${env:LETTERS}\n"

// seals answers a check as an instance that knows what dlq_payload says.
func seals(r *capturev1.CheckRequest) (*capturev1.CheckResponse, error) {
	return &capturev1.CheckResponse{DlqPayload: r.GetPipeline().GetSettings().GetDlqPayload()}, nil
}

// TestLettersAreOpenedForOperators: capture is asked to open sealed letters for operators alone, and never for support.
func TestLettersAreOpenedForOperators(t *testing.T) {
	l := newLine()
	var opened []bool
	l.capture.rejected = func(r *capturev1.ListRejectedRequest) (*capturev1.ListRejectedResponse, error) {
		opened = append(opened, r.GetOpen())
		return &capturev1.ListRejectedResponse{}, nil
	}
	s := l.server()
	if _, err := s.ListRejected(t.Context(), &gatewayv1.ListRejectedRequest{}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.ListRejected(server.WithReader(t.Context()), &gatewayv1.ListRejectedRequest{}); err != nil {
		t.Fatal(err)
	}
	if len(opened) != 2 || !opened[0] || opened[1] {
		t.Errorf("opened for an operator and a reader: %v", opened)
	}
}

// TestEveryInstanceSeals: an instance that would keep dead letters in clear, because it is older, hinders the deploy; one
// that does not answer is told of.
func TestEveryInstanceSeals(t *testing.T) {
	l := newLine()
	l.capture.check = seals
	peer := func(address string, check func(*capturev1.CheckRequest) (*capturev1.CheckResponse, error)) server.Peer[capturev1.CaptureServiceClient] {
		return server.Peer[capturev1.CaptureServiceClient]{Client: &capture{check: check}, Address: address}
	}
	deploy := func(config string) string {
		t.Helper()
		res, err := l.server().Deploy(t.Context(), &gatewayv1.DeployRequest{Files: files("config.yaml", config), DryRun: true})
		if err != nil {
			t.Fatal(err)
		}
		return lines(res.GetProblems())
	}
	if got := deploy(encrypted); got != "" {
		t.Errorf("one that seals: %s", got)
	}
	older := func(*capturev1.CheckRequest) (*capturev1.CheckResponse, error) {
		return &capturev1.CheckResponse{}, nil
	}
	l.config.Capture = append(l.config.Capture, peer("older:1", older))
	if got := deploy(encrypted); got != "error config.yaml:07 applier.dlq_payload: capture at older:1 is of a version that knows no dlq_payload: it would keep dead letters in clear\n" {
		t.Errorf("an older one: %s", got)
	}
	if got := deploy(configText); got != "" {
		t.Errorf("an older one, in clear: %s", got)
	}
	l.config.Capture[1] = peer("away:1", func(*capturev1.CheckRequest) (*capturev1.CheckResponse, error) { return nil, errDown })
	if got := deploy(encrypted); !strings.HasPrefix(got, "warning config.yaml:07 applier.dlq_payload: capture at away:1 does not answer") {
		t.Errorf("one that is away: %s", got)
	}
	// The key is tried by each; its problem stands at its place in the file, as another generation spells it too.
	l.config.Capture[1] = peer("keyless:1", func(r *capturev1.CheckRequest) (*capturev1.CheckResponse, error) {
		res, err := seals(r)
		res.Problems = []*pipelinev1.Problem{{File: "config.yaml", Path: "applier.dlq_payload_key", Message: "not set"}}
		return res, err
	})
	if got := deploy(encrypted); got != "error config.yaml:08 applier.dlq_payload_key: not set\n" {
		t.Errorf("one without the key: %s", got)
	}
	if got := deploy(strings.Replace(encrypted, "applier:", "processors:", 1)); !strings.Contains(got, "error config.yaml:08 processors.dlq_payload_key: not set\n") {
		t.Errorf("one without the key, in another spelling: %s", got)
	}
}

// TestReadersSeeNoValues: where dead letters are not kept in clear a trace shows a reader what happens, not the values.
func TestReadersSeeNoValues(t *testing.T) {
	l := newLine()
	l.capture.check = seals
	if res, err := l.server().Deploy(t.Context(), &gatewayv1.DeployRequest{Files: files("config.yaml", encrypted)}); err != nil || len(res.GetProblems()) > 0 {
		t.Fatal(err, res)
	}
	const marker = "MARKER"
	change := &capturev1.TracedChange{
		Record: 1, Lane: &flowv1.Lane{Job: "emp", Connection: "hr"}, Stream: "s", ReadMs: 7, BatchChanges: 1,
		Batch: &changev1.Batch{
			Shapes:  []*changev1.Shape{{Fields: [][]byte{[]byte("a")}}},
			Changes: []*changev1.Change{{Key: []byte("emp:1"), Op: changev1.Op_OP_UPDATE, Type: changev1.ValueType_VALUE_TYPE_HASH, Values: []byte(marker), Ends: []uint32{6}}},
		},
	}
	one := &tracer{events: []*capturev1.TraceResponse{
		{Event: &capturev1.TraceResponse_Change{Change: change}},
		{Event: &capturev1.TraceResponse_Outcome{Outcome: &capturev1.TracedOutcome{Record: 1, AtMs: 9, Settled: true, Rejects: []*flowv1.Reject{
			{Key: []byte("emp:1"), Reason: "no " + marker, Record: []byte(marker), Transformed: []byte(marker), ErrorClass: "target", Code: "22P02", Block: "output[0]"},
		}}}},
	}}
	l.config.Capture = []server.Peer[capturev1.CaptureServiceClient]{{Client: one, Address: "one:1"}}
	for name, preview := range map[string]func() (*transformerv1.PreviewResponse, error){
		"shown": func() (*transformerv1.PreviewResponse, error) {
			return &transformerv1.PreviewResponse{Changes: []*transformerv1.PreviewedChange{{Record: []byte(marker), Opcode: "u"}}}, nil
		},
		"not shown": func() (*transformerv1.PreviewResponse, error) { return nil, errMarked },
	} {
		l.transformer.preview = func(*transformerv1.PreviewRequest) (*transformerv1.PreviewResponse, error) { return preview() }
		for _, reads := range []bool{false, true} {
			h := &heard{ctx: t.Context()}
			if reads {
				h.ctx = server.WithReader(t.Context())
			}
			if err := l.server().Trace(&gatewayv1.TraceRequest{}, h); err != nil {
				t.Fatal(err)
			}
			text := ""
			for _, e := range h.all {
				text += e.String() + "\n"
			}
			if strings.Contains(text, marker) == reads {
				t.Errorf("%s, reader %v:\n%s", name, reads, text)
			}
			if !strings.Contains(text, "22P02") || !strings.Contains(text, "emp:1") || !strings.Contains(text, "rejected by output[0]") {
				t.Errorf("%s, reader %v: what is in clear is not there:\n%s", name, reads, text)
			}
		}
	}
}

// errMarked quotes a value.
var errMarked = status.Error(codes.InvalidArgument, "cannot convert MARKER")
