package cli_test

import (
	"strings"
	"testing"

	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// TestUnknownTopics: what nobody can help with is wrong usage, like everything else that there is not.
func TestUnknownTopics(t *testing.T) {
	l, _ := administered(t)
	for _, args := range [][]string{{"help", "none"}, {"help", "status", "none"}, {"completion", "none"}, {"context", "none"}} {
		if code, out, errs := l.do(t, args...); code != 2 || out != "" || !strings.Contains(errs, "none") {
			t.Errorf("%v: %d %s%s", args, code, out, errs)
		}
	}
	for _, args := range [][]string{{"help"}, {"help", "status"}, {"help", "context", "add"}, {"completion"}} {
		if code, out, _ := l.do(t, args...); code != 0 || !strings.Contains(out, "Usage:") {
			t.Errorf("%v: %d %s", args, code, out)
		}
	}
}

// TestCompleteJob: describe-job offers the jobs, and nothing once it has one.
func TestCompleteJob(t *testing.T) {
	l := newLine()
	l.gateway.list = func(*gatewayv1.ListJobsRequest) (*gatewayv1.ListJobsResponse, error) {
		return &gatewayv1.ListJobsResponse{Jobs: []*pipelinev1.Job{{Name: "emp"}}}, nil
	}
	if code, out, _ := l.do(t, "__complete", "describe-job", ""); code != 0 || !strings.HasPrefix(out, "emp\n") {
		t.Errorf("%d %s", code, out)
	}
	if code, out, _ := l.do(t, "__complete", "describe-job", "emp", ""); code != 0 || out != ":4\n" {
		t.Errorf("after a job: %d %s", code, out)
	}
}
