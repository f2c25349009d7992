package cli_test

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc"

	capturev1 "slipstream/proto/slipstream/capture/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
	"slipstream/services/slipstream/internal/cli"
)

// answers is a stream of answers that are known beforehand.
type answers[T any] struct {
	grpc.ServerStreamingClient[T]
	left []*T
}

func (a *answers[T]) Recv() (*T, error) {
	if len(a.left) == 0 {
		return nil, io.EOF
	}
	next := a.left[0]
	a.left = a.left[1:]
	return next, nil
}

// admin answers the calls of an operator and keeps the last request.
type admin struct {
	gatewayv1.GatewayServiceClient
	request any
	trace   []*gatewayv1.TraceResponse
	pieces  []*gatewayv1.SupportPackageResponse
	found   []*capturev1.Finding
	watch   func(context.Context) (grpc.ServerStreamingClient[gatewayv1.WatchStatusResponse], error)
	err     error
}

func (a *admin) Trace(_ context.Context, r *gatewayv1.TraceRequest, _ ...grpc.CallOption) (grpc.ServerStreamingClient[gatewayv1.TraceResponse], error) {
	a.request = r
	return &answers[gatewayv1.TraceResponse]{left: a.trace}, a.err
}

func (a *admin) SupportPackage(
	_ context.Context, r *gatewayv1.SupportPackageRequest, _ ...grpc.CallOption,
) (grpc.ServerStreamingClient[gatewayv1.SupportPackageResponse], error) {
	a.request = r
	return &answers[gatewayv1.SupportPackageResponse]{left: a.pieces}, a.err
}

func (a *admin) Resync(_ context.Context, r *gatewayv1.ResyncRequest, _ ...grpc.CallOption) (*gatewayv1.ResyncResponse, error) {
	a.request = r
	return &gatewayv1.ResyncResponse{Sweeps: []*capturev1.RequestedSweep{{Job: "emp", Id: "s1"}, {Job: "off", Reason: "the job is disabled"}}}, a.err
}

func (a *admin) Reset(_ context.Context, r *gatewayv1.ResetRequest, _ ...grpc.CallOption) (*gatewayv1.ResetResponse, error) {
	a.request = r
	return &gatewayv1.ResetResponse{Sweeps: []*capturev1.RequestedSweep{{Job: "emp", Reason: "the job has no initial_load"}}}, a.err
}

func (a *admin) Configure(_ context.Context, r *gatewayv1.ConfigureRequest, _ ...grpc.CallOption) (*gatewayv1.ConfigureResponse, error) {
	a.request = r
	return &gatewayv1.ConfigureResponse{Findings: a.found}, a.err
}

func (a *admin) ListDeadLetterStreams(
	context.Context, *gatewayv1.ListDeadLetterStreamsRequest, ...grpc.CallOption,
) (*gatewayv1.ListDeadLetterStreamsResponse, error) {
	return &gatewayv1.ListDeadLetterStreamsResponse{Streams: []*capturev1.DeadLetterStream{
		{Name: "dlq:a", Job: "a", Length: 3, Capacity: 1000}, {Name: "dlq:b", Job: "b", Orphaned: true},
	}}, a.err
}

func (a *admin) ListRejected(_ context.Context, r *gatewayv1.ListRejectedRequest, _ ...grpc.CallOption) (*gatewayv1.ListRejectedResponse, error) {
	a.request = r
	return &gatewayv1.ListRejectedResponse{}, a.err
}

func (a *admin) WatchStatus(
	ctx context.Context, _ *gatewayv1.WatchStatusRequest, _ ...grpc.CallOption,
) (grpc.ServerStreamingClient[gatewayv1.WatchStatusResponse], error) {
	if a.watch != nil {
		return a.watch(ctx)
	}
	at := func(s *capturev1.Sweep) *gatewayv1.WatchStatusResponse {
		return &gatewayv1.WatchStatusResponse{Status: &gatewayv1.StatusResponse{Status: &capturev1.PipelineStatus{Sweeps: []*capturev1.Sweep{s}}}}
	}
	return &answers[gatewayv1.WatchStatusResponse]{left: []*gatewayv1.WatchStatusResponse{
		at(&capturev1.Sweep{Id: "s1", Job: "emp", Scanned: 5, Total: 9}),
		at(&capturev1.Sweep{Id: "s1", Job: "emp", Scanned: 9, Total: 9, Matched: 4, EndedMs: 1, SettledMs: 2}),
	}}, nil
}

// administered is a command line whose gateway is an admin.
func administered(t *testing.T) (*line, *admin) {
	t.Helper()
	l, a := newLine(), &admin{}
	l.config = t.TempDir()
	l.deps.Dial = func(d cli.Door) (cli.Gateway, error) {
		l.dialed = append(l.dialed, d.Address)
		return cli.Gateway{Client: a, Close: func() error { l.closed++; return nil }}, nil
	}
	return l, a
}

func stage(s *gatewayv1.TraceStage) *gatewayv1.TraceResponse {
	s.Record, s.Key = 1, []byte("emp:1")
	return &gatewayv1.TraceResponse{Event: &gatewayv1.TraceResponse_Stage{Stage: s}}
}

func TestTrace(t *testing.T) {
	l, a := administered(t)
	a.trace = []*gatewayv1.TraceResponse{
		{Event: &gatewayv1.TraceResponse_Started{Started: &gatewayv1.TraceStarted{TimeoutMs: 5000}}},
		stage(&gatewayv1.TraceStage{Step: gatewayv1.TraceStep_TRACE_STEP_EVENT, AtMs: 1767225600000, Text: "event performed at the source"}),
		stage(&gatewayv1.TraceStage{Step: gatewayv1.TraceStep_TRACE_STEP_BEFORE, Text: "before transformation", Document: []byte(`{"id":"1"}`)}),
		stage(&gatewayv1.TraceStage{Step: gatewayv1.TraceStep_TRACE_STEP_STATEMENT, Text: "output[0]", Statement: "INSERT \x1b[31m1"}),
		stage(&gatewayv1.TraceStage{Step: gatewayv1.TraceStep_TRACE_STEP_REJECTED, AtMs: 1767225600012, ElapsedMs: 12, Text: "rejected: too long", Reject: &flowv1.Reject{Reason: "too long"}}),
		{Event: &gatewayv1.TraceResponse_Summary{Summary: &gatewayv1.TraceSummary{Records: 1, Settled: 1, Rejected: 1, LatencyAvgMs: 12}}},
	}
	code, out, _ := l.do(t, "trace", "--timeout", "5", "--max-change-records", "3", "--trace-only-rejected", "--keys", "emp:*", "--job", "emp")
	if code != 0 || l.closed != 1 {
		t.Errorf("exit code %d, %d clients closed", code, l.closed)
	}
	at := 0
	for _, want := range []string{
		"Starting trace for 5 second(s)\nPolling records\n", "[1] emp:1  00:00:00.000 +0 ms  event performed", "before transformation\n",
		`"id": "1"`, "output[0]: INSERT \uFFFD[31m1", "+12 ms  rejected: too long", "Total: 1 record; settled 1", "average 12 ms", "Done\n",
	} {
		i := strings.Index(out[at:], want)
		if i < 0 {
			t.Fatalf("%q does not follow in\n%s", want, out)
		}
		at += i
	}
	r := a.request.(*gatewayv1.TraceRequest)
	if r.TimeoutMs != 5000 || r.MaxChangeRecords != 3 || !r.OnlyRejected || r.Keys != "emp:*" || r.Job != "emp" {
		t.Errorf("request %v", r)
	}
	_, out, _ = l.do(t, "trace", "-o", "json")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	for _, one := range lines {
		if !json.Valid([]byte(one)) {
			t.Errorf("not JSON: %s", one)
		}
	}
	if len(lines) != len(a.trace) {
		t.Errorf("%d lines", len(lines))
	}
	if _, out, _ = l.do(t, "trace", "-o", "yaml"); strings.Count(out, "---\n") != len(a.trace) || !strings.Contains(out, "statement: ") {
		t.Errorf("yaml:\n%s", out)
	}
	for _, wrong := range [][]string{{"--timeout", "0"}, {"--timeout", "601"}, {"--max-change-records", "0"}, {"-o", "xml"}, {"x"}} {
		if code, _, _ := l.do(t, append([]string{"trace"}, wrong...)...); code != 2 {
			t.Errorf("%v: exit code %d", wrong, code)
		}
	}
}

func TestResyncAndReset(t *testing.T) {
	l, a := administered(t)
	code, out, errs := l.do(t, "resync", "emp", "off", "--wait")
	if code != 0 || !strings.Contains(out, "is read again") || !strings.Contains(out, "the job is disabled") || !strings.Contains(errs, "4 found; the targets have them") {
		t.Errorf("%d\n%s\n%s", code, out, errs)
	}
	if r := a.request.(*gatewayv1.ResyncRequest); len(r.Jobs) != 2 {
		t.Errorf("request %v", r)
	}
	if _, out, _ := l.do(t, "resync", "--all", "-o", "json"); !strings.Contains(out, `"sweep": "s1"`) {
		t.Error(out)
	}
	if _, out, _ := l.do(t, "resync", "--all", "-o", "yaml"); !strings.Contains(out, "sweep: s1") {
		t.Error(out)
	}
	for _, wrong := range [][]string{{"resync"}, {"resync", "--all", "emp"}} {
		if code, _, _ := l.do(t, wrong...); code != 2 {
			t.Errorf("%v: exit code %d", wrong, code)
		}
	}
	if code, out, _ := l.do(t, "reset", "--force"); code != 0 || !strings.Contains(out, "no initial_load") {
		t.Errorf("%d %s", code, out)
	}
	a.request = nil
	if code, _, errs := l.ask(t, "n\n", "reset"); code != 1 || a.request != nil || !strings.Contains(errs, "nothing was done") {
		t.Errorf("refused: %d %v %s", code, a.request, errs)
	}
	if code, _, _ := l.ask(t, "yes\n", "reset", "emp"); code != 0 || a.request == nil {
		t.Errorf("agreed: %d %v", code, a.request)
	}
}

func TestConfigure(t *testing.T) {
	l, a := administered(t)
	a.found = []*capturev1.Finding{
		{Connection: "source", Subject: "version", State: capturev1.FindingState_FINDING_STATE_OK, Found: "Redis 8"},
		{Connection: "source", Subject: "maxmemory-policy", State: capturev1.FindingState_FINDING_STATE_WARNING, Message: "why", Fix: "what to do"},
	}
	code, out, _ := l.do(t, "configure", "--deployed", "--dry-run")
	if r := a.request.(*gatewayv1.ConfigureRequest); code != 0 || !r.DryRun || len(r.Files) != 0 || !strings.Contains(out, "Redis 8") || !strings.Contains(out, "what to do") {
		t.Errorf("%d %v\n%s", code, r, out)
	}
	a.found[1].State = capturev1.FindingState_FINDING_STATE_ERROR
	if code, out, _ := l.do(t, "configure", "--deployed", "-o", "yaml"); code != 1 || !strings.Contains(out, "state: error") {
		t.Errorf("%d\n%s", code, out)
	}
}

func TestDeadLetterQueues(t *testing.T) {
	l, a := administered(t)
	if code, out, _ := l.do(t, "list-dlqs"); code != 0 || !strings.Contains(out, "dlq:a") || !strings.Contains(out, "b (not deployed)") {
		t.Errorf("%d\n%s", code, out)
	}
	if code, out, _ := l.do(t, "get-dlq", "dlq:b", "-o", "json"); code != 0 || strings.Contains(out, "dlq:a") || !strings.Contains(out, `"orphaned": true`) {
		t.Errorf("%d\n%s", code, out)
	}
	if code, _, errs := l.do(t, "get-dlq", "none"); code != 1 || !strings.Contains(errs, "list-dlqs") {
		t.Errorf("%d %s", code, errs)
	}
	code, _, _ := l.do(t, "list-dlq-records", "dlq:a", "--limit", "5", "--offset", "10", "--sort-order", "asc")
	if r := a.request.(*gatewayv1.ListRejectedRequest); code != 0 || r.DlqName != "dlq:a" || r.MaxRecords != 5 || r.Offset != 10 || !r.Oldest {
		t.Errorf("%d %v", code, r)
	}
	for _, wrong := range [][]string{{"list-dlq-records"}, {"list-dlq-records", "x", "--sort-order", "up"}, {"list-dlq-records", "x", "--limit", "0"}} {
		if code, _, _ := l.do(t, wrong...); code != 2 {
			t.Errorf("%v: exit code %d", wrong, code)
		}
	}
}

// TestSupportPackage: files come out whole, and nobody else may read them; an archive that is not whole is not left behind.
func TestSupportPackage(t *testing.T) {
	l, a := administered(t)
	dir := t.TempDir()
	a.pieces = []*gatewayv1.SupportPackageResponse{{Path: "a.json", Data: []byte("{")}, {Path: "a.json", Data: []byte("}")}, {Path: "x/b.txt", Data: []byte("b")}}
	code, out, _ := l.do(t, "dump-support-package", "--dir", dir, "--dump-rejected", "2", "--trace-timeout", "3", "--log-days", "5")
	path := strings.TrimSpace(out)
	if r := a.request.(*gatewayv1.SupportPackageRequest); code != 0 || r.DumpRejected != 2 || r.LogDays != 5 || r.Trace.GetTimeoutMs() != 3000 {
		t.Fatalf("%d %v", code, r)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", info, err)
	}
	got := map[string]string{}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	zip, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	for files := tar.NewReader(zip); ; {
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		text, rerr := io.ReadAll(files)
		if err != nil || rerr != nil {
			t.Fatal(err, rerr)
		}
		got[h.Name] = string(text)
	}
	if len(got) != 2 || got["a.json"] != "{}" || got["x/b.txt"] != "b" {
		t.Errorf("files %v", got)
	}
	a.err = errors.New("broken")
	empty := t.TempDir()
	if code, _, _ := l.do(t, "dump-support-package", "--dir", empty); code != 1 {
		t.Errorf("exit code %d", code)
	}
	if left, _ := filepath.Glob(filepath.Join(empty, "*")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestSetSecret(t *testing.T) {
	l, _ := administered(t)
	dir := filepath.Join(t.TempDir(), "secrets")
	for i, tc := range []struct {
		args []string
		in   string
		want string
	}{
		{[]string{"set-secret", "target-password", "pw1", "--secrets-dir", dir}, "", "pw1"},
		{[]string{"set-secret", "--secret-name", "target-password", "--secret-value", "pw2", "--secrets-dir", dir}, "", "pw2"},
		{[]string{"set-secret", "target-password", "--secrets-dir", dir}, "pw 3\n", "pw 3"},
		{[]string{"set-secret", "target-password", "--literal", "pw4", "--secrets-dir", dir, "--cluster-host", "h", "--rdi-host", "r"}, "", "pw4"},
	} {
		code, out, errs := l.ask(t, tc.in, tc.args...)
		text, err := os.ReadFile(filepath.Join(dir, "target-password"))
		if code != 0 || err != nil || string(text) != tc.want || !strings.Contains(out, "${secrets:target-password}") || strings.Contains(out+errs, tc.want) {
			t.Errorf("%d: %d %q %v\n%s%s", i, code, text, err, out, errs)
		}
	}
	info, err := os.Stat(filepath.Join(dir, "target-password"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	for _, wrong := range [][]string{
		{"set-secret", "x", "y"},
		{"set-secret", "../x", "y", "--secrets-dir", dir},
		{"set-secret", "x", "y", "--file", "f", "--secrets-dir", dir},
		{"set-secret", "a", "b", "c", "--secrets-dir", dir},
		{"set-secret", "a", "b", "--literal", "c", "--secrets-dir", dir},
	} {
		if code, _, _ := l.do(t, wrong...); code != 2 {
			t.Errorf("%v: exit code %d", wrong, code)
		}
	}
	if code, _, _ := l.ask(t, "\n", "set-secret", "x", "--secrets-dir", dir); code != 1 {
		t.Errorf("an empty secret: exit code %d", code)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".new-*")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestContexts: what is saved is used, unless a flag or variable says otherwise; the names of redis-di do the same.
func TestContexts(t *testing.T) {
	l, _ := administered(t)
	env := map[string]string{}
	l.deps.Getenv = func(name string) string { return env[name] }
	must := func(want int, args ...string) string {
		t.Helper()
		code, out, errs := l.do(t, args...)
		if code != want {
			t.Fatalf("%v: exit code %d\n%s%s", args, code, out, errs)
		}
		return out + errs
	}
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("sesame"), 0o600); err != nil {
		t.Fatal(err)
	}
	must(0, "context", "add", "prod", "--gateway", "prod:1", "--pipeline", "fleet", "--token-file", token)
	must(0, "add-context", "test", "--gateway", "test:1", "--rdi-host", "redis", "--cluster-host", "c")
	if out := must(0, "context", "list"); !strings.Contains(out, "*") || strings.Index(out, "*") > strings.Index(out, "prod") {
		t.Errorf("the first is not active:\n%s", out)
	}
	dialed := func(want string, args ...string) {
		t.Helper()
		l.dialed = nil
		must(0, args...)
		if len(l.dialed) != 1 || l.dialed[0] != want {
			t.Errorf("%v dialed %v, want %s", args, l.dialed, want)
		}
	}
	must(0, "set-context", "test")
	dialed("test:1", "list-dlqs")
	dialed("flag:1", "list-dlqs", "--gateway", "flag:1")
	env[cli.GatewayVariable] = "env:1"
	dialed("env:1", "list-dlqs")
	delete(env, cli.GatewayVariable)
	env[cli.ContextVariable] = "test"
	dialed("test:1", "list-dlqs")
	delete(env, cli.ContextVariable)
	must(2, "list-dlqs", "--context", "none")
	must(1, "context", "use", "none")
	must(2, "context", "add", "nothing")
	if out := must(0, "list-contexts", "-o", "json"); !strings.Contains(out, `"current-context": "test"`) || !strings.Contains(out, `"token-file": "`+token+`"`) || strings.Contains(out, "sesame") {
		t.Error(out)
	}
	if code, _, _ := l.ask(t, "n\n", "context", "remove", "test"); code != 1 {
		t.Errorf("exit code %d", code)
	}
	must(0, "delete-context", "test", "-f")
	dialed(cli.DefaultGateway, "list-dlqs")
	must(0, "delete-all-contexts", "--force")
	if out := must(0, "context", "list"); !strings.Contains(out, "(none)") {
		t.Error(out)
	}
	if err := os.WriteFile(filepath.Join(l.config, "slipstream", "contexts.yaml"), []byte("contexts: 7\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out := must(1, "list-dlqs"); !strings.Contains(out, "correct or remove it") {
		t.Error(out)
	}
}

// TestSpellingsOfRedisDI: flags that have no use are accepted and said to have none, commands of its cluster are explained.
func TestSpellingsOfRedisDI(t *testing.T) {
	l, _ := administered(t)
	code, _, errs := l.do(t, "list-dlqs", "--rdi-host", "h", "--rdi-port", "1", "--rdi-password", "topsecret", "--cluster-user", "u", "-log-level", "DEBUG")
	if code != 0 || !strings.Contains(errs, "--rdi-host") || !strings.Contains(errs, "--cluster-user") || strings.Contains(errs, "topsecret") {
		t.Errorf("%d %s", code, errs)
	}
	for command, want := range map[string]int{"create": 0, "upgrade": 0, "delete": 1} {
		code, out, errs := l.do(t, command, "--cluster-host", "h", "--silent", "-f")
		if code != want || out != "" || !strings.Contains(errs, "slipstream stop") && !strings.Contains(errs, "services") && !strings.Contains(errs, "deploy") {
			t.Errorf("%s: %d %s%s", command, code, out, errs)
		}
	}
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if code, out, _ := l.do(t, "completion", shell); code != 0 || !strings.Contains(out, "slipstream") {
			t.Errorf("completion of %s: %d", shell, code)
		}
	}
}
