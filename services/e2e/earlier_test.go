package e2e_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// errNoHistory says that the earlier version cannot be had from here.
var errNoHistory = errors.New("the history of the repository is not here")

// earlierBinaries builds services of the version before this one, whose commit testdata/earlier names, and gives the
// folder they are in. What was built once stays in bin/earlier. Where there is no history the test is skipped: a shallow
// clone or an export of the tree does not hold the earlier version.
func earlierBinaries(t *testing.T, names ...string) string {
	t.Helper()
	commit, err := earlierCommit()
	if err != nil {
		t.Fatal(err)
	}
	root, err := history(commit)
	if errors.Is(err, errNoHistory) {
		t.Skipf("the earlier version %.12s cannot be built: %v", commit, err)
	}
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(root, "bin", "earlier", commit)
	missing := names[:0:0]
	for _, name := range names {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			missing = append(missing, name)
		}
	}
	if len(missing) == 0 {
		return dir
	}
	source := t.TempDir()
	archive := exec.Command("git", "-C", root, "archive", commit)
	unpack := exec.Command("tar", "-x", "-C", source)
	if unpack.Stdin, err = archive.StdoutPipe(); err != nil {
		t.Fatal(err)
	}
	var packed, unpacked bytes.Buffer
	archive.Stderr, unpack.Stderr = &packed, &unpacked
	if err := errors.Join(archive.Start(), unpack.Run(), archive.Wait()); err != nil {
		t.Fatalf("unpacking %s: %v\n%s%s", commit, err, &packed, &unpacked)
	}
	must(t, os.MkdirAll(dir, 0o755))
	for _, name := range missing {
		built := filepath.Join(source, "built-"+name)
		build := exec.Command("go", "build", "-trimpath", "-o", built, "./services/"+name)
		build.Dir = source
		build.Env = append(os.Environ(), "GOWORK="+filepath.Join(source, "go.work"), "GOFLAGS=-buildvcs=false")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("building %s of %s: %v\n%s", name, commit, err, out)
		}
		// Whole or not at all, whoever else builds it at this moment.
		text, err := os.ReadFile(built)
		must(t, err)
		whole := filepath.Join(dir, fmt.Sprintf(".%s-%d", name, os.Getpid()))
		must(t, os.WriteFile(whole, text, 0o755), os.Rename(whole, filepath.Join(dir, name)))
	}
	return dir
}

// earlierCommit reads testdata/earlier.
func earlierCommit() (string, error) {
	text, err := os.ReadFile("testdata/earlier")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			return line, nil
		}
	}
	return "", errors.New("testdata/earlier names no commit")
}

// history finds the repository and makes sure that a commit is in it, before the one that is tested.
func history(commit string) (root string, err error) {
	git := func(args ...string) (string, error) {
		out, err := exec.Command("git", args...).CombinedOutput()
		return strings.TrimSpace(string(out)), err
	}
	root, err = git("rev-parse", "--show-toplevel")
	if err != nil {
		return "", fmt.Errorf("%w: %s", errNoHistory, root)
	}
	if _, err := os.Stat(filepath.Join(root, "services", "e2e", "testdata", "earlier")); err != nil {
		return "", fmt.Errorf("%w: %s is another repository", errNoHistory, root)
	}
	if out, err := git("cat-file", "-e", commit+"^{tree}"); err != nil {
		if shallow, _ := git("rev-parse", "--is-shallow-repository"); shallow == "true" {
			return "", fmt.Errorf("%w: the clone is shallow", errNoHistory)
		}
		return "", fmt.Errorf("testdata/earlier names %s, which is no commit of this repository: %s", commit, out)
	}
	if _, err := git("merge-base", "--is-ancestor", commit, "HEAD"); err != nil {
		if shallow, _ := git("rev-parse", "--is-shallow-repository"); shallow == "true" {
			return "", fmt.Errorf("%w: the clone is shallow", errNoHistory)
		}
		return "", fmt.Errorf("testdata/earlier names %s, which is no ancestor of HEAD", commit)
	}
	return root, nil
}
