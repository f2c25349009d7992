package cli_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"

	"slipstream/gateway/compile"
)

// TestScaffold writes the templates and compiles them: they must be right as they stand, and also with every comment
// that shows an attribute taken away, so that what users uncomment works.
func TestScaffold(t *testing.T) {
	for _, kind := range []string{"postgresql", "sqlite", "mysql", "mariadb", "sqlserver", "oracle", "cassandra", "redis"} {
		t.Run(kind, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "new")
			l := newLine()
			code, stdout, stderr := l.do(t, "scaffold", "--db-type", kind, "--strategy", "write_behind", "--dir", dir)
			want := filepath.Join(dir, "config.yaml") + "\n" + filepath.Join(dir, "jobs", "sample.yaml") + "\n"
			if code != 0 || stdout != want {
				t.Fatalf("code %d, stdout %q, stderr %q", code, stdout, stderr)
			}
			files := map[string]string{}
			for _, name := range []string{"config.yaml", "jobs/sample.yaml"} {
				text, err := os.ReadFile(filepath.Join(dir, name))
				if err != nil {
					t.Fatal(err)
				}
				files[name] = string(text)
				if code, preview, _ := l.do(t, "scaffold", "--db-type", kind, "--preview", name); code != 0 || preview != string(text) {
					t.Errorf("preview of %s: code %d, %q", name, code, preview)
				}
			}
			compiles(t, files)
			for name := range files {
				files[name] = uncomment(files[name])
			}
			settings := compiles(t, files).GetSettings()
			if settings.GetReadBatchSize() != 2000 || settings.GetTrimDelay() != 60 || settings.GetPositionTable() != "slipstream_position" {
				t.Errorf("the defaults shown are not the defaults: %v", settings)
			}
			// Nothing is overwritten.
			if err := os.Remove(filepath.Join(dir, "config.yaml")); err != nil {
				t.Fatal(err)
			}
			code, _, stderr = l.do(t, "scaffold", "--db-type", kind, "--dir", dir)
			if code != 1 || !strings.Contains(stderr, "sample.yaml exists already") {
				t.Errorf("over existing files: code %d, %q", code, stderr)
			}
			if _, err := os.Stat(filepath.Join(dir, "config.yaml")); err == nil {
				t.Error("one file was written although the other exists")
			}
		})
	}
	code, _, stderr := newLine().do(t, "scaffold", "--db-type", "db2", "--dir", "x")
	if code != 1 || !strings.Contains(stderr, "not supported yet by this version") {
		t.Errorf("code %d, %q", code, stderr)
	}
}

func compiles(t *testing.T, files map[string]string) *pipelinev1.Pipeline {
	t.Helper()
	var all []*pipelinev1.File
	for name, text := range files {
		all = append(all, &pipelinev1.File{Path: name, Text: []byte(text)})
	}
	r := compile.Files("default", all, func(s string) (string, error) { return s, nil })
	for _, p := range r.Problems {
		t.Errorf("%s:%d: %s: %s", p.GetFile(), p.GetLine(), p.GetPath(), p.GetMessage())
	}
	return r.Pipeline
}

// uncomment takes the hash from every line that would be an attribute without it.
func uncomment(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		body := strings.TrimLeft(line, " ")
		rest, comment := strings.CutPrefix(body, "# ")
		name, _, attribute := strings.Cut(rest, ":")
		if comment && attribute && !strings.ContainsAny(strings.TrimLeft(name, " "), " ") {
			line = line[:len(line)-len(body)] + rest
		}
		b.WriteString(line)
	}
	return b.String()
}
