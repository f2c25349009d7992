package compile_test

import (
	"os"
	"path/filepath"
	"testing"

	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"

	"slipstream/gateway/compile"
)

const goodConfig = "connections:\n  source: {type: redis, host: h, port: 1}\n  pg: {type: sqlite, path: x}\n"

// seed adds the files of all golden cases.
func seed(f *testing.F, config bool) {
	cases, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(cases) == 0 {
		f.Fatalf("cases: %v, %v", cases, err)
	}
	for _, name := range cases {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		files, _ := split(string(text))
		for _, file := range files {
			if (file.GetPath() == compile.ConfigFile) == config {
				f.Add(file.GetText())
			}
		}
	}
}

// holds checks what is true of every result.
func holds(t *testing.T, r *compile.Result) {
	t.Helper()
	for _, p := range r.Problems {
		if p.GetMessage() == "" || p.GetFix() == "" || p.GetSeverity() == pipelinev1.Severity_SEVERITY_UNSPECIFIED {
			t.Errorf("half a problem: %v", p)
		}
	}
	if compile.Failed(r.Problems) {
		return
	}
	if r.Pipeline.GetConnections()["source"].GetType() != "redis" {
		t.Errorf("no error, but no source: %v", r.Pipeline)
	}
	for _, job := range r.Pipeline.GetJobs() {
		if job.GetName() == "" || job.GetSource().GetKeyPattern() == "" || len(job.GetOutputs()) == 0 {
			t.Errorf("no error, but half a job: %v", job)
		}
		for _, out := range job.GetOutputs() {
			keys := 0
			for _, c := range out.GetRelational().GetColumns() {
				if c.GetColumn() == "" || c.GetSource() == nil || c.GetPath() == "" {
					t.Errorf("no error, but half a column: %v", c)
				}
				if c.GetKey() {
					keys++
				}
			}
			if out.GetRelational().GetLoadStrategy() == pipelinev1.LoadStrategy_LOAD_STRATEGY_APPEND {
				keys++ // it identifies no row
			}
			if keys == 0 || out.GetRelational().GetTable() == "" || r.Pipeline.GetConnections()[out.GetConnection()] == nil {
				t.Errorf("no error, but half an output: %v", out)
			}
		}
	}
}

func FuzzConfig(f *testing.F) {
	seed(f, true)
	f.Fuzz(func(t *testing.T, text []byte) {
		holds(t, compile.Files("p", []*pipelinev1.File{{Path: compile.ConfigFile, Text: text}}, noReferences))
	})
}

func FuzzJob(f *testing.F) {
	seed(f, false)
	f.Fuzz(func(t *testing.T, text []byte) {
		holds(t, compile.Files("p", []*pipelinev1.File{
			{Path: compile.ConfigFile, Text: []byte(goodConfig)}, {Path: "jobs/a.yaml", Text: text},
		}, noReferences))
	})
}
