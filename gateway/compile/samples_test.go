package compile_test

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"

	"slipstream/gateway/compile"
)

// TestSamples compiles the demo's pipeline, the one for Cassandra, and every one under deploy/samples: what we show must be right, without as much as a warning.
func TestSamples(t *testing.T) {
	configs, err := filepath.Glob("../../deploy/samples/*/config.yaml")
	if err != nil || len(configs) < 2 {
		t.Fatalf("samples: %v, %v", configs, err)
	}
	for _, config := range append(configs, "../../deploy/demo/config.yaml", "../../deploy/jobs/cassandra/config.yaml") {
		dir := filepath.Dir(config)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			jobs, err := filepath.Glob(filepath.Join(dir, "jobs", "*"))
			if err != nil || len(jobs) == 0 {
				t.Fatalf("jobs: %v, %v", jobs, err)
			}
			var files []*pipelinev1.File
			for _, name := range append(jobs, config) {
				text, err := os.ReadFile(name)
				if err != nil {
					t.Fatal(err)
				}
				relative, err := filepath.Rel(dir, name)
				if err != nil {
					t.Fatal(err)
				}
				files = append(files, &pipelinev1.File{Path: filepath.ToSlash(relative), Text: text})
			}
			r := compile.Files("sample", files, noReferences)
			for _, p := range r.Problems {
				t.Errorf("%s:%d: %s: %s (%s)", p.GetFile(), p.GetLine(), p.GetPath(), p.GetMessage(), p.GetFix())
			}
			if got := len(r.Pipeline.GetJobs()); got != len(jobs) {
				t.Errorf("%d jobs, want %d", got, len(jobs))
			}
			for _, job := range r.Pipeline.GetJobs() {
				if len(job.GetOutputs()) == 0 {
					t.Errorf("job %s has no output", job.GetName())
				}
			}
		})
	}
}

// TestReadme compiles the pipeline that the README shows: its first two YAML blocks.
func TestReadme(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```yaml\\n# ([^\\n]+)\\n(.*?)```").FindAllSubmatch(text, -1)
	if len(blocks) != 2 {
		t.Fatalf("%d blocks that name their file, want 2", len(blocks))
	}
	var files []*pipelinev1.File
	for _, b := range blocks {
		files = append(files, &pipelinev1.File{Path: string(b[1]), Text: b[2]})
	}
	for _, p := range compile.Files("readme", files, noReferences).Problems {
		t.Errorf("%s:%d: %s: %s (%s)", p.GetFile(), p.GetLine(), p.GetPath(), p.GetMessage(), p.GetFix())
	}
}
