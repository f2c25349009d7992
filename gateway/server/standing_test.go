package server_test

import (
	"strings"
	"testing"

	applierv1 "slipstream/proto/slipstream/applier/v1"
	flowv1 "slipstream/proto/slipstream/flow/v1"
	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// TestTargetAway: a deploy while a target cannot be reached changes what does not concern it. What does is refused.
func TestTargetAway(t *testing.T) {
	l := newLine()
	s := l.server()
	columns := &applierv1.CheckResponse{Tables: []*applierv1.Table{
		{Job: "emp", Columns: []*applierv1.TableColumn{{Name: "id"}, {Name: "name", Nullable: true}, {Name: "grade"}}},
	}}
	l.applier.check = func(*applierv1.CheckRequest) (*applierv1.CheckResponse, error) { return columns, nil }
	deploy := func(given []*pipelinev1.File) *gatewayv1.DeployResponse {
		t.Helper()
		r, err := s.Deploy(t.Context(), &gatewayv1.DeployRequest{Files: given})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	if r := deploy(files()); r.GetGeneration() != 1 {
		t.Fatalf("deploy: %v", r)
	}
	class := flowv1.FaultClass_FAULT_CLASS_CONNECTION
	l.applier.check = func(r *applierv1.CheckRequest) (*applierv1.CheckResponse, error) {
		return &applierv1.CheckResponse{Fault: class, Problems: []*pipelinev1.Problem{{
			Severity: pipelinev1.Severity_SEVERITY_ERROR, Connection: r.GetConnection().GetName(), Message: "nobody answers",
		}}}, nil
	}
	filtered := strings.Replace(jobText, "IS NOT NULL", "<> 'x'", 1)
	for name, given := range map[string][]*pipelinev1.File{
		"another table":      files("jobs/emp.yaml", strings.Replace(filtered, "table: emp", "table: emp2", 1)),
		"a mapping":          files("jobs/emp.yaml", strings.Replace(filtered, "keys: [id]", "keys: [id]\n      mapping: [name]", 1)),
		"another connection": files("config.yaml", strings.Replace(configText, "hr.db", "other.db", 1)),
		"another job":        files("jobs/more.yaml", strings.Replace(jobText, "emp", "more", 1)),
	} {
		r := deploy(given)
		if told := lines(r.GetProblems()); r.GetGeneration() != 0 || !strings.Contains(told, "nobody answers") || strings.Contains(told, "stands") {
			t.Errorf("%s: generation %d, %s", name, r.GetGeneration(), told)
		}
	}
	class = flowv1.FaultClass_FAULT_CLASS_PERMISSION
	if r := deploy(files("jobs/emp.yaml", filtered)); r.GetGeneration() != 0 {
		t.Error("deployed on a target that refuses us")
	}
	class = flowv1.FaultClass_FAULT_CLASS_CONNECTION
	if v, err := s.Validate(t.Context(), &gatewayv1.ValidateRequest{Files: files()}); err != nil || v.GetPipeline() != nil {
		t.Errorf("validated on a target that nobody can ask: %v, %v", v, err)
	}

	r := deploy(files("jobs/emp.yaml", filtered))
	told := lines(r.GetProblems())
	if r.GetGeneration() != 2 || !strings.Contains(told, "nobody answers; nothing that is written to it changes") {
		t.Fatalf("generation %d, %s", r.GetGeneration(), told)
	}
	job := l.store.state.Pipeline.GetJobs()[0]
	if n := len(job.GetOutputs()[0].GetRelational().GetColumns()); n != 3 || !strings.Contains(job.String(), "<> 'x'") {
		t.Errorf("%d columns are left of 3: %v", n, job)
	}
	if r := deploy(files("jobs/emp.yaml", filtered)); r.GetChanged() {
		t.Error("the same once more is a change")
	}
}
