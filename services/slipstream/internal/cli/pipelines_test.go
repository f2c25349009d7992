package cli_test

import (
	"slices"
	"strings"
	"testing"

	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
)

func TestListPipelines(t *testing.T) {
	l := newLine()
	l.gateway.listed = func() (*gatewayv1.ListPipelinesResponse, error) {
		return &gatewayv1.ListPipelinesResponse{Pipelines: []*gatewayv1.DeployedPipeline{
			{Name: "default", Generation: 12, Running: true}, {Name: "shop", Generation: 1},
		}}, nil
	}
	code, stdout, stderr := l.do(t, "list-pipelines")
	if code != 0 || stderr != "" {
		t.Errorf("code %d, %s", code, stderr)
	}
	var lines []string
	for line := range strings.Lines(stdout) {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	if !slices.Contains(lines, "default 12 started") || !slices.Contains(lines, "shop 1 stopped") {
		t.Errorf("it says\n%s", stdout)
	}
	_, stdout, _ = l.do(t, "list-pipelines", "-o", "json")
	if flat := strings.Join(strings.Fields(stdout), ""); flat != `[{"name":"default","generation":12,"running":true},{"name":"shop","generation":1,"running":false}]` {
		t.Errorf("it says %s", stdout)
	}
	l.gateway.listed = func() (*gatewayv1.ListPipelinesResponse, error) { return &gatewayv1.ListPipelinesResponse{}, nil }
	if _, stdout, _ := l.do(t, "list-pipelines", "-o", "json"); strings.TrimSpace(stdout) != "[]" {
		t.Errorf("of none: %q", stdout)
	}
	if code, _, _ := l.do(t, "list-pipelines", "default"); code != 2 {
		t.Errorf("with an argument: code %d", code)
	}
}
