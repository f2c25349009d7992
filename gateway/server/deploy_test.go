package server_test

import (
	"errors"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	applierv1 "slipstream/proto/slipstream/applier/v1"
	capturev1 "slipstream/proto/slipstream/capture/v1"
	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
	transformerv1 "slipstream/proto/slipstream/transformer/v1"

	"slipstream/gateway/server"
	"slipstream/gateway/store"
)

func TestDeploy(t *testing.T) {
	l := newLine()
	s := l.server()
	first, err := s.Deploy(t.Context(), &gatewayv1.DeployRequest{Files: files()})
	if err != nil || first.GetGeneration() != 1 || !first.GetChanged() || len(first.GetProblems()) > 0 {
		t.Fatalf("deploy: %v, %v", first, err)
	}
	stored := l.store.state.Pipeline
	if stored.GetName() != "default" || stored.GetDeployedMs() != 1767225600000 || len(stored.GetJobs()) != 1 || len(stored.GetFiles()) != 2 {
		t.Errorf("stored: %v", stored)
	}
	if got := stored.GetConnections()["source"].GetPassword(); got != "${env:PW}" {
		t.Errorf("the password reference was stored as %q", got)
	}
	// The same again changes nothing, but starts what was stopped.
	if _, err := s.Stop(t.Context(), &gatewayv1.StopRequest{}); err != nil || l.store.state.Running {
		t.Fatalf("stop: %v, running %v", err, l.store.state.Running)
	}
	again, err := s.Deploy(t.Context(), &gatewayv1.DeployRequest{Files: files()})
	if err != nil || again.GetChanged() || again.GetGeneration() != 0 || !l.store.state.Running {
		t.Errorf("deploying the same: %v, %v, running %v", again, err, l.store.state.Running)
	}
	changed := files("jobs/emp.yaml", strings.Replace(jobText, "table: emp", "table: emp2", 1))
	dry, err := s.Deploy(t.Context(), &gatewayv1.DeployRequest{Files: changed, DryRun: true})
	if err != nil || !dry.GetChanged() || dry.GetGeneration() != 0 || l.store.state.Pipeline.GetGeneration() != 1 {
		t.Errorf("dry run: %v, %v", dry, err)
	}
	second, err := s.Deploy(t.Context(), &gatewayv1.DeployRequest{Files: changed})
	if err != nil || second.GetGeneration() != 2 {
		t.Errorf("deploying a change: %v, %v", second, err)
	}
}

// TestEveryProblem has something wrong in form, source, expression and table at once: all of it is told, with file and
// line, and the running generation stays.
func TestEveryProblem(t *testing.T) {
	l := newLine()
	if _, err := l.server().Deploy(t.Context(), &gatewayv1.DeployRequest{Files: files()}); err != nil {
		t.Fatal(err)
	}
	before := proto.CloneOf(l.store.state.Pipeline)
	l.capture.check = func(r *capturev1.CheckRequest) (*capturev1.CheckResponse, error) {
		// The job whose source is malformed is not shown.
		if len(r.GetPipeline().GetJobs()) != 2 || r.GetPipeline().GetJobs()[0].GetName() != "emp" {
			t.Errorf("capture was asked about %v", r.GetPipeline().GetJobs())
		}
		return &capturev1.CheckResponse{Problems: []*pipelinev1.Problem{
			{Severity: pipelinev1.Severity_SEVERITY_WARNING, Message: "events are off"},
			{Severity: pipelinev1.Severity_SEVERITY_ERROR, Job: "emp", Path: "source.redis.key_pattern", Message: "no such thing"},
			{Severity: pipelinev1.Severity_SEVERITY_ERROR, Job: "half", Path: "output", Message: "it writes nowhere"},
			{Severity: pipelinev1.Severity_SEVERITY_ERROR, Job: "half", Path: "source.redis", Message: "something else"},
		}}, nil
	}
	l.transformer.check = func(r *transformerv1.CheckRequest) (*transformerv1.CheckResponse, error) {
		if r.GetJob().GetName() != "emp" {
			return &transformerv1.CheckResponse{}, nil
		}
		return &transformerv1.CheckResponse{Problems: []*pipelinev1.Problem{
			{Path: "transform[0].with.expression", Message: "does not compile", Fix: "write it so"},
		}}, nil
	}
	l.applier.check = func(r *applierv1.CheckRequest) (*applierv1.CheckResponse, error) {
		if r.GetConnection().GetName() != "hr" || r.GetSettings().GetWriteBatchSize() != 200 {
			t.Errorf("the applier was asked %v", r)
		}
		return &applierv1.CheckResponse{Problems: []*pipelinev1.Problem{
			{Severity: pipelinev1.Severity_SEVERITY_ERROR, Job: "emp", Path: "output[0].with.table", Message: "table emp is missing"},
			{Severity: pipelinev1.Severity_SEVERITY_WARNING, Message: "slow disk"},
			{Severity: pipelinev1.Severity_SEVERITY_ERROR, Connection: "hr", Path: "connections.hr.path", Message: "read-only"},
		}}, nil
	}
	res, err := l.server().Deploy(t.Context(), &gatewayv1.DeployRequest{
		Files: files(
			"jobs/bad.yaml", "source: {redis: {trigger: write-behind}}\noutput:\n  - uses: relational.wrote\n    with: {}\n",
			"jobs/half.yaml", "source: {redis: {trigger: write-behind, key_pattern: a}}\noutput:\n  - uses: relational.write\n    with: {}\n",
		),
	})
	if err != nil {
		t.Fatal(err)
	}
	want := `warning config.yaml:02 connections.source: events are off
warning config.yaml:03 connections.hr: slow disk
error config.yaml:05 connections.hr.path: read-only
error jobs/bad.yaml:01 source.redis.key_pattern: key_pattern is missing
error jobs/bad.yaml:03 output[0].uses: unknown block "relational.wrote"
error jobs/emp.yaml:02 source.redis.key_pattern: no such thing
error jobs/emp.yaml:08 transform[0].with.expression: does not compile
error jobs/emp.yaml:13 output[0].with.table: table emp is missing
error jobs/half.yaml:01 source.redis: something else
error jobs/half.yaml:04 output[0].with.connection: connection is missing
error jobs/half.yaml:04 output[0].with.keys: keys is missing
error jobs/half.yaml:04 output[0].with.table: table is missing
`
	if got := lines(res.GetProblems()); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	if res.GetGeneration() != 0 || !proto.Equal(before, l.store.state.Pipeline) || !l.store.state.Running {
		t.Errorf("the running generation was touched: %v", l.store.state)
	}
}

func TestStagesThatDoNotAnswer(t *testing.T) {
	down := func(l *line) {
		l.capture.check = func(*capturev1.CheckRequest) (*capturev1.CheckResponse, error) { return nil, errDown }
		l.transformer.check = func(*transformerv1.CheckRequest) (*transformerv1.CheckResponse, error) { return nil, errDown }
		l.applier.check = func(*applierv1.CheckRequest) (*applierv1.CheckResponse, error) { return nil, errDown }
	}
	cases := map[string]struct {
		arrange func(*line)
		want    []string
	}{
		"all down": {down, []string{
			"capture at capture:1 cannot be asked: connection refused",
			"the applier for sqlite at applier:3 cannot be asked: connection refused",
			"the transformer at transformer:2 cannot be asked: connection refused",
		}},
		"none known": {func(l *line) {
			l.config.Capture = nil
			l.config.Transformer = server.Peer[transformerv1.TransformerServiceClient]{}
			l.config.Appliers = nil
		}, []string{
			"the gateway knows no capture service", "the gateway knows no transformer",
			"the gateway knows no applier for connections of type sqlite",
		}},
		"second capture answers": {func(l *line) {
			broken := &capture{check: func(*capturev1.CheckRequest) (*capturev1.CheckResponse, error) { return nil, errDown }}
			l.config.Capture = append([]server.Peer[capturev1.CaptureServiceClient]{{Client: broken}}, l.config.Capture...)
		}, nil},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			l := newLine()
			tc.arrange(l)
			res, err := l.server().Validate(t.Context(), &gatewayv1.ValidateRequest{Files: files()})
			if err != nil {
				t.Fatal(err)
			}
			if len(res.GetProblems()) != len(tc.want) {
				t.Fatalf("problems:\n%s", lines(res.GetProblems()))
			}
			for i, p := range res.GetProblems() {
				if p.GetMessage() != tc.want[i] || p.GetFix() == "" {
					t.Errorf("problem %d: %q (%q), want %q", i, p.GetMessage(), p.GetFix(), tc.want[i])
				}
			}
			if (res.GetPipeline() == nil) != (len(tc.want) > 0) {
				t.Errorf("pipeline: %v", res.GetPipeline())
			}
		})
	}
}

// TestOffline asks the transformer and nobody else.
func TestOffline(t *testing.T) {
	l := newLine()
	l.config.Store, l.config.Capture, l.config.Appliers = nil, nil, nil
	l.transformer.check = func(*transformerv1.CheckRequest) (*transformerv1.CheckResponse, error) {
		return &transformerv1.CheckResponse{Problems: []*pipelinev1.Problem{{Path: "transform[0]", Message: "no"}}}, nil
	}
	s := l.server()
	res, err := s.Validate(t.Context(), &gatewayv1.ValidateRequest{Files: files(), Offline: true})
	if err != nil || lines(res.GetProblems()) != "error jobs/emp.yaml:05 transform[0]: no\n" {
		t.Errorf("%v, %v", lines(res.GetProblems()), err)
	}
	_, err = s.Deploy(t.Context(), &gatewayv1.DeployRequest{Files: files()})
	wantCode(t, err, codes.FailedPrecondition)

	l.config.Transformer = server.Peer[transformerv1.TransformerServiceClient]{}
	res, err = l.server().Validate(t.Context(), &gatewayv1.ValidateRequest{Files: files(), Offline: true})
	if err != nil || len(res.GetProblems()) > 0 || res.GetPipeline() == nil {
		t.Errorf("form only: %v, %v", res, err)
	}
}

func TestColumnsOfTheCatalogue(t *testing.T) {
	l := newLine()
	l.applier.check = func(*applierv1.CheckRequest) (*applierv1.CheckResponse, error) {
		return &applierv1.CheckResponse{Tables: []*applierv1.Table{
			{Job: "emp", Output: 0, Columns: []*applierv1.TableColumn{
				{Name: "ID"},
				{Name: "name", Nullable: true},
				{Name: "grade"},
				{Name: "since", Nullable: true, HasDefault: true},
				{Name: "total", Nullable: true, Generated: true},
				{Name: "a.b", Nullable: true},
			}},
			{Job: "mapped", Output: 0, Columns: []*applierv1.TableColumn{{Name: "id"}, {Name: "other"}}},
		}}, nil
	}
	mapped := strings.Replace(jobText, "keys: [id]", "keys: [id]\n      mapping: [name]", 1)
	res, err := l.server().Validate(t.Context(), &gatewayv1.ValidateRequest{Files: files("jobs/mapped.yaml", mapped)})
	if err != nil || res.GetPipeline() == nil {
		t.Fatalf("%v, %v", lines(res.GetProblems()), err)
	}
	show := func(job int) string {
		var all []string
		for _, c := range res.GetPipeline().GetJobs()[job].GetOutputs()[0].GetRelational().GetColumns() {
			all = append(all, c.GetColumn()+"<-"+c.GetField()+" "+strings.TrimPrefix(c.GetOnMissing().String(), "ON_MISSING_"))
		}
		return strings.Join(all, ", ")
	}
	if got, want := show(0), `id<-id NULL, name<-name NULL, grade<-grade KEEP, since<-since KEEP, a.b<-a\.b NULL`; got != want {
		t.Errorf("columns %s, want %s", got, want)
	}
	if got, want := show(1), "id<-id NULL, name<-name NULL"; got != want {
		t.Errorf("columns of the job with a mapping %s, want %s", got, want)
	}
}

func TestRefusals(t *testing.T) {
	l := newLine()
	s := l.server()
	for _, name := range []string{"a b", "a}b", strings.Repeat("a", 65), "ä"} {
		_, err := s.Deploy(t.Context(), &gatewayv1.DeployRequest{Pipeline: name, Files: files()})
		wantCode(t, err, codes.InvalidArgument)
		_, err = s.Validate(t.Context(), &gatewayv1.ValidateRequest{Pipeline: name, Files: files()})
		wantCode(t, err, codes.InvalidArgument)
	}
	_, err := s.Start(t.Context(), &gatewayv1.StartRequest{})
	wantCode(t, err, codes.NotFound)
	_, err = s.Stop(t.Context(), &gatewayv1.StopRequest{})
	wantCode(t, err, codes.NotFound)
	_, err = s.Status(t.Context(), &gatewayv1.StatusRequest{})
	wantCode(t, err, codes.NotFound)
	_, err = s.ListJobs(t.Context(), &gatewayv1.ListJobsRequest{})
	wantCode(t, err, codes.NotFound)

	l.store.err = errors.New("redis is away")
	_, err = s.Deploy(t.Context(), &gatewayv1.DeployRequest{Files: files()})
	wantCode(t, err, codes.Unavailable)

	l.store.err = nil
	l.applier.check = func(*applierv1.CheckRequest) (*applierv1.CheckResponse, error) {
		// Somebody else deploys while the checks run.
		_, err := l.store.Save(t.Context(), &pipelinev1.Pipeline{Name: "default"}, 0)
		return &applierv1.CheckResponse{}, err
	}
	_, err = s.Deploy(t.Context(), &gatewayv1.DeployRequest{Files: files()})
	wantCode(t, err, codes.Aborted)
	if !strings.Contains(err.Error(), store.ErrConflict.Error()) {
		t.Errorf("the reason is missing: %v", err)
	}
}
