package finding

import (
	"testing"

	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

func TestList(t *testing.T) {
	l := NewList("pumps")
	if l.Failed() || l.First() != nil || len(l.Problems()) != 0 {
		t.Fatal("an empty list has problems")
	}
	l.Warning("source", "do", "careful with %s", "this")
	if l.Failed() || l.First() != nil {
		t.Error("a warning fails the job")
	}
	l.Error("output[0]", "do that", "wrong %d", 1)
	l.Error("output[0]", "do that", "wrong %d", 1) // said already
	l.Error("output[1]", "", "wrong %d", 1)
	if !l.Failed() || l.Errors() != 2 || len(l.Problems()) != 3 {
		t.Errorf("problems %v", l.Problems())
	}
	p := l.First()
	if p.Path != "output[0]" || p.Message != "wrong 1" || p.Fix != "do that" || p.Job != "pumps" || p.Severity != pipelinev1.Severity_SEVERITY_ERROR {
		t.Errorf("first %v", p)
	}
}
