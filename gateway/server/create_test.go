package server_test

import (
	"strings"
	"testing"

	applierv1 "slipstream/proto/slipstream/applier/v1"
	capturev1 "slipstream/proto/slipstream/capture/v1"
	changev1 "slipstream/proto/slipstream/change/v1"
	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
	transformerv1 "slipstream/proto/slipstream/transformer/v1"
)

// columnsText are the columns of the first output of a job, with their kinds.
func columnsText(job *pipelinev1.Job) string {
	var out []string
	for _, c := range job.GetOutputs()[0].GetRelational().GetColumns() {
		kind := c.GetInferred()
		out = append(out, c.GetColumn()+" "+strings.ToLower(strings.TrimPrefix(kind.String(), "COLUMN_TYPE_")))
	}
	return strings.Join(out, ", ")
}

// creating is a line whose only job writes to a table that is missing until it is prepared.
func creating(t *testing.T) (l *line, planned, prepared *[]string) {
	t.Helper()
	l = newLine()
	planned, prepared = new([]string), new([]string)
	l.capture.keys = func(r *capturev1.ReadKeysRequest) (*capturev1.ReadKeysResponse, error) {
		if r.GetJob() != "emp" || r.GetMaxKeys() == 0 || r.GetPattern() != "" {
			t.Errorf("keys read: %v", r)
		}
		return &capturev1.ReadKeysResponse{Batch: &changev1.Batch{Sequence: 1, Changes: []*changev1.Change{{Key: []byte("emp:1")}}}}, nil
	}
	l.transformer.preview = func(r *transformerv1.PreviewRequest) (*transformerv1.PreviewResponse, error) {
		text := []byte("12")
		return &transformerv1.PreviewResponse{
			Rows: []*transformerv1.PreviewedRows{{Connection: "hr", Batch: &applierv1.RowBatch{Tables: []*applierv1.Rows{{
				Count: 2, Columns: []*applierv1.Column{{Text: text, Ends: []uint32{1, 2}, Kinds: []byte{1, 1}}},
			}}}}},
			Changes: []*transformerv1.PreviewedChange{
				{
					Record: []byte(`{"id":"1"}`),
					Blocks: []*transformerv1.PreviewedBlock{{
						Record: []byte(`{"id":"1","a.b":"1.50","ok":true,"doc":{"x":[1]},"zip":"01234","none":null,"n":1e3,"born":"2001-02-03"}`),
					}},
				},
				{FilteredBy: "transform[0] filter", Record: []byte(`{"secret":"1"}`)},
			},
		}, nil
	}
	l.applier.check = func(r *applierv1.CheckRequest) (*applierv1.CheckResponse, error) {
		*planned = append(*planned, columnsText(r.GetJobs()[0]))
		if len(*prepared) > 0 {
			return &applierv1.CheckResponse{Tables: []*applierv1.Table{{
				Job: "emp", Columns: []*applierv1.TableColumn{{Name: "id"}, {Name: "zip", Nullable: true}},
			}}}, nil
		}
		return &applierv1.CheckResponse{Plan: []*applierv1.Statement{
			{Text: "CREATE TABLE slipstream_position"}, {Job: "emp", Text: "CREATE TABLE emp"},
		}}, nil
	}
	l.applier.prepare = func(r *applierv1.PrepareRequest) (*applierv1.PrepareResponse, error) {
		*prepared = append(*prepared, columnsText(r.GetJobs()[0]))
		return &applierv1.PrepareResponse{Created: []*applierv1.Statement{{Job: "emp", Text: "CREATE TABLE emp"}}}, nil
	}
	return l, planned, prepared
}

const inferredText = "id integer, a.b decimal, ok boolean, doc json, zip text, none text, n double, born date"

func TestDeployCreatesTables(t *testing.T) {
	l, _, prepared := creating(t)
	res, err := l.server().Deploy(t.Context(), &gatewayv1.DeployRequest{Files: files(), DryRun: true})
	if err != nil || len(*prepared) > 0 || len(res.GetCreated()) != 1 || len(res.GetCreated()[0].GetStatements()) != 2 {
		t.Fatalf("dry run: %v, %v, prepared %v", res, err, *prepared)
	}
	res, err = l.server().Deploy(t.Context(), &gatewayv1.DeployRequest{Files: files()})
	if err != nil || res.GetGeneration() != 1 || len(res.GetProblems()) > 0 {
		t.Fatalf("deploy: %v, %v", res, err)
	}
	if len(*prepared) != 1 || (*prepared)[0] != inferredText {
		t.Errorf("prepared with %q, want %q", *prepared, inferredText)
	}
	if got := res.GetCreated(); len(got) != 1 || got[0].GetConnection() != "hr" || got[0].GetStatements()[0].GetText() != "CREATE TABLE emp" {
		t.Errorf("created: %v", got)
	}
	// What is stored says nothing of the sample, so that the same files deployed again change nothing.
	if got := columnsText(l.store.state.Pipeline.GetJobs()[0]); got != "id unspecified, zip unspecified" {
		t.Errorf("stored columns: %s", got)
	}
	again, err := l.server().Deploy(t.Context(), &gatewayv1.DeployRequest{Files: files()})
	if err != nil || again.GetChanged() || len(*prepared) != 1 {
		t.Errorf("again: %v, %v, prepared %d times", again, err, len(*prepared))
	}
}

func TestTableThatCannotBeCreated(t *testing.T) {
	l, _, _ := creating(t)
	l.applier.prepare = func(*applierv1.PrepareRequest) (*applierv1.PrepareResponse, error) {
		return &applierv1.PrepareResponse{Problems: []*pipelinev1.Problem{
			{Severity: pipelinev1.Severity_SEVERITY_ERROR, Job: "emp", Path: "output[0]", Message: "permission denied", Fix: "GRANT …"},
		}}, nil
	}
	res, err := l.server().Deploy(t.Context(), &gatewayv1.DeployRequest{Files: files()})
	if err != nil || res.GetGeneration() != 0 || !strings.Contains(lines(res.GetProblems()), "jobs/emp.yaml:10 output[0]: permission denied") {
		t.Errorf("deploy: %v, %v", res, err)
	}
	if l.store.state.Pipeline != nil {
		t.Error("something was stored")
	}
}

func TestValidatePlan(t *testing.T) {
	l, planned, prepared := creating(t)
	res, err := l.server().Validate(t.Context(), &gatewayv1.ValidateRequest{Files: files(), Plan: true})
	if err != nil || len(res.GetPlan()) != 1 || len(*prepared) > 0 {
		t.Fatalf("validate: %v, %v", res, err)
	}
	if got := (*planned)[len(*planned)-1]; got != inferredText {
		t.Errorf("planned with %q", got)
	}
	if _, err := l.server().Validate(t.Context(), &gatewayv1.ValidateRequest{Files: files(), Plan: true, Offline: true}); err == nil {
		t.Error("a plan was made offline")
	}
	// Without a key the types are not known, which is said.
	l.capture.keys = func(*capturev1.ReadKeysRequest) (*capturev1.ReadKeysResponse, error) {
		return &capturev1.ReadKeysResponse{}, nil
	}
	res, err = l.server().Validate(t.Context(), &gatewayv1.ValidateRequest{Files: files(), Plan: true})
	want := `output[0].with.auto_create: no key matches "emp:*" yet, so columns whose type the job does not say become text`
	if err != nil || !strings.Contains(lines(res.GetProblems()), want) {
		t.Errorf("problems: %v, %v", lines(res.GetProblems()), err)
	}
}

func TestRowIndex(t *testing.T) {
	for _, c := range []struct {
		image    pipelinev1.BeforeImage
		analysis *transformerv1.OutputAnalysis
		want     bool
		warning  string
	}{
		{pipelinev1.BeforeImage_BEFORE_IMAGE_KEYS, &transformerv1.OutputAnalysis{Indexable: true}, true, ""},
		{pipelinev1.BeforeImage_BEFORE_IMAGE_KEYS, &transformerv1.OutputAnalysis{Indexable: true, Derivable: true}, false, ""},
		{pipelinev1.BeforeImage_BEFORE_IMAGE_KEYS, &transformerv1.OutputAnalysis{}, false, ""},
		{pipelinev1.BeforeImage_BEFORE_IMAGE_NONE, &transformerv1.OutputAnalysis{Indexable: true}, false, ""},
		{pipelinev1.BeforeImage_BEFORE_IMAGE_FULL, &transformerv1.OutputAnalysis{Indexable: true, Derivable: true}, true, ""},
		{pipelinev1.BeforeImage_BEFORE_IMAGE_FULL, &transformerv1.OutputAnalysis{}, false, "nothing there holds before images"},
	} {
		word := strings.ToLower(strings.TrimPrefix(c.image.String(), "BEFORE_IMAGE_"))
		l := newLine()
		l.transformer.check = func(*transformerv1.CheckRequest) (*transformerv1.CheckResponse, error) {
			return &transformerv1.CheckResponse{Outputs: []*transformerv1.OutputAnalysis{c.analysis}}, nil
		}
		var asked bool
		l.applier.check = func(r *applierv1.CheckRequest) (*applierv1.CheckResponse, error) {
			asked = r.GetJobs()[0].GetOutputs()[0].GetRelational().GetRowIndex()
			return &applierv1.CheckResponse{}, nil
		}
		res, err := l.server().Validate(t.Context(), &gatewayv1.ValidateRequest{
			Files: files("jobs/emp.yaml", "before_image: "+word+"\n"+jobText),
		})
		if err != nil {
			t.Fatal(err)
		}
		got := res.GetPipeline().GetJobs()[0].GetOutputs()[0].GetRelational().GetRowIndex()
		if got != c.want || asked != c.want {
			t.Errorf("%s, %v: row index %v, the applier was told %v", word, c.analysis, got, asked)
		}
		if text := lines(res.GetProblems()); (c.warning == "") != (text == "") || !strings.Contains(text, c.warning) {
			t.Errorf("%s, %v: %s", word, c.analysis, text)
		}
	}
}
