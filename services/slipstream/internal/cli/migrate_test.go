package cli_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestMigrate: files are rewritten in place with their comments and permissions, nothing is where nothing is to be done,
// and what cannot be rewritten is left alone and named (spec 12.1).
func TestMigrate(t *testing.T) {
	const (
		oldJob = "# the staff\nsource:\n  keyspace:\n    pattern: emp:*   # all of them\noutput:\n" +
			"  - uses: relational.write\n    with: {connection: hr, table: emp, keys: [id]}\n"
		newJob = "# the staff\nsource:\n  redis:\n    trigger: write-behind\n    key_pattern: emp:*   # all of them\noutput:\n" +
			"  - uses: relational.write\n    with: {connection: hr, table: emp, keys: [id]}\n"
		marked = "\ufeffconnections:\n  source: {type: redis, host: h, port: 1}\n"
	)
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	holds := func(path, want string) {
		t.Helper()
		if text, err := os.ReadFile(path); err != nil || string(text) != want {
			t.Errorf("%s holds %q, %v; want %q", path, text, err, want)
		}
	}
	config := write("config.yaml", marked, 0o600)
	job := write("jobs/emp.yaml", oldJob, 0o640)
	done := write("jobs/zones.yml", newJob, 0o600)
	if code, stdout, stderr := newLine().do(t, "migrate", "--dir", dir, "--dry-run"); code != 0 ||
		!strings.Contains(stdout, "emp.yaml: source.keyspace is called redis") {
		t.Errorf("dry: code %d, stdout %q, stderr %q", code, stdout, stderr)
	}
	holds(job, oldJob)
	code, stdout, stderr := newLine().do(t, "migrate", "--dir", dir)
	if code != 0 || stderr != "" || !strings.Contains(stdout, done+": nothing to change\n") ||
		!strings.Contains(stdout, config+": a byte order mark is gone\n") {
		t.Errorf("code %d, stdout %q, stderr %q", code, stdout, stderr)
	}
	holds(job, newJob)
	holds(done, newJob)
	holds(config, strings.TrimPrefix(marked, "\ufeff"))
	if info, err := os.Stat(job); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	broken := write("jobs/broken.yaml", "source: [\n", 0o600)
	again := write("jobs/emp.yaml", oldJob, 0o600)
	if code, _, stderr := newLine().do(t, "migrate", "--dir", dir); code != 1 || !strings.HasPrefix(stderr, broken+": reading jobs/broken.yaml, line ") {
		t.Errorf("code %d, stderr %q", code, stderr)
	}
	holds(broken, "source: [\n")
	holds(again, newJob)
	if left, err := filepath.Glob(filepath.Join(dir, "jobs", ".migrate-*")); err != nil || len(left) > 0 {
		t.Errorf("left over: %v, %v", left, err)
	}
	if code, _, stderr := newLine().do(t, "migrate", "--dir", t.TempDir()); code != 1 || !strings.Contains(stderr, "there is no config.yaml and no job") {
		t.Errorf("an empty folder: code %d, stderr %q", code, stderr)
	}
}
