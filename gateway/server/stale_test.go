package server_test

import (
	"strings"
	"testing"

	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"

	"slipstream/gateway/server"
)

func deployJob(t *testing.T, s *server.Server, job string, dry, resync bool) *gatewayv1.DeployResponse {
	t.Helper()
	res, err := s.Deploy(t.Context(), &gatewayv1.DeployRequest{Files: files("jobs/emp.yaml", job), DryRun: dry, Resync: resync})
	if err != nil || len(res.GetProblems()) > 0 || !res.GetCompared() {
		t.Fatalf("deploy: %v, %v", res, err)
	}
	return res
}

// TestDeployStale: a job whose meaning changes needs a resync from then on, over later deploys too, whether these change it
// back or something else; a dry run tells and stores nothing; a resync is asked for by the deploy that changes, or later.
func TestDeployStale(t *testing.T) {
	l := newLine()
	s := l.server()
	if res := deployJob(t, s, jobText, false, true); len(res.GetStale()) > 0 || len(res.GetChangedJobs()) > 0 {
		t.Errorf("a new job: %v", res)
	}
	other := strings.Replace(jobText, "name IS NOT NULL", "name IS NULL", 1)
	dry := deployJob(t, s, other, true, true)
	if len(dry.GetChangedJobs()) != 1 || len(dry.GetStale()) != 1 || !dry.GetStale()[0].GetResync() || len(l.store.state.Stale) > 0 {
		t.Errorf("dry run: %v; stored %v", dry, l.store.state.Stale)
	}
	res := deployJob(t, s, other, false, false)
	if len(res.GetStale()) != 1 || res.GetStale()[0].GetGeneration() != 2 || res.GetStale()[0].GetResync() || res.GetStale()[0].GetSinceMs() == 0 {
		t.Fatalf("deploy: %v", res)
	}
	if c := res.GetChangedJobs()[0].GetChanges(); len(c) != 1 || c[0].GetPath() != "transform[0]" || !strings.Contains(c[0].GetMessage(), "IS NULL") ||
		!strings.Contains(c[0].GetStays(), "on_filtered") {
		t.Errorf("changes: %v", c)
	}
	status, err := s.Status(t.Context(), &gatewayv1.StatusRequest{})
	if err != nil || len(status.GetStale()) != 1 || status.GetStale()[0].GetJob() != "emp" {
		t.Errorf("status: %v, %v", status.GetStale(), err)
	}
	jobs, err := s.ListJobs(t.Context(), &gatewayv1.ListJobsRequest{})
	if err != nil || len(jobs.GetStale()) != 1 {
		t.Errorf("list-jobs: %v, %v", jobs, err)
	}
	one, err := s.DescribeJob(t.Context(), &gatewayv1.DescribeJobRequest{Job: "emp"})
	if err != nil || one.GetStale().GetGeneration() != 2 {
		t.Errorf("describe-job: %v, %v", one, err)
	}

	// Another job changes nothing about it, and its old meaning back is one more change.
	res, err = s.Deploy(t.Context(), &gatewayv1.DeployRequest{Files: files("jobs/emp.yaml", other, "jobs/dept.yaml", "name: dept\n"+strings.ReplaceAll(jobText, "emp", "dept"))})
	if err != nil || len(res.GetChangedJobs()) > 0 || len(res.GetStale()) != 1 || res.GetStale()[0].GetGeneration() != 2 {
		t.Errorf("with another job: %v, %v", res, err)
	}
	res = deployJob(t, s, jobText, false, false)
	if len(res.GetStale()) != 1 || res.GetStale()[0].GetGeneration() != 4 || len(res.GetStale()[0].GetChanges()) != 2 {
		t.Errorf("back: %v", res)
	}
	// Nothing changes, and the resync is asked for.
	res = deployJob(t, s, jobText, false, true)
	if res.GetChanged() || len(res.GetStale()) != 1 || !res.GetStale()[0].GetResync() || !l.store.state.Stale[0].GetResync() {
		t.Errorf("resync: %v; stored %v", res, l.store.state.Stale)
	}
	// Once asked for, it stays asked for.
	res = deployJob(t, s, other, false, false)
	if len(res.GetStale()) != 1 || !res.GetStale()[0].GetResync() || res.GetStale()[0].GetGeneration() != 5 {
		t.Errorf("changed again: %v", res)
	}
}

// TestDeployStaleHistory: a deploy resyncs nothing that keeps history, and says why.
func TestDeployStaleHistory(t *testing.T) {
	l := newLine()
	s := l.server()
	job := strings.Replace(jobText, "      table: emp\n", "      table: emp\n      load_strategy: TYPE2\n      active_record_indicator: active = 1\n"+
		"      inactive_record_mapping: [{source: \"0\", target: active}]\n", 1)
	job = strings.Replace(job, `"emp:*"}`, `"emp:*", values: each}`, 1)
	deployJob(t, s, job, false, false)
	res := deployJob(t, s, strings.Replace(job, "name IS NOT NULL", "name IS NULL", 1), false, true)
	if len(res.GetStale()) != 1 || res.GetStale()[0].GetResync() || !strings.Contains(res.GetStale()[0].GetCaution(), "keeps history") {
		t.Errorf("deploy: %v", res)
	}
	if stored := l.store.state.Stale; len(stored) != 1 || stored[0].GetResync() {
		t.Errorf("stored: %v", []*pipelinev1.StaleJob(stored))
	}
}
