package row

import (
	"strings"
	"testing"

	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"

	"slipstream/transformer/finding"
)

// What outputs do with records is in testdata, run by package job; here is what no job file can say.

func TestCompileConstant(t *testing.T) {
	constant := func(text string) *pipelinev1.Job {
		return &pipelinev1.Job{Outputs: []*pipelinev1.Output{{Writer: &pipelinev1.Output_Relational{Relational: &pipelinev1.RelationalWrite{
			Table: "t", Schema: "s",
			Columns: []*pipelinev1.OutputColumn{{Column: "a", Key: true, Source: &pipelinev1.OutputColumn_Constant{Constant: text}}},
		}}}}}
	}
	found := finding.NewList("j")
	o := Compile(constant(`{"a":1.0}`), 0, found)
	if found.Failed() || o.Table != "s.t" || !o.Planned() || len(o.Columns()) != 1 || o.Columns()[0] != "a" {
		t.Errorf("output %+v, problems %v", o, found.Problems())
	}
	if c := o.columns[0].constant; c.kind != document || c.text != `{"a":1.0}` {
		t.Errorf("constant %+v", c)
	}
	Compile(constant(`{`), 0, found)
	if found.Errors() != 1 || found.First().GetPath() != "output[0].with.columns[0].value" || !strings.Contains(found.First().GetMessage(), "cannot be read") {
		t.Errorf("problems %v", found.Problems())
	}
}

func TestErrorKeepsItsCause(t *testing.T) {
	o := &Output{name: "output[0] relational.write"}
	_, err := o.operation("x")
	if err == nil || err.Unwrap() == nil || err.Error() != err.Unwrap().Error() || err.Class != Validation {
		t.Errorf("error %v", err)
	}
}
